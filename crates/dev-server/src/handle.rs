//! A running server: its address, its faults, its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{DEV_SECRET, DEV_SECRET_ID};
use crate::faults::{Fault, SnapshotMode, Target};
use crate::log::LogEntry;
use crate::server::STOP_GRACE;
use crate::state::State;
use crate::token::{MintError, TokenClaims};

/// A running server. Dropping it cuts everything; [`shutdown`](Self::shutdown) says goodbye first.
///
/// In the examples of its methods `client` is a `SignallingClient` of the peer `alice` with [`url`](Self::url).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_dev_server::{DevServer, DevServerHandle};
/// use metered_realtime::signalling::{SignallingClient, SignallingOptions};
/// let server: DevServerHandle = DevServer::builder().start().await?;
/// println!("{}", server.banner());
/// assert_eq!(server.url(), format!("ws://{}", server.addr()));
/// assert_eq!(server.http_url(), format!("http://{}", server.addr()));
///
/// let mut options = SignallingOptions::with_token(server.token("alice")?)?;
/// options.url = server.url();
/// let client = SignallingClient::new(options)?;
/// client.connect().await?;
/// server.wait_connections(1).await;
/// assert_eq!(server.connections(), 1);
/// client.close().await;
/// server.wait_connections(0).await;
/// server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct DevServerHandle {
    state: Arc<State>,
    address: SocketAddr,
    secure: bool,
}

impl DevServerHandle {
    pub(crate) const fn new(state: Arc<State>, address: SocketAddr, secure: bool) -> Self {
        Self { state, address, secure }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The `url` option of clients.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "wss" } else { "ws" }, self.address)
    }

    /// The base of REST and of `/_dev/`.
    pub fn http_url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// What this is, for whoever starts it.
    pub fn banner(&self) -> String {
        let reach = match self.address.ip().is_loopback() {
            true => "reachable from this machine only",
            false => "REACHABLE FROM OTHER MACHINES",
        };
        format!(
            "Metered Realtime development server at {}, {reach}. For development only: its keys are known to everybody.",
            self.url()
        )
    }

    /// A token for a peer, signed with the development secret.
    ///
    /// # Errors
    /// [`MintError`] if the claims cannot be signed, which they can.
    pub fn token(&self, peer_id: &str) -> Result<String, MintError> {
        self.mint(&TokenClaims::new(peer_id))
    }

    /// A token with these claims, signed with the first configured secret key.
    ///
    /// # Errors
    /// [`MintError`] if the claims cannot be signed.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::TokenClaims;
    /// use metered_realtime::credential::preflight;
    /// let mut claims = TokenClaims::new("alice");
    /// claims.permissions = Some(vec!["subscribe".into()]);
    /// let read = preflight::check(&server.mint(&claims)?, 0.0)?;
    /// assert_eq!(read.check_send().unwrap_err().code(), "send_not_permitted");
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn mint(&self, claims: &TokenClaims) -> Result<String, MintError> {
        match self.state.config.secrets.first() {
            Some(key) => claims.mint(&key.id, &key.secret),
            None => claims.mint(DEV_SECRET_ID, DEV_SECRET),
        }
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.state.hub().len()
    }

    /// Waits until there are so many connections. Give it a time limit of your own.
    pub async fn wait_connections(&self, wanted: usize) {
        while self.connections() != wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Tasks now; the one that accepts is always there.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// let before = server.tasks();
    /// // … an app's clients come and go, then:
    /// server.wait_connections(0).await;
    /// assert_eq!(server.tasks(), before); // nothing of theirs is left here
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn tasks(&self) -> usize {
        self.state.tasks.len()
    }

    /// What was seen, if it is recorded; the last 10,000 entries.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use metered_dev_server::DevServer;
    /// let server = DevServer::builder().record().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// client.publish("room", "hello").await?;
    /// let asked: Vec<_> = server.log().into_iter().filter(|entry| entry.event == "in").collect();
    /// assert!(asked[0].text.contains(r#""type":"publish""#));
    /// client.close().await;
    /// server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn log(&self) -> Vec<LogEntry> {
        self.state.log.entries()
    }

    /// Waits for an entry that fits, past ones included. Give it a time limit of your own.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use metered_dev_server::DevServer;
    /// let server = DevServer::builder().record().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// let opened = server.wait_for(|entry| entry.event == "open").await;
    /// assert_eq!(opened.peer_id.as_deref(), Some("alice"));
    /// client.close().await;
    /// server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait_for(&self, fits: impl Fn(&LogEntry) -> bool) -> LogEntry {
        self.state.log.wait_for(fits).await
    }

    /// Lets something go wrong; answers how many connections it met at once.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::{Fault, Target};
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// let fault: Fault = serde_json::from_str(r#"{"fault":"drop","peerId":"alice"}"#)?; // from a test's data
    /// assert_eq!(server.inject(fault), 1);
    /// assert_eq!(server.inject(Fault::Drop { to: Target::peer("nobody") }), 0);
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn inject(&self, fault: Fault) -> usize {
        self.state.inject(fault)
    }

    /// Cuts connections without a close frame.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::State;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// let mut state = client.watch_state();
    /// assert_eq!(server.drop_connections(Target::peer("alice")), 1);
    /// state.wait_for(|state| *state == State::Reconnecting).await?;
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn drop_connections(&self, to: Target) -> usize {
        self.inject(Fault::Drop { to })
    }

    /// Closes connections with a code.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::State;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// let mut state = client.watch_state();
    /// server.close_connections(4020, "banned", Target::all());
    /// state.wait_for(|state| *state != State::Connected).await?;
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn close_connections(&self, code: u16, reason: &str, to: Target) -> usize {
        self.inject(Fault::Close { code, reason: reason.to_owned(), to })
    }

    /// Answers the next upgrades with an HTTP status, a body and `Retry-After` in seconds.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// let body = serde_json::json!({ "error": "rate_limited" });
    /// server.refuse_upgrades(1, 429, Some(body), Some(5));
    /// let error = client.connect().await.unwrap_err();
    /// assert_eq!((error.http_status(), error.http_code()), (Some(429), Some("rate_limited")));
    /// client.connect().await?; // the next one is let in
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn refuse_upgrades(
        &self,
        count: u32,
        status: u16,
        body: Option<serde_json::Value>,
        retry_after_seconds: Option<u64>,
    ) {
        self.inject(Fault::RefuseUpgrades { count, status, body, retry_after_seconds });
    }

    /// Accepts the next TCP connections and never answers on them.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_realtime::signalling::State;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// server.ignore_connects(1);
    /// // What the user sees meanwhile, and that it can be called off.
    /// let attempt = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.connect().await }
    /// });
    /// client.watch_state().wait_for(|state| *state == State::Connecting).await?;
    /// client.close().await;
    /// assert_eq!(attempt.await?.unwrap_err().code(), "closed_by_app");
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn ignore_connects(&self, count: u32) {
        self.inject(Fault::IgnoreConnects { count });
    }

    /// Lets welcomes wait.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use std::time::{Duration, Instant};
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// server.delay_welcome(Duration::from_millis(30));
    /// let begun = Instant::now();
    /// client.connect().await?;
    /// assert!(begun.elapsed() >= Duration::from_millis(30));
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn delay_welcome(&self, by: Duration) {
        self.inject(Fault::DelayWelcome { ms: ms(by) });
    }

    /// Sends no welcome on the next connections.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_realtime::signalling::State;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// server.withhold_welcome(1);
    /// let attempt = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.connect().await }
    /// });
    /// server.wait_connections(1).await;
    /// assert_eq!(client.state(), State::Connecting); // and after ten seconds an error `welcome_timeout`
    /// client.close().await;
    /// # let _ = attempt.await?;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn withhold_welcome(&self, count: u32) {
        self.inject(Fault::WithholdWelcome { count });
    }

    /// Sends another text in place of the next welcomes.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// server.replace_welcome(1, r#"{"type":"welcome","peerId":"somebody else","maxMessageSize":1000}"#);
    /// client.connect().await?;
    /// assert_eq!(client.connected().unwrap().max_message_size, 1_000);
    /// let long = "x".repeat(1_000);
    /// assert_eq!(client.publish("room", &long).await.unwrap_err().code(), "oversized_payload");
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn replace_welcome(&self, count: u32, text: &str) {
        self.inject(Fault::ReplaceWelcome { count, text: text.to_owned() });
    }

    /// Loses the next acks, of requests of one type or of all.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::RequestError;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.lose_acks(1, Some("publish"));
    /// let request = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.publish("room", "hello").await }
    /// });
    /// while client.pacing().unanswered == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// // It was done, and the client cannot know.
    /// server.drop_connections(Target::all());
    /// assert!(matches!(request.await?, Err(RequestError::Disconnected { sent: true, .. })));
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn lose_acks(&self, count: u32, of: Option<&str>) {
        self.inject(Fault::LoseAcks { count, of: of.map(str::to_owned) });
    }

    /// Lets acks wait.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use std::time::{Duration, Instant};
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.delay_acks(Duration::from_millis(30));
    /// let begun = Instant::now();
    /// client.publish("room", "hello").await?;
    /// assert!(begun.elapsed() >= Duration::from_millis(30));
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn delay_acks(&self, by: Duration) {
        self.inject(Fault::DelayAcks { ms: ms(by) });
    }

    /// Answers the next requests, of one type or of all, with an error.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.fail_requests(1, "backend_error", Some("publish"));
    /// client.subscribe("room").await?; // of another type
    /// assert_eq!(client.publish("room", "hello").await.unwrap_err().code(), "backend_error");
    /// client.publish("room", "again").await?;
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn fail_requests(&self, count: u32, code: &str, of: Option<&str>) {
        let of = of.map(str::to_owned);
        self.inject(Fault::FailRequests { count, code: code.to_owned(), of });
    }

    /// Changes how snapshots come.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::SnapshotMode;
    /// use metered_realtime::signalling::Event;
    /// use std::time::Duration;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.snapshots(SnapshotMode::Normal, Duration::from_millis(30));
    /// client.subscribe("room").await?; // done at its ack, while the snapshot still waits
    /// while !matches!(events.next().await, Some(Event::Presence { snapshot: true, .. })) {}
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn snapshots(&self, mode: SnapshotMode, delay: Duration) {
        self.inject(Fault::Snapshot { mode, delay_ms: ms(delay) });
    }

    /// Lists a peer that is not there, for a while.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_realtime::signalling::Event;
    /// use std::time::Duration;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.ghost("room", "carol", Duration::from_secs(40));
    /// client.subscribe("room").await?;
    /// let there = loop {
    ///     if let Some(Event::Presence { presence, .. }) = events.next().await {
    ///         break presence;
    ///     }
    /// };
    /// assert!(there.joined.iter().any(|peer| peer.peer_id == "carol"));
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn ghost(&self, channel: &str, peer_id: &str, life: Duration) {
        let (channel, peer_id) = (channel.to_owned(), peer_id.to_owned());
        self.inject(Fault::Ghost { channel, peer_id, metadata: None, ms: ms(life) });
    }

    /// Announces an end, and closes with 1001 after a while if asked to.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::Event;
    /// use std::time::Duration;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.going_away(Duration::from_secs(5), None, Target::all());
    /// let asked = loop {
    ///     if let Some(Event::GoingAway { retry_after_ms }) = events.next().await {
    ///         break retry_after_ms;
    ///     }
    /// };
    /// assert_eq!(asked, 5_000);
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn going_away(&self, retry_after: Duration, close_after: Option<Duration>, to: Target) {
        let (retry_after_ms, close_after_ms) = (ms(retry_after), close_after.map(ms));
        self.inject(Fault::GoingAway { retry_after_ms, close_after_ms, to });
    }

    /// Goes silent while TCP stays.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// // With its WebSocket pings, as a server that is stuck behind its socket; without, as a dead path.
    /// assert_eq!(server.mute(true, Target::peer("alice")), 1);
    /// let request = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.publish("room", "hello").await }
    /// });
    /// while client.pacing().unanswered == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// server.drop_connections(Target::all()); // else it ends after 15 s with `ack_timeout`
    /// assert_eq!(request.await?.unwrap_err().code(), "disconnected");
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn mute(&self, pings: bool, to: Target) -> usize {
        self.inject(Fault::Mute { pings, to })
    }

    /// Reads no more.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// assert_eq!(server.stop_reading(Target::all()), 1);
    /// // The system's buffers still take this; the answer never comes.
    /// let request = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.publish("room", "hello").await }
    /// });
    /// while client.pacing().unanswered == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// server.drop_connections(Target::all());
    /// assert!(request.await?.is_err());
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn stop_reading(&self, to: Target) -> usize {
        self.inject(Fault::StopReading { to })
    }

    /// Uses the plan's messages up, or not.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.quota_exhausted(true);
    /// assert_eq!(client.publish("room", "hello").await.unwrap_err().code(), "over_message_quota");
    /// client.subscribe("room").await?; // receiving goes on
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn quota_exhausted(&self, exhausted: bool) {
        self.inject(Fault::Quota { exhausted });
    }

    /// Suspends the account, or not.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_realtime::signalling::Event;
    /// use metered_realtime::wire::CloseCode;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.suspend(true);
    /// let lost = loop {
    ///     if let Some(Event::Disconnected(lost)) = events.next().await {
    ///         break lost;
    ///     }
    /// };
    /// assert_eq!(lost.code, CloseCode::ACCOUNT_SUSPENDED);
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn suspend(&self, suspended: bool) {
        self.inject(Fault::Suspend { suspended });
    }

    /// Changes how many connections the plan has.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_realtime::wire::CloseCode;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let first = metered_realtime::signalling::SignallingClient::new(options.clone())?;
    /// # let second = metered_realtime::signalling::SignallingClient::new(options)?;
    /// server.concurrent_limit(1);
    /// first.connect().await?;
    /// assert_eq!(second.connect().await.unwrap_err().close_code(), CloseCode::OVER_CONCURRENT_LIMIT);
    /// first.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn concurrent_limit(&self, limit: usize) {
        self.inject(Fault::ConcurrentLimit { limit });
    }

    /// Ends tokens now.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::Event;
    /// use metered_realtime::wire::CloseCode;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.expire_tokens(Target::peer("alice"));
    /// let lost = loop {
    ///     if let Some(Event::Disconnected(lost)) = events.next().await {
    ///         break lost;
    ///     }
    /// };
    /// assert_eq!(lost.code, CloseCode::TOKEN_EXPIRED);
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn expire_tokens(&self, to: Target) -> usize {
        self.inject(Fault::ExpireTokens { to })
    }

    /// Sends a text frame as it is: malformed, of an unknown type, anything.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.send_text("no JSON at all", Target::all());
    /// client.publish("room", "hello").await?; // its ack comes after that text
    /// assert_eq!(client.counters().malformed_frames, 1);
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn send_text(&self, text: &str, to: Target) -> usize {
        self.inject(Fault::SendText { text: text.to_owned(), to })
    }

    /// Sends a binary frame.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.send_binary(64, Target::all());
    /// client.publish("room", "hello").await?;
    /// assert_eq!(client.counters().binary_frames, 1); // counted, and nothing else
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn send_binary(&self, size: usize, to: Target) -> usize {
        self.inject(Fault::SendBinary { size, to })
    }

    /// Sends a message frame of so many bytes.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::{ConnectError, Event};
    /// use metered_realtime::wire::MAX_INBOUND_FRAME_BYTES;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.send_oversized(MAX_INBOUND_FRAME_BYTES + 1, Target::all());
    /// let lost = loop {
    ///     if let Some(Event::Disconnected(lost)) = events.next().await {
    ///         break lost;
    ///     }
    /// };
    /// assert!(matches!(*lost.error, ConnectError::InboundTooBig));
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn send_oversized(&self, size: usize, to: Target) -> usize {
        self.inject(Fault::SendOversized { size, to })
    }

    /// Lets every frame wait.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// use std::time::{Duration, Instant};
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.delay_frames(Duration::from_millis(30)); // a slow path towards the client
    /// let begun = Instant::now();
    /// client.publish("room", "hello").await?;
    /// assert!(begun.elapsed() >= Duration::from_millis(30));
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn delay_frames(&self, by: Duration) {
        self.inject(Fault::DelayFrames { ms: ms(by) });
    }

    /// Sets the server's clock ahead by so many seconds; negative for behind.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions};
    /// use std::time::{SystemTime, UNIX_EPOCH};
    ///
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
    /// # options.url = server.url();
    /// server.clock_ahead(3_600.0);
    /// let client = SignallingClient::new(options)?;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// let connected = loop {
    ///     if let Some(Event::Connected(connected)) = events.next().await {
    ///         break connected;
    ///     }
    /// };
    /// let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    /// let ahead = connected.server_time.expect("the local server says it").0 - now;
    /// assert!((3_590.0..3_610.0).contains(&ahead));
    /// # client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn clock_ahead(&self, seconds: f64) {
        self.inject(Fault::Clock { ahead_seconds: seconds });
    }

    /// Ends every fault that lasts.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// server.quota_exhausted(true);
    /// assert!(client.publish("room", "hello").await.is_err());
    /// server.reset_faults(); // between two tests that share a server
    /// client.publish("room", "hello").await?;
    /// client.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn reset_faults(&self) {
        self.inject(Fault::Reset);
    }

    /// Says `going_away`, closes every connection with 1001 and waits for all tasks; cuts what takes longer
    /// than three seconds. Nothing is left then.
    pub async fn shutdown(self) {
        self.state.stop.cancel();
        self.state.tasks.close();
        if tokio::time::timeout(STOP_GRACE, self.state.tasks.wait()).await.is_err() {
            self.state.kill.cancel();
            self.state.tasks.wait().await;
        }
    }
}

impl Drop for DevServerHandle {
    fn drop(&mut self) {
        self.state.tasks.close();
        self.state.kill.cancel();
        self.state.stop.cancel();
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
