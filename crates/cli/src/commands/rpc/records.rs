//! `remote.record`: which remotes are recorded, where, and which tracks they send now.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metered_realtime::peer::{RemoteEvent, RemoteTrack};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::RpcError;
use super::session::Running;
use crate::media::record::{Recordings, prepare};

/// How long the reply waits for each track's first picture or packet.
const FIRST_PIECE: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    pub(super) peer_id: String,
    dir: PathBuf,
}

/// Shared with requests under way.
#[derive(Clone, Default)]
pub(super) struct Records(Arc<Mutex<HashMap<String, OfRemote>>>);

#[derive(Default)]
struct OfRemote {
    tracks: Vec<Arc<RemoteTrack>>,
    folders: Vec<PathBuf>,
}

impl Records {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfRemote>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps up with a remote's tracks; a new one of a recorded remote is recorded too.
    pub(super) fn note(&self, peer_id: &str, event: &RemoteEvent, recordings: &Recordings) {
        match event {
            RemoteEvent::Track(track) => {
                let mut table = self.lock();
                let of = table.entry(peer_id.to_owned()).or_default();
                of.tracks.retain(|known| known.track_id != track.track_id);
                of.tracks.push(Arc::clone(track));
                for folder in &of.folders {
                    // Its events tell the rest.
                    drop(recordings.start(folder, peer_id, track));
                }
            }
            RemoteEvent::TrackRemoved { track_id } => {
                if let Some(of) = self.lock().get_mut(peer_id) {
                    of.tracks.retain(|known| known.track_id != *track_id);
                }
            }
            _ => {}
        }
    }

    pub(super) fn left(&self, peer_id: &str) {
        self.lock().remove(peer_id);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Records what a remote sends now and from now on. Answers the files of what it sends now.
    pub(super) fn start(&self, record: Record, recordings: &Recordings) -> Running {
        let (records, recordings) = (self.clone(), recordings.clone());
        Box::pin(async move {
            let Record { peer_id, dir } = record;
            prepare(&dir).await.map_err(|error| {
                RpcError::params(format_args!("dir: {}: {error}", dir.display()))
            })?;
            let begun: Vec<_> = {
                let mut table = records.lock();
                let of = table.entry(peer_id.clone()).or_default();
                // What is recorded there already is not recorded there twice.
                if of.folders.contains(&dir) {
                    Vec::new()
                } else {
                    let tracks = of.tracks.iter();
                    let begun =
                        tracks.map(|track| recordings.start(&dir, &peer_id, track)).collect();
                    of.folders.push(dir);
                    begun
                }
            };
            let mut files = Vec::new();
            for first in begun {
                if let Ok(Ok(file)) = tokio::time::timeout(FIRST_PIECE, first).await {
                    files.push(Value::from(file.to_string_lossy()));
                }
            }
            Ok(json!({ "files": files }))
        })
    }
}
