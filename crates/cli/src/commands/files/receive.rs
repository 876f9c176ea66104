//! `metered receive`: takes one file at a time from whoever in the room offers one.
//!
//! A listener per remote passes the channels of our protocol on; each is greeted for its offer, and the
//! first that can be taken is. Others hear that we are busy. All tasks end with the command.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;
use metered_realtime::peer::{
    DataChannel, MeteredPeer, PeerEvent, PeerEvents, RemoteEvent, RemotePeer,
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::error::FileError;
use super::protocol::{Broken, Message, Offer, PROTOCOL, Refusal};
use super::report::{Report, Size};
use super::send::room_goes_on;
use super::store::Store;
use super::take::{Offered, Taken, greet, part_with, take};
use super::{Room, bytes, leave, stopped};
use crate::names::safe;
use crate::output::{BAD, DIM, Failure, GOOD, NOTE, printable};
use crate::terminated::stoppable;

/// Channels that are being greeted or parted with at once; more are closed.
const MAX_VISITORS: usize = 64;
/// Finished transfers that are remembered, for senders that did not hear of their end.
const MAX_FINISHED: usize = 64;
/// So long a sender that did not hear of the end may come back for it.
const LINGER: Duration = Duration::from_secs(15);

/// Receives a file from a peer that runs metered send in the same room, from device to device.
///
/// What arrives is kept in a .part file until it is whole and verified; then it gets its name, and never
/// that of another file unless --overwrite is given. An interrupted transfer goes on from there. Ends with
/// exit code 0 after one verified file.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  metered receive Downloads --room lobby --key pk_live_…")]
pub(crate) struct Args {
    /// The folder for the file.
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    room: Room,
    /// Go on after the first file, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Replace files of the same name.
    #[arg(long)]
    overwrite: bool,
    /// Refuse larger files; with K, M, G or T.
    #[arg(long, value_name = "BYTES", default_value = "4G", value_parser = bytes)]
    max_size: u64,
    /// Print events as JSON lines instead of words.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    if !args.dir.is_dir() {
        let message = format!("{} is no folder", printable(&args.dir.display().to_string()));
        let fix = "Make the folder first, or give another.";
        return Err(Failure::new("no_folder", message, "Files are put into a folder.", fix));
    }
    let store = Store { folder: args.dir.clone(), overwrite: args.overwrite };
    // Else the first sender would find out.
    store.check().await.map_err(FileError::Unwritable)?;
    let report = Arc::new(Report::new(args.json));
    let (channels, incoming) = mpsc::channel(MAX_VISITORS);
    let Some((peer, events)) = stoppable(args.room.join()).await? else { return stopped() };
    let mut receiver = Receiver {
        peer,
        events,
        report: Arc::clone(&report),
        args: &args,
        store,
        channels,
        incoming,
        listeners: JoinSet::new(),
        listening: HashMap::new(),
        visitors: JoinSet::new(),
        current: None,
        finished: VecDeque::new(),
        leave_at: None,
    };
    let done = stoppable(Box::pin(receiver.run())).await;
    report.end();
    receiver.current = None;
    leave(&receiver.peer).await;
    match done? {
        Some(()) => Ok(ExitCode::SUCCESS),
        None => stopped(),
    }
}

/// The file that comes now.
struct Current {
    from: String,
    offer: Offer,
    work: Pin<Box<dyn Future<Output = Taken> + Send>>,
}

/// What became of a channel that is not the current one.
enum Visit {
    Offered(Box<Offered>),
    Broken(String, Broken),
    /// It was told what it had to know; whether it confirmed.
    Parted(bool),
}

struct Receiver<'a> {
    peer: MeteredPeer,
    events: PeerEvents,
    report: Arc<Report>,
    args: &'a Args,
    store: Store,
    channels: mpsc::Sender<(String, DataChannel)>,
    incoming: mpsc::Receiver<(String, DataChannel)>,
    listeners: JoinSet<()>,
    listening: HashMap<String, AbortHandle>,
    visitors: JoinSet<Visit>,
    current: Option<Current>,
    /// Ids of transfers that are done.
    finished: VecDeque<String>,
    /// The work is done; a sender that does not know yet is waited for until then.
    leave_at: Option<Instant>,
}

impl Receiver<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let (id, room) = (self.peer.peer_id().unwrap_or_default(), self.peer.channel());
        let words = format!("{DIM}waiting for a file, as {}{DIM:#}", printable(&id));
        self.report.tell("waiting", json!({ "peerId": id, "room": room }), words)?;
        loop {
            let current = async {
                match &mut self.current {
                    Some(current) => current.work.as_mut().await,
                    None => std::future::pending().await,
                }
            };
            let leave = async {
                match self.leave_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                taken = current => if self.taken(taken)? { return Ok(()) },
                event = self.events.next() => {
                    room_goes_on(event.as_ref())?;
                    self.event(event);
                }
                Some((from, channel)) = self.incoming.recv() => self.visit(from, channel),
                Some(visit) = self.visitors.join_next() => match visit {
                    Ok(Visit::Offered(offered)) => self.offered(*offered),
                    Ok(Visit::Broken(from, broken)) => self.broken(&from, &broken.into())?,
                    Ok(Visit::Parted(true)) if self.leave_at.is_some() => return Ok(()),
                    // A task that was aborted or panicked has nothing to say.
                    Ok(Visit::Parted(_)) | Err(_) => {}
                },
                () = leave => return Ok(()),
            }
        }
    }

    fn event(&mut self, event: Option<PeerEvent>) {
        match event {
            Some(PeerEvent::PeerJoined(remote)) => self.listen(&remote),
            Some(PeerEvent::Lagged { .. }) => {
                // A listener whose remote left has ended by itself.
                self.listening.retain(|_, listener| !listener.is_finished());
                for remote in self.peer.remote_peers() {
                    if !self.listening.contains_key(remote.id()) {
                        self.listen(&remote);
                    }
                }
            }
            _ => {}
        }
        while self.listeners.try_join_next().is_some() {}
        self.listening.retain(|_, listener| !listener.is_finished());
    }

    /// Passes the channels of our protocol on, until the remote leaves.
    fn listen(&mut self, remote: &RemotePeer) {
        let id = remote.id().to_owned();
        let (mut events, channels, from) = (remote.events(), self.channels.clone(), id.clone());
        let listener = self.listeners.spawn(async move {
            while let Some(event) = events.next().await {
                if let RemoteEvent::DataChannel(channel) = event
                    && channel.protocol() == PROTOCOL
                    && channels.send((from.clone(), channel)).await.is_err()
                {
                    return;
                }
            }
        });
        if let Some(earlier) = self.listening.insert(id, listener) {
            earlier.abort();
        }
    }

    fn visit(&mut self, from: String, channel: DataChannel) {
        if self.visitors.len() >= MAX_VISITORS {
            channel.close();
            return;
        }
        self.visitors.spawn(async move {
            match greet(from, channel).await {
                Ok(offered) => Visit::Offered(Box::new(offered)),
                Err((from, broken)) => Visit::Broken(from, broken),
            }
        });
    }

    fn offered(&mut self, offered: Offered) {
        let transfer = &offered.offer.transfer;
        if self.finished.contains(transfer) {
            let wire = offered.wire;
            self.visitors.spawn(async { Visit::Parted(part_with(wire, Message::Done).await) });
            return;
        }
        // The same transfer again: its former channel is dead, whether we know it or not.
        let again = self.current.as_ref().is_some_and(|one| one.offer.transfer == *transfer);
        if self.leave_at.is_some() || (self.current.is_some() && !again) {
            let (wire, code) = (offered.wire, Refusal::Busy);
            self.visitors.spawn(async move {
                Visit::Parted(part_with(wire, Message::Refuse { code }).await)
            });
            return;
        }
        self.current = None;
        let (from, offer) = (offered.from.clone(), offered.offer.clone());
        let work = take(offered, self.store.clone(), self.args.max_size, Arc::clone(&self.report));
        self.current = Some(Current { from, offer, work: Box::pin(work) });
    }

    /// The current file came to its end; whether the command's work is done with it.
    fn taken(&mut self, taken: Taken) -> Result<bool, Failure> {
        let Some(Current { from, offer, .. }) = self.current.take() else { return Ok(false) };
        let shown = printable(&from);
        match taken {
            Taken::Whole { path, confirmed } => {
                if self.finished.len() >= MAX_FINISHED {
                    self.finished.pop_front();
                }
                self.finished.push_back(offer.transfer);
                let place = path.display().to_string();
                let words = format!(
                    "{GOOD}received {}, verified{GOOD:#} {DIM}{}{DIM:#}",
                    printable(&place),
                    offer.sha256
                );
                let payload = json!({
                    "peerId": from, "path": place, "size": offer.size, "sha256": offer.sha256,
                });
                self.report.tell("received", payload, words)?;
                if self.args.keep {
                    return Ok(false);
                }
                if !confirmed {
                    self.leave_at = Some(Instant::now() + LINGER);
                }
                Ok(confirmed)
            }
            Taken::Refused(refusal) => {
                let (name, size) = (safe(&offer.name), Size(offer.size));
                let words = format!("{NOTE}refused {name} ({size}) of {shown}: {refusal}{NOTE:#}");
                let payload =
                    json!({ "peerId": from, "code": refusal.as_str(), "size": offer.size });
                self.report.tell("refused", payload, words)?;
                Ok(false)
            }
            Taken::Interrupted => {
                let words = format!("{NOTE}interrupted; waiting for the sender{NOTE:#}");
                self.report.tell("interrupted", json!({ "peerId": from }), words)?;
                Ok(false)
            }
            Taken::Withdrawn => Ok(false),
            Taken::Theirs(error) => self.broken(&from, &error).map(|()| false),
            Taken::Ours(error) if self.args.keep => self.broken(&from, &error).map(|()| false),
            Taken::Ours(error) => Err(error.into()),
            Taken::Output(failure) => Err(failure),
        }
    }

    /// A sender is at fault: others may still come.
    fn broken(&self, from: &str, error: &FileError) -> Result<(), Failure> {
        let words = format!("{BAD}{}: {error}{BAD:#} [{}]", printable(from), error.code());
        self.report.tell("failed", json!({ "peerId": from, "code": error.code() }), words)
    }
}
