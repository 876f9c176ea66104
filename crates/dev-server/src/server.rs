//! Starting, listening, stopping.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, KeyConfig, Limits, SecretConfig, TurnConfig};
use crate::handle::DevServerHandle;
use crate::http;
use crate::log::WireLog;
use crate::state::State;
use crate::turn;

/// How long `shutdown` waits for connections to end politely.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(3);

/// Why the server did not start.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_dev_server::{Config, DevServer, StartError};
/// let config = Config { host: "0.0.0.0".parse()?, ..Config::default() };
/// let error = DevServer::builder().config(config).start().await.unwrap_err();
/// assert!(matches!(error, StartError::NotThisMachine { .. }));
/// assert_eq!(error.code(), "not_this_machine");
/// println!("{error}. {} {}", error.cause(), error.fix());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address of the network, without TLS and without saying that this is meant.
    #[error(
        "{host} can be reached from other machines, and without TLS credentials would travel readable"
    )]
    NotThisMachine {
        /// The address.
        host: std::net::IpAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Only one of certificate and key, or files that hold none.
    #[error("the TLS files cannot be used: {what}")]
    Tls {
        /// What is wrong.
        what: String,
    },
    /// The log file cannot be opened.
    #[error("the log {} cannot be written: {source}", path.display())]
    Log {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder that shall hold the JavaScript SDK is none.
    #[error("{} is no folder", path.display())]
    Sdk {
        /// Its path.
        path: PathBuf,
    },
    /// A URL for welcomes that no client can take for an ICE server's.
    #[error("{url:?} is no URL of a STUN or TURN server")]
    TurnUrl {
        /// The URL, without what stands before an `@`: that may be a password.
        url: String,
    },
}

impl StartError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotThisMachine { .. } => "not_this_machine",
            Self::Listen { .. } => "cannot_listen",
            Self::Tls { .. } => "invalid_tls_files",
            Self::Log { .. } => "cannot_log",
            Self::Sdk { .. } => "no_sdk_folder",
            Self::TurnUrl { .. } => "invalid_turn_url",
        }
    }

    /// What it most likely comes from.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::NotThisMachine { .. } => {
                "The address is one of the network, and neither TLS files were given nor that it is meant so."
            }
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrNotAvailable => "This machine has no such address.",
                io::ErrorKind::PermissionDenied => {
                    "The system leaves ports below 1024 to its administrator."
                }
                io::ErrorKind::AddrInUse => "Something listens there already.",
                _ => "The system refused it.",
            },
            Self::Tls { .. } => "TLS needs a certificate chain and its key, each as PEM.",
            Self::Log { .. } => "The system refused to open it.",
            Self::Sdk { .. } => {
                "The page at / would look there for @metered-ca/realtime, and would never find it: often a typing error, or a path that belongs to another working directory."
            }
            Self::TurnUrl { .. } => {
                "The URLs of ICE servers begin with stun:, stuns:, turn: or turns:, without slashes, and a host follows (RFC 7064, RFC 7065). Every client would refuse this one, each in its own time."
            }
        }
    }

    /// What to do.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::NotThisMachine { .. } => {
                "Give a certificate and its key, or say insecure_lan (--insecure-lan) if the network is yours alone."
            }
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrNotAvailable => {
                    "Give an address that this machine has, or 127.0.0.1 for this machine alone."
                }
                io::ErrorKind::PermissionDenied => {
                    "Choose a port from 1024 on, or 0 for any that is free."
                }
                _ => {
                    "End what listens there, such as another server of this kind, or choose another port, 0 for any that is free."
                }
            },
            Self::Tls { .. } => {
                "Give PEM files of a certificate chain, leaf first, and of its key; both or neither."
            }
            Self::Log { .. } => "Give a path in a folder that exists and may be written.",
            Self::Sdk { .. } => {
                "Give the folder where npm install @metered-ca/realtime was run, or none for the working directory."
            }
            Self::TurnUrl { .. } => {
                "Write it as turn:127.0.0.1:3478, turns:turn.example.org:443?transport=tcp or stun:127.0.0.1:3478."
            }
        }
    }
}

/// A local service. See the crate's words for what it does.
#[derive(Debug)]
pub struct DevServer;

impl DevServer {
    /// Begins with the defaults of [`Config`].
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use metered_dev_server::DevServer;
    /// let server = DevServer::builder().start().await?;
    /// assert!(server.url().starts_with("ws://127.0.0.1:"));
    /// server.shutdown().await;
    /// # Ok::<(), metered_dev_server::StartError>(())
    /// # }).unwrap();
    /// ```
    pub fn builder() -> DevServerBuilder {
        DevServerBuilder { config: Config::default(), records: false, writer: None }
    }
}

/// Options before the start.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_dev_server::{
///     Config, DevServer, DevServerBuilder, KeyConfig, Limits, SecretConfig, TurnConfig,
/// };
/// let config = Config::from_toml("[limits]\nsubscriptions = 3")?;
/// let builder: DevServerBuilder = DevServer::builder()
///     .config(config) // first: what follows changes it
///     .port(0) // any that is free, which is the default
///     .limits(Limits { messages_per_period: 1_000, ..Limits::default() })
///     .keys(vec![KeyConfig { id: "pk_live_mine".into(), ..KeyConfig::default() }])
///     .secrets(vec![SecretConfig::default()]) // the one that every developer knows
///     .turn(TurnConfig { urls: vec!["stun:127.0.0.1:3478".into()], ..TurnConfig::default() })
///     .record()
///     .log_to(std::io::sink()); // a file, or standard error
/// let server = builder.start().await?;
/// server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct DevServerBuilder {
    config: Config,
    records: bool,
    writer: Option<Box<dyn Write + Send>>,
}

impl std::fmt::Debug for DevServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevServerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl DevServerBuilder {
    /// Takes a whole configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Listens on this port; 0 for any that is free, which is the default.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.config.port = Some(port);
        self
    }

    /// Takes these limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Takes these publishable keys.
    #[must_use]
    pub fn keys(mut self, keys: Vec<KeyConfig>) -> Self {
        self.config.keys = keys;
        self
    }

    /// Takes these secret keys.
    #[must_use]
    pub fn secrets(mut self, secrets: Vec<SecretConfig>) -> Self {
        self.config.secrets = secrets;
        self
    }

    /// Puts ICE servers into welcomes.
    #[must_use]
    pub fn turn(mut self, turn: TurnConfig) -> Self {
        self.config.turn = Some(turn);
        self
    }

    /// Keeps what is seen, for [`DevServerHandle::log`].
    #[must_use]
    pub const fn record(mut self) -> Self {
        self.records = true;
        self
    }

    /// Writes what is seen, as JSON lines.
    #[must_use]
    pub fn log_to(mut self, writer: impl Write + Send + 'static) -> Self {
        self.writer = Some(Box::new(writer));
        self
    }

    /// Listens. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]: an address of the network without TLS, a port that is taken, files, folders or URLs that
    /// cannot be used.
    pub async fn start(self) -> Result<DevServerHandle, StartError> {
        // A connection is a descriptor: take as many as the system gives. With fewer it works the same.
        #[cfg(unix)]
        drop(rlimit::increase_nofile_limit(u64::MAX));
        let Self { config, records, writer } = self;
        let tls = tls_acceptor(&config)?;
        if !config.host.is_loopback() && tls.is_none() && !config.insecure_lan {
            return Err(StartError::NotThisMachine { host: config.host });
        }
        if let Some(path) = config.sdk.as_ref().filter(|path| !path.is_dir()) {
            return Err(StartError::Sdk { path: path.clone() });
        }
        let mut urls = config.turn.iter().flat_map(|turn| &turn.urls);
        if let Some(url) = urls.find(|url| !turn::may_be_a_servers(url)) {
            return Err(StartError::TurnUrl { url: turn::without_user(url) });
        }
        let writer = match (writer, &config.log) {
            (Some(writer), _) => Some(writer),
            (None, Some(path)) => Some(log_writer(path)?),
            (None, None) => None,
        };
        // Without a port any that is free, so that servers of tests never meet.
        let address = SocketAddr::new(config.host, config.port.unwrap_or(0));
        let failed = |source| StartError::Listen { address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let secure = tls.is_some();
        let state = Arc::new(State::new(config, WireLog::new(records, writer)));
        let accepting = Arc::clone(&state);
        state.tasks.spawn(accept(accepting, listener, tls));
        let handle = DevServerHandle::new(state, address, secure);
        tracing::warn!("{}", handle.banner());
        Ok(handle)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Many clients may come back at once.
    socket.listen(4_096)?;
    TcpListener::from_std(socket.into())
}

fn log_writer(path: &Path) -> Result<Box<dyn Write + Send>, StartError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stderr()));
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let failed = |source| StartError::Log { path: path.to_owned(), source };
    Ok(Box::new(file.map_err(failed)?))
}

fn tls_acceptor(config: &Config) -> Result<Option<TlsAcceptor>, StartError> {
    let bad = |what: String| StartError::Tls { what };
    let (cert, key) = match (&config.tls_cert, &config.tls_key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        _ => return Err(bad("certificate and key go together".into())),
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(format!("{}: {error}", cert.display())))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| bad(format!("{}: {error}", key.display())))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad(error.to_string()))?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

async fn accept(state: Arc<State>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let accepted = tokio::select! {
            () = state.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: wait for some to become free.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if state.lasting().ignores_connect() {
            state.log.add("refused", None, None, "ignored");
            state.ignored.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            continue;
        }
        let serving = Arc::clone(&state);
        state.tasks.spawn(serve_stream(serving, stream, from, tls.clone()));
    }
}

async fn serve_stream(
    state: Arc<State>,
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
) {
    // Small frames must not wait for each other; without it everything still works, only later.
    drop(stream.set_nodelay(true));
    let kill = state.kill.clone();
    let served = async {
        match tls {
            None => serve_http(state, stream, from).await,
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => serve_http(state, stream, from).await,
                Err(error) => tracing::debug!(%error, "no TLS"),
            },
        }
    };
    tokio::select! {
        () = served => {}
        () = kill.cancelled() => {}
    }
}

async fn serve_http<S>(state: Arc<State>, stream: S, from: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stop = state.stop.clone();
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, std::convert::Infallible>(http::handle(state, from, request).await) }
    });
    let connection = http1::Builder::new()
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}
