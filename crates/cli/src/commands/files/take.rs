//! One file that comes: from its offer to its name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metered_realtime::peer::{DataChannel, DataChannelError};
use serde_json::json;
use tokio::time::timeout;

use super::error::FileError;
use super::patience;
use super::protocol::{Broken, Fault, Incoming, Message, Offer, Refusal, Wire};
use super::report::{Report, Size};
use super::store::{Part, Store};
use crate::names::safe;
use crate::output::{DIM, Failure, printable};

/// From the opening of a channel to its offer.
const GREETING: Duration = Duration::from_secs(10);
/// Between two messages of a file: longer than the SDK looks for a lost path.
const SILENCE: Duration = Duration::from_secs(150);
/// Our last word on its way, and the close that answers it.
const FAREWELL: Duration = Duration::from_secs(5);

/// An offer, and the channel that it came on.
pub(super) struct Offered {
    pub(super) from: String,
    pub(super) wire: Wire,
    pub(super) offer: Offer,
}

/// What became of a file.
pub(super) enum Taken {
    /// Verified and in its place.
    Whole {
        path: PathBuf,
        /// Whether the sender knows.
        confirmed: bool,
    },
    Refused(Refusal),
    /// The channel closed; what has come is kept.
    Interrupted,
    /// The sender changed its mind before anything came.
    Withdrawn,
    /// Its sender is at fault.
    Theirs(FileError),
    /// This side is at fault, or the file is not what was offered.
    Ours(FileError),
    /// Standard output is gone.
    Output(Failure),
}

/// Waits for the offer on a new channel.
pub(super) async fn greet(from: String, channel: DataChannel) -> Result<Offered, (String, Broken)> {
    let mut wire = Wire::new(channel);
    match timeout(GREETING, wire.next()).await {
        Ok(Ok(Incoming::Message(Message::Offer(offer)))) => Ok(Offered { from, wire, offer }),
        Ok(Ok(_)) => Err((from, Broken::OutOfTurn)),
        Ok(Err(broken)) => Err((from, broken)),
        Err(_) => Err((from, Broken::Silent)),
    }
}

/// Says a last word and waits until the sender has closed; whether it confirmed.
pub(super) async fn part_with(mut wire: Wire, word: Message) -> bool {
    let farewell = async {
        if wire.say(&word).await.is_err() {
            return false;
        }
        loop {
            match wire.next().await {
                Ok(Incoming::Message(Message::Confirmed)) => return true,
                // What was under way when we spoke.
                Ok(Incoming::Message(_) | Incoming::Bytes(_)) => {}
                Ok(Incoming::Closed) | Err(_) => return false,
            }
        }
    };
    timeout(FAREWELL, farewell).await.unwrap_or(false)
}

/// Why a file did not come whole.
enum Stop {
    Closed,
    Theirs(FileError),
    Ours(FileError),
    Output(Failure),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Theirs(broken.into())
    }
}

impl From<DataChannelError> for Stop {
    fn from(_: DataChannelError) -> Self {
        Self::Closed
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Ours(FileError::Unwritable(error))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

/// Takes a file.
pub(super) async fn take(
    offered: Offered,
    store: Store,
    max_size: u64,
    report: Arc<Report>,
) -> Taken {
    let Offered { from, mut wire, offer } = offered;
    let refuse = async |wire, code| {
        part_with(wire, Message::Refuse { code }).await;
        Taken::Refused(code)
    };
    if offer.size > max_size {
        return refuse(wire, Refusal::TooLarge).await;
    }
    let mut part = match store.part(&offer).await {
        Ok(Some(part)) => part,
        Ok(None) => return refuse(wire, Refusal::Busy).await,
        Err(error) => {
            part_with(wire, Message::Failed { code: Fault::Unwritable }).await;
            return Taken::Ours(FileError::Unwritable(error));
        }
    };
    let came = match begin(&mut wire, &mut part).await {
        Ok(false) => {
            keep(part).await;
            return Taken::Withdrawn;
        }
        Ok(true) => fill(&mut wire, &mut part, &offer, &from, &report).await,
        Err(stop) => Err(stop),
    };
    report.end();
    match came {
        Ok(()) if part.sha256() != offer.sha256 => {
            discard(part).await;
            part_with(wire, Message::Failed { code: Fault::HashMismatch }).await;
            Taken::Ours(FileError::HashMismatch)
        }
        Ok(()) => match part.finish().await {
            Ok(path) => Taken::Whole { path, confirmed: part_with(wire, Message::Done).await },
            Err(error) => {
                part_with(wire, Message::Failed { code: Fault::Unwritable }).await;
                Taken::Ours(FileError::Unwritable(error))
            }
        },
        Err(Stop::Closed) => {
            keep(part).await;
            Taken::Interrupted
        }
        Err(Stop::Theirs(error @ FileError::SenderGaveUp)) => {
            // What changed under the sender is of no use to the next attempt.
            discard(part).await;
            Taken::Theirs(error)
        }
        Err(Stop::Theirs(error)) => {
            keep(part).await;
            part_with(wire, Message::Failed { code: Fault::ProtocolViolation }).await;
            Taken::Theirs(error)
        }
        Err(Stop::Ours(error)) => {
            keep(part).await;
            part_with(wire, Message::Failed { code: Fault::Unwritable }).await;
            Taken::Ours(error)
        }
        Err(Stop::Output(failure)) => {
            keep(part).await;
            Taken::Output(failure)
        }
    }
}

/// Says what is held and hears from where on the bytes come; `false` if the sender chose another.
async fn begin(wire: &mut Wire, part: &mut Part) -> Result<bool, Stop> {
    let held = part.written();
    wire.say(&Message::Accept { offset: held, sha256: part.sha256() }).await?;
    let answer = timeout(patience(held), wire.next()).await.map_err(|_| Broken::Silent)??;
    match answer {
        Incoming::Message(Message::Start { offset }) if offset == held => Ok(true),
        Incoming::Message(Message::Start { offset: 0 }) => {
            part.restart().await?;
            Ok(true)
        }
        Incoming::Closed => Ok(false),
        _ => Err(Broken::OutOfTurn.into()),
    }
}

/// Writes what comes until it is all.
async fn fill(
    wire: &mut Wire,
    part: &mut Part,
    offer: &Offer,
    from: &str,
    report: &Report,
) -> Result<(), Stop> {
    let (offset, name) = (part.written(), safe(&offer.name));
    let words = format!(
        "{DIM}{name} ({}) from {}, from byte {offset} on{DIM:#}",
        Size(offer.size),
        printable(from)
    );
    let payload = json!({
        "peerId": from,
        "name": name,
        "size": offer.size,
        "sha256": offer.sha256,
        "offset": offset,
    });
    report.tell("started", payload, words)?;
    report.begin(offset, offer.size);
    loop {
        let came = timeout(SILENCE, wire.next()).await.map_err(|_| Broken::Silent)??;
        match came {
            Incoming::Bytes(bytes) => {
                if bytes.len() as u64 > offer.size - part.written() {
                    return Err(Broken::TooMuch.into());
                }
                part.write(&bytes).await?;
                report.at(part.written())?;
            }
            Incoming::Message(Message::End) if part.written() == offer.size => return Ok(()),
            Incoming::Message(Message::End) => return Err(Broken::TooLittle.into()),
            Incoming::Message(Message::Abort { .. }) => {
                return Err(Stop::Theirs(FileError::SenderGaveUp));
            }
            Incoming::Closed => return Err(Stop::Closed),
            Incoming::Message(_) => return Err(Broken::OutOfTurn.into()),
        }
    }
}

async fn keep(part: Part) {
    if let Err(error) = part.keep().await {
        tracing::warn!(kind = ?error.kind(), "a part could not be kept");
    }
}

async fn discard(part: Part) {
    if let Err(error) = part.discard().await {
        tracing::warn!(kind = ?error.kind(), "a part could not be removed");
    }
}
