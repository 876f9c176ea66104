//! The handle of a signalling client.
//!
//! Cheap to clone; all clones are one client. It starts an [`Actor`] at `connect` and awaits its end at
//! `close`. When the last clone is dropped the actor closes the connection and ends by itself.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::actor::{Actor, Command, RequestTarget};
use super::error::{ConnectError, RequestError};
use super::event::{Connected, Disconnected, Event, Events, State};
use super::options::{OptionsError, SignallingOptions};
use super::pacing::{MAX_WAITING, SendPriority};
use super::session::{Counters, Request, RequestKind, Session, SessionConfig};
use super::socket::{Attempt, DialProgress, Target};
use crate::credential::Credential;
use crate::events::Hub;
use crate::wire::{ClientFrame, CloseCode, DEFAULT_MAX_MESSAGE_SIZE, Json};

/// Bytes of a close frame's reason (RFC 6455 section 5.5).
const MAX_CLOSE_REASON_BYTES: usize = 123;

/// Options of one subscription.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
/// # options.url = server.url();
/// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
/// use metered_realtime::signalling::SubscribeOptions;
/// client.connect().await?;
/// // Messages bring what their sender's backend says of it: no look-up for each name.
/// let options = SubscribeOptions { include_sender_metadata: true };
/// client.subscribe_with("room", options).await?;
/// client.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Whether messages shall carry their sender's `peerMetadata`. The last call for a channel counts.
    pub include_sender_metadata: bool,
}

/// What waits and what is under way.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
/// # options.url = server.url();
/// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
/// use metered_realtime::signalling::Pacing;
/// client.connect().await?;
/// client.publish("room", "hello").await?;
/// let Pacing { waiting_signalling, waiting_app, unanswered } = client.pacing();
/// assert_eq!((waiting_signalling, waiting_app, unanswered), (0, 0, 0)); // a good time for more
/// client.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pacing {
    /// Requests of call set-up that wait for their turn.
    pub waiting_signalling: usize,
    /// Requests of the app that wait for their turn.
    pub waiting_app: usize,
    /// Requests that left, or are leaving, and are not answered yet.
    pub unanswered: usize,
}

/// What actor and handles share. The actor writes, handles read.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) events: Hub<Event>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) connected: watch::Sender<Option<Arc<Connected>>>,
    pub(crate) counters: watch::Sender<Counters>,
    /// Probes that were answered.
    pub(crate) heard: watch::Sender<u64>,
    pub(crate) max_message_size: AtomicUsize,
    pub(crate) waiting_signalling: AtomicUsize,
    pub(crate) waiting_app: AtomicUsize,
    pub(crate) unanswered: AtomicUsize,
    /// Commands that the actor has not taken yet.
    pub(crate) queued: AtomicUsize,
    next_request: AtomicU64,
    /// Of the last dial.
    attempt: Mutex<Option<DialProgress>>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            events: Hub::default(),
            state: watch::Sender::new(State::Idle),
            connected: watch::Sender::new(None),
            counters: watch::Sender::new(Counters::default()),
            heard: watch::Sender::new(0),
            max_message_size: AtomicUsize::new(DEFAULT_MAX_MESSAGE_SIZE),
            waiting_signalling: AtomicUsize::new(0),
            waiting_app: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            next_request: AtomicU64::new(1),
            attempt: Mutex::new(None),
        }
    }

    pub(crate) fn note_attempt(&self, progress: &DialProgress) {
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
    }

    /// The actor ended before its session did: its runtime was shut down, or it failed.
    pub(crate) fn abandoned(&self) {
        let from = self.state.send_replace(State::Closed);
        if from == State::Closed {
            return;
        }
        self.connected.send_replace(None);
        let error = Arc::new(ConnectError::Internal { what: "the client's task ended early" });
        self.events.publish(&Event::Disconnected(Arc::new(Disconnected {
            code: error.close_code(),
            reason: String::new(),
            will_reconnect: false,
            error,
        })));
        self.events.publish(&Event::StateChange { from, to: State::Closed });
    }
}

#[derive(Debug)]
struct Running {
    task: JoinHandle<()>,
    /// It was told to close, and goes on with that whether or not the caller waits for it.
    closing: bool,
}

/// A client of the service: pub/sub with presence, and data from peer to peer, over one connection that is
/// kept alive.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let url = server.url();
/// use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions};
///
/// let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
/// options.url = url; // a local server; leave it out for the service
/// let (alice, bob) = (SignallingClient::new(options.clone())?, SignallingClient::new(options)?);
/// let mut events = bob.events();
/// bob.connect().await?;
/// bob.subscribe("room").await?;
/// alice.connect().await?;
/// alice.publish("room", &serde_json::json!({ "hello": "world" })).await?;
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Presence { presence, .. } => println!("{} came", presence.joined.len()),
///         Event::Message(message) => {
///             assert_eq!(message.data.as_str(), r#"{"hello":"world"}"#);
///             break;
///         }
///         Event::Disconnected(lost) => println!("{}", lost.error.diagnosis()),
///         _ => {}
///     }
/// }
/// alice.close().await;
/// bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// Its methods need a tokio runtime with time and network enabled. States, events and their order are those
/// of the JavaScript SDK 1.2.0.
#[derive(Clone, Debug)]
pub struct SignallingClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    credential: Credential,
    preflight: bool,
    config: SessionConfig,
    target: Arc<Target>,
    commands: Mutex<Option<mpsc::UnboundedSender<Command>>>,
    /// Held by `connect` and `close` while they start or await the actor. It is awaited in place: whoever gives
    /// up waiting leaves it to the next, and none starts beside it.
    running: tokio::sync::Mutex<Option<Running>>,
}

impl SignallingClient {
    /// A client at rest. Checks every option.
    ///
    /// # Errors
    /// [`OptionsError`] names the option that cannot be.
    pub fn new(options: SignallingOptions) -> Result<Self, OptionsError> {
        let config = options.session_config()?;
        let target = Arc::new(options.target()?);
        Ok(Self {
            inner: Arc::new(Inner {
                shared: Arc::new(Shared::new()),
                credential: options.credential,
                preflight: options.preflight,
                config,
                target,
                commands: Mutex::new(None),
                running: tokio::sync::Mutex::new(None),
            }),
        })
    }

    /// Connects, from idle or closed; done at the server's welcome.
    ///
    /// The first attempt is not repeated: its failure is the result. Every later drop is mended by itself.
    /// Dropping the future does not end the attempt; `close` does.
    ///
    /// # Errors
    /// [`ConnectError`] of the first attempt; [`ConnectError::InvalidState`] unless idle or closed.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let (reply, result) = oneshot::channel();
        {
            let mut running = self.inner.running.lock().await;
            if let Some(earlier) = running.as_mut() {
                let state = self.state();
                if state != State::Closed && !earlier.closing {
                    return Err(ConnectError::InvalidState { state });
                }
                // Its session is over, or about to be: at the latest when the server's close frame stays out.
                drop((&mut earlier.task).await);
            }
            *running = Some(self.start(reply));
        }
        result
            .await
            .unwrap_or(Err(ConnectError::Internal { what: "the client's task ended early" }))
    }

    fn start(&self, reply: oneshot::Sender<Result<(), ConnectError>>) -> Running {
        let (commands, receiver) = mpsc::unbounded_channel();
        let inner = &self.inner;
        // Changes at once, so that a second connect sees the first; the session tells of it.
        let before = inner.shared.state.send_replace(State::Connecting);
        let session =
            Session::new(inner.config.clone(), Box::new(fastrand::f64), before, Duration::ZERO);
        let actor = Actor::new(
            session,
            Arc::clone(&inner.shared),
            receiver,
            inner.credential.clone(),
            inner.preflight,
            Arc::clone(&inner.target),
        );
        inner.shared.queued.store(1, Ordering::Relaxed);
        // Cannot fail: the receiver is here.
        drop(commands.send(Command::Connect(reply)));
        *inner.commands.lock().unwrap_or_else(PoisonError::into_inner) = Some(commands);
        Running { task: tokio::spawn(actor.run().boxed()), closing: false }
    }

    /// Ends the connection with code 1000 and every task of this client; returns when nothing is left.
    ///
    /// Dropping the future does not stop the close: the next `close` or `connect` waits for its end.
    pub async fn close(&self) {
        self.finish(CloseCode::NORMAL, "client requested close").await;
    }

    /// Like [`close`](Self::close), with a close code (1000, or 3000 to 4999) and a reason of up to 123 bytes.
    ///
    /// # Errors
    /// [`ConnectError::InvalidClose`] for another code or a longer reason; the client goes on then.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// // The server's logs will say why.
    /// client.close_with(3001, "signed out").await?;
    /// assert_eq!(client.close_with(1001, "").await.unwrap_err().code(), "invalid_close");
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn close_with(&self, code: u16, reason: &str) -> Result<(), ConnectError> {
        let code = CloseCode(code);
        if !code.may_be_sent_by_an_application() {
            return Err(ConnectError::InvalidClose { what: "code" });
        }
        if reason.len() > MAX_CLOSE_REASON_BYTES {
            return Err(ConnectError::InvalidClose { what: "reason" });
        }
        self.finish(code, reason).await;
        Ok(())
    }

    async fn finish(&self, code: CloseCode, reason: &str) {
        let mut running = self.inner.running.lock().await;
        if let Some(current) = running.as_mut() {
            if !current.closing
                && let Some(commands) = self.sender()
            {
                self.inner.shared.queued.fetch_add(1, Ordering::Relaxed);
                // If the actor is gone there is nothing to close.
                drop(commands.send(Command::Close { code, reason: reason.to_owned() }));
                current.closing = true;
            }
            drop((&mut current.task).await);
        }
        *running = None;
        *self.inner.commands.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let from = self.inner.shared.state.send_replace(State::Closed);
        if from != State::Closed {
            let event = Event::StateChange { from, to: State::Closed };
            self.inner.shared.events.publish(&event);
        }
    }

    /// Receives a channel's messages and presence from now on, over reconnects too.
    ///
    /// Done at the server's ack; the snapshot of who is there comes as [`Event::Presence`].
    ///
    /// # Errors
    /// [`RequestError`]. The channel is tracked no more if the server refused it.
    pub async fn subscribe(&self, channel: &str) -> Result<(), RequestError> {
        self.subscribe_with(channel, SubscribeOptions::default()).await
    }

    /// [`subscribe`](Self::subscribe) with options.
    ///
    /// # Errors
    /// As `subscribe`.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// use metered_realtime::signalling::SubscribeOptions;
    /// client.connect().await?;
    /// client.subscribe("room").await?;
    /// // The same channel once more: from now on with the senders' metadata, and with a fresh snapshot.
    /// client.subscribe_with("room", SubscribeOptions { include_sender_metadata: true }).await?;
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn subscribe_with(
        &self,
        channel: &str,
        options: SubscribeOptions,
    ) -> Result<(), RequestError> {
        let include_sender_metadata = options.include_sender_metadata;
        let frame = ClientFrame::Subscribe { channel: channel.to_owned(), include_sender_metadata };
        let kind = RequestKind::Subscribe {
            channel: channel.into(),
            include_sender_metadata,
            generation: 0,
        };
        let target = RequestTarget::Channel(channel.into());
        self.request(&frame, kind, target, SendPriority::App).await
    }

    /// Stops receiving a channel.
    ///
    /// # Errors
    /// [`RequestError`].
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// client.subscribe("room").await?;
    /// client.unsubscribe("room").await?;
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), RequestError> {
        let frame = ClientFrame::Unsubscribe { channel: channel.to_owned() };
        let kind = RequestKind::Unsubscribe { channel: channel.into() };
        self.request(&frame, kind, RequestTarget::None, SendPriority::App).await
    }

    /// Broadcasts data to a channel's subscribers but ourselves. No subscription is needed.
    ///
    /// Done at the server's ack. Requests are paced: see [`PacingOptions`](super::PacingOptions).
    ///
    /// # Errors
    /// [`RequestError`]. [`RequestError::AckTimeout`] and a [`RequestError::Disconnected`] that was sent leave open
    /// whether it was done.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        channel: &str,
        data: &T,
    ) -> Result<(), RequestError> {
        let data = json(data)?;
        let frame = ClientFrame::Publish { channel: channel.to_owned(), data };
        let target = RequestTarget::Channel(channel.into());
        self.request(&frame, RequestKind::Publish, target, SendPriority::App).await
    }

    /// Hands data to one peer. No common channel is needed; the credential needs the action `send`.
    ///
    /// # Errors
    /// [`RequestError`], with code `peer_not_found` if nobody is connected under that id.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let client = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token(id)?)?;
    /// #     options.url = server.url();
    /// #     Ok(metered_realtime::signalling::SignallingClient::new(options)?)
    /// # };
    /// use metered_realtime::signalling::Event;
    /// let (alice, bob) = (client("alice")?, client("bob")?);
    /// let mut events = bob.events();
    /// alice.connect().await?;
    /// bob.connect().await?;
    /// alice.send("bob", &("knight", "f3")).await?;
    /// let direct = loop {
    ///     if let Some(Event::Direct(direct)) = events.next().await {
    ///         break direct;
    ///     }
    /// };
    /// assert_eq!((direct.from.as_str(), direct.data.as_str()), ("alice", r#"["knight","f3"]"#));
    /// // Who is not connected gets nothing, and nothing is kept for later.
    /// assert_eq!(alice.send("carol", "hello").await.unwrap_err().code(), "peer_not_found");
    /// alice.close().await;
    /// bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn send<T: Serialize + ?Sized>(
        &self,
        peer_id: &str,
        data: &T,
    ) -> Result<(), RequestError> {
        self.send_with(peer_id, data, SendPriority::App).await
    }

    /// [`send`](Self::send) in a lane of choice.
    ///
    /// # Errors
    /// As `send`.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// use metered_realtime::signalling::SendPriority;
    /// client.connect().await?;
    /// // Before whatever the app has queued, and after earlier call set-up.
    /// client.send_with("alice", "ring", SendPriority::Signalling).await?;
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn send_with<T: Serialize + ?Sized>(
        &self,
        peer_id: &str,
        data: &T,
        priority: SendPriority,
    ) -> Result<(), RequestError> {
        let data = json(data)?;
        let frame = ClientFrame::Send { to: peer_id.to_owned(), data };
        self.request(&frame, RequestKind::Send, RequestTarget::Peer, priority).await
    }

    /// Bytes of a frame that the service takes.
    pub(crate) fn max_message_size(&self) -> usize {
        self.inner.shared.max_message_size.load(Ordering::Relaxed)
    }

    async fn request(
        &self,
        frame: &ClientFrame,
        kind: RequestKind,
        target: RequestTarget,
        priority: SendPriority,
    ) -> Result<(), RequestError> {
        let shared = &self.inner.shared;
        let id = shared.next_request.fetch_add(1, Ordering::Relaxed);
        let cap = shared.max_message_size.load(Ordering::Relaxed);
        let text = frame.encode(Some(&id.to_string()), cap)?;
        let data_size = match frame {
            ClientFrame::Publish { data, .. } | ClientFrame::Send { data, .. } => {
                data.as_str().len()
            }
            _ => 0,
        };
        let request = Request { id, kind, text, data_size, priority };
        let (reply, result) = oneshot::channel();
        let not_connected = || RequestError::NotConnected { state: self.state() };
        let commands = self.sender().ok_or_else(not_connected)?;
        // At the first poll and without waiting, so that the order of the calls is the order of departure.
        let queued = shared.queued.fetch_add(1, Ordering::Relaxed);
        if queued >= MAX_WAITING {
            shared.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(RequestError::PacingOverflow { waiting: queued });
        }
        commands.send(Command::Request(request, target, reply)).map_err(|_| not_connected())?;
        result.await.unwrap_or_else(|_| Err(not_connected()))
    }

    /// Where the client stands now.
    pub fn state(&self) -> State {
        *self.inner.shared.state.borrow()
    }

    /// The state, now and at each change.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// use metered_realtime::signalling::State;
    /// let mut state = client.watch_state();
    /// assert_eq!(client.state(), State::Idle);
    /// client.connect().await?;
    /// // For a light on the screen: the newest state is never missed.
    /// assert_eq!(*state.wait_for(|state| *state == State::Connected).await?, State::Connected);
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.inner.shared.state.subscribe()
    }

    /// The present connection's welcome; `None` without one.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// assert_eq!(client.connected(), None);
    /// client.connect().await?;
    /// let connected = client.connected().ok_or("lost again at once")?;
    /// assert_eq!(connected.peer_id, "alice");
    /// assert!(connected.expires_at.is_some()); // a token's end; none for a key
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn connected(&self) -> Option<Arc<Connected>> {
        self.inner.shared.connected.borrow().clone()
    }

    /// Events from now on.
    pub fn events(&self) -> Events {
        self.inner.shared.events.subscribe()
    }

    /// What waits for its turn, and what for its answer.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// // Of positions that change all the time only the newest matters: none while others wait.
    /// if client.pacing().waiting_app == 0 {
    ///     client.publish("positions", &(3, 4)).await?;
    /// }
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn pacing(&self) -> Pacing {
        let shared = &self.inner.shared;
        Pacing {
            waiting_signalling: shared.waiting_signalling.load(Ordering::Relaxed),
            waiting_app: shared.waiting_app.load(Ordering::Relaxed),
            unanswered: shared.unanswered.load(Ordering::Relaxed),
        }
    }

    /// What came and led to nothing, since `connect`.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.send_text(r#"{"type":"of a newer protocol"}"#, metered_dev_server::Target::all());
    /// client.publish("room", "hello").await?; // its ack comes after that frame
    /// assert_eq!(client.counters().unknown_frames, 1);
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn counters(&self) -> Counters {
        *self.inner.shared.counters.borrow()
    }

    /// The last attempt to connect, step by step: how long each took, and at which it failed. `None` before the
    /// first.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use metered_realtime::signalling::{ConnectStep, SignallingClient, SignallingOptions};
    ///
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
    /// options.url = server.url();
    /// let client = SignallingClient::new(options)?;
    /// client.connect().await?;
    /// let attempt = client.last_attempt().expect("there was one");
    /// let steps: Vec<_> = attempt.steps.iter().map(|step| (step.step, step.done)).collect();
    /// let all = [ConnectStep::Resolving, ConnectStep::Connecting, ConnectStep::Upgrading];
    /// assert_eq!(steps, all.map(|step| (step, true)));
    /// # client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn last_attempt(&self) -> Option<Attempt> {
        let attempt = self.inner.shared.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.as_ref().map(DialProgress::attempt)
    }

    /// Asks the service for a sign of life and tells how long the answer took. `None` without a connection, or if
    /// none came within [`PROBE_TIMEOUT`](super::PROBE_TIMEOUT): then the connection is being replaced.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # use metered_realtime::signalling::{SignallingClient, SignallingOptions};
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
    /// # options.url = server.url();
    /// # let client = SignallingClient::new(options)?;
    /// assert_eq!(client.round_trip().await, None);
    /// client.connect().await?;
    /// assert!(client.round_trip().await.is_some());
    /// # client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn round_trip(&self) -> Option<Duration> {
        if self.state() != State::Connected {
            return None;
        }
        let mut heard = self.heard();
        heard.mark_unchanged();
        let began = tokio::time::Instant::now();
        self.hint(Command::EnteredBackground);
        let answer = tokio::time::timeout(super::PROBE_TIMEOUT, heard.changed()).await;
        matches!(answer, Ok(Ok(()))).then(|| began.elapsed())
    }

    /// Changes with each probe of the connection that is answered.
    pub(crate) fn heard(&self) -> watch::Receiver<u64> {
        self.inner.shared.heard.subscribe()
    }

    /// The platform reports another network: the connection is probed (2 s) and replaced at once if it is
    /// dead; a reconnect that waits is tried now.
    ///
    /// ```
    /// use metered_realtime::signalling::SignallingClient;
    /// /// What a platform's callbacks hand on. None of these blocks, and none hurts too often or too early.
    /// enum Platform {
    ///     OtherNetwork,
    ///     Background,
    ///     Foreground,
    ///     ButtonReconnect,
    /// }
    /// fn hand_on(client: &SignallingClient, what: Platform) {
    ///     match what {
    ///         Platform::OtherNetwork => client.network_changed(),
    ///         Platform::Background => client.entered_background(),
    ///         Platform::Foreground => client.entered_foreground(),
    ///         Platform::ButtonReconnect => client.reconnect_now(),
    ///     }
    /// }
    /// # let options = metered_realtime::signalling::SignallingOptions::with_api_key("pk_live_example").unwrap();
    /// # let client = SignallingClient::new(options).unwrap();
    /// # hand_on(&client, Platform::OtherNetwork);
    /// # hand_on(&client, Platform::Background);
    /// # hand_on(&client, Platform::Foreground);
    /// # hand_on(&client, Platform::ButtonReconnect);
    /// ```
    pub fn network_changed(&self) {
        self.hint(Command::NetworkChanged);
    }

    /// The app went to the background: the connection is probed, so that a dead one is replaced while there
    /// is time.
    pub fn entered_background(&self) {
        self.hint(Command::EnteredBackground);
    }

    /// The app came to the foreground: like [`network_changed`](Self::network_changed).
    pub fn entered_foreground(&self) {
        self.hint(Command::EnteredForeground);
    }

    /// The user asks: like [`network_changed`](Self::network_changed), and a wait that the server asked for
    /// is ended too.
    pub fn reconnect_now(&self) {
        self.hint(Command::ReconnectNow);
    }

    fn hint(&self, command: Command) {
        let queued = &self.inner.shared.queued;
        // With a full queue the actor is about to hear from the connection anyway; without an actor there
        // is nothing to hurry.
        if queued.load(Ordering::Relaxed) < MAX_WAITING
            && let Some(commands) = self.sender()
        {
            queued.fetch_add(1, Ordering::Relaxed);
            drop(commands.send(command));
        }
    }

    fn sender(&self) -> Option<mpsc::UnboundedSender<Command>> {
        self.inner.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn json<T: Serialize + ?Sized>(data: &T) -> Result<Json, RequestError> {
    Json::from_serialize(data).map_err(|error| RequestError::Json(Arc::new(error)))
}
