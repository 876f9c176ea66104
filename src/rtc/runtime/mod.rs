//! Our implementation of the crate's [`Runtime`]: one per connection.
//!
//! - [`Pace`]: the crate's driver sleeps until a timer of its ICE agent, and what happens in DTLS and SCTP
//!   in between waits for that. While a connection is being set up its sleeps are short; while it is idle
//!   they are long.
//! - [`alarm`]: the driver's sleeps, of which it makes one for each turn, share a timer.
//! - [`handshake`]: a lost flight of DTLS is sent again, which the crate forgets.
//! - [`recent`]: what a broken path lost is sent again as soon as there is another.
//! - [`turns`]: the driver reads no more at once than its queues hold, and a datagram by a relay needs more turns
//!   of it than it takes by itself.
//! - [`burst`]: what goes to a relay leaves evenly.
//! - [`sockets`]: large buffers, a hook that binds them to a network of the platform, and a detour for
//!   what goes to a STUN or TURN server.
//! - [`trains`]: coalesced datagrams arrive in a buffer that connections share.
//! - [`departures`]: media that is sent in one turn of the driver leaves as trains.
//! - [`early`]: what comes before the crate can use it waits, for the time to connect.
//! - [`servers`]: the crate is given made-up names and addresses for these servers. So names are looked up by
//!   us, for all servers at once; a server behind TCP or TLS is reached by a [`carrier`]; and its answers
//!   can be read ([`watch`]), because the crate keeps a refusal to itself.
//! - `simulated`: for tests, a network inside the process with delay, loss, reordering, rate and partitions.
//! - [`names`]: those of the servers are looked up again when they are needed again.
//! - [`addresses`]: which local addresses are used, asked anew whenever sockets are bound.
//!
//! Its clock is tokio's, so that a paused clock is virtual time for the crate as well.

mod addresses;
mod alarm;
mod burst;
mod carrier;
mod departures;
mod early;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz;
mod handshake;
mod names;
mod pace;
mod recent;
mod reception;
mod servers;
#[cfg(test)]
pub(crate) mod simulated;
mod sockets;
mod trains;
mod turns;
mod watch;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinHandle as TokioJoinHandle;
use webrtc::peer_connection::RTCIceServer;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime,
    TokioRuntime,
};

use super::engine::IceServerError;
use crate::wire::IceServer;

pub(crate) use addresses::{AddressSource, LocalAddresses};
use alarm::Alarm;
pub(crate) use names::NameSource;
pub(crate) use pace::{KEEPALIVE, Pace};
use recent::Recent;
pub(crate) use reception::Selection;
use servers::Servers;
use sockets::ConnectionSocket;
pub use sockets::SocketBinder;
use turns::Turns;

/// Stands for a moment that no clock can tell.
const FAR: Duration = Duration::from_secs(86_400);

tokio::task_local! {
    /// Set in tasks of the crate. Only its driver's sleeps are cut short: a sleep of ours inside a call of the
    /// crate is a time limit.
    static DRIVER: ();
}

/// What all connections of a client share.
#[derive(Default)]
pub(crate) struct NetworkContext {
    /// Called with every new socket.
    pub(crate) binder: Option<Arc<dyn SocketBinder>>,
    pub(crate) addresses: AddressSource,
    /// Who knows the addresses of ICE servers.
    pub(crate) names: NameSource,
    /// Whom to trust as a TURN server over TLS; the default trusts the platform's roots.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// Carries everything instead of the machine's network.
    #[cfg(test)]
    pub(crate) simulation: Option<Arc<simulated::SimulatedNetwork>>,
}

impl fmt::Debug for NetworkContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkContext").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// What the sockets of one connection share.
struct Common {
    pace: Pace,
    alarm: Alarm,
    turns: Arc<Turns>,
    servers: Arc<Servers>,
    recent: Mutex<Recent>,
    selection: Arc<Selection>,
    /// Whether the connection is being closed.
    closing: AtomicBool,
    /// Whether a socket holds media back until the end of the driver's turn.
    departing: AtomicBool,
    on_heard: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Common {
    /// Datagrams came, this one the first of them.
    fn arrived(&self, datagrams: usize, datagram: &[u8]) {
        let of_remote = self.pace.arrived(datagrams, datagram);
        if of_remote && let Some(heard) = self.on_heard.get() {
            heard();
        }
    }
}

/// The runtime of one connection.
pub(crate) struct ConnectionRuntime {
    network: Arc<NetworkContext>,
    common: Arc<Common>,
    sockets: Arc<Mutex<Vec<Weak<ConnectionSocket>>>>,
    tasks: Mutex<Vec<TokioJoinHandle<()>>>,
    /// Why a socket could not be used.
    refused: Mutex<Option<io::Error>>,
    on_end: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for ConnectionRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionRuntime").finish_non_exhaustive()
    }
}

impl ConnectionRuntime {
    /// `on_error` is told of each server that does not serve, once per attempt; `on_end` of the end of the
    /// crate's driver, which has no other event when a fault of its own ends it. Neither may wait.
    pub(crate) fn new(
        network: &Arc<NetworkContext>,
        on_error: impl Fn(IceServerError) + Send + Sync + 'static,
        on_end: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            network: Arc::clone(network),
            common: Arc::new(Common {
                pace: Pace::default(),
                alarm: Alarm::default(),
                turns: Arc::default(),
                servers: Arc::new(Servers::new(Arc::clone(network), Box::new(on_error))),
                recent: Mutex::default(),
                selection: Arc::default(),
                closing: AtomicBool::new(false),
                on_heard: OnceLock::new(),
                departing: AtomicBool::new(false),
            }),
            sockets: Arc::default(),
            tasks: Mutex::new(Vec::new()),
            refused: Mutex::default(),
            on_end: Arc::new(on_end),
        })
    }

    /// Sends the last datagrams with data again, from the socket that is bound so.
    pub(crate) async fn repeat_recent(&self, from: SocketAddr, to: SocketAddr) {
        let bound = {
            let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            let mut bound = sockets.iter().filter_map(Weak::upgrade);
            bound.find(|socket| socket.local_addr().is_ok_and(|address| address == from))
        };
        let recent = self.common.recent.lock().unwrap_or_else(PoisonError::into_inner).all();
        let Some(socket) = bound else { return };
        for datagram in recent {
            if let Err(error) = socket.repeat(&datagram, to).await {
                tracing::debug!(kind = ?error.kind(), "a datagram was not sent again");
                return;
            }
        }
    }

    /// Said once: what is called with datagrams that come from the remote. It may not wait.
    pub(crate) fn when_heard(&self, heard: impl Fn() + Send + Sync + 'static) {
        self.common.on_heard.get_or_init(|| Box::new(heard));
    }

    /// Datagrams that came over all sockets so far.
    pub(crate) fn received(&self) -> u64 {
        self.common.pace.received()
    }

    /// Call it before the connection's own close: from then on no DTLS alert leaves.
    pub(crate) fn closing(&self) {
        self.common.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.common.pace
    }

    pub(crate) fn selection(&self) -> &Arc<Selection> {
        &self.common.selection
    }

    /// Takes the app's servers and gives what the crate shall be told instead. A URL that stays keeps its
    /// made-up name, so that the crate sees that only credentials changed.
    pub(crate) fn set_servers(&self, servers: &[IceServer]) -> Vec<RTCIceServer> {
        self.common.servers.set(servers)
    }

    /// The app's URL of a URL that the crate was given.
    pub(crate) fn url_of(&self, crate_url: &str) -> Option<String> {
        self.common.servers.url_of(crate_url)
    }

    pub(crate) fn local_addresses(&self) -> LocalAddresses {
        self.network.addresses.local()
    }

    /// Why there is no socket, which the crate does not tell: what refused one, or what refuses each address.
    pub(crate) fn why_no_socket(&self) -> Option<io::Error> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.or_else(|| {
            let mut addresses = self.local_addresses().to_socket_addrs().ok()?;
            addresses.find_map(|address| {
                let error = std::net::UdpSocket::bind(address).err()?;
                Some(io::Error::new(error.kind(), format!("{}: {error}", address.ip())))
            })
        })
    }

    /// Notes it, and gives another for the crate.
    fn refuse(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        kind.into()
    }

    fn carry(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        #[cfg(test)]
        if let Some(network) = &self.network.simulation {
            return Ok(Arc::new(network.socket(socket.local_addr()?)));
        }
        sockets::prepare(&socket, self.network.binder.as_deref())?;
        TokioRuntime.wrap_udp_socket(socket)
    }

    /// Ends every task that was started for the connection. Call it after the connection's own close.
    pub(crate) async fn shutdown(&self) {
        self.common.servers.shutdown().await;
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
            // Ended, or ended by the abort: both are the end.
            drop(task.await);
        }
    }
}

/// A task of the crate: the handle to abort it; the task itself is awaited by `shutdown`.
struct Spawned(tokio::task::AbortHandle);

impl JoinHandle for Spawned {
    fn detach(&self) {}

    fn abort(&self) {
        self.0.abort();
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

/// Sends what waited for the end of the driver's turn.
fn depart(sockets: &Mutex<Vec<Weak<ConnectionSocket>>>, cx: &mut Context<'_>) {
    let sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
    sockets.iter().filter_map(Weak::upgrade).for_each(|socket| socket.depart(cx));
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Runtime for ConnectionRuntime {
    fn spawn(&self, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        let on_end = Arc::clone(&self.on_end);
        let (common, sockets) = (Arc::clone(&self.common), Arc::clone(&self.sockets));
        let mut future = future;
        let turns = poll_fn(move |cx| {
            common.turns.polled();
            let ended = future.as_mut().poll(cx);
            if common.departing.swap(false, Ordering::Relaxed) {
                depart(&sockets, cx);
            }
            ended
        });
        let task = tokio::spawn(
            async move {
                DRIVER.scope((), turns).await;
                on_end();
            }
            .boxed(),
        );
        let handle = Spawned(task.abort_handle());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
        Box::new(handle)
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let inner = self.carry(socket).map_err(|error| self.refuse(error))?;
        let socket = Arc::new(ConnectionSocket::new(inner, Arc::clone(&self.common))?);
        self.common.servers.bound();
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(&socket));
        Ok(socket)
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        // ICE over TCP is not offered: the remote's TCP candidates are not followed.
        Box::pin(async move { Err(io::Error::new(io::ErrorKind::Unsupported, remote.to_string())) })
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        let found = self.common.servers.made_up_addresses(host);
        Box::pin(async move { found.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        if DRIVER.try_with(|()| ()).is_err() {
            return Box::pin(tokio::time::sleep(duration));
        }
        let common = Arc::clone(&self.common);
        let sleep = common.turns.sleep();
        let now = tokio::time::Instant::now();
        let duration = common.pace.sleep(now, duration, common.selection.is_selected());
        let due = now.checked_add(duration).unwrap_or(now + FAR);
        Box::pin(async move {
            if !sleep.is_none() {
                common.alarm.sleep_until(due).await;
            }
            sleep.over();
        })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn name(&self) -> &'static str {
        "metered"
    }
}
