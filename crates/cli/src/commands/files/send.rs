//! `metered send`: finds a receiver, sends, and begins again after an interruption until the file is there.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args as ClapArgs;
use metered_realtime::peer::{DataChannel, DataChannelError, MeteredPeer, PeerEvent, PeerEvents};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use super::error::FileError;
use super::offers::{Answer, Offers};
use super::protocol::{Broken, Fault, Incoming, Listener, Message, Offer, Wire, say};
use super::report::{Report, Size};
use super::source::Source;
use super::{Room, bytes, leave, stopped};
use crate::output::{DIM, Failure, GOOD, NOTE, printable};
use crate::terminated::stoppable;

/// Bytes of one message; every WebRTC implementation takes them.
const PIECE: usize = 64 * 1024;
/// After an interruption a receiver without any of the file waits so long for one that has some.
const REUNION: Duration = Duration::from_secs(10);
/// The receiver's last word on its way, and the close that answers ours.
const FAREWELL: Duration = Duration::from_secs(5);

/// Sends a file to a peer that runs metered receive in the same room, from device to device.
///
/// The file is hashed first and verified by the receiver. If the connection drops or either side is started
/// again, the transfer goes on from what has arrived. Ends with exit code 0 only when the receiver has
/// verified the file.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  metered send holiday.mp4 --room lobby --key pk_live_…")]
pub(crate) struct Args {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    room: Room,
    /// The receiver's id; by default the first peer of the room that takes the file. With a key an id
    /// changes with each connection, with a token it stays.
    #[arg(long, value_name = "PEER")]
    to: Option<String>,
    /// Give up when nothing has moved for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Send at most so many bytes a second, such as 500K.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    limit_rate: Option<u64>,
    /// Print events as JSON lines instead of words.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let report = Report::new(args.json);
    let shown = args.file.display().to_string();
    let words = format!("{DIM}hashing {}{DIM:#}", printable(&shown));
    report.tell("hashing", json!({ "path": shown }), words)?;
    let entering = async {
        let source = Source::open(args.file.clone()).await?;
        Ok((source, args.room.join().await?))
    };
    let Some((source, (peer, events))) = stoppable(entering).await? else { return stopped() };
    let offer = Offer {
        transfer: format!("{:032x}", fastrand::u128(..)),
        name: source.name.clone(),
        size: source.size,
        sha256: source.sha256.clone(),
    };
    let (args, report) = (&args, &report);
    let moved = Instant::now();
    let mut sender = Sender { offer, source, events, report, args, moved, receiver: None, peer };
    let done = stoppable(Box::pin(sender.run())).await;
    report.end();
    leave(&sender.peer).await;
    match done? {
        Some(()) => Ok(ExitCode::SUCCESS),
        None => stopped(),
    }
}

struct Sender<'a> {
    peer: MeteredPeer,
    events: PeerEvents,
    source: Source,
    offer: Offer,
    args: &'a Args,
    report: &'a Report,
    /// When something moved last.
    moved: Instant,
    /// Who has some of the file already.
    receiver: Option<String>,
}

/// A receiver that wants the file.
struct Found {
    id: String,
    wire: Wire,
    /// What it has and the hash of that; `None` if that is all of it.
    wants: Option<(u64, String)>,
}

/// How an attempt ended that did not fail.
enum Attempt {
    Verified,
    Interrupted,
}

/// Why the bytes stopped.
enum Stop {
    Channel(DataChannelError),
    File(FileError),
    Output(Failure),
}

impl From<FileError> for Stop {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<DataChannelError> for Stop {
    fn from(error: DataChannelError) -> Self {
        Self::Channel(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

impl Sender<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let Offer { name, size, sha256, .. } = &self.offer;
        let payload = json!({
            "peerId": self.peer.peer_id(), "name": name, "size": size, "sha256": sha256,
        });
        let words = format!(
            "{DIM}offering {} ({}) to {}{DIM:#}",
            printable(name),
            Size(*size),
            self.args.to.as_deref().map_or_else(|| "the room".to_owned(), printable),
        );
        self.report.tell("offering", payload, words)?;
        loop {
            let found = self.find().await?;
            let id = found.id.clone();
            match self.transfer(found).await? {
                Attempt::Verified => return self.verified(&id),
                Attempt::Interrupted => {
                    self.report.end();
                    let words = format!("{NOTE}interrupted; looking for the receiver{NOTE:#}");
                    self.report.tell("interrupted", json!({ "peerId": id }), words)?;
                }
            }
        }
    }

    fn verified(&self, id: &str) -> Result<(), Failure> {
        self.report.end();
        let Offer { name, size, sha256, .. } = &self.offer;
        let payload = json!({ "peerId": id, "name": name, "size": size, "sha256": sha256 });
        let words =
            format!("{GOOD}{} has it, verified{GOOD:#} {DIM}{sha256}{DIM:#}", printable(id));
        self.report.tell("sent", payload, words)
    }

    /// Offers the file until somebody takes it.
    async fn find(&mut self) -> Result<Found, Failure> {
        let mut offers = Offers::new(Message::Offer(self.offer.clone()), self.args.to.clone());
        let deadline = self.moved + Duration::from_secs(self.args.timeout);
        let mut held: Option<(Found, Instant)> = None;
        loop {
            offers.sync(&self.peer);
            let until = held.as_ref().map_or(deadline, |(_, until)| *until);
            tokio::select! {
                (id, answer) = offers.next() => match answer {
                    // Only who was sent the file can have it.
                    Answer::Done(wire) if self.receiver.is_some() => {
                        return Ok(Found { id, wire, wants: None });
                    }
                    Answer::Done(_) => self.broken(&id, Broken::OutOfTurn, held.is_none() && offers.all_refused())?,
                    Answer::Accepted { wire, offset, sha256 } => {
                        let known = offset > 0 || self.receiver.as_deref().is_none_or(|it| it == id);
                        let found = Found { id, wire, wants: Some((offset, sha256)) };
                        if known {
                            return Ok(found);
                        }
                        if held.is_none() {
                            held = Some((found, Instant::now() + REUNION));
                        }
                    }
                    Answer::Refused(refusal) => {
                        let words = format!("{NOTE}{} refuses: {refusal}{NOTE:#}", printable(&id));
                        let payload = json!({ "peerId": id, "code": refusal.as_str() });
                        self.report.tell("refused", payload, words)?;
                        if held.is_none() && offers.all_refused() {
                            return Err(FileError::Refused(refusal).into());
                        }
                    }
                    Answer::Broken(broken) => {
                        self.broken(&id, broken, held.is_none() && offers.all_refused())?;
                    }
                    Answer::Gone => {}
                },
                event = self.events.next() => room_goes_on(event.as_ref())?,
                () = tokio::time::sleep_until(until) => match held.take() {
                    Some((found, _)) => return Ok(found),
                    None => return Err(self.timed_out()),
                },
            }
        }
    }

    /// A receiver does not keep to the protocol; the end if it was the last hope.
    fn broken(&self, id: &str, broken: Broken, last: bool) -> Result<(), Failure> {
        let words = format!("{NOTE}{}: {broken}{NOTE:#}", printable(id));
        let payload = json!({ "peerId": id, "code": "protocol_violation" });
        self.report.tell("refused", payload, words)?;
        if last { Err(FileError::Broken(broken).into()) } else { Ok(()) }
    }

    fn timed_out(&self) -> Failure {
        FileError::TimedOut(self.args.timeout).into()
    }

    /// One attempt with one receiver.
    async fn transfer(&mut self, found: Found) -> Result<Attempt, Failure> {
        let Found { id, mut wire, wants } = found;
        let Some((held, sha256)) = wants else { return confirm(wire).await };
        let size = self.source.size;
        // A receiver cannot have more than all: what it says is of another file.
        let same = held <= size && self.source.hash_of_first(held).await? == sha256;
        let from = if same { held } else { 0 };
        let words = format!("{DIM}to {} from byte {from} on{DIM:#}", printable(&id));
        self.report.tell("started", json!({ "peerId": id, "offset": from }), words)?;
        self.report.begin(from, size);
        self.receiver = Some(id);
        let limit = Duration::from_secs(self.args.timeout);
        let stopped = {
            let (channel, mut listener) = wire.split();
            // The receiver speaks only to end it; the bytes need not be through for that.
            tokio::select! {
                biased;
                last = last_word(&mut listener) => return self.ended(wire, last).await,
                stopped = self.pump(channel, from, limit) => stopped,
            }
        };
        match stopped {
            Ok(()) => {}
            Err(Stop::Channel(error)) => {
                tracing::debug!(code = error.code(), "the channel ended under the file");
                return Ok(Attempt::Interrupted);
            }
            Err(Stop::File(error @ FileError::Changed)) => {
                part_with(wire, Message::Abort { code: Fault::FileChanged }).await;
                return Err(error.into());
            }
            Err(Stop::File(error)) => return Err(error.into()),
            Err(Stop::Output(failure)) => return Err(failure),
        }
        let (_, mut listener) = wire.split();
        match timeout(limit, last_word(&mut listener)).await {
            Ok(last) => self.ended(wire, last).await,
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Sends the bytes from an offset on, and the end.
    async fn pump(
        &mut self,
        channel: &DataChannel,
        from: u64,
        limit: Duration,
    ) -> Result<(), Stop> {
        say(channel, &Message::Start { offset: from }).await?;
        let mut file = self.source.reader(from).await?;
        let (mut at, began) = (from, Instant::now());
        let mut piece = vec![0; PIECE.min(channel.max_message_size())];
        while at < self.source.size {
            let read = file.read(&mut piece).await.map_err(FileError::Unreadable)?;
            if read == 0 || at + read as u64 > self.source.size {
                return Err(FileError::Changed.into());
            }
            let sending = channel.send_bytes(Bytes::copy_from_slice(&piece[..read]));
            timeout(limit, sending).await.map_err(|_| FileError::TimedOut(self.args.timeout))??;
            at += read as u64;
            self.moved = Instant::now();
            self.report.at(at)?;
            if let Some(rate) = self.args.limit_rate {
                let due = (at - from) as f64 / rate.max(1) as f64;
                tokio::time::sleep_until(began + Duration::from_secs_f64(due)).await;
            }
        }
        self.source.check().await?;
        Ok(say(channel, &Message::End).await?)
    }

    async fn ended(&self, wire: Wire, last: Last) -> Result<Attempt, Failure> {
        match last {
            Last::Done => confirm(wire).await,
            Last::Closed => Ok(Attempt::Interrupted),
            Last::Failed(Fault::HashMismatch) => Err(FileError::HashMismatch.into()),
            Last::Failed(Fault::Unwritable) => Err(FileError::ReceiverFailed.into()),
            Last::Failed(_) => Err(FileError::Broken(Broken::OutOfTurn).into()),
            Last::Broken(broken) => Err(FileError::Broken(broken).into()),
        }
    }
}

/// The room is lost for good, or not.
pub(super) fn room_goes_on(event: Option<&PeerEvent>) -> Result<(), Failure> {
    match event {
        Some(PeerEvent::Left { reason }) => Err(FileError::RoomLost(reason.clone()).into()),
        None => Err(FileError::RoomLost("the peer is gone".to_owned()).into()),
        _ => Ok(()),
    }
}

/// The receiver's last word.
enum Last {
    Done,
    Failed(Fault),
    Broken(Broken),
    Closed,
}

async fn last_word(listener: &mut Listener<'_>) -> Last {
    match listener.next().await {
        Ok(Incoming::Message(Message::Done)) => Last::Done,
        Ok(Incoming::Message(Message::Failed { code } | Message::Abort { code })) => {
            Last::Failed(code)
        }
        Ok(Incoming::Closed) => Last::Closed,
        Ok(_) => Last::Broken(Broken::OutOfTurn),
        Err(broken) => Last::Broken(broken),
    }
}

/// Tells the receiver that its last word was heard.
async fn confirm(wire: Wire) -> Result<Attempt, Failure> {
    part_with(wire, Message::Confirmed).await;
    Ok(Attempt::Verified)
}

/// Says a last word and waits until the receiver has closed. Unheard, it waits a little for nothing.
async fn part_with(mut wire: Wire, word: Message) {
    let farewell = async {
        if wire.say(&word).await.is_ok() {
            while !matches!(wire.next().await, Ok(Incoming::Closed) | Err(_)) {}
        }
    };
    if timeout(FAREWELL, farewell).await.is_err() {
        tracing::debug!("the receiver did not close the channel");
    }
}
