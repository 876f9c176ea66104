//! The UDP sockets of a connection: prepared for its traffic, and with a detour to the ICE servers.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use socket2::SockRef;
use tokio::sync::mpsc;
use tokio::time::Instant;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::burst::Burst;
use super::departures::Departures;
use super::handshake::Handshake;
use super::reception::Reception;
use super::servers::{Server, Servers, Transport, UNREACHABLE};
use super::trains::Trains;
use super::watch::{ANSWER_TIMEOUT, Answer, Watch, unwrapped};
use super::{Common, DRIVER, carrier};

/// Wanted for each direction. A burst of a data channel fills the usual 208 KiB, and what does not fit is
/// lost and sent again; the system gives what its administrator allows.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Datagrams that wait for a server's name to be found.
const MAX_HELD: usize = 16;
/// Datagrams between a connection and a server's stream, each way: what the largest window of SCTP holds (1 MiB),
/// so that a channel that fills it loses nothing here.
pub(super) const STREAM_QUEUE: usize = 1_024;

/// Binds sockets to a network of the platform, before anything is sent.
///
/// `SockRef` is of the crate `socket2` 0.6.
///
/// ```
/// use metered_realtime::peer::{PeerOptions, SocketBinder};
/// use socket2::SockRef;
/// use std::sync::Arc;
///
/// /// On Android this would call `android_setsocknetwork` with the network of the call.
/// struct Network;
///
/// impl SocketBinder for Network {
///     fn bind(&self, socket: &SockRef<'_>) -> std::io::Result<()> {
///         socket.set_tos_v4(0xb8) // or anything else that a socket can be told, here: expedited forwarding
///     }
/// }
///
/// let mut options = PeerOptions::with_api_key("pk_live_example")?;
/// options.socket_binder = Some(Arc::new(Network));
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
pub trait SocketBinder: Send + Sync + 'static {
    /// Called with each new socket, UDP or TCP. A socket that it fails for is not used.
    fn bind(&self, socket: &SockRef<'_>) -> io::Result<()>;
}

/// Prepares a new socket: network and buffers.
pub(super) fn prepare(
    socket: &std::net::UdpSocket,
    binder: Option<&dyn SocketBinder>,
) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if let Some(binder) = binder {
        binder.bind(&socket)?;
    }
    for result in
        [socket.set_recv_buffer_size(SOCKET_BUFFER), socket.set_send_buffer_size(SOCKET_BUFFER)]
    {
        if let Err(error) = result {
            tracing::debug!(kind = ?error.kind(), "a socket keeps its small buffer");
        }
    }
    Ok(())
}

/// The way from one socket to one server.
pub(super) struct Link {
    pub(super) server: Arc<Server>,
    pub(super) ipv4: bool,
    /// The server's address that it leads to: an allocation is known at no other.
    address: OnceLock<SocketAddr>,
    pub(super) state: Mutex<LinkState>,
}

pub(super) struct LinkState {
    pub(super) watch: Watch,
    /// UDP: datagrams from before the address was known.
    held: Vec<Vec<u8>>,
    /// TCP and TLS: into the stream. `None` before the first and after a failure.
    stream: Option<mpsc::Sender<Bytes>>,
}

impl Link {
    pub(super) fn new(server: Arc<Server>, ipv4: bool) -> Self {
        let state = LinkState { watch: Watch::default(), held: Vec::new(), stream: None };
        Self { server, ipv4, address: OnceLock::new(), state: Mutex::new(state) }
    }

    /// Where its datagrams go over a socket, once that is known.
    fn address(&self) -> Option<SocketAddr> {
        match self.address.get() {
            Some(address) => Some(*address),
            None => {
                let address = self.server.name.address(self.ipv4)?;
                Some(*self.address.get_or_init(|| address))
            }
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a datagram is a DTLS alert (RFC 6347 section 4.1), alone or as channel data of a relay (RFC 8656
/// section 12.4).
///
/// A browser that closes a connection aborts the association and sends no `close_notify`, and the Python SDK
/// relies on that: an alert closes its remote for good, also when we only make the connection anew.
fn is_dtls_alert(datagram: &[u8]) -> bool {
    const ALERT: u8 = 21;
    match datagram.first() {
        Some(&ALERT) => true,
        Some(0x40..=0x4f) => datagram.get(4) == Some(&ALERT),
        _ => false,
    }
}

/// The first datagram of a train.
fn first_of(train: &[u8], segment: Option<usize>) -> &[u8] {
    &train[..segment.map_or(train.len(), |segment| segment.min(train.len()))]
}

pub(super) struct ConnectionSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    ipv4: bool,
    common: Arc<Common>,
    /// Whether any link exists: without, nothing needs a look.
    linked: AtomicBool,
    links: Mutex<HashMap<SocketAddr, Arc<Link>>>,
    reception: Arc<Reception>,
    trains: Trains,
    departures: Departures,
    to_relays: Burst,
    handshake: Mutex<Handshake>,
    /// Whether the handshake is over: then nothing needs a look.
    secured: AtomicBool,
    epoch: Instant,
}

impl fmt::Debug for ConnectionSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSocket").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl ConnectionSocket {
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, common: Arc<Common>) -> io::Result<Self> {
        let ipv4 = inner.local_addr()?.is_ipv4();
        let reception = Arc::default();
        common.selection.watch(&reception);
        Ok(Self {
            inner,
            ipv4,
            common,
            linked: AtomicBool::new(false),
            links: Mutex::default(),
            reception,
            trains: Trains::default(),
            departures: Departures::default(),
            to_relays: Burst::default(),
            handshake: Mutex::default(),
            secured: AtomicBool::new(false),
            epoch: Instant::now(),
        })
    }

    /// Sends a datagram as it is, to no server.
    pub(super) async fn repeat(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.inner.send_to(datagram, to).await.map(drop)
    }

    fn handshake(&self) -> MutexGuard<'_, Handshake> {
        self.handshake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forward(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let Some(server) = self.common.servers.behind(transmit.destination) else {
            // Only the driver's turns have an end that is waited for.
            if DRIVER.try_with(|()| ()).is_err() {
                return self.inner.poll_send(cx, transmit);
            }
            let (sent, waits) = self.departures.poll_send(&*self.inner, cx, transmit);
            if waits {
                self.common.departing.store(true, Ordering::Relaxed);
            }
            return sent;
        };
        let link = self.link(server);
        self.common.turns.relayed();
        match self.divert(&link, transmit.contents) {
            Some(destination) => {
                let mut transmit = transmit.clone();
                transmit.destination = destination;
                self.inner.poll_send(cx, &transmit)
            }
            None => Poll::Ready(Ok(transmit.contents.len())),
        }
    }

    /// The driver's turn ends: what waited leaves.
    pub(super) fn depart(&self, cx: &mut Context<'_>) {
        if self.departures.poll_flush(&*self.inner, cx).is_pending() {
            self.common.departing.store(true, Ordering::Relaxed);
        }
    }

    /// Keeps what may have to be sent again.
    fn keep(&self, transmit: &Transmit<'_>) {
        let segment = transmit.segment_size.unwrap_or(usize::MAX).max(1);
        let mut recent = self.common.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for datagram in transmit.contents.chunks(segment) {
            recent.sent(datagram);
        }
    }

    /// Sends the last flight of the handshake again, if it is due.
    fn repeat_flight(&self, cx: &mut Context<'_>) {
        let flight = self.handshake().repetition(self.epoch.elapsed()).map(<[_]>::to_vec);
        for (to, datagram) in flight.unwrap_or_default() {
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: &datagram,
                segment_size: None,
                src_ip: None,
            };
            // Lost, as on the path: it is repeated once more.
            drop(self.forward(cx, &transmit));
        }
    }

    /// What the crate reads next.
    fn read(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let inbound = &self.reception.inbound;
        let secured = self.secured.load(Ordering::Relaxed);
        if !secured {
            self.repeat_flight(cx);
        }
        // The waker first, so that nothing that is pushed in between is slept over.
        inbound.register(cx.waker());
        loop {
            if let Some((datagram, from)) = inbound.pop() {
                self.common.arrived(1, &datagram);
                // What came early was noted when it came.
                if !secured && self.common.servers.behind(from).is_some() {
                    self.note_received(&datagram);
                }
                let length = datagram.len().min(bufs[0].len());
                bufs[0][..length].copy_from_slice(&datagram[..length]);
                meta[0] = RecvMeta::default();
                (meta[0].len, meta[0].stride, meta[0].addr) = (length, length.max(1), from);
                return Poll::Ready(Ok(1));
            }
            let received = self.trains.poll_recv(&*self.inner, cx, bufs, meta);
            let received = std::task::ready!(received)?;
            let first = bufs.first().zip(meta.first());
            let first = first.map_or(&[][..], |(buf, meta)| {
                first_of(&buf[..meta.len.min(buf.len())], Some(meta.stride))
            });
            self.common.arrived(received, first);
            let linked = self.linked.load(Ordering::Relaxed);
            let selected = self.common.selection.is_selected();
            // Without a pair there is little to read: the crate asks for one datagram or one train of them
            // at a time.
            let mut admitted = selected;
            for (buf, meta) in bufs.iter().zip(meta.iter_mut()).take(received) {
                if !secured {
                    for datagram in buf[..meta.len.min(buf.len())].chunks(meta.stride.max(1)) {
                        self.note_received(datagram);
                    }
                }
                if linked {
                    self.recognise(buf, meta);
                }
                admitted |= selected || self.reception.admits(buf, meta);
            }
            if admitted {
                return Poll::Ready(Ok(received));
            }
        }
    }

    fn note_received(&self, datagram: &[u8]) {
        let mut handshake = self.handshake();
        handshake.received(self.epoch.elapsed(), unwrapped(datagram));
        self.secured.store(handshake.is_over(), Ordering::Relaxed);
    }

    fn links(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, server: Arc<Server>) -> Arc<Link> {
        self.linked.store(true, Ordering::Relaxed);
        let (made_up, ipv4) = (server.made_up(self.ipv4), self.ipv4);
        let new = || Arc::new(Link::new(server, ipv4));
        Arc::clone(self.links().entry(made_up).or_insert_with(new))
    }

    /// A datagram for a server. `Some` is where it goes over this socket; `None` if it was taken care of.
    fn divert(&self, link: &Arc<Link>, datagram: &[u8]) -> Option<SocketAddr> {
        let mut state = link.lock();
        // A stream has time limits of its own until it stands.
        if state.watch.sent(datagram) && link.server.transport == Transport::Udp {
            expect_answer(&self.common.servers, Arc::clone(link));
        }
        match link.server.transport {
            Transport::Udp => {
                let address = link.address();
                if address.is_none() && link.server.name.is_under_way() {
                    if state.held.is_empty() {
                        self.flush_when_found(Arc::clone(link));
                    }
                    if state.held.len() < MAX_HELD {
                        state.held.push(datagram.to_vec());
                    }
                }
                address
            }
            Transport::Tcp | Transport::Tls => {
                let stream = state.stream.get_or_insert_with(|| {
                    let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
                    let (servers, link) = (Arc::clone(&self.common.servers), Arc::clone(link));
                    let inbound = Arc::clone(&self.reception.inbound);
                    self.common.servers.spawn(carrier::run(servers, link, receiver, inbound));
                    sender
                });
                // Full: lost, as a datagram is on a path that is full.
                drop(stream.try_send(Bytes::copy_from_slice(datagram)));
                None
            }
        }
    }

    fn flush_when_found(&self, link: Arc<Link>) {
        let inner = Arc::clone(&self.inner);
        self.common.servers.spawn(async move {
            link.server.name.settled().await;
            let held = std::mem::take(&mut link.lock().held);
            let Some(address) = link.address() else { return };
            for datagram in held {
                // Lost, as on the path: the request is repeated.
                drop(inner.send_to(&datagram, address).await);
            }
        });
    }

    /// Datagrams from a server are read, and get its made-up address.
    fn recognise(&self, bytes: &[u8], meta: &mut RecvMeta) {
        let from = meta.addr;
        let links = self.links();
        let found = links.iter().find(|(_, link)| {
            link.server.transport == Transport::Udp && link.address.get() == Some(&from)
        });
        let Some((made_up, link)) = found else { return };
        meta.addr = *made_up;
        let link = Arc::clone(link);
        drop(links);
        for datagram in bytes[..meta.len.min(bytes.len())].chunks(meta.stride.max(1)) {
            examine(&self.common.servers, &link, datagram);
        }
    }
}

/// From now on the server has some time to answer; tells if it does not.
pub(super) fn expect_answer(servers: &Arc<Servers>, link: Arc<Link>) {
    let weak = Arc::downgrade(servers);
    servers.spawn(async move {
        tokio::time::sleep(ANSWER_TIMEOUT).await;
        let silent = !link.lock().watch.was_heard();
        if let Some(servers) = weak.upgrade()
            && silent
            && link.lock().watch.broken()
        {
            let (code, reason) = match link.server.name.addresses().is_empty() {
                true => ("ice_server_unresolved", "its name was not found"),
                false => ("ice_server_timeout", "no answer within 5 s"),
            };
            servers.report(link.server.url(), code, UNREACHABLE, reason);
        }
    });
}

/// Reads an answer of a server and tells of a refusal.
pub(super) fn examine(servers: &Servers, link: &Link, datagram: &[u8]) {
    let answer = link.lock().watch.received(datagram);
    if let Answer::Refused(refusal) = answer {
        let code = refusal.stable_code();
        servers.report(link.server.url(), code, refusal.code, &refusal.reason);
    }
}

impl AsyncUdpSocket for ConnectionSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        Trains::max_segments(self.inner.max_gro_segments())
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let server = self.common.servers.behind(transmit.destination);
        if server.is_some_and(|server| server.transport == Transport::Udp) {
            std::task::ready!(self.to_relays.poll(cx));
        }
        let first = first_of(transmit.contents, transmit.segment_size);
        let unwanted = self.common.closing.load(Ordering::Relaxed) && is_dtls_alert(first);
        if unwanted || !self.common.pace.sends(first, transmit.destination) {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        let sent = self.forward(cx, transmit);
        self.keep(transmit);
        if !self.secured.load(Ordering::Relaxed) && sent.is_ready() {
            let now = self.epoch.elapsed();
            let segment = transmit.segment_size.unwrap_or(usize::MAX).max(1);
            let mut handshake = self.handshake();
            for datagram in transmit.contents.chunks(segment) {
                handshake.sent(now, transmit.destination, datagram, unwrapped(datagram));
            }
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.common.turns.has_read_enough() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let received = self.read(cx, bufs, meta);
        if let Poll::Ready(received) = &received {
            let read = meta.iter().take(*received.as_ref().unwrap_or(&0));
            let datagrams = read.map(|meta| meta.len.div_ceil(meta.stride.max(1))).sum();
            self.common.turns.read(datagrams);
        }
        received
    }
}

#[cfg(test)]
mod tests {
    use super::is_dtls_alert;

    #[test]
    fn an_alert_is_told_from_other_records_also_behind_a_relay() {
        assert!(is_dtls_alert(&[21, 0xfe, 0xfd]));
        assert!(is_dtls_alert(&[0x40, 0x01, 0, 3, 21, 0xfe, 0xfd]));
        // Handshake, data, STUN, RTP, channel data of a data record.
        for other in [&[22, 0xfe][..], &[23, 0xfe], &[0, 1], &[0x80, 21], &[0x40, 1, 0, 3, 23], &[]]
        {
            assert!(!is_dtls_alert(other));
        }
    }
}
