//! Files of what remotes send: a file per track, written until the track ends or the recording does.
//!
//! Each track has a task that takes from its sink and a thread that writes, with a few pictures between them:
//! a disk that is too slow costs pictures, not memory, and the file goes on with a key frame. A file is made
//! with the first picture or packet, under a name that nobody has.

mod opus;
mod video;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metered_realtime::media::files::FileError;
use metered_realtime::media::{AccessUnit, FrameEvent, PacketEvent};
use metered_realtime::peer::RemoteTrack;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::writer::Writer;
use crate::folder::takes_files;

/// Pictures or packets between the sink and the disk.
const MAX_WAITING: usize = 64;

/// A file that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) file: PathBuf,
    /// Pictures or packets.
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// What a recording has to say.
#[derive(Debug)]
pub(crate) enum Told {
    /// A file was made.
    Begun(PathBuf),
    /// A file is whole.
    Finished(Recorded),
    /// The track is not recorded any more.
    Failed {
        /// The file, or its folder if there was none yet.
        place: PathBuf,
        error: FileError,
    },
}

/// What happened to a recording, and to whose track.
#[derive(Debug)]
pub(crate) struct RecordEvent {
    pub(crate) peer_id: Arc<str>,
    pub(crate) track_id: Arc<str>,
    pub(crate) told: Told,
}

/// What is to be written.
enum Piece {
    Unit(Arc<AccessUnit>),
    /// An Opus packet with its time in samples at 48 kHz, as it came.
    Packet {
        timestamp: u32,
        payload: Bytes,
    },
}

/// Makes a folder, and finds out whether it takes files before the first picture does.
pub(crate) async fn prepare(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    let made = move || std::fs::create_dir_all(&folder).and_then(|()| takes_files(&folder));
    tokio::task::spawn_blocking(made).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Every recording of a session. Handles are cheap clones.
#[derive(Clone, Debug)]
pub(crate) struct Recordings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    events: mpsc::UnboundedSender<RecordEvent>,
}

impl Recordings {
    /// None yet, and what they will have to say: a few words for each file.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<RecordEvent>) {
        let (events, told) = mpsc::unbounded_channel();
        let (stop, _) = watch::channel(false);
        (Self(Arc::new(Shared { stop, tasks: Mutex::default(), events })), told)
    }

    /// Records a track into a folder. Answers the first file, once it is made.
    pub(crate) fn start(
        &self,
        folder: &Path,
        peer_id: &str,
        track: &RemoteTrack,
    ) -> oneshot::Receiver<PathBuf> {
        let (first, begun) = oneshot::channel();
        let mut tell = Teller {
            peer_id: peer_id.into(),
            track_id: track.track_id.as_str().into(),
            events: self.0.events.clone(),
            first: Some(first),
        };
        let name = format!("{peer_id}_{}", track.track_id);
        let (pieces, mut queue) = mpsc::channel::<(Piece, Duration)>(MAX_WAITING);
        let folder = folder.to_owned();
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = Writer::new(folder, &name);
            let mut written = Ok(());
            while let Some((piece, at)) = queue.blocking_recv() {
                written = writer.write(piece, at, &mut |told| tell.tell(told));
                if written.is_err() {
                    break;
                }
            }
            let place = writer.place().to_owned();
            let finished = writer.finish(&mut |told| tell.tell(told));
            if let Err(error) = written.and(finished) {
                tell.tell(Told::Failed { place, error });
            }
        });
        let stop = self.0.stop.subscribe();
        let taking = take(track.clone(), pieces, stop);
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended are forgotten.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            taking.await;
            if let Err(error) = writing.await {
                tracing::error!(%error, "a recording was not finished");
            }
        });
        begun
    }

    /// Ends all and waits until their files are whole.
    pub(crate) async fn finish(&self) {
        self.0.stop.send_replace(true);
        let mut tasks =
            std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
        self.0.stop.send_replace(false);
    }
}

struct Teller {
    peer_id: Arc<str>,
    track_id: Arc<str>,
    events: mpsc::UnboundedSender<RecordEvent>,
    first: Option<oneshot::Sender<PathBuf>>,
}

impl Teller {
    fn tell(&mut self, told: Told) {
        let begun = if let Told::Begun(file) = &told { Some(file.clone()) } else { None };
        let (peer_id, track_id) = (Arc::clone(&self.peer_id), Arc::clone(&self.track_id));
        // Whoever does not listen does not want to know.
        drop(self.events.send(RecordEvent { peer_id, track_id, told }));
        if let Some(file) = begun
            && let Some(first) = self.first.take()
        {
            drop(first.send(file));
        }
    }
}

/// Hands on what a track brings until it ends, the writer has failed, or the recording is to stop.
async fn take(
    track: RemoteTrack,
    pieces: mpsc::Sender<(Piece, Duration)>,
    mut stop: watch::Receiver<bool>,
) {
    let began = Instant::now();
    let taking = async {
        if let Some(video) = track.video() {
            let mut frames = video.frames();
            while let Some(event) = frames.next().await {
                if let FrameEvent::Frame(unit) = event
                    && pieces.send((Piece::Unit(unit), began.elapsed())).await.is_err()
                {
                    return;
                }
            }
        } else if let Some(audio) = track.audio() {
            let mut packets = audio.packets();
            while let Some(event) = packets.next().await {
                if let PacketEvent::Packet(packet) = event {
                    let piece = Piece::Packet {
                        timestamp: packet.timestamp,
                        payload: packet.payload.clone(),
                    };
                    if pieces.send((piece, began.elapsed())).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = taking => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
