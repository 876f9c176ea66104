//! The session in virtual time: exact moments, no socket, no clock.

mod connects;
mod keeps_alive;
mod model;
mod reconnects;
mod renews;
mod sends;

use std::time::Duration;

use super::*;
use crate::wire::{ClientFrame, Json, Presence, PresencePeer, ServerFrame, UnixSeconds, Welcome};

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A session, its clock, and what it wanted, one line each.
pub(super) struct Sim {
    pub(super) session: Session,
    pub(super) now: Duration,
    pub(super) log: Vec<(u64, String)>,
    /// Whether the socket takes what is written.
    pub(super) flushing: bool,
    pub(super) handed: u64,
    next_id: u64,
}

pub(super) fn config(credential: CredentialKind) -> SessionConfig {
    SessionConfig {
        credential,
        reconnect: Some(ReconnectOptions::default()),
        inactivity_timeout: Some(Duration::from_secs(60)),
        token_timeout: Duration::from_secs(10),
        auto_resubscribe: true,
        pacing: Some(PacingOptions::default()),
    }
}

impl Sim {
    /// With chance in the middle: waits are exactly their base.
    pub(super) fn new(config: SessionConfig) -> Self {
        Self::with_chance(config, 0.5)
    }

    pub(super) fn with_chance(config: SessionConfig, chance: f64) -> Self {
        let session = Session::new(config, Box::new(move || chance), State::Idle, Duration::ZERO);
        let now = Duration::ZERO;
        Self { session, now, log: Vec::new(), flushing: true, handed: 0, next_id: 0 }
    }

    /// A session with a key that is connected at time 0, its log empty.
    pub(super) fn connected() -> Self {
        Self::connected_with(config(CredentialKind::Key))
    }

    pub(super) fn connected_with(config: SessionConfig) -> Self {
        let mut sim = Self::new(config);
        sim.handle(Input::Connect);
        sim.dialled();
        sim.welcome();
        sim.log.clear();
        sim
    }

    pub(super) fn handle(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        self.drain();
    }

    /// The dial under way succeeds; a fetch before it too.
    pub(super) fn dialled(&mut self) {
        if let Link::Token { ticket, .. } = self.session.link {
            self.token(ticket, TokenOutcome::Ready { fresh: true });
        }
        self.handed = 0;
        self.handle(Input::Opened { attempt: self.session.attempt });
    }

    pub(super) fn token(&mut self, ticket: u64, outcome: TokenOutcome) {
        self.handle(Input::Token { ticket, outcome });
    }

    pub(super) fn ticket(&self) -> u64 {
        self.session.ticket
    }

    pub(super) fn welcome(&mut self) {
        self.welcome_for(None);
    }

    pub(super) fn welcome_for(&mut self, life_seconds: Option<f64>) {
        self.server(&ServerFrame::Welcome(Welcome {
            peer_id: "me".into(),
            expires_at: life_seconds.map(|life| UnixSeconds(1_000_000.0 + life)),
            server_time: Some(UnixSeconds(1_000_000.0)),
            max_message_size: 65_536,
            metadata: None,
        }));
    }

    pub(super) fn server(&mut self, frame: &ServerFrame) {
        self.text(&frame.encode());
    }

    pub(super) fn text(&mut self, text: &str) {
        let attempt = self.session.attempt;
        self.handle(Input::Text { attempt, text });
    }

    pub(super) fn ack(&mut self, id: u64) {
        self.server(&ServerFrame::Ack { request_id: id.to_string() });
    }

    pub(super) fn presence(&mut self, channel: &str, joined: &[&str]) {
        let joined = joined.iter().map(|id| PresencePeer { peer_id: (*id).into(), metadata: None });
        self.server(&ServerFrame::Presence(Presence {
            channel: channel.into(),
            joined: joined.collect(),
            left: vec![],
        }));
    }

    pub(super) fn socket_closed(&mut self, code: u16) {
        self.handle(Input::SocketClosed {
            attempt: self.session.attempt,
            code: CloseCode(code),
            reason: String::new(),
        });
    }

    pub(super) fn http(&mut self, status: u16, retry_after: Option<Duration>) {
        let refusal =
            crate::signalling::error::HttpRefusal { status, code: None, body: None, retry_after };
        self.handle(Input::DialFailed {
            attempt: self.session.attempt,
            error: ConnectError::Http(refusal),
        });
    }

    pub(super) fn request(&mut self, frame: &ClientFrame, priority: SendPriority) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let (kind, data_size) = match frame {
            ClientFrame::Subscribe { channel, include_sender_metadata } => (
                RequestKind::Subscribe {
                    channel: channel.as_str().into(),
                    include_sender_metadata: *include_sender_metadata,
                    generation: 0,
                },
                0,
            ),
            ClientFrame::Unsubscribe { channel } => {
                (RequestKind::Unsubscribe { channel: channel.as_str().into() }, 0)
            }
            ClientFrame::Publish { data, .. } => (RequestKind::Publish, data.as_str().len()),
            ClientFrame::Send { data, .. } => (RequestKind::Send, data.as_str().len()),
            ClientFrame::Ping => panic!("pings are the session's own"),
        };
        let text = frame.encode(Some(&id.to_string()), usize::MAX).unwrap();
        self.handle(Input::Request(Request { id, kind, text, data_size, priority }));
        id
    }

    pub(super) fn subscribe(&mut self, channel: &str) -> u64 {
        let frame =
            ClientFrame::Subscribe { channel: channel.into(), include_sender_metadata: false };
        self.request(&frame, SendPriority::App)
    }

    pub(super) fn unsubscribe(&mut self, channel: &str) -> u64 {
        self.request(&ClientFrame::Unsubscribe { channel: channel.into() }, SendPriority::App)
    }

    pub(super) fn publish(&mut self) -> u64 {
        let frame = ClientFrame::Publish { channel: "c".into(), data: Json::null() };
        self.request(&frame, SendPriority::App)
    }

    /// Lets time pass, doing what is due at the exact moment.
    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        let mut steps = 0;
        while let Some(due) = self.session.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 200_000, "the session spins at {:?}: {:?}", self.now, self.log.last());
        }
        self.now = until;
    }

    /// Lets time pass to the next moment at which something is due.
    pub(super) fn advance_to_next(&mut self) {
        let due = self.session.next_deadline().expect("something is due");
        self.advance(due - self.now);
    }

    /// The process was frozen: only then the timers fire.
    pub(super) fn freeze(&mut self, for_: Duration) {
        self.now += for_;
        self.session.handle_timeout(self.now);
        self.drain();
    }

    pub(super) fn flush(&mut self) {
        let attempt = self.session.attempt;
        let frames = self.handed;
        self.handle(Input::Flushed { attempt, frames });
    }

    fn drain(&mut self) {
        let mut written = false;
        while let Some(output) = self.session.poll_output() {
            let at = u64::try_from(self.now.as_millis()).unwrap();
            if matches!(output, Output::Write { .. }) {
                self.handed += 1;
                written = true;
            }
            self.log.push((at, describe(&output)));
        }
        if written && self.flushing {
            self.flush();
        }
    }

    /// Takes the log, without pings.
    pub(super) fn take(&mut self) -> Vec<(u64, String)> {
        let mut log = std::mem::take(&mut self.log);
        log.retain(|(_, line)| line != "write ping");
        log
    }

    /// Takes the lines of the log that begin with `start`, without it.
    pub(super) fn only(&mut self, start: &str) -> Vec<(u64, String)> {
        std::mem::take(&mut self.log)
            .into_iter()
            .filter_map(|(at, line)| Some((at, line.strip_prefix(start)?.trim().to_owned())))
            .collect()
    }
}

pub(super) fn lines(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
    lines.iter().map(|(at, line)| (*at, (*line).to_owned())).collect()
}

fn describe(output: &Output) -> String {
    match output {
        Output::FetchToken { .. } => "fetch".into(),
        Output::CancelToken => "cancel fetch".into(),
        Output::Dial { .. } => "dial".into(),
        Output::Write { text, .. } => {
            let read = ClientFrame::decode(text).unwrap();
            let id = read.request_id.map(|id| format!(" {id}")).unwrap_or_default();
            match read.frame {
                ClientFrame::Subscribe { channel, .. } => format!("write subscribe {channel}"),
                ClientFrame::Unsubscribe { channel } => format!("write unsubscribe {channel}"),
                frame => format!("write {}{id}", frame.kind()),
            }
        }
        Output::CloseSocket { code, .. } => format!("close {}", code.get()),
        Output::DropSocket { code, reason, .. } => format!("drop {} {reason}", code.get()),
        Output::ConnectDone(Ok(())) => "connect ok".into(),
        Output::ConnectDone(Err(error)) => format!("connect {}", error.code()),
        Output::RequestDone { id, result: Ok(()) } => format!("done {id} ok"),
        Output::RequestDone { id, result: Err(error) } => format!("done {id} {}", error.code()),
        Output::CloseDone => "closed".into(),
        Output::Event(event) => match event {
            Event::StateChange { to, .. } => format!("state {to}"),
            Event::Disconnected(lost) => {
                format!(
                    "lost {} {}",
                    lost.code.get(),
                    if lost.will_reconnect { "again" } else { "final" }
                )
            }
            Event::Presence { presence, snapshot } => format!(
                "presence {}{}",
                presence.joined.len(),
                if *snapshot { " snapshot" } else { "" }
            ),
            Event::Connected(c) if c.is_reconnect => "connected again".into(),
            Event::ResubscribeFailed { channel, error } => {
                format!("resubscribe failed {channel} {}", error.code())
            }
            Event::TokenProviderError { consecutive_failures, .. } => {
                format!("token error {consecutive_failures}")
            }
            other => other.name().to_owned(),
        },
    }
}

/// Refusals and their like, for tests that need one.
pub(super) fn unfit() -> std::sync::Arc<crate::credential::PreflightError> {
    let error = crate::credential::preflight::check("no token", 0.0).unwrap_err();
    std::sync::Arc::new(error)
}

pub(super) fn provider_failure() -> std::sync::Arc<TokenProviderError> {
    std::sync::Arc::new(TokenProviderError::new("no network"))
}
