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
/// # metered_scenes::play(async |metered_scenes::Met { bob, .. }| {
/// # let camera = metered_scenes::film(bob)?;
/// use metered_realtime::media::{LocalTrackEvent, LocalTrackEvents};
/// // `camera` is sent to everyone in the room; its encoder listens to this.
/// let mut events: LocalTrackEvents = camera.events();
/// let taken_by = loop {
///     if let LocalTrackEvent::CodecAgreed { peer_id } = events.next().await.ok_or("gone")? {
///         break peer_id;
///     }
/// };
/// assert_eq!(taken_by, "alice");
/// # Ok(())
/// # });
/// ```
pub type LocalTrackEvents = Events<LocalTrackEvent>;
