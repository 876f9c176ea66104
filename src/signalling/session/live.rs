//! A live connection: the welcome, inbound frames, pings, the watchdog and probes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::renewal::Renewal;
use super::{Link, Output, PROBE_TIMEOUT, Session, WRITE_STALL_TIMEOUT};
use crate::signalling::backoff::{Floor, MAX_GOING_AWAY};
use crate::signalling::error::{ConnectError, RequestError};
use crate::signalling::event::{Connected, Event, State};
use crate::wire::{ErrorCode, ErrorFrame, ServerFrame, Welcome, ice_servers};

pub(super) const PROBE_FAILED: &str = "no answer to a probe";
const WATCHDOG: &str = "inactivity timeout";
const WRITE_STALLED: &str = "the socket takes no more data";
/// A timer that fires so late tells that the process was frozen, not that the server is silent.
const FROZEN_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Live {
    last_inbound: Duration,
    last_ping: Duration,
    probe_until: Option<Duration>,
    /// Frames handed to the socket since it opened.
    pub(super) handed: u64,
    /// Frames that the socket has not taken yet: request id, time.
    pub(super) unflushed: VecDeque<(Option<u64>, Duration)>,
    pub(super) renewal: Renewal,
}

impl Session {
    fn ping_interval(&self) -> Option<Duration> {
        let third = self.config.inactivity_timeout? / 3;
        Some(third.max(Duration::from_secs(1)))
    }

    pub(super) fn live_deadline(&self, live: &Live) -> Option<Duration> {
        let ping = self.ping_interval().map(|every| live.last_inbound.max(live.last_ping) + every);
        let watchdog = self.config.inactivity_timeout.map(|limit| live.last_inbound + limit);
        let stall = live.unflushed.front().map(|(_, at)| *at + WRITE_STALL_TIMEOUT);
        let release = self.may_release(live).then(|| self.bucket.next_at());
        [
            ping,
            watchdog,
            stall,
            release,
            live.probe_until,
            live.renewal.deadline(),
            self.requests.next_deadline(),
            self.subscriptions.next_retry(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn live_timeout(&mut self, now: Duration) {
        self.expire_requests(now);
        self.replay_due(now);
        self.renewal_due(now);
        self.release(now);
        let Link::Live(live) = &self.link else { return };
        if live.probe_until.is_some_and(|until| now >= until) {
            return self.abandon(now, ConnectError::Silent { what: PROBE_FAILED });
        }
        if live.unflushed.front().is_some_and(|(_, at)| now >= *at + WRITE_STALL_TIMEOUT) {
            return self.abandon(now, ConnectError::Silent { what: WRITE_STALLED });
        }
        if let Some(limit) = self.config.inactivity_timeout {
            let dead_at = live.last_inbound + limit;
            let asked = live.last_ping > live.last_inbound;
            if now >= dead_at + FROZEN_AFTER && !asked {
                self.probe(now);
            } else if now >= dead_at {
                return self.abandon(now, ConnectError::Silent { what: WATCHDOG });
            }
        }
        self.ping_due(now);
    }

    fn ping_due(&mut self, now: Duration) {
        let Some(every) = self.ping_interval() else { return };
        let Link::Live(live) = &mut self.link else { return };
        if now >= live.last_inbound.max(live.last_ping) + every {
            live.last_ping = now;
            self.write_ping(now);
        }
    }

    /// Whether the connection that stands is being probed; `None` if there is none.
    pub(in crate::signalling) fn is_probed(&self) -> Option<bool> {
        let Link::Live(live) = &self.link else { return None };
        Some(live.probe_until.is_some())
    }

    /// Asks for a sign of life, to come within two seconds.
    pub(super) fn probe(&mut self, now: Duration) {
        let Link::Live(live) = &mut self.link else { return };
        if live.probe_until.is_none() {
            live.probe_until = Some(now + PROBE_TIMEOUT);
            live.last_ping = now;
            self.write_ping(now);
        }
    }

    /// A request got no answer; if nothing else came since it left, the connection is suspect.
    pub(super) fn suspect_since(&mut self, now: Duration, left_at: Duration) {
        if let Link::Live(live) = &self.link
            && live.last_inbound <= left_at
        {
            self.probe(now);
        }
    }

    pub(super) fn text(&mut self, now: Duration, text: &str) {
        if let Link::Live(live) = &mut self.link {
            live.last_inbound = now;
            live.probe_until = None;
        }
        let decoded = match ServerFrame::decode(text) {
            Ok(decoded) => decoded,
            Err(_) => {
                self.counters.malformed_frames += 1;
                return;
            }
        };
        self.counters.dropped_entries += u64::from(decoded.dropped);
        match decoded.frame {
            ServerFrame::Welcome(welcome) => self.welcome(now, welcome),
            ServerFrame::Ack { request_id } => self.answer(now, &request_id, Ok(())),
            ServerFrame::Error(error) => self.server_error(now, error),
            ServerFrame::Message(message) => self.emit(Event::Message(Arc::new(message))),
            ServerFrame::Direct(direct) => self.emit(Event::Direct(Arc::new(direct))),
            ServerFrame::Presence(presence) => {
                let snapshot = self.subscriptions.is_snapshot(&presence.channel);
                self.emit(Event::Presence { presence: Arc::new(presence), snapshot });
            }
            ServerFrame::GoingAway { retry_after_ms } => {
                let at_least = Duration::from_millis(retry_after_ms).min(MAX_GOING_AWAY);
                self.floor = Some(Floor { at_least, at_most: MAX_GOING_AWAY });
                self.emit(Event::GoingAway { retry_after_ms });
            }
            ServerFrame::Pong => {}
            ServerFrame::Unknown { .. } => self.counters.unknown_frames += 1,
        }
    }

    fn welcome(&mut self, now: Duration, welcome: Welcome) {
        if !matches!(self.link, Link::Opened { .. }) {
            // A second welcome, or one that came after close().
            self.counters.malformed_frames += 1;
            return;
        }
        self.attempts = 0;
        self.refusals = 0;
        self.floor = None;
        self.refused_token = None;
        self.renewing = false;
        self.max_message_size = welcome.max_message_size;
        let renewal = self.schedule_renewal(now, &welcome);
        self.link = Link::Live(Live {
            last_inbound: now,
            last_ping: Duration::ZERO,
            probe_until: None,
            handed: 0,
            unflushed: VecDeque::new(),
            renewal,
        });
        let is_reconnect = std::mem::replace(&mut self.ever_connected, true);
        let (servers, dropped) = ice_servers(welcome.metadata.as_ref());
        self.counters.dropped_entries += u64::from(dropped);
        self.enter(State::Connected);
        self.emit(Event::Connected(Arc::new(Connected {
            peer_id: welcome.peer_id,
            server_time: welcome.server_time,
            expires_at: welcome.expires_at,
            is_reconnect,
            max_message_size: welcome.max_message_size,
            ice_servers: servers,
        })));
        if std::mem::take(&mut self.connect_awaited) {
            self.outputs.push_back(Output::ConnectDone(Ok(())));
        }
        if is_reconnect && self.config.auto_resubscribe {
            self.replay_all(now);
        }
        self.release(now);
    }

    fn server_error(&mut self, now: Duration, error: ErrorFrame) {
        if let Some(id) = &error.request_id
            && self.is_awaited(id)
        {
            let failure =
                RequestError::Server { code: error.code.clone(), message: error.message.clone() };
            self.answer(now, id, Err(failure));
        } else if error.code == ErrorCode::UnknownType && error.request_id.is_none() {
            // An older server that does not know `ping`; that it answers is all we ask for.
        } else {
            self.emit(Event::ServerError(Arc::new(error)));
        }
    }
}
