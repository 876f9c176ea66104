//! Requests on their way out: admission, pacing, departure, answers, replays.

use std::time::Duration;

use super::live::Live;
use super::{Link, Output, Request, RequestKind, Session};
use crate::signalling::error::RequestError;
use crate::signalling::event::{Event, State};
use crate::signalling::requests::ACK_TIMEOUT;
use crate::wire::{BuildError, ClientFrame};

/// Requests that may be unanswered at once; the rest waits in its lane.
pub(super) const MAX_UNANSWERED: usize = 2_048;
/// Frames that may wait in the socket; the rest waits in its lane, where order of priority still counts.
const MAX_UNFLUSHED: usize = 64;
/// Ids of replays begin here, those of the app's requests stay below.
const REPLAY_IDS: u64 = 1 << 63;

/// What to do with an answer.
#[derive(Debug)]
pub(super) enum Pending {
    Subscribe { channel: Box<str>, generation: u64 },
    Replay { channel: Box<str> },
    Other,
}

impl Pending {
    pub(super) const fn is_of_the_app(&self) -> bool {
        !matches!(self, Self::Replay { .. })
    }
}

impl Session {
    pub(super) fn request(&mut self, now: Duration, mut request: Request) {
        let call = match &mut request.kind {
            RequestKind::Subscribe { channel, include_sender_metadata, generation } => {
                *generation = self.subscriptions.track(channel, *include_sender_metadata);
                Some((channel.clone(), *generation))
            }
            RequestKind::Unsubscribe { .. } | RequestKind::Publish | RequestKind::Send => None,
        };
        let unwanted = match &request.kind {
            RequestKind::Unsubscribe { channel } => Some(channel.clone()),
            _ => None,
        };
        let id = request.id;
        let refused = if request.text.len() > self.max_message_size {
            Some(RequestError::Build(BuildError::Oversized {
                size: request.data_size,
                frame: request.text.len(),
                cap: self.max_message_size,
            }))
        } else if self.state != State::Connected && !self.renewing {
            Some(RequestError::NotConnected { state: self.state })
        } else {
            let priority = request.priority;
            self.lanes
                .push(priority, request)
                .err()
                .map(|_| RequestError::PacingOverflow { waiting: self.lanes.len() })
        };
        // A full queue leaves the subscription as it is, here as at the server; in every other case the app's
        // wish counts from now on.
        if let Some(channel) = unwanted
            && !matches!(refused, Some(RequestError::PacingOverflow { .. }))
        {
            self.subscriptions.untrack(&channel);
        }
        match refused {
            Some(error) => {
                if let Some((channel, generation)) = call {
                    self.subscriptions.refused(&channel, generation);
                }
                self.outputs.push_back(Output::RequestDone { id, result: Err(error) });
            }
            None => self.release(now),
        }
    }

    /// Whether anything but the bucket holds waiting requests back.
    pub(super) fn may_release(&self, live: &Live) -> bool {
        !self.lanes.is_empty()
            && !live.renewal.holds_requests()
            && live.unflushed.len() < MAX_UNFLUSHED
            && self.requests.len() < MAX_UNANSWERED
    }

    /// Lets go of as many waiting requests as may leave now.
    pub(super) fn release(&mut self, now: Duration) {
        while let Link::Live(live) = &self.link
            && self.may_release(live)
            && self.bucket.take(now)
        {
            let Some(request) = self.lanes.pop() else { return };
            let pending = match request.kind {
                RequestKind::Subscribe { channel, generation, .. } => {
                    self.subscriptions.requested(&channel);
                    Pending::Subscribe { channel, generation }
                }
                _ => Pending::Other,
            };
            self.requests.insert(request.id, pending);
            self.write(now, Some(request.id), request.text);
        }
    }

    fn write(&mut self, now: Duration, id: Option<u64>, text: String) {
        let Link::Live(live) = &mut self.link else { return };
        live.handed += 1;
        live.unflushed.push_back((id, now));
        self.outputs.push_back(Output::Write { attempt: self.attempt, text });
    }

    /// A ping does not wait, but counts.
    pub(super) fn write_ping(&mut self, now: Duration) {
        self.bucket.take_anyway(now);
        self.write(now, None, r#"{"type":"ping"}"#.to_owned());
    }

    pub(super) fn flushed(&mut self, now: Duration, frames: u64) {
        let Link::Live(live) = &mut self.link else { return };
        let still = usize::try_from(live.handed.saturating_sub(frames)).unwrap_or(usize::MAX);
        while live.unflushed.len() > still {
            if let Some((Some(id), _)) = live.unflushed.pop_front() {
                self.requests.left(id, now);
            }
        }
        self.release(now);
    }

    pub(super) fn is_awaited(&self, request_id: &str) -> bool {
        request_id.parse().is_ok_and(|id| self.requests.contains(id))
    }

    pub(super) fn answer(
        &mut self,
        now: Duration,
        request_id: &str,
        result: Result<(), RequestError>,
    ) {
        let Some((id, pending)) =
            request_id.parse().ok().and_then(|id| Some((id, self.requests.answered(id)?)))
        else {
            self.counters.late_answers += 1;
            return;
        };
        self.settle(now, id, pending, result);
        self.renewal_drained(now);
        self.release(now);
    }

    fn settle(
        &mut self,
        now: Duration,
        id: u64,
        pending: Pending,
        result: Result<(), RequestError>,
    ) {
        match (pending, result) {
            (Pending::Replay { channel }, Ok(())) => {
                self.subscriptions.acknowledged(&channel, None);
            }
            (Pending::Replay { channel }, Err(error)) => self.replay_failed(now, &channel, error),
            (Pending::Subscribe { channel, generation }, result) => {
                match &result {
                    Ok(()) => self.subscriptions.acknowledged(&channel, Some(generation)),
                    Err(RequestError::AckTimeout) => {
                        self.subscriptions.unanswered(&channel, generation);
                    }
                    Err(_) => self.subscriptions.refused(&channel, generation),
                }
                self.outputs.push_back(Output::RequestDone { id, result });
            }
            (Pending::Other, result) => self.outputs.push_back(Output::RequestDone { id, result }),
        }
    }

    pub(super) fn expire_requests(&mut self, now: Duration) {
        while let Some((id, pending)) = self.requests.expired(now) {
            self.settle(now, id, pending, Err(RequestError::AckTimeout));
            self.suspect_since(now, now.saturating_sub(ACK_TIMEOUT));
            self.renewal_drained(now);
        }
    }

    pub(super) fn replay_all(&mut self, now: Duration) {
        let channels: Vec<_> = self
            .subscriptions
            .to_replay()
            .map(|s| (s.channel.clone(), s.include_sender_metadata))
            .collect();
        for (channel, include_sender_metadata) in channels {
            self.replay(now, channel, include_sender_metadata);
        }
    }

    pub(super) fn replay_due(&mut self, now: Duration) {
        while let Some((channel, include)) = self.subscriptions.retry_due(now) {
            self.replay(now, channel, include);
        }
    }

    /// Subscribes anew, ahead of everything that waits; it counts against the bucket.
    fn replay(&mut self, now: Duration, channel: Box<str>, include_sender_metadata: bool) {
        let id = REPLAY_IDS | self.next_replay;
        self.next_replay += 1;
        let frame =
            ClientFrame::Subscribe { channel: channel.clone().into(), include_sender_metadata };
        match frame.encode(Some(&id.to_string()), self.max_message_size) {
            Ok(text) => {
                self.subscriptions.requested(&channel);
                self.requests.insert(id, Pending::Replay { channel });
                self.bucket.take_anyway(now);
                self.write(now, Some(id), text);
            }
            Err(error) => self.replay_failed(now, &channel, error.into()),
        }
    }

    fn replay_failed(&mut self, now: Duration, channel: &str, error: RequestError) {
        if self.subscriptions.is_tracked(channel) && !self.subscriptions.replay_failed(channel, now)
        {
            let channel = channel.to_owned();
            self.emit(Event::ResubscribeFailed { channel, error: error.into() });
        }
    }
}
