//! What a local track tells its source: the wishes of its remotes, and what became of it there.

use crate::events::{Event, Events};

/// What a track is told by its remotes.
///
/// ```
/// use metered_realtime::media::LocalTrackEvent;
/// /// What the thread of an encoder is told.
/// #[derive(Debug, PartialEq)]
/// enum Order {
///     KeyFrame,
///     Bitrate(u64),
/// }
/// fn order(event: &LocalTrackEvent) -> Option<Order> {
///     match event {
///         LocalTrackEvent::KeyFrameWanted => Some(Order::KeyFrame),
///         // One encoder for all remotes: the slowest decides.
///         LocalTrackEvent::TargetBitrate { peer_id: None, bits_per_second, .. } => {
///             Some(Order::Bitrate(*bits_per_second))
///         }
///         LocalTrackEvent::CodecNotSupported { peer_id, codec } => {
///             println!("{peer_id} cannot see {codec}");
///             None
///         }
///         _ => None,
///     }
/// }
/// let slower = LocalTrackEvent::TargetBitrate { peer_id: None, bits_per_second: 90_000, frame_rate: 10 };
/// assert_eq!(order(&slower), Some(Order::Bitrate(90_000)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalTrackEvent {
    /// The encoder shall make its next picture a key frame. At most one per 300 ms.
    KeyFrameWanted,
    /// A remote takes the track.
    CodecAgreed {
        /// The remote.
        peer_id: String,
    },
    /// A remote cannot take the track's codec and gets nothing of it. Of H.264: or not the profile that is written;
    /// when another one is (constrained baseline is taken by all who take H.264), the remote is asked again.
    CodecNotSupported {
        /// The remote.
        peer_id: String,
        /// Such as `video/H264`.
        codec: &'static str,
    },
    /// What a remote's path has room for changed: by a tenth or more, and at most twice a second but for falls.
    TargetBitrate {
        /// The remote; `None` for all of them, as the slowest decides.
        peer_id: Option<String>,
        /// Bits per second that an encoder shall make; 0 for nothing at all.
        bits_per_second: u64,
        /// Pictures per second that look best at this bitrate; 0 for sound.
        frame_rate: u32,
    },
    /// This subscriber was too slow: so many of its oldest waiting events were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event for LocalTrackEvent {
    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }
}

/// A subscription to a local track's events.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
/// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
/// #     options.signalling.url = server.url();
/// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
/// # };
/// # let (alice, bob) = (peer("alice")?, peer("bob")?);
/// # let camera = metered_realtime::media::LocalVideoTrack::new(metered_realtime::media::VideoCodec::Vp8);
/// # bob.add_track(&camera, None, None)?;
/// # let source = camera.clone();
/// # let filming = tokio::spawn(async move {
/// #     let key_frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];
/// #     for n in 0.. {
/// #         let codec = metered_realtime::media::VideoCodec::Vp8;
/// #         let unit = metered_realtime::media::AccessUnit::new(codec, key_frame.clone().into(), n * 40_000);
/// #         source.write(&unit).unwrap();
/// #         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// #     }
/// # });
/// # let mut arrivals = alice.events();
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// # let to_bob = loop {
/// #     let event = arrivals.next().await.ok_or("gone")?;
/// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
/// # };
/// use metered_realtime::media::{LocalTrackEvent, LocalTrackEvents};
/// // `camera` is sent to everyone in the room; its encoder listens to this.
/// let mut events: LocalTrackEvents = camera.events();
/// let taken_by = loop {
///     if let LocalTrackEvent::CodecAgreed { peer_id } = events.next().await.ok_or("gone")? {
///         break peer_id;
///     }
/// };
/// assert_eq!(taken_by, "alice");
/// # filming.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub type LocalTrackEvents = Events<LocalTrackEvent>;
