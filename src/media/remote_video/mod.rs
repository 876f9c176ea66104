//! Pictures from a remote, whole and in decode order, for any number of sinks.
//!
//! A track has one task (`reader.rs`). A sink that is too slow loses the oldest and is told; it goes on with the next
//! key frame, which is asked for.

mod frames;
mod reader;
mod stats;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

pub use self::frames::{FrameEvent, VideoFrames};
pub use self::stats::VideoStats;
use super::local::lock;
use super::sounds::Sounds;
use crate::events::Hub;
use crate::rtc::engine::TrackReceiver;

/// Pictures from before the first sink that are kept for it: an app learns of a track a little after its first picture.
const MAX_EARLY: usize = 25;
/// Bytes of them.
const MAX_EARLY_BYTES: usize = 512 * 1024;

/// Pictures from a remote. Handles are cheap clones of one track.
///
/// ```
/// use metered_realtime::media::{FrameEvent, RemoteVideoTrack};
/// use metered_realtime::peer::RemoteEvent;
///
/// # metered_scenes::play(async |metered_scenes::Met { bob, to_bob, .. }| {
/// # let mut remote_events = to_bob.events();
/// # metered_scenes::film(bob)?;
/// let track = loop {
///     if let RemoteEvent::Track(track) = remote_events.next().await.ok_or("bob left")? { break track }
/// };
/// let video: &RemoteVideoTrack = track.video().ok_or("sound")?;
/// let mut frames = video.frames(); // each sink begins with a key frame
/// while let Some(event) = frames.next().await {
///     if let FrameEvent::Frame(unit) = event {
///         assert!(unit.key_frame); // to a decoder
///         break;
///     }
/// }
/// assert!(video.stats().packets_received > 0);
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct RemoteVideoTrack {
    shared: Arc<Shared>,
}

impl RemoteVideoTrack {
    pub(super) fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// The track's task: ends with its receiver. Pictures wait for what is heard of their stream.
    pub(super) fn read(
        &self,
        receiver: Arc<dyn TrackReceiver>,
        sounds: Sounds,
    ) -> impl Future<Output = ()> + Send + 'static {
        reader::read(receiver, Arc::clone(&self.shared), sounds)
    }

    /// A sink. It begins with the next key frame, which is asked for now; the first one of a track begins with what just
    /// came, a second of it at most, if there is a key frame in it.
    pub fn frames(&self) -> VideoFrames {
        let events = self.shared.hub.subscribe();
        if events.is_empty() {
            self.request_key_frame();
        }
        VideoFrames::new(events, Arc::clone(&self.shared))
    }

    /// Whether pictures wait for the sound of their stream; they do unless told otherwise. Then a picture is at most
    /// 37 ms ahead of the sound that an [`AudioOutput`](super::AudioOutput) or mix plays, and held for half a second
    /// at most. Sound never waits. Without, each picture comes as soon as it is whole: for a game, or for a screen
    /// that somebody controls.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Filmed { video, .. }| {
    /// // What is seen answers to what the hand does: it must not wait for the sound.
    /// video.set_lip_sync(false);
    /// # Ok(())
    /// # });
    /// ```
    pub fn set_lip_sync(&self, on: bool) {
        self.shared.apart.store(!on, Ordering::Relaxed);
    }

    /// Asks the sender for a key frame, at most one per 300 ms.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Filmed { video, .. }| {
    /// // The decoder refused a picture and cannot go on from here. After losses this is done by itself.
    /// video.request_key_frame();
    /// # Ok(())
    /// # });
    /// ```
    pub fn request_key_frame(&self) {
        self.shared.key_frame_wanted.notify_one();
    }

    /// Figures since the track came.
    pub fn stats(&self) -> VideoStats {
        *lock(&self.shared.stats)
    }
}

/// What the handles and sinks of a track share with its task.
#[derive(Debug)]
struct Shared {
    hub: Hub<FrameEvent>,
    stats: Mutex<VideoStats>,
    key_frame_wanted: Notify,
    /// Whether pictures do not wait for their sound.
    apart: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        let begins =
            |event: &FrameEvent| matches!(event, FrameEvent::Frame(unit) if unit.key_frame);
        Self {
            hub: Hub::live(MAX_EARLY, MAX_EARLY_BYTES, begins),
            stats: Mutex::default(),
            key_frame_wanted: Notify::new(),
            apart: AtomicBool::new(false),
        }
    }
}
