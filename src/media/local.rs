//! Tracks that we send: an encoder's output, cut once and handed to the sender of every remote.
//!
//! A track knows its senders and nothing of connections. It tells its source what the remotes need by
//! [`LocalTrackEvent`]; the source tells the remotes nothing.

mod targets;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use self::targets::Target;
use self::targets::Targets;
use super::audio::AudioError;
use super::local_audio::LocalAudioTrack;
use super::video::{AccessUnit, PacketiseError, Packetiser, Rotation, VideoCodec, h264_profile};
use crate::diagnosis::Diagnosis;
use crate::events::{EVENT_QUEUE_BYTES, Event, Events, Hub};
use crate::rtc::engine::MediaKind;
use crate::rtc::h264::StreamProfile;

/// Between two wishes for a key frame.
pub(crate) const KEY_FRAME_PAUSE: Duration = Duration::from_millis(300);
/// Pictures or packets that wait for one remote: half a second. Beyond them it is too slow, and a picture
/// that is lost costs a key frame.
const MAX_WAITING: usize = 32;

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

/// Why a picture or packet was not taken.
///
/// ```
/// use metered_realtime::media::{AccessUnit, LocalVideoTrack, VideoCodec, WriteError};
/// let track = LocalVideoTrack::new(VideoCodec::H264);
/// let vp8 = AccessUnit::new(VideoCodec::Vp8, vec![0x10, 0, 0, 0x9d, 1, 0x2a, 2, 0, 2, 0].into(), 0);
/// let error = track.write(&vp8).unwrap_err();
/// assert!(matches!(error, WriteError::OtherCodec { expected: "video/H264", .. }));
/// println!("{}: {}", error.code(), error.diagnosis());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It is none.
    #[error(transparent)]
    Packetise(#[from] PacketiseError),
    /// It is of another codec than the track.
    #[error("the track carries {expected}, not {found}")]
    OtherCodec {
        /// The track's.
        expected: &'static str,
        /// The access unit's.
        found: &'static str,
    },
    /// No Opus packet is empty or has more than 1,275 bytes.
    #[error("an Opus packet has 1 to 1,275 bytes")]
    NotOpus,
    /// The PCM is none, or the codec failed.
    #[error(transparent)]
    Audio(#[from] AudioError),
}

impl WriteError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Packetise(error) => error.code(),
            Self::OtherCodec { .. } => "other_codec",
            Self::NotOpus => "opus_packet_size",
            Self::Audio(error) => error.code(),
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Packetise(error) => error.diagnosis(),
            Self::OtherCodec { expected, found } => Diagnosis::new(
                format!("The track was made for {expected}, and this picture is {found}."),
                "Make the track with the encoder's codec; for another codec remove it and add a new one.",
            ),
            Self::NotOpus => Diagnosis::new(
                "The bytes are not one Opus packet: none, or more than RFC 6716 allows.",
                "Write each packet of the encoder by itself, without a container around it.",
            ),
            Self::Audio(error) => error.diagnosis(),
        }
    }
}

/// Something to send, cut into payloads: the same for every remote.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) payloads: Vec<Bytes>,
    pub(crate) timestamp_us: u64,
    /// What has that time was recorded then, or earlier.
    pub(crate) captured: Instant,
    pub(crate) key_frame: bool,
    /// Of H.264, with key frames that say it.
    pub(crate) profile: Option<StreamProfile>,
    /// Of pictures.
    pub(crate) rotation: Option<Rotation>,
    /// The last packet's marker bit for pictures, the only one's for sound.
    pub(crate) marker: bool,
}

#[derive(Debug)]
pub(crate) struct Shared {
    id: String,
    kind: MediaKind,
    mime_type: &'static str,
    muted: AtomicBool,
    packetiser: Mutex<Packetiser>,
    outlets: Mutex<HashMap<u64, Outlet>>,
    next_outlet: AtomicU64,
    hub: Hub<LocalTrackEvent>,
    key_frame_told: Mutex<Option<Instant>>,
    targets: Mutex<Targets>,
    /// Of the last key frame that said it.
    profile: watch::Sender<Option<StreamProfile>>,
}

/// Where a sender takes its parcels from.
#[derive(Debug)]
struct Outlet {
    parcels: mpsc::Sender<Arc<Parcel>>,
    /// Pictures before the next key frame are of no use to it.
    waits_for_key_frame: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(id: String, kind: MediaKind, mime_type: &'static str) -> Arc<Self> {
        Arc::new(Self {
            id,
            kind,
            mime_type,
            muted: AtomicBool::new(false),
            packetiser: Mutex::default(),
            outlets: Mutex::default(),
            next_outlet: AtomicU64::new(0),
            hub: Hub::with_backlog(EVENT_QUEUE_BYTES),
            key_frame_told: Mutex::default(),
            targets: Mutex::new(Targets::of(kind)),
            profile: watch::Sender::new(None),
        })
    }

    /// The profile of H.264 that is written; `None` until that is known, and of anything else.
    pub(crate) fn profile(&self) -> Option<StreamProfile> {
        *self.profile.borrow()
    }

    /// Done when the profile is another one than this.
    pub(crate) async fn profile_changes(&self, from: StreamProfile) {
        let changed = |profile: &Option<StreamProfile>| *profile != Some(from);
        // Its sender is here.
        drop(self.profile.subscribe().wait_for(changed).await);
    }

    /// A sender wants what is written from now on, pictures from the next key frame.
    pub(crate) fn attach(self: &Arc<Self>) -> Attachment {
        let (sender, parcels) = mpsc::channel(MAX_WAITING);
        let number = self.next_outlet.fetch_add(1, Ordering::Relaxed);
        let outlet = Outlet { parcels: sender, waits_for_key_frame: self.kind == MediaKind::Video };
        lock(&self.outlets).insert(number, outlet);
        Attachment { track: Arc::clone(self), number, parcels }
    }

    pub(super) fn write(&self, parcel: Parcel) {
        if self.muted.load(Ordering::Relaxed) {
            return;
        }
        let parcel = Arc::new(parcel);
        let mut waits = false;
        for outlet in lock(&self.outlets).values_mut() {
            if !outlet.waits_for_key_frame || parcel.key_frame {
                let full = outlet.parcels.try_send(Arc::clone(&parcel)).is_err();
                outlet.waits_for_key_frame = full && self.kind == MediaKind::Video;
            }
            waits |= outlet.waits_for_key_frame;
        }
        if waits {
            // Asked for again with the next picture, if that was just done.
            self.want_key_frame(Instant::now());
        }
    }

    /// Tells the source, unless that was just done: then when to try again.
    pub(crate) fn want_key_frame(&self, now: Instant) -> Option<Instant> {
        let mut told = lock(&self.key_frame_told);
        if let Some(due) = told.map(|told| told + KEY_FRAME_PAUSE).filter(|due| now < *due) {
            return Some(due);
        }
        *told = Some(now);
        drop(told);
        self.hub.publish(&LocalTrackEvent::KeyFrameWanted);
        None
    }

    pub(crate) fn tell(&self, event: &LocalTrackEvent) {
        self.hub.publish(event);
    }

    /// Tells the source that a remote does not take the codec.
    pub(crate) fn refused(&self, peer_id: &str) {
        let (peer_id, codec) = (peer_id.to_owned(), self.mime_type);
        self.tell(&LocalTrackEvent::CodecNotSupported { peer_id, codec });
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }

    pub(super) fn events(&self) -> LocalTrackEvents {
        self.hub.subscribe()
    }

    pub(crate) const fn kind(&self) -> MediaKind {
        self.kind
    }

    pub(crate) const fn mime_type(&self) -> &'static str {
        self.mime_type
    }
}

/// A sender's end of a track; detached when dropped.
#[derive(Debug)]
pub(crate) struct Attachment {
    track: Arc<Shared>,
    number: u64,
    parcels: mpsc::Receiver<Arc<Parcel>>,
}

impl Attachment {
    /// The next parcel. The track lives as long as this: it never ends.
    pub(crate) async fn next(&mut self) -> Arc<Parcel> {
        match self.parcels.recv().await {
            Some(parcel) => parcel,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        lock(&self.track.outlets).remove(&self.number);
    }
}

/// 128 random bits, as browsers name their tracks and streams.
pub(super) fn random_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Pictures for the remotes, from an encoder outside. Handles are cheap clones of one track.
///
/// ```
/// use metered_realtime::media::{AccessUnit, LocalVideoTrack, VideoCodec};
/// let track = LocalVideoTrack::new(VideoCodec::Vp8);
/// let key_frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];
/// track.write(&AccessUnit::new(VideoCodec::Vp8, key_frame.into(), 0))?;
/// # Ok::<(), metered_realtime::media::WriteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LocalVideoTrack {
    shared: Arc<Shared>,
    codec: VideoCodec,
}

impl LocalVideoTrack {
    /// A track with an id of its own.
    pub fn new(codec: VideoCodec) -> Self {
        Self::with_id(codec, random_id())
    }

    /// A track with this id, which must differ from every other's.
    ///
    /// ```
    /// use metered_realtime::media::{LocalVideoTrack, VideoCodec};
    /// let screen = LocalVideoTrack::with_id(VideoCodec::Vp9, "screen-1");
    /// assert_eq!((screen.id(), screen.codec()), ("screen-1", VideoCodec::Vp9));
    /// let camera = LocalVideoTrack::new(VideoCodec::Vp8);
    /// assert!(camera.id().len() > 16); // random
    /// ```
    pub fn with_id(codec: VideoCodec, id: impl Into<String>) -> Self {
        let shared = Shared::new(id.into(), MediaKind::Video, codec.mime_type());
        Self { shared, codec }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Its codec.
    pub const fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Hands a picture to every remote. Never waits: a remote that is too slow misses it and gets the next
    /// key frame, which is asked for.
    ///
    /// # Errors
    /// [`WriteError::OtherCodec`]; [`WriteError::Packetise`] for what is no bitstream of the codec, empty, or
    /// above 4 MiB. Nothing was sent then.
    pub fn write(&self, unit: &AccessUnit) -> Result<(), WriteError> {
        if unit.codec != self.codec {
            let (expected, found) = (self.codec.mime_type(), unit.codec.mime_type());
            return Err(WriteError::OtherCodec { expected, found });
        }
        let payloads = lock(&self.shared.packetiser).packetise(unit)?;
        let profile = h264_profile(unit);
        if profile.is_some() {
            self.shared
                .profile
                .send_if_modified(|known| std::mem::replace(known, profile) != profile);
        }
        self.shared.write(Parcel {
            payloads,
            timestamp_us: unit.timestamp_us,
            captured: Instant::now(),
            key_frame: unit.key_frame,
            profile,
            rotation: Some(unit.rotation),
            marker: true,
        });
        Ok(())
    }

    /// What the remotes need. The first subscription gets what came before it.
    ///
    /// ```
    /// use metered_realtime::media::{AccessUnit, LocalVideoTrack, VideoCodec};
    /// let track = LocalVideoTrack::new(VideoCodec::Vp8);
    /// let mut events = track.events();
    /// // For each picture: what is wanted of the encoder since the last one.
    /// while let Some(event) = events.try_next() {
    ///     println!("{event:?}");
    /// }
    /// ```
    pub fn events(&self) -> LocalTrackEvents {
        self.shared.events()
    }

    /// Stops or resumes sending. Its remotes keep the track; after a pause a key frame is wanted.
    ///
    /// ```
    /// use metered_realtime::media::{LocalVideoTrack, VideoCodec};
    /// let camera = LocalVideoTrack::new(VideoCodec::Vp8);
    /// camera.set_muted(true); // the lens is covered; switch the encoder off, too
    /// camera.set_muted(false); // a key frame is wanted by whoever has the track
    /// ```
    pub fn set_muted(&self, muted: bool) {
        set_muted(&self.shared, muted);
    }
}

pub(super) fn set_muted(shared: &Shared, muted: bool) {
    let before = shared.muted.swap(muted, Ordering::Relaxed);
    if before && !muted && shared.kind == MediaKind::Video {
        for outlet in lock(&shared.outlets).values_mut() {
            outlet.waits_for_key_frame = true;
        }
        shared.want_key_frame(Instant::now());
    }
}

/// A track of either kind.
///
/// ```
/// use metered_realtime::media::{LocalAudioTrack, LocalTrack, LocalVideoTrack, MediaKind, VideoCodec};
/// let tracks = [
///     LocalTrack::from(&LocalVideoTrack::with_id(VideoCodec::H264, "camera")),
///     LocalTrack::from(&LocalAudioTrack::with_id("microphone")),
/// ];
/// let pictures = tracks.iter().find(|track| track.kind() == MediaKind::Video);
/// assert_eq!(pictures.map(LocalTrack::id), Some("camera"));
/// ```
#[derive(Clone, Debug)]
pub enum LocalTrack {
    /// Pictures.
    Video(LocalVideoTrack),
    /// Sound.
    Audio(LocalAudioTrack),
}

impl LocalTrack {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.shared().id
    }

    /// What it carries.
    pub fn kind(&self) -> MediaKind {
        self.shared().kind
    }

    pub(crate) fn mime_type(&self) -> &'static str {
        self.shared().mime_type
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        match self {
            Self::Video(track) => &track.shared,
            Self::Audio(track) => track.shared(),
        }
    }
}

impl From<&LocalVideoTrack> for LocalTrack {
    fn from(track: &LocalVideoTrack) -> Self {
        Self::Video(track.clone())
    }
}

impl From<&LocalAudioTrack> for LocalTrack {
    fn from(track: &LocalAudioTrack) -> Self {
        Self::Audio(track.clone())
    }
}

impl From<&Self> for LocalTrack {
    fn from(track: &Self) -> Self {
        track.clone()
    }
}

/// Tracks that belong together: a remote plays them in time with each other.
///
/// ```
/// use metered_realtime::media::{LocalAudioTrack, LocalVideoTrack, MediaStream, VideoCodec};
///
/// let (camera, microphone) = (LocalVideoTrack::new(VideoCodec::H264), LocalAudioTrack::default());
/// let stream = MediaStream::default().with_track(&camera).with_track(&microphone);
/// assert_eq!(stream.tracks().len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct MediaStream {
    id: String,
    tracks: Vec<LocalTrack>,
}

impl Default for MediaStream {
    fn default() -> Self {
        Self::with_id(random_id())
    }
}

impl MediaStream {
    /// An empty stream with this id.
    ///
    /// ```
    /// use metered_realtime::media::{LocalAudioTrack, MediaStream};
    /// let stream = MediaStream::with_id("stage").with_track(&LocalAudioTrack::default());
    /// assert_eq!((stream.id(), stream.tracks().len()), ("stage", 1)); // the remotes see that id
    /// ```
    pub fn with_id(id: impl Into<String>) -> Self {
        Self { id: id.into(), tracks: Vec::new() }
    }

    /// Adds a track; one that is in the stream already stays as it is.
    #[must_use]
    pub fn with_track(mut self, track: impl Into<LocalTrack>) -> Self {
        let track = track.into();
        if self.tracks.iter().all(|known| known.id() != track.id()) {
            self.tracks.push(track);
        }
        self
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its tracks.
    pub fn tracks(&self) -> &[LocalTrack] {
        &self.tracks
    }
}
