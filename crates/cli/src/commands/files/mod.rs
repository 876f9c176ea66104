//! `metered send` and `metered receive`: a file over a data channel, whatever happens to the connection.
//!
//! The protocol `metered-file-1`. The sender opens a reliable, ordered data channel with that subprotocol to
//! every peer of the room, or to one. Text messages are JSON with a `type`, binary messages are the file.
//!
//! ```text
//!   sender                                      receiver
//!   offer {transfer, name, size, sha256}  ──▶
//!                                         ◀──   accept {offset, sha256}, or refuse {code}
//!   start {offset}                        ──▶   the receiver's offset, or 0 if the hashes differ
//!   the bytes from there on, binary       ──▶
//!   end                                   ──▶
//!                                         ◀──   done, or failed {code}
//!   confirmed                             ──▶   and the receiver closes the channel
//! ```
//!
//! The receiver's `offset` is what it holds of the file with that hash, and `sha256` the hash of that part,
//! so that a part that differs is not built upon. `done` follows when the whole is hashed, on disk, and
//! under its name. A channel that closes before `done` is an interruption: the sender offers anew, with the
//! same `transfer`, and goes on from what the receiver has. Either side may say `abort {code}` or
//! `failed {code}` and is heard.
//!
//! [`protocol`] reads and writes messages, [`send`] and [`offers`] are the sender, [`receive`] and [`take`]
//! the receiver, [`store`] and [`names`](crate::names) what it puts on the disk, [`report`] what people and scripts see.

mod error;
mod offers;
mod protocol;
pub(crate) mod receive;
mod report;
pub(crate) mod send;
mod source;
mod store;
mod take;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use metered_realtime::peer::{MeteredPeer, PeerEvents};

use crate::connection::PeerConnection;
use crate::output::{self, Failure, NOTE};
use crate::terminated::INTERRUPTED;

/// How the room is entered.
#[derive(Debug, ClapArgs)]
pub(crate) struct Room {
    /// The room: both sides name the same.
    #[arg(long)]
    room: String,
    #[command(flatten)]
    connection: PeerConnection,
}

impl Room {
    /// Joins; the events are those from before the join on.
    async fn join(&self) -> Result<(MeteredPeer, PeerEvents), Failure> {
        let peer = self.connection.peer()?;
        let events = peer.events();
        peer.join(&self.room).await?;
        Ok((peer, events))
    }
}

/// The peer is closed within this, or without our waiting for it.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// The end after a signal.
fn stopped() -> Result<ExitCode, Failure> {
    output::note(NOTE, "stopped; what has arrived is kept, and the next run goes on from there")?;
    Ok(ExitCode::from(INTERRUPTED))
}

/// Leaves the room, so that the others need not find out.
async fn leave(peer: &MeteredPeer) {
    if tokio::time::timeout(LAST_MOMENT, peer.close()).await.is_err() {
        tracing::warn!("the peer was not closed in time");
    }
}

/// What reading and hashing achieve at least, on a slow disk: who hashes a part is waited for by its size.
const HASHED_PER_SECOND: u64 = 20 * 1024 * 1024;
/// What the other side may take for an answer that needs no hashing.
const ANSWER: Duration = Duration::from_secs(30);

/// How long the other side may be silent while it hashes so many bytes.
fn patience(bytes: u64) -> Duration {
    ANSWER + Duration::from_secs(bytes / HASHED_PER_SECOND)
}

/// Bytes with a unit: 4G, 500M, 64K or 1000.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "write a number of bytes, with K, M, G or T for multiples of 1,024".to_owned();
    let (number, power) = match text.trim_end_matches(['b', 'B']).to_ascii_uppercase() {
        text if text.ends_with('K') => (text, 1),
        text if text.ends_with('M') => (text, 2),
        text if text.ends_with('G') => (text, 3),
        text if text.ends_with('T') => (text, 4),
        text => (text, 0),
    };
    let number: u64 = number.trim_end_matches(['K', 'M', 'G', 'T']).parse().map_err(|_| wrong())?;
    1_024_u64.pow(power).checked_mul(number).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("64k"), Ok(65_536));
        assert_eq!(bytes("4G"), Ok(4 << 30));
        assert_eq!(bytes("1MB"), Ok(1 << 20));
        for wrong in ["", "G", "-1", "1.5G", "99999999999T", "1X"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
