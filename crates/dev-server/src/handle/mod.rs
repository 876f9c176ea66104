//! A running server: its address, its tokens, its end. Owns the state that connections and requests share.
//!
//! What it saw is in [`observed`], what it can be made to do wrong in [`faults`].

mod faults;
mod observed;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{DEV_SECRET, DEV_SECRET_ID};
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
    /// # metered_scenes::play(async |metered_scenes::Service { server }| {
    /// use metered_dev_server::TokenClaims;
    /// use metered_realtime::credential::preflight;
    /// let mut claims = TokenClaims::new("alice");
    /// claims.permissions = Some(vec!["subscribe".into()]);
    /// let read = preflight::check(&server.mint(&claims)?, 0.0)?;
    /// assert_eq!(read.check_send().unwrap_err().code(), "send_not_permitted");
    /// # Ok(())
    /// # });
    /// ```
    pub fn mint(&self, claims: &TokenClaims) -> Result<String, MintError> {
        match self.state.config.secrets.first() {
            Some(key) => claims.mint(&key.id, &key.secret),
            None => claims.mint(DEV_SECRET_ID, DEV_SECRET),
        }
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
