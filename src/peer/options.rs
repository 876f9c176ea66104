//! What a peer can be told before it starts.

use std::sync::Arc;

use crate::credential::{CredentialError, TokenProvider};
use crate::peer::error::PeerOptionsError;
use crate::platform::tls;
use crate::rtc::runtime::{AddressSource, NetworkContext};
use crate::signalling::SignallingOptions;
use crate::wire::IceServer;

pub use crate::rtc::engine::IceTransportPolicy;
pub use crate::rtc::runtime::SocketBinder;

/// Options of a [`MeteredPeer`](super::MeteredPeer).
///
/// ```
/// use metered_realtime::peer::{IceTransportPolicy, PeerOptions};
/// let mut options = PeerOptions::with_api_key("pk_live_example")?;
/// options.ice_transport_policy = IceTransportPolicy::Relay;
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone)]
pub struct PeerOptions {
    /// Those of the signalling client. Its TLS options also say whom to trust as a TURN server over TLS.
    pub signalling: SignallingOptions,
    /// ICE servers besides those that the service gives in its welcome.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates may be used.
    pub ice_transport_policy: IceTransportPolicy,
    /// Whether connections are made at all. Off: the roster and messages alone.
    pub rtc: bool,
    /// Binds each new socket to a network of the platform.
    pub socket_binder: Option<Arc<dyn SocketBinder>>,
    /// Local addresses to use, asked whenever sockets are bound. `None`: those of all interfaces, but for
    /// loopback and link-local ones unless there is no other.
    pub local_addresses: Option<Arc<dyn LocalAddresses>>,
}

/// Tells which local addresses connections may use.
///
/// A closure that gives addresses is one.
///
/// ```
/// use metered_realtime::peer::{LocalAddresses, PeerOptions};
/// use std::net::IpAddr;
/// use std::sync::Arc;
///
/// /// The addresses of the network that the platform chose for calls.
/// struct Chosen(Vec<IpAddr>);
///
/// impl LocalAddresses for Chosen {
///     fn local_addresses(&self) -> Vec<IpAddr> {
///         self.0.clone()
///     }
/// }
///
/// let mut options = PeerOptions::with_api_key("pk_live_example")?;
/// options.local_addresses = Some(Arc::new(Chosen(vec![IpAddr::from([192, 168, 1, 7])])));
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
pub trait LocalAddresses: Send + Sync + 'static {
    /// The addresses of now.
    fn local_addresses(&self) -> Vec<std::net::IpAddr>;
}

impl<F: Fn() -> Vec<std::net::IpAddr> + Send + Sync + 'static> LocalAddresses for F {
    fn local_addresses(&self) -> Vec<std::net::IpAddr> {
        self()
    }
}

impl std::fmt::Debug for PeerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerOptions")
            .field("signalling", &self.signalling)
            .field("ice_servers", &self.ice_servers)
            .field("ice_transport_policy", &self.ice_transport_policy)
            .field("rtc", &self.rtc)
            .finish_non_exhaustive()
    }
}

impl PeerOptions {
    /// Defaults around signalling options.
    pub fn new(signalling: SignallingOptions) -> Self {
        Self {
            signalling,
            ice_servers: Vec::new(),
            ice_transport_policy: IceTransportPolicy::All,
            rtc: true,
            socket_binder: None,
            local_addresses: None,
        }
    }

    /// Defaults with a publishable key. It needs the action `send`, which is off by default.
    ///
    /// # Errors
    /// [`CredentialError`] for what is no publishable key.
    pub fn with_api_key(key: impl Into<String>) -> Result<Self, CredentialError> {
        SignallingOptions::with_api_key(key).map(Self::new)
    }

    /// Defaults with one token for all connections.
    ///
    /// # Errors
    /// [`CredentialError`] for what is no token.
    ///
    /// ```
    /// use metered_realtime::peer::PeerOptions;
    /// let options = PeerOptions::with_token("eyJ.from-my.backend")?;
    /// assert!(options.rtc); // off: who is there, and messages, alone
    /// # Ok::<(), metered_realtime::credential::CredentialError>(())
    /// ```
    pub fn with_token(token: impl Into<String>) -> Result<Self, CredentialError> {
        SignallingOptions::with_token(token).map(Self::new)
    }

    /// Defaults with a provider that is asked for a token before each connection.
    ///
    /// ```
    /// use metered_realtime::credential::TokenProviderError;
    /// use metered_realtime::peer::PeerOptions;
    /// async fn fetch_from_my_backend() -> Result<String, std::io::Error> {
    ///     Ok("eyJ…".to_owned())
    /// }
    /// let options = PeerOptions::with_token_provider(|| async {
    ///     fetch_from_my_backend().await.map_err(TokenProviderError::new)
    /// });
    /// # let _ = options;
    /// ```
    pub fn with_token_provider(provider: impl TokenProvider) -> Self {
        Self::new(SignallingOptions::with_token_provider(provider))
    }

    pub(crate) fn network(&self) -> Result<NetworkContext, PeerOptionsError> {
        let addresses = match &self.local_addresses {
            None => AddressSource::Interfaces,
            Some(given) => {
                let given = Arc::clone(given);
                AddressSource::Given(Arc::new(move || given.local_addresses()))
            }
        };
        let tls = Some(tls::client_config(&self.signalling.tls)?);
        Ok(NetworkContext {
            binder: self.socket_binder.clone(),
            addresses,
            tls,
            ..NetworkContext::default()
        })
    }
}
