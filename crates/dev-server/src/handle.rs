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
    pub fn token(&self, peer_id: &str) -> Result<String, MintError> {
        self.mint(&TokenClaims::new(peer_id))
    }

    /// A token with these claims, signed with the first configured secret key.
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
    pub fn tasks(&self) -> usize {
        self.state.tasks.len()
    }

    /// What was seen, if it is recorded; the last 10,000 entries.
    pub fn log(&self) -> Vec<LogEntry> {
        self.state.log.entries()
    }

    /// Waits for an entry that fits, past ones included. Give it a time limit of your own.
    pub async fn wait_for(&self, fits: impl Fn(&LogEntry) -> bool) -> LogEntry {
        self.state.log.wait_for(fits).await
    }

    /// Lets something go wrong; answers how many connections it met at once.
    pub fn inject(&self, fault: Fault) -> usize {
        self.state.inject(fault)
    }

    /// Cuts connections without a close frame.
    pub fn drop_connections(&self, to: Target) -> usize {
        self.inject(Fault::Drop { to })
    }

    /// Closes connections with a code.
    pub fn close_connections(&self, code: u16, reason: &str, to: Target) -> usize {
        self.inject(Fault::Close { code, reason: reason.to_owned(), to })
    }

    /// Answers the next upgrades with an HTTP status, a body and `Retry-After` in seconds.
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
    pub fn ignore_connects(&self, count: u32) {
        self.inject(Fault::IgnoreConnects { count });
    }

    /// Lets welcomes wait.
    pub fn delay_welcome(&self, by: Duration) {
        self.inject(Fault::DelayWelcome { ms: ms(by) });
    }

    /// Sends no welcome on the next connections.
    pub fn withhold_welcome(&self, count: u32) {
        self.inject(Fault::WithholdWelcome { count });
    }

    /// Sends another text in place of the next welcomes.
    pub fn replace_welcome(&self, count: u32, text: &str) {
        self.inject(Fault::ReplaceWelcome { count, text: text.to_owned() });
    }

    /// Loses the next acks, of requests of one type or of all.
    pub fn lose_acks(&self, count: u32, of: Option<&str>) {
        self.inject(Fault::LoseAcks { count, of: of.map(str::to_owned) });
    }

    /// Lets acks wait.
    pub fn delay_acks(&self, by: Duration) {
        self.inject(Fault::DelayAcks { ms: ms(by) });
    }

    /// Answers the next requests, of one type or of all, with an error.
    pub fn fail_requests(&self, count: u32, code: &str, of: Option<&str>) {
        let of = of.map(str::to_owned);
        self.inject(Fault::FailRequests { count, code: code.to_owned(), of });
    }

    /// Changes how snapshots come.
    pub fn snapshots(&self, mode: SnapshotMode, delay: Duration) {
        self.inject(Fault::Snapshot { mode, delay_ms: ms(delay) });
    }

    /// Lists a peer that is not there, for a while.
    pub fn ghost(&self, channel: &str, peer_id: &str, life: Duration) {
        let (channel, peer_id) = (channel.to_owned(), peer_id.to_owned());
        self.inject(Fault::Ghost { channel, peer_id, metadata: None, ms: ms(life) });
    }

    /// Announces an end, and closes with 1001 after a while if asked to.
    pub fn going_away(&self, retry_after: Duration, close_after: Option<Duration>, to: Target) {
        let (retry_after_ms, close_after_ms) = (ms(retry_after), close_after.map(ms));
        self.inject(Fault::GoingAway { retry_after_ms, close_after_ms, to });
    }

    /// Goes silent while TCP stays.
    pub fn mute(&self, pings: bool, to: Target) -> usize {
        self.inject(Fault::Mute { pings, to })
    }

    /// Reads no more.
    pub fn stop_reading(&self, to: Target) -> usize {
        self.inject(Fault::StopReading { to })
    }

    /// Uses the plan's messages up, or not.
    pub fn quota_exhausted(&self, exhausted: bool) {
        self.inject(Fault::Quota { exhausted });
    }

    /// Suspends the account, or not.
    pub fn suspend(&self, suspended: bool) {
        self.inject(Fault::Suspend { suspended });
    }

    /// Changes how many connections the plan has.
    pub fn concurrent_limit(&self, limit: usize) {
        self.inject(Fault::ConcurrentLimit { limit });
    }

    /// Ends tokens now.
    pub fn expire_tokens(&self, to: Target) -> usize {
        self.inject(Fault::ExpireTokens { to })
    }

    /// Sends a text frame as it is: malformed, of an unknown type, anything.
    pub fn send_text(&self, text: &str, to: Target) -> usize {
        self.inject(Fault::SendText { text: text.to_owned(), to })
    }

    /// Sends a binary frame.
    pub fn send_binary(&self, size: usize, to: Target) -> usize {
        self.inject(Fault::SendBinary { size, to })
    }

    /// Sends a message frame of so many bytes.
    pub fn send_oversized(&self, size: usize, to: Target) -> usize {
        self.inject(Fault::SendOversized { size, to })
    }

    /// Lets every frame wait.
    pub fn delay_frames(&self, by: Duration) {
        self.inject(Fault::DelayFrames { ms: ms(by) });
    }

    /// Sets the server's clock ahead by so many seconds; negative for behind.
    pub fn clock_ahead(&self, seconds: f64) {
        self.inject(Fault::Clock { ahead_seconds: seconds });
    }

    /// Ends every fault that lasts.
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
