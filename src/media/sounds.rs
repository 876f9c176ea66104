//! The sounds of one remote, for the pictures of their streams.

use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;

use super::local::lock;
use super::remote_audio::{RemoteAudioTrack, Shared};
use super::sync::{Report, Sound};
use crate::rtc::engine::SenderReport;

/// The streams that a sound is part of, and the sound.
type Track = (Vec<String>, Weak<Shared>);

/// The sounds of a remote, and the clock of all tracks of a remote.
#[derive(Clone, Debug)]
pub(crate) struct Sounds {
    epoch: Instant,
    tracks: Arc<Mutex<Vec<Track>>>,
}

impl Default for Sounds {
    fn default() -> Self {
        Self { epoch: Instant::now(), tracks: Arc::default() }
    }
}

impl Sounds {
    pub(super) const fn epoch(&self) -> Instant {
        self.epoch
    }

    pub(super) fn add(&self, streams: &[String], track: &RemoteAudioTrack) {
        let mut tracks = lock(&self.tracks);
        tracks.retain(|(_, track)| track.strong_count() > 0);
        tracks.push((streams.to_vec(), track.downgrade()));
    }

    /// What is heard of these streams; of several sounds the one that was played last.
    pub(super) fn of(&self, streams: &[String]) -> Option<Sound> {
        let tracks = lock(&self.tracks);
        let alike = |(of, _): &&Track| of.iter().any(|id| streams.contains(id));
        let sounds = tracks.iter().filter(alike).filter_map(|(_, track)| track.upgrade()?.sound());
        sounds.max_by_key(|sound| sound.heard.map(|heard| heard.at))
    }
}

/// With times that count from the epoch.
pub(super) fn report_since(epoch: Instant, report: SenderReport) -> Report {
    let SenderReport { received, ntp, rtp } = report;
    Report { received: received.saturating_duration_since(epoch), ntp, rtp }
}
