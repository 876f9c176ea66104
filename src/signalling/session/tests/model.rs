//! Random histories against a small model of the server.
//!
//! Whatever happens: states change along the allowed ways only, each request is answered exactly once, at
//! the end the server has exactly the subscriptions that the app wants, publishes keep their order, and
//! nothing that waits grows beyond its bound.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
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

fn op() -> impl Strategy<Value = Op> {
    let code = prop_oneof![
        5 => Just(1006),
        1 => prop::sample::select(vec![1001, 1009, 4001, 4002, 4003, 4010, 4011, 4020]),
    ];
    prop_oneof![
        3 => Just(Op::Connect),
        1 => Just(Op::Close),
        6 => (1..40_u16).prop_map(Op::Publish),
        2 => Just(Op::Urgent),
        6 => (0..4_u8).prop_map(Op::Subscribe),
        4 => (0..4_u8).prop_map(Op::Unsubscribe),
        12 => Just(Op::Ack),
        2 => Just(Op::Refuse),
        1 => Just(Op::Lose),
        8 => Just(Op::Dialled),
        8 => prop::option::of(5..120_u16).prop_map(Op::Welcome),
        3 => code.prop_map(Op::SocketClosed),
        1 => prop::sample::select(vec![401_u16, 429, 503]).prop_map(Op::Http),
        6 => prop::bool::weighted(0.8).prop_map(|fresh| Op::Token { fresh }),
        1 => Just(Op::TokenFails),
        1 => Just(Op::Garbage),
        1 => (0..100_000_u32).prop_map(Op::GoingAway),
        1 => any::<bool>().prop_map(Op::Flushing),
        8 => (0..40_000_u32).prop_map(Op::Pass),
        1 => (0..900_000_u32).prop_map(Op::Freeze),
        2 => (0..4_u8).prop_map(Op::Hint),
    ]
}

/// Histories that end with a connection and subscriptions on it.
static REACHED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn random_histories_keep_every_promise_and_reach_what_they_test() {
    every_history_keeps_the_promises();
    let reached = REACHED.load(Ordering::Relaxed);
    assert!(reached > 40, "only {reached} histories ended with subscriptions");
}

/// What the server got on the present connection and has not answered, and whom it has subscribed.
#[derive(Default)]
struct Server {
    attempt: u64,
    unanswered: Vec<(u64, ClientFrame)>,
    subscribed: BTreeSet<String>,
}

struct World {
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
}

impl World {
    fn new(credential: CredentialKind) -> Self {
        let mut seed = 1_u64;
        let chance = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as f64 / f64::from(1_u32 << 31)
        };
        Self {
            session: Session::new(
                config(credential),
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
                    self.server = Server { attempt, ..Server::default() };
                }
                Output::Write { attempt, text } => {
                    assert_eq!(attempt, self.server.attempt);
                    self.handed += 1;
                    written = true;
                    self.receive(&text);
                }
                Output::RequestDone { id, .. } => {
                    *self.answers.get_mut(&id).expect("an answer to a request") += 1;
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

    fn apply(&mut self, op: &Op) {
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
                let outcome = TokenOutcome::Failed(provider_failure());
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
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    fn every_history_keeps_the_promises(
        provider in any::<bool>(),
        history in prop::collection::vec(op(), 1..160),
    ) {
        let kind = if provider { CredentialKind::Provider } else { CredentialKind::Key };
        let mut world = World::new(kind);
        // Most that can go wrong goes wrong on a connection.
        for op in [Op::Connect, Op::Token { fresh: true }, Op::Dialled, Op::Welcome(None)] {
            world.apply(&op);
        }
        for op in &history {
            world.apply(op);
        }
        world.settle();
        if world.session.state() == State::Connected {
            REACHED.fetch_add(usize::from(!world.wanted().is_empty()), Ordering::Relaxed);
            // No subscription is lost, and none comes back.
            prop_assert_eq!(world.wanted(), world.server.subscribed.clone());
        }
        world.handle(Input::Close { code: CloseCode(1000), reason: String::new() });
        world.pass(Duration::from_secs(2));
        prop_assert!(world.session.state() == State::Closed);
        prop_assert_eq!(world.session.next_deadline(), None);
        for (id, answers) in &world.answers {
            prop_assert_eq!(*answers, 1, "request {} {:?}", id, world.calls[id]);
        }
    }
}
