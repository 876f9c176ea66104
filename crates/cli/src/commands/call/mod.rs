//! `metered call`: sends a picture and a sound to everyone in a room, shows and records what comes back.
//!
//! One task waits for the room, the remotes, the recordings and the second hand, and prints. [`remotes`] is
//! what is known of the others, [`report`] how it is shown.

mod hints;
mod remotes;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use metered_realtime::media::{LocalTrack, LocalTrackEvent, LocalTrackEvents, MediaStream};
use metered_realtime::peer::{MeteredPeer, PeerEvent, PeerEvents, PeerState};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use self::hints::Alone;
use self::remotes::Remotes;
use self::report::Report;
use crate::connection::PeerConnection;
use crate::media::record::{RecordEvent, Recordings, Told, prepare};
use crate::media::{Media, Source, SourceError};
use crate::output::Failure;
use crate::terminated::terminated;

/// Joins a room and sends a picture and a sound to everyone in it, from files or made here; shows once a second
/// what comes from each, and records it.
///
/// A browser or an app with any official SDK can be the other side. Files begin again at their end; when a
/// remote needs a key frame, the clip jumps to its nearest one. Ctrl-C leaves the room and finishes the files.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The room.
    room: String,
    /// A file (.ivf with VP8, VP9 or AV1; .h264), or test-pattern, or test-pattern:CODEC with vp8, vp9, h264
    /// or av1.
    #[arg(long, value_name = "FILE|test-pattern")]
    video: Option<Source>,
    /// A file (.ogg or .opus with Opus; .wav), or tone, or tone:HZ.
    #[arg(long, value_name = "FILE|tone")]
    audio: Option<Source>,
    /// Write what comes into this folder, a file per track: .ivf, .h264 or .ogg. No file is overwritten.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Leave after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    #[command(flatten)]
    connection: PeerConnection,
    /// Print JSON lines instead of words.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  metered call lobby --video test-pattern --audio tone --key pk_live_…
  metered call lobby --record calls --duration 60 --key pk_live_…
  metered serve, then http://127.0.0.1:8787 in a browser, and
  metered call lobby --video test-pattern --audio tone --url ws://127.0.0.1:8787 --key pk_live_dev";

/// Between two lines about a remote.
const LINE_PAUSE: Duration = Duration::from_secs(1);
/// The room is left within this, or without our waiting for it.
const LAST_MOMENT: Duration = Duration::from_secs(5);

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no number of seconds");
    let seconds: f64 = text.trim_end_matches('s').parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let (report, mut sent) = (Report::new(args.json), Vec::new());
    for (source, kind) in [
        (&args.video, metered_realtime::media::MediaKind::Video),
        (&args.audio, metered_realtime::media::MediaKind::Audio),
    ] {
        if let Some(source) = source {
            let media = source.open_as(kind).await?;
            if let Some(cut) = media.cut() {
                report.note(&hints::cut(kind, cut))?;
            }
            sent.push(media);
        }
    }
    if let Some(folder) = &args.record {
        prepare(folder).await.map_err(|error| {
            let message = format!("{}: {error}", folder.display());
            let cause = "The recordings need a folder that takes files.";
            Failure::new("no_folder", message, cause, "Give another.")
        })?;
    }
    let peer = args.connection.peer()?;
    let (recordings, recorded) = Recordings::new();
    let mut call = Call {
        report,
        remotes: Remotes::default(),
        events: peer.events(),
        wishes: Vec::new(),
        feeds: JoinSet::new(),
        recorded,
        recordings,
        folder: args.record,
        peer,
    };
    let ended = call.run(&args.room, sent, args.duration).await;
    let told = call.end().await;
    ended.and(told).map(|()| ExitCode::SUCCESS)
}

struct Call {
    peer: MeteredPeer,
    events: PeerEvents,
    remotes: Remotes,
    /// What the remotes say of our tracks.
    wishes: Vec<LocalTrackEvents>,
    feeds: JoinSet<Result<(), SourceError>>,
    recordings: Recordings,
    recorded: UnboundedReceiver<RecordEvent>,
    folder: Option<PathBuf>,
    report: Report,
}

impl Call {
    async fn run(
        &mut self,
        room: &str,
        sent: Vec<Media>,
        duration: Option<Duration>,
    ) -> Result<(), Failure> {
        self.publish(sent)?;
        let mut stop = std::pin::pin!(terminated());
        tokio::select! {
            joined = self.peer.join(room) => joined?,
            () = &mut stop => return Ok(()),
        }
        self.report.joined(room, self.peer.peer_id().as_deref())?;
        let end = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        let mut end = std::pin::pin!(end);
        let mut alone = Alone::default();
        let mut second = tokio::time::interval_at(Instant::now() + LINE_PAUSE, LINE_PAUSE);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                () = &mut end => return Ok(()),
                event = self.events.next() => {
                    if let Some(PeerEvent::PeerJoined(_)) = &event {
                        alone.met();
                    }
                    self.of_room(event)?;
                }
                (id, event) = self.remotes.next() => {
                    let new = self.remotes.note(&id, &event, &mut self.report)?;
                    if let (Some(folder), Some(track)) = (self.folder.as_deref(), new) {
                        // Its events tell the rest.
                        drop(self.recordings.start(folder, &id, &track));
                    }
                }
                Some(event) = self.recorded.recv() => self.of_recording(&event)?,
                Some(fed) = self.feeds.join_next() => match fed {
                    Ok(fed) => fed?,
                    Err(error) => {
                        return Err(Failure::new("feed_ended", error, "", "Report it with a trace log."));
                    }
                },
                _ = second.tick() => {
                    self.hear_wishes()?;
                    if alone.second() {
                        self.report.note(&hints::words(room, self.peer.peer_id().as_deref()))?;
                    }
                    for line in self.remotes.lines().await {
                        self.report.line(&line)?;
                        if let Some(hint) = hints::slow(room, &line.peer_id, line.connecting_s) {
                            self.report.note(&hint)?;
                        }
                    }
                }
            }
        }
    }

    /// One stream with all that is sent, and a feed for each of its tracks.
    fn publish(&mut self, sent: Vec<Media>) -> Result<(), Failure> {
        let mut stream = MediaStream::default();
        for media in sent {
            let track = media.track(None);
            self.wishes.push(match &track {
                LocalTrack::Video(track) => track.events(),
                LocalTrack::Audio(track) => track.events(),
            });
            stream = stream.with_track(&track);
            self.feeds.spawn(media.play(track));
        }
        Ok(self.peer.add_stream(&stream, None)?)
    }

    fn of_room(&mut self, event: Option<PeerEvent>) -> Result<(), Failure> {
        match event {
            Some(PeerEvent::PeerJoined(remote)) => {
                self.report.came(remote.id())?;
                self.remotes.add(remote);
            }
            Some(PeerEvent::PeerLeft(remote)) => {
                self.remotes.remove(remote.id());
                self.report.left(remote.id())?;
            }
            Some(PeerEvent::StateChange { from, to }) => match to {
                PeerState::Reconnecting => {
                    self.report
                        .note("the service is lost; the call goes on meanwhile, trying again")?;
                }
                PeerState::Joined if from == PeerState::Reconnecting => {
                    self.report.note("the service is back")?;
                }
                _ => {}
            },
            Some(PeerEvent::Error(failed)) => {
                self.report.problem("", &failed.name, &failed.message, &failed.diagnosis)?;
            }
            Some(PeerEvent::Left { reason }) => {
                let cause = "The service ended the membership, or could not be reached any more.";
                return Err(Failure::new(
                    "room_left",
                    reason,
                    cause,
                    "Mend the problem above and call again; --log-level info tells more.",
                ));
            }
            None => {
                return Err(Failure::new("room_left", "the peer is gone", "", "Start again."));
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn hear_wishes(&mut self) -> Result<(), Failure> {
        for events in &mut self.wishes {
            while let Some(event) = events.try_next() {
                if let LocalTrackEvent::CodecNotSupported { peer_id, codec } = event {
                    self.report.no_codec(&peer_id, codec)?;
                }
            }
        }
        Ok(())
    }

    fn of_recording(&mut self, event: &RecordEvent) -> Result<(), Failure> {
        match &event.told {
            Told::Begun(file) => self.report.recording(&event.peer_id, file),
            Told::Finished(recorded) => self.report.recorded(&event.peer_id, recorded),
            Told::Failed { place, error } => {
                let (code, message) = (error.code(), format!("{}: {error}", place.display()));
                self.report.problem(&event.peer_id, code, &message, &error.diagnosis())
            }
        }
    }

    /// Finishes the files and leaves the room, so that the others need not find out. Both are done even if what
    /// is told of it cannot be written.
    async fn end(&mut self) -> Result<(), Failure> {
        self.feeds.abort_all();
        // A call may end before its next second.
        let mut told = self.hear_wishes();
        self.recordings.finish().await;
        while let Ok(event) = self.recorded.try_recv() {
            told = told.and_then(|()| self.of_recording(&event));
        }
        if tokio::time::timeout(LAST_MOMENT, self.peer.close()).await.is_err() {
            tracing::warn!("the room was not left in time");
        }
        told
    }
}
