//! A small model of server and app around a session, for random histories: those of the property tests and
//! those of the fuzzer.
//!
//! Whatever happens: states change along the allowed ways only, each request is answered exactly once, at
//! the end the server has exactly the subscriptions that the app wants, publishes keep their order, and
//! nothing that waits grows beyond its bound.
#![allow(clippy::unwrap_used)] // a check: it fails by panicking

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::wire::{ClientFrame, Json, ServerFrame, UnixSeconds, Welcome};

/// What can happen.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Connect,
    Close,
    Publish(u16),
    Urgent,
    Subscribe(u8),
    Unsubscribe(u8),
    /// The server answers the oldest request that it has not answered.
    Ack,
    Refuse,
    /// The server does what the oldest request asks, and its ack is lost.
    Lose,
    Dialled,
    Welcome(Option<u16>),
    SocketClosed(u16),
    Http(u16),
    Token {
        fresh: bool,
    },
    TokenFails,
    Garbage,
    GoingAway(u32),
    Flushing(bool),
    Pass(u32),
    Freeze(u32),
    Hint(u8),
}

/// What the server got on the present connection and has not answered, and whom it has subscribed.
#[derive(Default)]
struct Server {
    attempt: u64,
    unanswered: Vec<(u64, ClientFrame)>,
    subscribed: BTreeSet<String>,
}

pub(super) struct World {
    session: Session,
    now: Duration,
    server: Server,
    flushing: bool,
    handed: u64,
    next_id: u64,
    answers: BTreeMap<u64, u32>,
    calls: BTreeMap<u64, ClientFrame>,
    state: State,
    last_published: u64,
    /// Channels that the app was told could not be subscribed again on this connection.
    told: BTreeSet<String>,
    /// Per channel, the app's last call and whether it was answered well; cleared when the session ends.
    intents: BTreeMap<String, (u64, bool, bool)>,
}

impl World {
    pub(super) fn new(credential: CredentialKind) -> Self {
        let mut seed = 1_u64;
        let chance = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as f64 / f64::from(1_u32 << 31)
        };
        Self {
            session: Session::new(
                SessionConfig {
                    credential,
                    reconnect: Some(ReconnectOptions::default()),
                    inactivity_timeout: Some(Duration::from_secs(60)),
                    token_timeout: Duration::from_secs(10),
                    auto_resubscribe: true,
                    pacing: Some(PacingOptions::default()),
                },
                Box::new(chance),
                State::Idle,
                Duration::ZERO,
            ),
            now: Duration::ZERO,
            server: Server::default(),
            flushing: true,
            handed: 0,
            next_id: 0,
            answers: BTreeMap::new(),
            calls: BTreeMap::new(),
            state: State::Idle,
            last_published: 0,
            told: BTreeSet::new(),
            intents: BTreeMap::new(),
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        self.drain();
    }

    fn text(&mut self, text: &str) {
        let attempt = self.session.attempt;
        self.handle(Input::Text { attempt, text });
    }

    fn request(&mut self, frame: ClientFrame, priority: SendPriority) {
        self.next_id += 1;
        let id = self.next_id;
        let text = frame.encode(Some(&id.to_string()), usize::MAX).unwrap();
        let kind = match &frame {
            ClientFrame::Subscribe { channel, include_sender_metadata } => RequestKind::Subscribe {
                channel: channel.as_str().into(),
                include_sender_metadata: *include_sender_metadata,
                generation: 0,
            },
            ClientFrame::Unsubscribe { channel } => {
                RequestKind::Unsubscribe { channel: channel.as_str().into() }
            }
            ClientFrame::Publish { .. } => RequestKind::Publish,
            _ => RequestKind::Send,
        };
        match &frame {
            ClientFrame::Subscribe { channel, .. } => {
                self.intents.insert(channel.clone(), (id, true, false));
            }
            ClientFrame::Unsubscribe { channel } => {
                self.intents.insert(channel.clone(), (id, false, false));
            }
            _ => {}
        }
        self.calls.insert(id, frame);
        self.answers.insert(id, 0);
        self.handle(Input::Request(Request { id, kind, text, data_size: 0, priority }));
    }

    fn drain(&mut self) {
        let mut written = false;
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Dial { attempt } => {
                    self.handed = 0;
                    self.told.clear();
                    self.server = Server { attempt, ..Server::default() };
                }
                Output::Write { attempt, text } => {
                    assert_eq!(attempt, self.server.attempt);
                    self.handed += 1;
                    written = true;
                    self.receive(&text);
                }
                Output::RequestDone { id, result } => {
                    *self.answers.get_mut(&id).expect("an answer to a request") += 1;
                    for intent in self.intents.values_mut().filter(|intent| intent.0 == id) {
                        intent.2 = result.is_ok();
                    }
                }
                Output::Event(Event::ResubscribeFailed { channel, .. }) => {
                    self.told.insert(channel);
                }
                Output::Event(Event::StateChange { from, to }) => {
                    assert_eq!(from, self.state);
                    let legal = match from {
                        State::Idle => to != State::Connected && to != State::Reconnecting,
                        State::Connecting => to == State::Connected || to == State::Closed,
                        State::Connected => to == State::Reconnecting || to == State::Closed,
                        State::Reconnecting => to == State::Connected || to == State::Closed,
                        State::Closed => to == State::Connecting,
                    };
                    assert!(legal, "{from} to {to}");
                    self.state = to;
                    if to == State::Closed {
                        self.intents.clear();
                    }
                }
                _ => {}
            }
        }
        assert!(self.session.lanes.len() <= crate::signalling::pacing::MAX_WAITING);
        assert!(self.session.requests.len() <= outbox::MAX_UNANSWERED + 8);
        if written && self.flushing {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let attempt = self.session.attempt;
        let frames = self.handed;
        self.handle(Input::Flushed { attempt, frames });
    }

    fn receive(&mut self, text: &str) {
        let received = ClientFrame::decode(text).unwrap();
        let Some(id) = received.request_id else {
            assert_eq!(received.frame, ClientFrame::Ping);
            return;
        };
        let id: u64 = id.parse().unwrap();
        if matches!(received.frame, ClientFrame::Publish { .. }) {
            assert!(id > self.last_published, "{id} after {}", self.last_published);
            self.last_published = id;
        }
        self.server.unanswered.push((id, received.frame));
    }

    fn serve(&mut self, how: &Op) {
        if self.server.unanswered.is_empty() || !matches!(self.session.link, Link::Live(_)) {
            return;
        }
        let (id, frame) = self.server.unanswered.remove(0);
        let obeys = match (how, &frame) {
            // A server never refuses to let go.
            (Op::Refuse, ClientFrame::Unsubscribe { .. }) => true,
            // Nor does it refuse after the ack's time-out: the app was told that the outcome is unknown.
            (Op::Refuse, _) if self.answers.get(&id).is_some_and(|answers| *answers > 0) => true,
            (Op::Refuse, _) => false,
            _ => true,
        };
        if obeys {
            match frame {
                ClientFrame::Subscribe { channel, .. } => {
                    self.server.subscribed.insert(channel);
                }
                ClientFrame::Unsubscribe { channel } => {
                    self.server.subscribed.remove(&channel);
                }
                _ => {}
            }
        }
        match how {
            Op::Lose => {}
            Op::Refuse if !obeys => self.text(&format!(
                r#"{{"type":"error","code":"channel_not_authorized","requestId":"{id}"}}"#
            )),
            _ => self.text(&format!(r#"{{"type":"ack","requestId":"{id}"}}"#)),
        }
    }

    fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        let mut steps = 0;
        while let Some(due) = self.session.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 100_000, "spins");
        }
        self.now = until;
    }

    fn welcome(&mut self, life: Option<u16>) {
        if matches!(self.session.link, Link::Opened { .. }) {
            let frame = ServerFrame::Welcome(Welcome {
                peer_id: "me".into(),
                expires_at: life.map(|life| UnixSeconds(f64::from(life))),
                server_time: Some(UnixSeconds(0.0)),
                max_message_size: 65_536,
                metadata: None,
            });
            self.text(&frame.encode());
        }
    }

    pub(super) fn apply(&mut self, op: &Op) {
        let attempt = self.session.attempt;
        let channel = |n: &u8| format!("c{n}");
        match op {
            Op::Connect => self.handle(Input::Connect),
            Op::Close => {
                self.handle(Input::Close { code: CloseCode(1000), reason: String::new() });
            }
            Op::Publish(count) => {
                for _ in 0..*count {
                    let frame = ClientFrame::Publish { channel: "c0".into(), data: Json::null() };
                    self.request(frame, SendPriority::App);
                }
            }
            Op::Urgent => {
                let frame = ClientFrame::Send { to: "p".into(), data: Json::null() };
                self.request(frame, SendPriority::Signalling);
            }
            Op::Subscribe(n) => self.request(
                ClientFrame::Subscribe { channel: channel(n), include_sender_metadata: false },
                SendPriority::App,
            ),
            Op::Unsubscribe(n) => {
                self.request(ClientFrame::Unsubscribe { channel: channel(n) }, SendPriority::App);
            }
            Op::Ack | Op::Refuse | Op::Lose => self.serve(op),
            Op::Dialled => self.handle(Input::Opened { attempt }),
            Op::Welcome(life) => self.welcome(*life),
            Op::SocketClosed(code) => self.handle(Input::SocketClosed {
                attempt,
                code: CloseCode(*code),
                reason: String::new(),
            }),
            Op::Http(status) => {
                if matches!(self.session.link, Link::Dialing { .. }) {
                    let refusal = crate::signalling::error::HttpRefusal {
                        status: *status,
                        code: None,
                        body: None,
                        retry_after: None,
                    };
                    self.handle(Input::DialFailed { attempt, error: ConnectError::Http(refusal) });
                }
            }
            Op::Token { fresh } => {
                let ticket = self.session.ticket;
                self.handle(Input::Token {
                    ticket,
                    outcome: TokenOutcome::Ready { fresh: *fresh },
                });
            }
            Op::TokenFails => {
                let ticket = self.session.ticket;
                let error = TokenProviderError::new("no network");
                let outcome = TokenOutcome::Failed(Arc::new(error));
                self.handle(Input::Token { ticket, outcome });
            }
            Op::Garbage => self.text("{\"type\":\"presence\",\"channel\":\"c0\"}"),
            Op::GoingAway(ms) => {
                self.text(&format!(r#"{{"type":"going_away","retryAfterMs":{ms}}}"#));
            }
            Op::Flushing(flushing) => {
                self.flushing = *flushing;
                if *flushing {
                    self.flush();
                }
            }
            Op::Pass(ms) => self.pass(Duration::from_millis(u64::from(*ms))),
            Op::Freeze(ms) => {
                self.now += Duration::from_millis(u64::from(*ms));
                self.session.handle_timeout(self.now);
                self.drain();
            }
            Op::Hint(0) => self.handle(Input::NetworkChanged),
            Op::Hint(1) => self.handle(Input::EnteredBackground),
            Op::Hint(2) => self.handle(Input::EnteredForeground),
            Op::Hint(_) => self.handle(Input::ReconnectNow),
        }
    }

    /// A server that does everything right, until nothing is left to do.
    fn settle(&mut self) {
        self.flushing = true;
        self.flush();
        for _ in 0..400 {
            match &self.session.link {
                Link::Down => return,
                Link::Token { .. } => self.apply(&Op::Token { fresh: true }),
                Link::Dialing { .. } => self.apply(&Op::Dialled),
                Link::Opened { .. } => self.welcome(None),
                Link::Waiting { .. } => self.pass(Duration::from_secs(400)),
                Link::Live(_) | Link::Closing { .. } => {
                    while !self.server.unanswered.is_empty()
                        && matches!(self.session.link, Link::Live(_))
                    {
                        self.serve(&Op::Ack);
                    }
                    self.text(r#"{"type":"pong"}"#);
                    self.pass(Duration::from_millis(1_000));
                }
            }
        }
    }

    fn wanted(&self) -> BTreeSet<String> {
        self.session.subscriptions.channels().map(|s| s.channel.to_string()).collect()
    }

    /// Brings everything to an end and checks what must hold then. Answers how many subscriptions stood.
    pub(super) fn finish(&mut self) -> usize {
        self.settle();
        let wanted = self.wanted();
        if self.session.state() == State::Connected {
            // No subscription is lost, and none comes back.
            let beyond_told = |all: &BTreeSet<String>| all - &self.told;
            assert_eq!(beyond_told(&wanted), beyond_told(&self.server.subscribed));
            for (channel, (_, subscribed, well)) in &self.intents {
                if *well {
                    assert_eq!(wanted.contains(channel), *subscribed, "{channel}");
                }
            }
        }
        self.handle(Input::Close { code: CloseCode(1000), reason: String::new() });
        self.pass(Duration::from_secs(2));
        assert_eq!(self.session.state(), State::Closed);
        assert_eq!(self.session.next_deadline(), None);
        for (id, answers) in &self.answers {
            assert_eq!(*answers, 1, "request {id} {:?}", self.calls[id]);
        }
        wanted.len()
    }
}

/// Runs the history that the bytes stand for, two bytes an event.
#[cfg(feature = "fuzzing")]
pub(crate) fn run(bytes: &[u8]) {
    let provider = bytes.first().is_some_and(|byte| byte & 1 == 1);
    let kind = if provider { CredentialKind::Provider } else { CredentialKind::Key };
    let mut world = World::new(kind);
    for pair in bytes.chunks_exact(2).take(400) {
        world.apply(&Op::from_bytes(pair[0], pair[1]));
    }
    world.finish();
}

#[cfg(feature = "fuzzing")]
impl Op {
    fn from_bytes(kind: u8, argument: u8) -> Self {
        const CODES: [u16; 10] = [1000, 1001, 1006, 1009, 4001, 4002, 4003, 4010, 4011, 4020];
        let wide = u32::from(argument);
        match kind % 22 {
            0 => Self::Connect,
            1 => Self::Close,
            2 => Self::Publish(u16::from(argument)),
            3 => Self::Urgent,
            4 => Self::Subscribe(argument % 4),
            5 => Self::Unsubscribe(argument % 4),
            6 | 7 => Self::Ack,
            8 => Self::Refuse,
            9 => Self::Lose,
            10 => Self::Dialled,
            11 => Self::Welcome((argument > 100).then_some(u16::from(argument))),
            12 => Self::SocketClosed(CODES[usize::from(argument) % CODES.len()]),
            13 => Self::Http([401, 429, 503][usize::from(argument) % 3]),
            14 | 15 => Self::Token { fresh: !argument.is_multiple_of(4) },
            16 => Self::TokenFails,
            17 => Self::Garbage,
            18 => Self::GoingAway(wide * 400),
            19 => Self::Flushing(!argument.is_multiple_of(4)),
            20 => match argument % 4 {
                0 => Self::Freeze(wide * 3_000),
                _ => Self::Pass(wide * 150),
            },
            _ => Self::Hint(argument % 4),
        }
    }
}
