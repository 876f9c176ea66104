//! From a connection or an attempt to what comes after it: another attempt, or the end.

use std::sync::Arc;
use std::time::Duration;

use super::renewal::Renewal;
use super::{CLOSE_TIMEOUT, CredentialKind, Link, Output, Session};
use crate::signalling::backoff::{Floor, MAX_RETRY_AFTER, OVER_LIMIT_FLOOR, RATE_LIMITED_FLOOR};
use crate::signalling::error::{ConnectError, HttpRefusal, RequestError};
use crate::signalling::event::{Disconnected, Event, State};
use crate::wire::CloseCode;

/// What follows a loss.
enum Next {
    /// Nothing mends it.
    End,
    /// After the ordinary wait, or a longer one that the server asked for.
    Wait(Option<Floor>),
    /// Now: the old path is known to be gone and nothing was refused.
    Now,
}

impl Session {
    pub(super) fn close(&mut self, now: Duration, code: CloseCode, reason: String) {
        self.cancel_fetch();
        self.renewing = false;
        self.token_in_hand = false;
        self.subscriptions.clear();
        match std::mem::replace(&mut self.link, Link::Down) {
            Link::Live(_) | Link::Opened { .. } => {
                self.outputs.push_back(Output::CloseSocket {
                    attempt: self.attempt,
                    code,
                    reason: reason.clone(),
                });
                self.link = Link::Closing { until: now + CLOSE_TIMEOUT, code, reason };
                self.reject_waiting(code);
                self.enter(State::Closed);
            }
            Link::Dialing { .. } => {
                self.link = Link::Closing { until: now, code, reason };
                self.reject_waiting(code);
                self.enter(State::Closed);
                self.closing_over(None);
            }
            Link::Token { .. } | Link::Waiting { .. } => {
                self.reject_waiting(code);
                self.enter(State::Closed);
                self.connect_failed(ConnectError::ClosedByApp { code, reason });
                self.close_done();
            }
            closing @ Link::Closing { .. } => self.link = closing,
            Link::Down => {
                self.enter(State::Closed);
                self.close_done();
            }
        }
    }

    /// The server answered the close, or time is over.
    pub(super) fn closing_over(&mut self, answered: Option<(CloseCode, String)>) {
        let Link::Closing { code, reason, .. } = std::mem::replace(&mut self.link, Link::Down)
        else {
            return;
        };
        if answered.is_none() {
            let attempt = self.attempt;
            self.outputs.push_back(Output::DropSocket {
                attempt,
                code: CloseCode::NORMAL,
                reason: "closed",
            });
        }
        let error = ConnectError::ClosedByApp { code, reason: reason.clone() };
        let (code, reason) = answered.unwrap_or((code, reason));
        self.reject_sent(code);
        self.emit(Event::Disconnected(Arc::new(Disconnected {
            code,
            reason,
            will_reconnect: false,
            error: Arc::new(error.clone()),
        })));
        self.connect_failed(error);
        self.close_done();
    }

    fn close_done(&mut self) {
        self.over = true;
        self.outputs.push_back(Output::CloseDone);
    }

    pub(super) fn socket_closed(&mut self, now: Duration, code: CloseCode, reason: String) {
        if matches!(self.link, Link::Closing { .. }) {
            self.closing_over(Some((code, reason)));
        } else {
            self.lost(now, ConnectError::Closed { code, reason });
        }
    }

    /// Leaves the socket, or the dial, for a reason of ours.
    pub(super) fn abandon(&mut self, now: Duration, error: ConnectError) {
        self.outputs.push_back(Output::DropSocket {
            attempt: self.attempt,
            code: error.close_code(),
            reason: match &error {
                ConnectError::Silent { what } => what,
                ConnectError::WelcomeTimeout { .. } => "welcome timeout",
                ConnectError::InboundTooBig => "frame exceeded client cap",
                _ => "token renewal",
            },
        });
        if matches!(self.link, Link::Closing { .. }) {
            self.closing_over(None);
        } else {
            self.lost(now, error);
        }
    }

    /// A connection or an attempt is no more; decides what comes next.
    pub(super) fn lost(&mut self, now: Duration, error: ConnectError) {
        let drained = self.token_in_hand;
        self.cancel_fetch();
        let next = match self.judge(&error) {
            Next::End => Next::End,
            _ if drained => Next::Now,
            judged => judged,
        };
        let allowed = self.ever_connected
            && self.config.reconnect.as_ref().is_some_and(|options| {
                drained || options.max_attempts.is_none_or(|most| self.attempts < most)
            });
        let next = if allowed { next } else { Next::End };
        if matches!(next, Next::End) {
            return self.end(error);
        }
        self.link = Link::Down;
        self.reject_sent(error.close_code());
        self.renewing = drained;
        if !drained {
            self.reject_waiting(error.close_code());
        }
        self.subscriptions.connection_lost();
        self.announce(error, true);
        self.enter(State::Reconnecting);
        match next {
            Next::Now if drained => self.begin_attempt(now),
            Next::Now => {
                self.attempts += 1;
                self.begin_attempt(now);
            }
            Next::Wait(floor) => {
                self.attempts += 1;
                let chance = (self.chance)();
                let floor = floor.or(self.floor.take());
                let delay =
                    self.config.reconnect.as_ref().map_or(Duration::ZERO, |options| {
                        options.delay(self.attempts, floor, chance)
                    });
                self.floor = None;
                self.link = Link::Waiting { until: now + delay, asked_by_server: floor.is_some() };
            }
            Next::End => {}
        }
    }

    /// The end, for a reason that no repetition mends or for want of further attempts.
    pub(super) fn end(&mut self, error: ConnectError) {
        self.cancel_fetch();
        self.link = Link::Down;
        self.reject_sent(error.close_code());
        self.reject_waiting(error.close_code());
        self.renewing = false;
        self.token_in_hand = false;
        self.subscriptions.clear();
        self.announce(error.clone(), false);
        self.enter(State::Closed);
        self.connect_failed(error);
        self.over = true;
    }

    /// A fetch that is under way is of no use any more.
    fn cancel_fetch(&mut self) {
        let under_way = match &self.link {
            Link::Token { .. } => true,
            Link::Live(live) => matches!(live.renewal, Renewal::Asking { .. }),
            _ => false,
        };
        if under_way {
            self.ticket += 1;
            self.outputs.push_back(Output::CancelToken);
        }
    }

    fn announce(&mut self, error: ConnectError, will_reconnect: bool) {
        // A provider that fails in between is told by its own event; a final failure ends with this one.
        if will_reconnect && matches!(error, ConnectError::TokenProvider(_)) {
            return;
        }
        self.emit(Event::Disconnected(Arc::new(Disconnected {
            code: error.close_code(),
            reason: error.close_reason().to_owned(),
            will_reconnect,
            error: Arc::new(error),
        })));
    }

    fn connect_failed(&mut self, error: ConnectError) {
        if std::mem::take(&mut self.connect_awaited) {
            self.outputs.push_back(Output::ConnectDone(Err(error)));
        }
    }

    fn judge(&mut self, error: &ConnectError) -> Next {
        let renewable = self.config.credential == CredentialKind::Provider;
        match error {
            ConnectError::Closed { code, .. } => match *code {
                CloseCode::INVALID_TOKEN
                | CloseCode::CHANNEL_NOT_AUTHORIZED
                | CloseCode::ACCOUNT_SUSPENDED
                | CloseCode::ADMIN_DISCONNECT => Next::End,
                CloseCode::TOKEN_EXPIRED if !renewable => Next::End,
                CloseCode::TOKEN_EXPIRED => {
                    self.refused_token = Some(error.clone());
                    Next::Wait(None)
                }
                CloseCode::OVER_CONCURRENT_LIMIT => {
                    Next::Wait(Some(Floor { at_least: OVER_LIMIT_FLOOR, at_most: Duration::MAX }))
                }
                _ => Next::Wait(None),
            },
            ConnectError::Http(refusal) => self.judge_http(refusal, error, renewable),
            ConnectError::Preflight(_) if renewable => {
                self.refused_token = Some(error.clone());
                Next::Wait(None)
            }
            ConnectError::Preflight(_) => Next::End,
            ConnectError::Silent { what } if *what == super::live::PROBE_FAILED => Next::Now,
            _ => Next::Wait(None),
        }
    }

    fn judge_http(&mut self, refusal: &HttpRefusal, error: &ConnectError, renewable: bool) -> Next {
        let asked = refusal.retry_after.map(|wait| wait.min(MAX_RETRY_AFTER));
        let floor = |at_least| Floor { at_least, at_most: Duration::MAX };
        match refusal.status {
            401 | 403 if !renewable => Next::End,
            401 | 403 => {
                self.refusals += 1;
                self.refused_token = Some(error.clone());
                if self.refusals >= 2 { Next::End } else { Next::Wait(None) }
            }
            429 => Next::Wait(Some(floor(asked.unwrap_or(RATE_LIMITED_FLOOR)))),
            _ => Next::Wait(asked.map(floor)),
        }
    }

    /// Answers all requests that left.
    fn reject_sent(&mut self, close_code: CloseCode) {
        for (id, pending) in self.requests.drain() {
            if pending.is_of_the_app() {
                let error = RequestError::Disconnected { sent: true, close_code };
                self.outputs.push_back(Output::RequestDone { id, result: Err(error) });
            }
        }
    }

    /// Answers all requests that wait for their turn.
    pub(super) fn reject_waiting(&mut self, close_code: CloseCode) {
        while let Some(request) = self.lanes.pop() {
            let error = RequestError::Disconnected { sent: false, close_code };
            self.outputs.push_back(Output::RequestDone { id: request.id, result: Err(error) });
        }
    }
}
