//! Offers to the peers of a room: who answers is a receiver.
//!
//! A peer that does not speak the protocol never answers, and its offer stays open beside the others. A
//! receiver that is busy is asked again; one that went away is asked again when it is back.

use std::collections::HashMap;
use std::time::Duration;

use metered_realtime::peer::{DataChannelOptions, MeteredPeer, RemotePeer, RemoteState};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::protocol::{Broken, Incoming, LABEL, Message, PROTOCOL, Refusal, Wire};

/// Until a busy receiver is asked again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// Until a peer whose channel closed is asked again, the first time; doubled each time.
const GONE_PAUSE: Duration = Duration::from_millis(500);
const MAX_GONE_PAUSE: Duration = Duration::from_secs(10);

/// What became of an offer.
pub(super) enum Answer {
    /// It wants the file from an offset on, and says the hash of what it has.
    Accepted {
        wire: Wire,
        offset: u64,
        sha256: String,
    },
    /// It has the whole file already: an earlier answer was lost.
    Done(Wire),
    Refused(Refusal),
    /// The channel closed, or could not be opened.
    Gone,
    Broken(Broken),
}

enum Standing {
    Asked,
    /// To be asked at this time.
    Due(Instant),
    Refused,
}

struct Candidate {
    remote: RemotePeer,
    standing: Standing,
    pause: Duration,
}

/// The offers of one attempt. Dropping it takes them back.
pub(super) struct Offers {
    message: Message,
    to: Option<String>,
    candidates: HashMap<String, Candidate>,
    running: JoinSet<(String, Answer)>,
}

impl Offers {
    pub(super) fn new(message: Message, to: Option<String>) -> Self {
        Self { message, to, candidates: HashMap::new(), running: JoinSet::new() }
    }

    /// Takes up who came and lets go of who went.
    pub(super) fn sync(&mut self, peer: &MeteredPeer) {
        self.candidates.retain(|_, candidate| candidate.remote.state() != RemoteState::Closed);
        for remote in peer.remote_peers() {
            let wanted = self.to.as_deref().is_none_or(|to| to == remote.id());
            if wanted && !self.candidates.contains_key(remote.id()) {
                let standing = Standing::Due(Instant::now());
                let id = remote.id().to_owned();
                self.candidates.insert(id, Candidate { remote, standing, pause: GONE_PAUSE });
            }
        }
    }

    /// Whether everybody who could take the file refuses it.
    pub(super) fn all_refused(&self) -> bool {
        let mut all = self.candidates.values();
        !self.candidates.is_empty() && all.all(|one| matches!(one.standing, Standing::Refused))
    }

    /// The next answer; pending while there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> (String, Answer) {
        loop {
            let next = self.ask();
            let timer = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(answered) = self.running.join_next() => {
                    // A task that was aborted or panicked has no answer.
                    let Ok((id, answer)) = answered else { continue };
                    self.note(&id, &answer);
                    return (id, answer);
                }
                () = timer => {}
            }
        }
    }

    /// Asks whom it is time to ask; answers when it is time for the next.
    fn ask(&mut self) -> Option<Instant> {
        let (now, mut next) = (Instant::now(), None);
        for (id, candidate) in &mut self.candidates {
            let Standing::Due(at) = candidate.standing else { continue };
            if at <= now {
                candidate.standing = Standing::Asked;
                let (id, message) = (id.clone(), self.message.clone());
                let remote = candidate.remote.clone();
                self.running.spawn(async move { (id, offer(&remote, &message).await) });
            } else {
                next = Some(next.map_or(at, |next: Instant| next.min(at)));
            }
        }
        next
    }

    fn note(&mut self, id: &str, answer: &Answer) {
        let Some(candidate) = self.candidates.get_mut(id) else { return };
        candidate.standing = match answer {
            Answer::Accepted { .. } => Standing::Asked,
            Answer::Refused(Refusal::Busy) => Standing::Due(Instant::now() + BUSY_PAUSE),
            // What ends no attempt of ours was said out of turn.
            Answer::Refused(_) | Answer::Broken(_) | Answer::Done(_) => Standing::Refused,
            Answer::Gone => {
                let pause = candidate.pause;
                candidate.pause = (pause * 2).min(MAX_GONE_PAUSE);
                Standing::Due(Instant::now() + pause)
            }
        };
    }
}

async fn offer(remote: &RemotePeer, message: &Message) -> Answer {
    let options = DataChannelOptions { protocol: PROTOCOL.to_owned(), ..Default::default() };
    let channel = match remote.open_data_channel(LABEL, options).await {
        Ok(channel) => channel,
        Err(error) => {
            tracing::debug!(code = %error.code(), "no channel for an offer");
            return Answer::Gone;
        }
    };
    let mut wire = Wire::new(channel);
    if wire.say(message).await.is_err() {
        return Answer::Gone;
    }
    match wire.next().await {
        Ok(Incoming::Message(Message::Accept { offset, sha256 })) => {
            Answer::Accepted { wire, offset, sha256 }
        }
        Ok(Incoming::Message(Message::Done)) => Answer::Done(wire),
        Ok(Incoming::Message(Message::Refuse { code })) => Answer::Refused(code),
        Ok(Incoming::Closed) => Answer::Gone,
        Ok(_) => Answer::Broken(Broken::OutOfTurn),
        Err(broken) => Answer::Broken(broken),
    }
}
