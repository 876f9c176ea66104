//! The task of one connection: owns its socket, its clocks and its bucket.
//!
//! Ends when the socket does, when it is told to, or when the server stops; whatever was its in the hub is
//! gone then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use metered_realtime::wire::{
    ClientFrame, CloseCode, ErrorFrame, Json, ServerFrame, UnixSeconds, Welcome,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, error::CapacityError};

use crate::auth::Identity;
use crate::faults::WelcomeFault;
use crate::hub::{ConnectionId, Member};
use crate::state::{Asker, Link, Order, State};
use crate::turn;

/// The service ends a token's connection so much ahead.
const EXPIRY_AHEAD: f64 = 0.25;
/// How long a close frame may take to be answered.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// Frames that are taken from the queue at once.
const TAKEN_AT_ONCE: usize = 64;
/// Longest timer.
const FAR: Duration = Duration::from_secs(86_400 * 30);

/// The socket and what waits for it.
struct Wire {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    waiting: VecDeque<Message>,
    reads: bool,
    writes: bool,
}

/// What a socket has for its connection.
enum Came {
    Message(Option<Result<Message, Error>>),
    /// Orders can be taken again.
    Room,
}

impl Wire {
    /// What comes next; writes meanwhile. Cancel-safe.
    async fn next(&mut self) -> Came {
        std::future::poll_fn(|cx| {
            let full = self.is_full();
            if self.writes
                && let Poll::Ready(Err(error)) = self.poll_write(cx)
            {
                return Poll::Ready(Came::Message(Some(Err(error))));
            }
            if full && !self.is_full() {
                return Poll::Ready(Came::Room);
            }
            match self.reads {
                true => Pin::new(&mut self.socket).poll_next(cx).map(Came::Message),
                false => Poll::Pending,
            }
        })
        .await
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= TAKEN_AT_ONCE
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.waiting.is_empty() {
            std::task::ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(message) = self.waiting.pop_front() {
                Pin::new(&mut self.socket).start_send(message)?;
            }
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }
}

struct Connection {
    state: Arc<State>,
    id: ConnectionId,
    identity: Identity,
    peer_metadata: Option<Json>,
    wire: Wire,
    orders: mpsc::Receiver<Order>,
    link: Link,
    /// Orders that wait for their moment.
    scheduled: BTreeMap<(Instant, u64), Order>,
    scheduled_count: u64,
    expires: Option<Instant>,
    next_ping: Option<Instant>,
    pong_due: Option<Instant>,
    muted: bool,
    pings_while_muted: bool,
    tokens: f64,
    tokens_at: Instant,
}

/// Why a connection ends.
enum End {
    /// Close with this.
    Close(u16, &'static str),
    /// Close with what the order says.
    Ordered(u16, String),
    /// The client closed, or is gone.
    Gone(String),
    /// Without a close frame.
    Cut,
}

/// Serves a connection to its end.
pub(crate) async fn serve(state: Arc<State>, upgraded: Upgraded, identity: Identity) {
    let limits = &state.config.limits;
    let cap = (limits.max_message_size > 0).then_some(limits.max_message_size);
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(16 * 1024)
        .max_message_size(cap)
        .max_frame_size(cap);
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let wire = Wire { socket, waiting: VecDeque::new(), reads: true, writes: true };
    let (sender, orders) = mpsc::channel(limits.send_queue.max(1));
    let link = Link { orders: sender, overrun: Arc::default() };
    let id = state.next_connection();
    let now = Instant::now();
    let expires = identity.expires_at.map(|end| {
        let left = (end - state.unix_now() - EXPIRY_AHEAD).clamp(0.0, FAR.as_secs_f64());
        now + Duration::from_secs_f64(left)
    });
    let ping_every = limits.ping_interval_seconds;
    let peer_metadata =
        identity.peer_metadata.as_ref().and_then(|object| Json::from_serialize(object).ok());
    let mut connection = Connection {
        id,
        peer_metadata,
        wire,
        orders,
        link,
        scheduled: BTreeMap::new(),
        scheduled_count: 0,
        expires,
        next_ping: (ping_every > 0.0).then(|| now + Duration::from_secs_f64(ping_every)),
        pong_due: None,
        muted: false,
        pings_while_muted: false,
        tokens: limits.message_burst,
        tokens_at: now,
        identity,
        state,
    };
    connection.run().await;
}

/// Closes a connection that must not be, right after it was accepted.
pub(crate) async fn reject(
    state: &State,
    upgraded: Upgraded,
    code: CloseCode,
    reason: &'static str,
) {
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    let mut wire = Wire { socket, waiting: VecDeque::new(), reads: true, writes: true };
    close(state, &mut wire, code.get(), reason.to_owned()).await;
}

/// Sends a close frame and waits for the answer, for a while.
async fn close(state: &State, wire: &mut Wire, code: u16, reason: String) {
    (wire.reads, wire.writes) = (true, true);
    let frame = CloseFrame { code: code.into(), reason: reason.into() };
    wire.waiting.push_back(Message::Close(Some(frame)));
    let answered = async {
        loop {
            match wire.next().await {
                Came::Room => {}
                Came::Message(Some(Ok(message))) if !message.is_close() => {}
                Came::Message(_) => break,
            }
        }
    };
    tokio::select! {
        () = answered => {}
        () = tokio::time::sleep(CLOSE_GRACE) => {}
        () = state.kill.cancelled() => {}
    }
}

impl Connection {
    async fn run(&mut self) {
        let state = Arc::clone(&self.state);
        state.log.add("open", Some(self.id), Some(&self.identity.peer_id), "");
        let end = match self.admit() {
            Some(end) => end,
            None => {
                let end = self.live().await;
                let changes = {
                    let mut hub = state.hub();
                    let changes = hub.leave(self.id);
                    for change in &changes {
                        state.tell(&hub, change);
                    }
                    changes.len()
                };
                tracing::debug!(connection = self.id, channels = changes, "left");
                end
            }
        };
        self.finish(end).await;
    }

    /// Enters the hub and queues the welcome; or tells why not.
    fn admit(&mut self) -> Option<End> {
        let (fault, delay, suspended) = {
            let mut lasting = self.state.lasting();
            (lasting.welcome(), lasting.welcome_delay, lasting.suspended)
        };
        if suspended {
            return Some(End::Close(CloseCode::ACCOUNT_SUSPENDED.get(), "account suspended"));
        }
        let limit = self.state.concurrent_limit();
        let mut hub = self.state.hub();
        if limit > 0 && hub.len() >= limit {
            let code = CloseCode::OVER_CONCURRENT_LIMIT.get();
            return Some(End::Close(code, "over concurrent limit"));
        }
        let text = match fault {
            WelcomeFault::None => Some(self.welcome()),
            WelcomeFault::Replace(text) => Some(text),
            WelcomeFault::Withhold => None,
        };
        if let Some(text) = text {
            // Before the hub knows us, so that nothing precedes it.
            self.state.send(&self.link, vec![text.into()], delay);
        }
        let member = Member {
            peer_id: self.identity.peer_id.clone(),
            peer_metadata: self.peer_metadata.clone(),
            sees_presence: self.identity.rights.may(crate::config::Action::Presence),
            channels: BTreeSet::new(),
            link: self.link.clone(),
        };
        hub.enter(self.id, member);
        let now = hub.len() as u64;
        drop(hub);
        self.state.usage.connects.fetch_add(1, Ordering::Relaxed);
        self.state.usage.peak.fetch_max(now, Ordering::Relaxed);
        None
    }

    fn welcome(&self) -> String {
        let mut metadata = self.identity.metadata.clone();
        // A token that says anything of ICE servers, even nothing, is not added to.
        let says = metadata.as_ref().is_some_and(|object| object.contains_key("iceServers"));
        if self.identity.inject_turn
            && !says
            && let Some(turn) = &self.state.config.turn
        {
            let servers =
                turn::ice_servers(turn, &self.identity.peer_id, crate::token::unix_seconds());
            metadata.get_or_insert_default().insert("iceServers".to_owned(), servers);
        }
        let cap = self.state.config.limits.max_message_size;
        ServerFrame::Welcome(Welcome {
            peer_id: self.identity.peer_id.clone(),
            expires_at: self.identity.expires_at.map(UnixSeconds),
            server_time: Some(UnixSeconds(self.state.unix_now().floor())),
            max_message_size: if cap == 0 { 1 << 30 } else { cap },
            metadata: metadata.and_then(|object| Json::from_serialize(&object).ok()),
        })
        .encode()
    }

    async fn live(&mut self) -> End {
        let state = Arc::clone(&self.state);
        loop {
            let timer = self.next_timer();
            tokio::select! {
                biased;
                () = state.stop.cancelled() => return self.going_away(),
                came = self.wire.next() => if let Came::Message(message) = came
                    && let Some(end) = self.message(message)
                {
                    return end;
                },
                // Not more than a socket takes: the queue's bound tells a slow reader.
                order = self.orders.recv(), if !self.wire.is_full() => {
                    match order {
                        Some(order) => if let Some(end) = self.order(order) {
                            return end;
                        },
                        // Cannot happen: we hold a sender ourselves.
                        None => return End::Cut,
                    }
                }
                () = self.link.overrun.notified() => {
                    return End::Close(CloseCode::POLICY_VIOLATION.get(), "reads too slowly");
                }
                () = sleep_until(timer) => if let Some(end) = self.timers() {
                    return end;
                },
            }
        }
    }

    fn going_away(&mut self) -> End {
        self.push(ServerFrame::GoingAway { retry_after_ms: 1_000 }.encode().into());
        End::Close(CloseCode::GOING_AWAY.get(), "going away")
    }

    fn next_timer(&self) -> Option<Instant> {
        let scheduled = self.scheduled.keys().next().map(|(at, _)| *at);
        [scheduled, self.expires, self.next_ping, self.pong_due].into_iter().flatten().min()
    }

    fn timers(&mut self) -> Option<End> {
        let now = Instant::now();
        while let Some(entry) = self.scheduled.first_entry().filter(|entry| entry.key().0 <= now) {
            let order = entry.remove();
            if let Some(end) = self.perform(order) {
                return Some(end);
            }
        }
        if self.expires.is_some_and(|at| at <= now) {
            return Some(End::Close(CloseCode::TOKEN_EXPIRED.get(), "token expired"));
        }
        if self.pong_due.is_some_and(|at| at <= now) {
            return Some(End::Cut);
        }
        if self.next_ping.is_some_and(|at| at <= now) {
            let limits = &self.state.config.limits;
            self.next_ping = Some(now + Duration::from_secs_f64(limits.ping_interval_seconds));
            if !self.muted || self.pings_while_muted {
                self.wire.waiting.push_back(Message::Ping(bytes::Bytes::new()));
                if limits.ping_grace_seconds > 0.0 && self.wire.reads {
                    let grace = Duration::from_secs_f64(limits.ping_grace_seconds);
                    self.pong_due.get_or_insert(now + grace);
                }
            }
        }
        None
    }

    /// Takes an order, or lets it wait for its moment.
    fn order(&mut self, order: Order) -> Option<End> {
        let after = match &order {
            Order::Send { after, .. } => {
                let delay = self.state.lasting().frame_delay;
                *after + delay
            }
            Order::Close { after, .. } => *after,
            _ => Duration::ZERO,
        };
        if after.is_zero() {
            return self.perform(order);
        }
        self.scheduled_count += 1;
        self.scheduled.insert((Instant::now() + after, self.scheduled_count), order);
        None
    }

    fn perform(&mut self, order: Order) -> Option<End> {
        match order {
            Order::Send { frames, .. } => {
                for frame in frames {
                    self.push(frame);
                }
                None
            }
            Order::Binary(size) => {
                self.wire.waiting.push_back(Message::Binary(vec![0; size].into()));
                None
            }
            Order::Close { code, reason, .. } => Some(End::Ordered(code, reason)),
            Order::Cut => Some(End::Cut),
            Order::Mute { pings } => {
                (self.muted, self.pings_while_muted) = (true, pings);
                self.wire.writes = pings;
                None
            }
            Order::StopReading => {
                self.wire.reads = false;
                self.pong_due = None;
                None
            }
            Order::ExpireToken => Some(End::Close(CloseCode::TOKEN_EXPIRED.get(), "token expired")),
        }
    }

    fn push(&mut self, frame: Utf8Bytes) {
        if self.muted {
            return;
        }
        self.state.log.add("out", Some(self.id), Some(&self.identity.peer_id), frame.as_str());
        self.wire.waiting.push_back(Message::Text(frame));
    }

    fn message(&mut self, message: Option<Result<Message, Error>>) -> Option<End> {
        match message {
            Some(Ok(Message::Text(text))) => self.text(text.as_str()),
            Some(Ok(Message::Pong(_))) => {
                self.pong_due = None;
                None
            }
            Some(Ok(Message::Close(frame))) => {
                Some(End::Gone(frame.map(|f| u16::from(f.code).to_string()).unwrap_or_default()))
            }
            Some(Ok(_)) => None,
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                Some(End::Close(CloseCode::MESSAGE_TOO_BIG.get(), "message too big"))
            }
            Some(Err(error)) => Some(End::Gone(error.to_string())),
            None => Some(End::Gone(String::new())),
        }
    }

    fn text(&mut self, text: &str) -> Option<End> {
        self.state.log.add("in", Some(self.id), Some(&self.identity.peer_id), text);
        if self.muted {
            return None;
        }
        let received = ClientFrame::decode(text);
        let is_ping = received.as_ref().is_ok_and(|r| r.frame == ClientFrame::Ping);
        if !is_ping && !self.spend() {
            return Some(End::Close(CloseCode::OVER_MESSAGE_RATE.get(), "over message rate"));
        }
        match received {
            Ok(received) => {
                let asker = Asker {
                    id: self.id,
                    peer_id: &self.identity.peer_id,
                    rights: &self.identity.rights,
                    peer_metadata: self.peer_metadata.as_ref(),
                };
                self.state.request(&asker, received, &self.link);
            }
            Err(error) => {
                let frame = ServerFrame::Error(ErrorFrame {
                    request_id: error.request_id,
                    code: error.code,
                    message: Some(error.reason),
                });
                self.state.send(&self.link, vec![frame.encode().into()], Duration::ZERO);
            }
        }
        None
    }

    /// Takes a token from the bucket.
    fn spend(&mut self) -> bool {
        let limits = &self.state.config.limits;
        if limits.messages_per_second <= 0.0 {
            return true;
        }
        let now = Instant::now();
        let passed = now.duration_since(self.tokens_at).as_secs_f64();
        self.tokens_at = now;
        self.tokens = (self.tokens + passed * limits.messages_per_second).min(limits.message_burst);
        self.tokens -= 1.0;
        self.tokens >= 0.0
    }

    async fn finish(&mut self, end: End) {
        let (code, reason) = match end {
            End::Close(code, reason) => (code, reason.to_owned()),
            End::Ordered(code, reason) => (code, reason),
            End::Cut => {
                self.log_end("cut", "");
                return;
            }
            End::Gone(how) => {
                self.log_end("close", &how);
                self.flush_briefly().await;
                return;
            }
        };
        self.log_end("close", &code.to_string());
        close(&self.state, &mut self.wire, code, reason).await;
    }

    /// Lets the answer to a close frame leave.
    async fn flush_briefly(&mut self) {
        let flush = std::future::poll_fn(|cx| Pin::new(&mut self.wire.socket).poll_flush(cx));
        tokio::select! {
            _ = flush => {}
            () = tokio::time::sleep(CLOSE_GRACE) => {}
            () = self.state.kill.cancelled() => {}
        }
    }

    fn log_end(&self, event: &'static str, text: &str) {
        self.state.log.add(event, Some(self.id), Some(&self.identity.peer_id), text);
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
