//! What a track's remotes can take of it, told to its source: seldom, and only what matters.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::{LocalAudioTrack, LocalTrackEvent, LocalVideoTrack, Shared, lock};
use crate::media::bandwidth::{TrackBitrate, frame_rate};
use crate::rtc::engine::MediaKind;

/// Between two events for the same remote.
const PAUSE: Duration = Duration::from_millis(500);
/// The same if the target fell by a lot: more would fill the path.
const URGENT_PAUSE: Duration = Duration::from_millis(100);
/// Changes below this part are not told.
const MATTERS: f64 = 0.1;
/// Falls from this part on are urgent.
const URGENT: f64 = 0.2;

/// What an encoder shall make.
///
/// ```
/// use metered_realtime::media::Target;
/// /// What a camera is set to.
/// fn capture(target: Target) -> Option<(u32, u32, u32)> {
///     Some(match target.bits_per_second {
///         0 => return None, // nobody would see it: leave the encoder alone
///         1..250_000 => (320, 180, target.frame_rate),
///         250_000..900_000 => (640, 360, target.frame_rate),
///         _ => (1_280, 720, target.frame_rate),
///     })
/// }
/// assert_eq!(capture(Target { bits_per_second: 400_000, frame_rate: 25 }), Some((640, 360, 25)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Bits per second; 0 for nothing at all.
    pub bits_per_second: u64,
    /// Pictures per second that look best at this bitrate; 0 for sound.
    pub frame_rate: u32,
}

#[derive(Debug, Default)]
struct Told(Option<(Instant, u64)>);

impl Told {
    /// Whether this value is to be told now.
    fn tell(&mut self, now: Instant, bits: u64) -> bool {
        let tells = self.0.is_none_or(|(at, before)| {
            let change = bits as f64 / before.max(1) as f64 - 1.0;
            let pause = if change <= -URGENT { URGENT_PAUSE } else { PAUSE };
            let matters = change.abs() >= MATTERS || ((bits == 0) != (before == 0));
            matters && now.saturating_duration_since(at) >= pause
        });
        if tells {
            self.0 = Some((now, bits));
        }
        tells
    }
}

#[derive(Debug, Default)]
struct Remote {
    bits: Option<u64>,
    told: Told,
    /// Share of packets lost in its last report.
    lost: f64,
}

#[derive(Debug)]
pub(super) struct Targets {
    bitrate: TrackBitrate,
    remotes: HashMap<String, Remote>,
    slowest_told: Told,
}

impl Targets {
    pub(super) fn of(kind: MediaKind) -> Self {
        let bitrate = TrackBitrate::of(kind);
        Self { bitrate, remotes: HashMap::new(), slowest_told: Told::default() }
    }

    /// Of the remotes that get anything.
    fn slowest(&self) -> Option<u64> {
        let bits = || self.remotes.values().filter_map(|remote| remote.bits);
        bits().filter(|bits| *bits > 0).min().or_else(|| bits().min())
    }

    fn set(&mut self, now: Instant, peer_id: &str, bits: u64) -> Vec<(Option<String>, u64)> {
        let mut events = Vec::new();
        let remote = self.remotes.entry(peer_id.to_owned()).or_default();
        remote.bits = Some(bits);
        if remote.told.tell(now, bits) {
            events.push((Some(peer_id.to_owned()), bits));
        }
        events.extend(self.tell_slowest(now));
        events
    }

    fn tell_slowest(&mut self, now: Instant) -> Option<(Option<String>, u64)> {
        let slowest = self.slowest()?;
        self.slowest_told.tell(now, slowest).then_some((None, slowest))
    }
}

impl Shared {
    const fn target_of(&self, bits_per_second: u64) -> Target {
        let frame_rate = match self.kind() {
            MediaKind::Video => frame_rate(bits_per_second),
            MediaKind::Audio => 0,
        };
        Target { bits_per_second, frame_rate }
    }

    fn tell_targets(&self, told: impl IntoIterator<Item = (Option<String>, u64)>) {
        for (peer_id, bits) in told {
            let Target { bits_per_second, frame_rate } = self.target_of(bits);
            self.tell(&LocalTrackEvent::TargetBitrate { peer_id, bits_per_second, frame_rate });
        }
    }

    /// A remote's path has room for so much of the track.
    pub(crate) fn set_target(&self, now: Instant, peer_id: &str, bits_per_second: u64) {
        let told = lock(&self.targets).set(now, peer_id, bits_per_second);
        self.tell_targets(told);
    }

    /// The remote gets the track no more.
    pub(crate) fn remote_gone(&self, now: Instant, peer_id: &str) {
        let told = {
            let mut targets = lock(&self.targets);
            targets.remotes.remove(peer_id);
            targets.tell_slowest(now)
        };
        self.tell_targets(told);
    }

    /// The remote reports that it did not get this share, 0 to 1, of the latest packets.
    pub(crate) fn reported_loss(&self, peer_id: &str, fraction: f64) {
        if let Some(remote) = lock(&self.targets).remotes.get_mut(peer_id) {
            remote.lost = fraction;
        }
    }

    /// The worst of what the remotes last reported, 0 to 1.
    pub(crate) fn worst_loss(&self) -> f64 {
        lock(&self.targets).remotes.values().map(|remote| remote.lost).fold(0.0, f64::max)
    }

    pub(crate) fn bitrate(&self) -> TrackBitrate {
        lock(&self.targets).bitrate
    }

    fn set_bitrate(&self, mut bitrate: TrackBitrate) {
        bitrate.maximum = bitrate.maximum.max(bitrate.minimum);
        lock(&self.targets).bitrate = bitrate;
    }

    fn target(&self, peer_id: Option<&str>) -> Option<Target> {
        let targets = lock(&self.targets);
        let bits = match peer_id {
            Some(id) => targets.remotes.get(id).and_then(|remote| remote.bits),
            None => targets.slowest(),
        };
        drop(targets);
        bits.map(|bits| self.target_of(bits))
    }
}

impl LocalVideoTrack {
    /// What an encoder for all remotes shall make: the slowest decides, but for those that get no picture at
    /// all now. `None` while nobody gets the track.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Met { bob, .. }| {
    /// # let camera = metered_scenes::film(bob)?;
    /// // `camera` is a track that is sent to everyone in the room.
    /// let target = loop {
    ///     if let Some(target) = camera.target() {
    ///         break target;
    ///     }
    ///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    /// };
    /// println!("{} bit/s, {} pictures a second", target.bits_per_second, target.frame_rate);
    /// assert!(camera.target_for("alice").is_some()); // the only remote
    /// assert_eq!(camera.target_for("nobody"), None);
    /// assert!((0.0..=1.0).contains(&camera.reported_loss()));
    /// # Ok(())
    /// # });
    /// ```
    pub fn target(&self) -> Option<Target> {
        self.shared().target(None)
    }

    /// What one remote's path has room for; `None` if it does not get the track.
    pub fn target_for(&self, peer_id: &str) -> Option<Target> {
        self.shared().target(Some(peer_id))
    }

    /// Priority and bounds; 30 kbit/s to 2.5 Mbit/s before. They count from the next
    /// report of each remote on.
    ///
    /// ```
    /// use metered_realtime::media::{LocalVideoTrack, MediaKind, TrackBitrate, TrackPriority, VideoCodec};
    /// let screen = LocalVideoTrack::new(VideoCodec::Vp9);
    /// // Text must stay readable, before the camera gets anything.
    /// screen.set_bitrate(TrackBitrate {
    ///     priority: TrackPriority::High,
    ///     minimum: 300_000,
    ///     ..TrackBitrate::of(MediaKind::Video)
    /// });
    /// ```
    pub fn set_bitrate(&self, bitrate: TrackBitrate) {
        self.shared().set_bitrate(bitrate);
    }

    /// The worst share of packets lost, 0 to 1, of what the remotes last reported.
    pub fn reported_loss(&self) -> f64 {
        self.shared().worst_loss()
    }
}

impl LocalAudioTrack {
    /// What an encoder for all remotes shall make: the slowest decides. `None` while nobody gets the track.
    ///
    /// ```
    /// use metered_realtime::media::LocalAudioTrack;
    /// let microphone = LocalAudioTrack::default();
    /// // For an Opus encoder of your own; PCM is encoded as it says by itself.
    /// assert_eq!((microphone.target(), microphone.target_for("alice")), (None, None)); // nobody gets it yet
    /// assert_eq!(microphone.reported_loss(), 0.0);
    /// ```
    pub fn target(&self) -> Option<Target> {
        self.shared().target(None)
    }

    /// What one remote's path has room for; `None` if it does not get the track.
    pub fn target_for(&self, peer_id: &str) -> Option<Target> {
        self.shared().target(Some(peer_id))
    }

    /// Priority and bounds; 16 to 64 kbit/s before. They count from the next report of
    /// each remote on.
    ///
    /// ```
    /// use metered_realtime::media::{LocalAudioTrack, MediaKind, TrackBitrate};
    /// let music = LocalAudioTrack::default();
    /// music.set_bitrate(TrackBitrate { maximum: 128_000, ..TrackBitrate::of(MediaKind::Audio) });
    /// ```
    pub fn set_bitrate(&self, bitrate: TrackBitrate) {
        self.shared().set_bitrate(bitrate);
    }

    /// The worst share of packets lost, 0 to 1, of what the remotes last reported.
    pub fn reported_loss(&self) -> f64 {
        self.shared().worst_loss()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{LocalTrackEvents, VideoCodec};

    fn told(mut events: LocalTrackEvents) -> Vec<(Option<String>, u64, u32)> {
        std::iter::from_fn(move || events.try_next())
            .filter_map(|event| match event {
                LocalTrackEvent::TargetBitrate { peer_id, bits_per_second, frame_rate } => {
                    Some((peer_id, bits_per_second, frame_rate))
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_slowest_and_each_are_told_seldom_and_a_fall_at_once() {
        let mut targets = Targets::of(MediaKind::Video);
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(targets.set(at(0), "a", 1_000), [(name("a"), 1_000), (None, 1_000)]);
        // Not slower: of no concern to the others.
        assert_eq!(targets.set(at(10), "b", 2_000), [(name("b"), 2_000)]);
        // Too little, then too soon, then neither.
        assert_eq!(targets.set(at(600), "a", 1_050), []);
        assert_eq!(targets.set(at(610), "a", 1_200), [(name("a"), 1_200), (None, 1_200)]);
        assert_eq!(targets.set(at(700), "a", 1_400), []);
        assert_eq!(targets.set(at(720), "a", 900), [(name("a"), 900), (None, 900)]);
        // Whoever gets nothing does not stop the others.
        assert_eq!(targets.set(at(2_000), "a", 0), [(name("a"), 0), (None, 2_000)]);
        assert_eq!(targets.set(at(4_000), "b", 0), [(name("b"), 0), (None, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_track_knows_its_targets_and_its_losses() {
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        let events = track.events();
        assert_eq!((track.target(), track.reported_loss()), (None, 0.0));
        track.shared().set_target(Instant::now(), "a", 200_000);
        track.shared().set_target(Instant::now(), "b", 900_000);
        track.shared().reported_loss("a", 0.25);
        track.shared().reported_loss("b", 0.5);
        track.shared().reported_loss("stranger", 1.0);
        let (slow, fast) = (track.target().unwrap(), track.target_for("b").unwrap());
        assert_eq!((slow.bits_per_second, slow.frame_rate), (200_000, 15));
        assert_eq!((fast.bits_per_second, fast.frame_rate), (900_000, 30));
        assert_eq!(track.reported_loss(), 0.5);
        track.shared().remote_gone(Instant::now(), "b");
        assert_eq!((track.target_for("b"), track.reported_loss()), (None, 0.25));
        let name = |name: &str| Some(name.to_owned());
        let all = [(name("a"), 200_000, 15), (None, 200_000, 15), (name("b"), 900_000, 30)];
        assert_eq!(told(events), all);
        track.set_bitrate(TrackBitrate { minimum: 9, ..TrackBitrate::of(MediaKind::Video) });
        assert_eq!(track.shared().bitrate().minimum, 9);
    }
}
