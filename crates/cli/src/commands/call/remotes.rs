//! The others in the room: what they send, and how it arrives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use metered_realtime::peer::{RemoteEvent, RemotePeer, RemoteState, RemoteTrack};
use tokio::time::Instant;

use super::report::{Line, Path, Picture, Report, Sound};
use crate::media::watch::{Listener, Viewer};
use crate::output::Failure;

type Id = Arc<str>;

/// What a remote's figures may take.
const STATS_LIMIT: Duration = Duration::from_millis(300);

#[derive(Default)]
pub(super) struct Remotes {
    known: BTreeMap<Id, Known>,
    events: SelectAll<BoxStream<'static, (Id, RemoteEvent)>>,
}

struct Known {
    remote: RemotePeer,
    pictures: BTreeMap<String, Count<Viewer>>,
    sounds: BTreeMap<String, Count<Listener>>,
    sent: (u64, Instant),
    /// Lines, one a second, since it began to connect.
    connecting_s: u32,
}

/// A track's sink, with what had come when it was last looked at.
struct Count<S> {
    sink: S,
    frames: u64,
    bytes: u64,
    at: Instant,
}

impl<S> Count<S> {
    fn new(sink: S) -> Self {
        Self { sink, frames: 0, bytes: 0, at: Instant::now() }
    }

    /// Frames and bits a second since the last look.
    fn rates(&mut self, frames: u64, bytes: u64) -> (f64, f64) {
        let seconds = self.at.elapsed().as_secs_f64().max(1e-3);
        let new = (frames.saturating_sub(self.frames), bytes.saturating_sub(self.bytes));
        (self.frames, self.bytes, self.at) = (frames, bytes, Instant::now());
        (new.0 as f64 / seconds, new.1 as f64 * 8.0 / seconds)
    }
}

impl Remotes {
    pub(super) fn add(&mut self, remote: RemotePeer) {
        let id = Id::from(remote.id());
        let name = Arc::clone(&id);
        let events = remote.events();
        self.events.push(events.map(move |event| (Arc::clone(&name), event)).boxed());
        let known = Known {
            remote,
            pictures: BTreeMap::new(),
            sounds: BTreeMap::new(),
            sent: (0, Instant::now()),
            connecting_s: 0,
        };
        self.known.insert(id, known);
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.known.remove(id);
    }

    /// The next event of any; pending while there is nobody.
    pub(super) async fn next(&mut self) -> (Id, RemoteEvent) {
        match self.events.next().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Takes an event in; answers the track that it brings.
    pub(super) fn note(
        &mut self,
        id: &Id,
        event: &RemoteEvent,
        report: &mut Report,
    ) -> Result<Option<Arc<RemoteTrack>>, Failure> {
        let Some(known) = self.known.get_mut(id) else { return Ok(None) };
        match event {
            RemoteEvent::StateChange { to, .. } => report.state(id, *to)?,
            RemoteEvent::NegotiationError(error) => {
                report.problem(id, &error.code, &error.message, &error.diagnosis)?;
            }
            RemoteEvent::IceCandidateError(error) => {
                report.problem(id, error.code, &error.reason, &error.diagnosis)?;
            }
            RemoteEvent::Track(track) => {
                let track_id = track.track_id.clone();
                if let Some(video) = track.video() {
                    known.pictures.insert(track_id, Count::new(Viewer::start(video)));
                } else if let Some(audio) = track.audio() {
                    match Listener::start(audio) {
                        Ok(listener) => {
                            known.sounds.insert(track_id, Count::new(listener));
                        }
                        Err(error) => {
                            report.problem(
                                id,
                                error.code(),
                                &error.to_string(),
                                &error.diagnosis(),
                            )?;
                        }
                    }
                }
                return Ok(Some(Arc::clone(track)));
            }
            RemoteEvent::TrackRemoved { track_id } => {
                known.pictures.remove(track_id);
                known.sounds.remove(track_id);
            }
            _ => {}
        }
        Ok(None)
    }

    /// What came since the last call, of each.
    pub(super) async fn lines(&mut self) -> Vec<Line> {
        let mut lines = Vec::with_capacity(self.known.len());
        for (id, known) in &mut self.known {
            lines.push(known.line(id).await);
        }
        lines
    }
}

impl Known {
    async fn line(&mut self, id: &Id) -> Line {
        self.connecting_s = match self.remote.state() {
            RemoteState::Connecting => self.connecting_s.saturating_add(1),
            _ => 0,
        };
        // Without a connection there are no figures.
        let stats = match self.remote.state() {
            RemoteState::Connected => {
                // A connection that is busy with itself holds up no one.
                let asked = tokio::time::timeout(STATS_LIMIT, self.remote.stats()).await;
                asked.ok().and_then(Result::ok)
            }
            _ => None,
        };
        let sent = stats.as_ref().map_or(0, |stats| stats.bytes_sent);
        let (before, at) = std::mem::replace(&mut self.sent, (sent, Instant::now()));
        let sent_bps =
            sent.saturating_sub(before) as f64 * 8.0 / at.elapsed().as_secs_f64().max(1e-3);
        let pictures = self.pictures.iter_mut().map(|(track_id, count)| {
            let (seen, stats) = (count.sink.seen(), count.sink.track.stats());
            let (fps, bps) = count.rates(seen.frames, seen.bytes);
            Picture {
                track_id: track_id.clone(),
                codec: seen.codec,
                size: seen.size,
                frozen: seen.frozen,
                frames: seen.frames,
                fps,
                bps,
                packets_lost: stats.packets_lost,
                freezes: stats.freezes,
                jitter_ms: stats.jitter_ms,
                behind_ms: count.sink.take_behind(),
            }
        });
        let sounds = self.sounds.iter_mut().map(|(track_id, count)| {
            let (stats, level) = (count.sink.track.stats(), count.sink.take_level());
            let (_, bps) = count.rates(stats.packets_received, stats.bytes_received);
            let (level_dbfs, behind_ms) = (level.rms_dbfs, count.sink.take_behind());
            Sound { track_id: track_id.clone(), bps, level_dbfs, behind_ms, stats }
        });
        Line {
            peer_id: id.to_string(),
            state: self.remote.state(),
            connecting_s: self.connecting_s,
            pictures: pictures.collect(),
            sounds: sounds.collect(),
            sent_bps,
            path: stats.and_then(|stats| stats.selected_pair).map(Path::from),
        }
    }
}
