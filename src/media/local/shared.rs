//! What the handles of a local track and its senders share: whatever is written goes to every sender's queue.
//!
//! It never waits. A sender that is too slow misses what comes meanwhile and, of pictures, goes on with a key frame.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::targets::Targets;
use super::{LocalTrackEvent, LocalTrackEvents, lock};
use crate::events::{EVENT_QUEUE_BYTES, Hub};
use crate::media::video::{AccessUnit, PacketiseError, Packetiser, Rotation};
use crate::rtc::engine::MediaKind;
use crate::rtc::h264::StreamProfile;

/// Between two wishes for a key frame.
const KEY_FRAME_PAUSE: Duration = Duration::from_millis(300);
/// Pictures or packets that wait for one remote: half a second. Beyond them it is too slow, and a picture
/// that is lost costs a key frame.
const MAX_WAITING: usize = 32;

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
    pub(super) targets: Mutex<Targets>,
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

impl Shared {
    pub(in crate::media) fn new(id: String, kind: MediaKind, mime_type: &'static str) -> Arc<Self> {
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

    /// A key frame of H.264 says that it is of this profile.
    pub(in crate::media) fn set_profile(&self, profile: StreamProfile) {
        self.profile.send_if_modified(|known| known.replace(profile) != Some(profile));
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

    /// Cuts a picture into payloads.
    pub(in crate::media) fn packetise(
        &self,
        unit: &AccessUnit,
    ) -> Result<Vec<Bytes>, PacketiseError> {
        lock(&self.packetiser).packetise(unit)
    }

    /// Hands something to every sender, unless the track is muted.
    pub(in crate::media) fn write(&self, parcel: Parcel) {
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

    /// Whoever sends pictures goes on with a key frame after a pause.
    pub(in crate::media) fn set_muted(&self, muted: bool) {
        let before = self.muted.swap(muted, Ordering::Relaxed);
        if before && !muted && self.kind == MediaKind::Video {
            for outlet in lock(&self.outlets).values_mut() {
                outlet.waits_for_key_frame = true;
            }
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

    pub(in crate::media) fn events(&self) -> LocalTrackEvents {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{LocalTrack, LocalVideoTrack, VideoCodec};

    #[test]
    fn a_wish_within_300_ms_of_another_is_not_told_and_says_when_it_is_due() {
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        let shared = Arc::clone(LocalTrack::from(&track).shared());
        let mut events = track.events();
        let mut told = || std::iter::from_fn(|| events.try_next()).collect::<Vec<_>>();
        let wanted = [LocalTrackEvent::KeyFrameWanted];
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        assert_eq!(shared.want_key_frame(at(0)), None);
        assert_eq!(told(), wanted);
        for early in [10, 299] {
            assert_eq!(shared.want_key_frame(at(early)), Some(at(300)));
            assert_eq!(told(), []);
        }
        assert_eq!(shared.want_key_frame(at(300)), None);
        assert_eq!(told(), wanted);
        // The pause is from wish to wish, not a grid.
        assert_eq!(shared.want_key_frame(at(599)), Some(at(600)));
        assert_eq!(shared.want_key_frame(at(900)), None);
        assert_eq!(shared.want_key_frame(at(901)), Some(at(1_200)));
        assert_eq!(told(), wanted);
    }

    #[test]
    fn the_first_subscriber_gets_all_that_came_before_it() {
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        let agreed = |peer_id: &str| LocalTrackEvent::CodecAgreed { peer_id: peer_id.to_owned() };
        let shared = LocalTrack::from(&track);
        for peer_id in ["alice", "bob"] {
            shared.shared().tell(&agreed(peer_id));
        }
        let mut events = track.events();
        assert_eq!(events.try_next(), Some(agreed("alice")));
        assert_eq!(events.try_next(), Some(agreed("bob")));
        assert_eq!(track.events().try_next(), None);
    }
}
