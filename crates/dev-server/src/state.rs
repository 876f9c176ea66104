//! What all connections share, and what a request does.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metered_realtime::wire::{
    ClientFrame, Direct, ErrorCode, ErrorFrame, Json, Message, Presence, PresencePeer,
    ReceivedClientFrame, ServerFrame,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Rights;
use crate::config::{Action, Config};
use crate::faults::{Fault, Lasting, SnapshotMode, Target};
use crate::hub::{Change, ConnectionId, Hub};
use crate::log::WireLog;

/// What a connection's task is told.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Frames, written together, after a wait.
    Send {
        frames: Vec<Utf8Bytes>,
        after: Duration,
    },
    Binary(usize),
    Close {
        code: u16,
        reason: String,
        after: Duration,
    },
    Cut,
    Mute {
        pings: bool,
    },
    StopReading,
    ExpireToken,
}

/// The way to a connection's task.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) orders: mpsc::Sender<Order>,
    /// Rung when its queue is full.
    pub(crate) overrun: Arc<Notify>,
}

/// Figures for `/v1/usage` and `/_dev/state`.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) messages: AtomicU64,
    pub(crate) peak: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) slow_readers: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    hub: Mutex<Hub<Link>>,
    lasting: Mutex<Lasting>,
    connects: Mutex<HashMap<IpAddr, VecDeque<Instant>>>,
    /// Sockets that were accepted and are never answered.
    pub(crate) ignored: Mutex<Vec<tokio::net::TcpStream>>,
    pub(crate) log: WireLog,
    pub(crate) usage: Usage,
    pub(crate) tasks: TaskTracker,
    /// Where tasks run that somebody outside the server's runtime may ask for.
    runtime: Handle,
    /// Stops accepting.
    pub(crate) stop: CancellationToken,
    /// Ends whatever still runs.
    pub(crate) kill: CancellationToken,
    next_connection: AtomicU64,
    pub(crate) started: f64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection that asks.
pub(crate) struct Asker<'a> {
    pub(crate) id: ConnectionId,
    pub(crate) peer_id: &'a str,
    pub(crate) rights: &'a Rights,
    pub(crate) peer_metadata: Option<&'a Json>,
}

impl State {
    /// Must be called in a tokio runtime.
    pub(crate) fn new(config: Config, log: WireLog) -> Self {
        Self {
            config,
            hub: Mutex::default(),
            lasting: Mutex::default(),
            connects: Mutex::default(),
            ignored: Mutex::default(),
            log,
            usage: Usage::default(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            next_connection: AtomicU64::new(1),
            started: crate::token::unix_now(),
        }
    }

    pub(crate) fn hub(&self) -> MutexGuard<'_, Hub<Link>> {
        lock(&self.hub)
    }

    /// Seconds since 1970 by this server's clock.
    pub(crate) fn unix_now(&self) -> f64 {
        crate::token::unix_now() + self.lasting().clock_ahead
    }

    pub(crate) fn lasting(&self) -> MutexGuard<'_, Lasting> {
        lock(&self.lasting)
    }

    pub(crate) fn next_connection(&self) -> ConnectionId {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether an address connects too often; if not, this connect is counted.
    pub(crate) fn connects_too_often(&self, address: IpAddr) -> Option<Duration> {
        let limits = &self.config.limits;
        if limits.connects_per_window == 0 {
            return None;
        }
        let window = Duration::from_secs(limits.connect_window_seconds);
        let now = Instant::now();
        let mut connects = lock(&self.connects);
        connects.retain(|_, times| {
            times.retain(|at| now.duration_since(*at) < window);
            !times.is_empty()
        });
        let times = connects.entry(address).or_default();
        if times.len() >= limits.connects_per_window {
            return times.front().map(|first| window.saturating_sub(now.duration_since(*first)));
        }
        times.push_back(now);
        None
    }

    pub(crate) fn concurrent_limit(&self) -> usize {
        self.lasting().concurrent_limit.unwrap_or(self.config.limits.concurrent_connections)
    }

    /// Hands a frame to a connection; one that reads too slowly is cut off by its own task.
    pub(crate) fn send(&self, link: &Link, frames: Vec<Utf8Bytes>, after: Duration) {
        let sent = link.orders.try_send(Order::Send { frames, after });
        if let Err(mpsc::error::TrySendError::Full(_)) = sent {
            self.usage.slow_readers.fetch_add(1, Ordering::Relaxed);
            link.overrun.notify_one();
        }
    }

    /// Tells everybody who sees it.
    pub(crate) fn tell(&self, hub: &Hub<Link>, change: &Change) {
        let text = Utf8Bytes::from(ServerFrame::Presence(change.presence.clone()).encode());
        for member in change.to.iter().filter_map(|id| hub.member(*id)) {
            self.send(&member.link, vec![text.clone()], Duration::ZERO);
        }
    }

    /// Does what a frame asks and answers.
    pub(crate) fn request(&self, asker: &Asker<'_>, received: ReceivedClientFrame, link: &Link) {
        let ReceivedClientFrame { frame, request_id } = received;
        let kind = frame.kind();
        if frame == ClientFrame::Ping {
            let pong = Utf8Bytes::from_static(r#"{"type":"pong"}"#);
            return self.send(link, vec![pong], Duration::ZERO);
        }
        let forced = self.lasting().failure(kind);
        let done = match forced {
            Some(code) => Err(ErrorCode::from(code.as_str())),
            None => self.perform(asker, frame),
        };
        let mut frames = Vec::new();
        let snapshot = match done {
            Ok(snapshot) => {
                if let Some(request_id) = request_id
                    && !self.lasting().loses_ack(kind)
                {
                    frames.push(ServerFrame::Ack { request_id }.encode().into());
                }
                snapshot
            }
            Err(code) => {
                let message = Some(format!("{kind} refused"));
                let error = ErrorFrame { request_id, code, message };
                frames.push(ServerFrame::Error(error).encode().into());
                None
            }
        };
        self.answer(link, frames, snapshot);
    }

    /// Sends an answer and a snapshot, in the way that the faults ask for.
    fn answer(&self, link: &Link, mut frames: Vec<Utf8Bytes>, snapshot: Option<Presence>) {
        let (mode, ack_delay, snapshot_delay) = {
            let lasting = self.lasting();
            (lasting.snapshot, lasting.ack_delay, lasting.snapshot_delay)
        };
        let snapshot = snapshot
            .filter(|_| mode != SnapshotMode::Omit)
            .map(|presence| Utf8Bytes::from(ServerFrame::Presence(presence).encode()));
        match (mode, snapshot) {
            (SnapshotMode::Merged, Some(snapshot)) => {
                frames.push(snapshot);
                self.send(link, frames, ack_delay);
            }
            (SnapshotMode::BeforeAck, Some(snapshot)) => {
                self.send(link, vec![snapshot], snapshot_delay);
                self.send(link, frames, ack_delay);
            }
            (_, snapshot) => {
                if !frames.is_empty() {
                    self.send(link, frames, ack_delay);
                }
                if let Some(snapshot) = snapshot {
                    self.send(link, vec![snapshot], snapshot_delay.max(ack_delay));
                }
            }
        }
    }

    fn perform(
        &self,
        asker: &Asker<'_>,
        frame: ClientFrame,
    ) -> Result<Option<Presence>, ErrorCode> {
        match frame {
            ClientFrame::Subscribe { channel, include_sender_metadata } => {
                self.allow(asker, Action::Subscribe, Some(&channel))?;
                self.subscribe(asker, channel, include_sender_metadata)
            }
            ClientFrame::Unsubscribe { channel } => {
                let mut hub = self.hub();
                if let Some(change) = hub.unsubscribe(asker.id, &channel) {
                    self.tell(&hub, &change);
                }
                Ok(None)
            }
            ClientFrame::Publish { channel, data } => {
                self.allow(asker, Action::Publish, Some(&channel))?;
                self.spend_message()?;
                self.publish(&channel, asker.peer_id, &data, asker.peer_metadata);
                Ok(None)
            }
            ClientFrame::Send { to, data } => {
                self.allow(asker, Action::Send, None)?;
                self.spend_message()?;
                self.direct(asker, &to, data)?;
                Ok(None)
            }
            ClientFrame::Ping => Ok(None),
        }
    }

    fn allow(
        &self,
        asker: &Asker<'_>,
        action: Action,
        channel: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if !asker.rights.may(action) {
            return Err(ErrorCode::ActionNotPermitted);
        }
        match channel {
            Some(channel) if !asker.rights.covers(channel) => Err(ErrorCode::ChannelNotAuthorized),
            _ => Ok(()),
        }
    }

    fn subscribe(
        &self,
        asker: &Asker<'_>,
        channel: String,
        include_sender_metadata: bool,
    ) -> Result<Option<Presence>, ErrorCode> {
        let limit = self.config.limits.subscriptions;
        let mut hub = self.hub();
        let member = hub.member(asker.id).ok_or(ErrorCode::InternalError)?;
        let full = limit > 0 && member.channels.len() >= limit;
        if full && !member.channels.contains(&channel) {
            return Err(ErrorCode::ChannelLimitExceeded);
        }
        if let Some(change) = hub.subscribe(asker.id, &channel, include_sender_metadata) {
            self.tell(&hub, &change);
        }
        let joined = hub.present(&channel, asker.peer_id);
        let sees = asker.rights.may(Action::Presence);
        Ok(sees.then_some(Presence { channel, joined, left: vec![] }))
    }

    /// Counts a message against the plan; refused ones count too.
    pub(crate) fn spend_message(&self) -> Result<(), ErrorCode> {
        let used = self.usage.messages.fetch_add(1, Ordering::Relaxed);
        let limit = self.config.limits.messages_per_period;
        let over = limit > 0 && used >= limit;
        if over || self.lasting().quota_exhausted {
            return Err(ErrorCode::OverMessageQuota);
        }
        Ok(())
    }

    pub(crate) fn publish(&self, channel: &str, from: &str, data: &Json, metadata: Option<&Json>) {
        let text = |from_metadata: Option<&Json>| {
            let message = Message {
                channel: channel.to_owned(),
                from: from.to_owned(),
                data: data.clone(),
                from_metadata: from_metadata.cloned(),
            };
            Utf8Bytes::from(ServerFrame::Message(message).encode())
        };
        let (mut plain, mut stamped) = (None, None);
        let hub = self.hub();
        for (_, member, with) in hub.audience(channel, from) {
            let text = match with && metadata.is_some() {
                true => stamped.get_or_insert_with(|| text(metadata)),
                false => plain.get_or_insert_with(|| text(None)),
            };
            self.send(&member.link, vec![text.clone()], Duration::ZERO);
        }
    }

    fn direct(&self, asker: &Asker<'_>, to: &str, data: Json) -> Result<(), ErrorCode> {
        let hub = self.hub();
        let connections = hub.connections_of(to);
        if connections.is_empty() {
            return Err(ErrorCode::PeerNotFound);
        }
        let from_metadata = asker.peer_metadata.cloned();
        let direct = Direct { from: asker.peer_id.to_owned(), data, from_metadata };
        let text = Utf8Bytes::from(ServerFrame::Direct(direct).encode());
        for member in connections.iter().filter_map(|id| hub.member(*id)) {
            self.send(&member.link, vec![text.clone()], Duration::ZERO);
        }
        Ok(())
    }

    /// Gives an order to connections; answers how many got it.
    pub(crate) fn order(&self, to: &Target, order: &Order) -> usize {
        let hub = self.hub();
        let met = hub.members().filter(|(id, member)| to.meets(*id, &member.peer_id));
        met.filter(|(_, member)| member.link.orders.try_send(order.clone()).is_ok()).count()
    }

    /// Lets something go wrong; answers how many connections it met.
    pub(crate) fn inject(self: &Arc<Self>, fault: Fault) -> usize {
        if self.log.is_on() {
            self.log.add("fault", None, None, &format!("{fault:?}"));
        }
        if fault == Fault::Reset {
            lock(&self.ignored).clear();
        }
        let Some(fault) = self.lasting().note(fault) else { return 0 };
        let text = |text: String, to: &Target| {
            self.order(to, &Order::Send { frames: vec![text.into()], after: Duration::ZERO })
        };
        let close = |code: u16, reason: &str, after: Duration, to: &Target| {
            self.order(to, &Order::Close { code, reason: reason.to_owned(), after })
        };
        match fault {
            Fault::Drop { to } => self.order(&to, &Order::Cut),
            Fault::Close { code, reason, to } => close(code, &reason, Duration::ZERO, &to),
            Fault::GoingAway { retry_after_ms, close_after_ms, to } => {
                let met = text(ServerFrame::GoingAway { retry_after_ms }.encode(), &to);
                if let Some(ms) = close_after_ms {
                    close(1001, "going away", Duration::from_millis(ms), &to);
                }
                met
            }
            Fault::Mute { pings, to } => self.order(&to, &Order::Mute { pings }),
            Fault::StopReading { to } => self.order(&to, &Order::StopReading),
            Fault::Suspend { suspended: true } => {
                close(4012, "account suspended", Duration::ZERO, &Target::all())
            }
            Fault::ExpireTokens { to } => self.order(&to, &Order::ExpireToken),
            Fault::SendText { text: frame, to } => text(frame, &to),
            Fault::SendBinary { size, to } => self.order(&to, &Order::Binary(size)),
            Fault::SendOversized { size, to } => {
                let around = r#"{"type":"direct","from":"server","data":""}"#.len();
                let filler = "x".repeat(size.saturating_sub(around));
                text(format!(r#"{{"type":"direct","from":"server","data":"{filler}"}}"#), &to)
            }
            Fault::Ghost { channel, peer_id, metadata, ms } => {
                self.haunt(channel, peer_id, metadata.as_ref(), Duration::from_millis(ms));
                0
            }
            _ => 0,
        }
    }

    fn haunt(
        self: &Arc<Self>,
        channel: String,
        peer_id: String,
        metadata: Option<&serde_json::Value>,
        life: Duration,
    ) {
        let metadata = metadata.and_then(|value| Json::from_serialize(value).ok());
        let ghost = {
            let mut hub = self.hub();
            let (ghost, change) = hub.haunt(&channel, PresencePeer { peer_id, metadata });
            self.tell(&hub, &change);
            ghost
        };
        let state = Arc::clone(self);
        let haunting = async move {
            tokio::select! {
                () = tokio::time::sleep(life) => {}
                () = state.stop.cancelled() => return,
            }
            let mut hub = state.hub();
            if let Some(change) = hub.exorcise(&channel, ghost) {
                state.tell(&hub, &change);
            }
        };
        self.tasks.spawn_on(haunting, &self.runtime);
    }
}
