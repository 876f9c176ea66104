//! A network inside the process: what leaves a connection's socket arrives at another's by the rules of the
//! [`Path`] between their addresses. Its clock is tokio's, so that a paused clock is virtual time.
//!
//! The crate binds real sockets, and their addresses are the names here; nothing is ever sent over them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::{Instant, Sleep};
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

/// What happens to datagrams from one address to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// From sending to arrival, without what the rate adds.
    pub(crate) delay: Duration,
    /// Up to so much is added to the delay of each: datagrams overtake each other.
    pub(crate) jitter: Duration,
    /// Share of datagrams that are lost, 0 to 1.
    pub(crate) loss: f64,
    /// Bytes per second; `None` for any.
    pub(crate) rate: Option<u64>,
    /// Bytes of a datagram that fits through; larger ones are lost.
    pub(crate) most_bytes: Option<usize>,
    /// Whether anything arrives.
    pub(crate) up: bool,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            loss: 0.0,
            rate: None,
            most_bytes: None,
            up: true,
        }
    }
}

/// A path with a rate holds up to so much; what comes then is lost.
const QUEUE: Duration = Duration::from_millis(500);

#[derive(Default)]
struct State {
    sockets: HashMap<SocketAddr, Weak<Inbox>>,
    paths: HashMap<(IpAddr, IpAddr), Path>,
    default: Path,
    /// Until when a path with a rate is busy.
    busy: HashMap<(IpAddr, IpAddr), Instant>,
    chance: fastrand::Rng,
    order: u64,
}

/// All sockets and paths of one simulation.
#[derive(Default)]
pub(crate) struct SimulatedNetwork {
    state: Mutex<State>,
}

impl fmt::Debug for SimulatedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedNetwork").finish_non_exhaustive()
    }
}

impl SimulatedNetwork {
    /// Every path is `default` until it is set; losses and jitter follow from the seed.
    pub(crate) fn new(default: Path, seed: u64) -> Arc<Self> {
        let chance = fastrand::Rng::with_seed(seed);
        Arc::new(Self { state: Mutex::new(State { default, chance, ..State::default() }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All paths, from now on.
    pub(crate) fn set_all(&self, path: Path) {
        let mut state = self.lock();
        state.paths.clear();
        state.default = path;
    }

    /// Nothing passes between two addresses.
    pub(crate) fn part(&self, one: IpAddr, two: IpAddr) {
        let mut state = self.lock();
        let down = Path { up: false, ..state.default };
        state.paths.insert((one, two), down);
        state.paths.insert((two, one), down);
    }

    pub(super) fn socket(self: &Arc<Self>, address: SocketAddr) -> SimulatedSocket {
        let inbox = Arc::new(Inbox::default());
        self.lock().sockets.insert(address, Arc::downgrade(&inbox));
        SimulatedSocket { network: Arc::clone(self), address, inbox, timer: Mutex::new(None) }
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let mut state = self.lock();
        let way = (from.ip(), to.ip());
        let path = state.paths.get(&way).copied().unwrap_or(state.default);
        let fits = path.most_bytes.is_none_or(|most| datagram.len() <= most);
        if !path.up || !fits || state.chance.f64() < path.loss {
            return;
        }
        let now = Instant::now();
        let mut leaves = now;
        if let Some(rate) = path.rate {
            let busy = state.busy.get(&way).copied().unwrap_or(now).max(now);
            if busy.duration_since(now) > QUEUE {
                return;
            }
            leaves = busy + Duration::from_secs_f64(datagram.len() as f64 / rate as f64);
            state.busy.insert(way, leaves);
        }
        let arrives = leaves + path.delay + path.jitter.mul_f64(state.chance.f64());
        let Some(inbox) = state.sockets.get(&to).and_then(Weak::upgrade) else { return };
        state.order += 1;
        let entry = Arrival { at: arrives, order: state.order, from, datagram: datagram.to_vec() };
        inbox.lock().push(Reverse(entry));
        inbox.waker.wake();
    }
}

/// A datagram under way; those that arrive together keep their order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: Instant,
    order: u64,
    from: SocketAddr,
    datagram: Vec<u8>,
}

#[derive(Debug, Default)]
struct Inbox {
    arrivals: Mutex<BinaryHeap<Reverse<Arrival>>>,
    waker: AtomicWaker,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Arrival>>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of the network.
pub(super) struct SimulatedSocket {
    network: Arc<SimulatedNetwork>,
    address: SocketAddr,
    inbox: Arc<Inbox>,
    /// Until the next arrival.
    timer: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl fmt::Debug for SimulatedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedSocket").field("address", &self.address).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for SimulatedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn poll_send(&self, _: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let segment = transmit.segment_size.unwrap_or(usize::MAX).max(1);
        for datagram in transmit.contents.chunks(segment) {
            self.network.send(self.address, transmit.destination, datagram);
        }
        Poll::Ready(Ok(transmit.contents.len()))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inbox.waker.register(cx.waker());
        loop {
            let mut arrivals = self.inbox.lock();
            let Some(Reverse(next)) = arrivals.peek() else { return Poll::Pending };
            let at = next.at;
            if at <= Instant::now() {
                let Some(Reverse(arrival)) = arrivals.pop() else { return Poll::Pending };
                let length = arrival.datagram.len().min(bufs[0].len());
                bufs[0][..length].copy_from_slice(&arrival.datagram[..length]);
                meta[0] = RecvMeta::default();
                (meta[0].len, meta[0].stride) = (length, length.max(1));
                meta[0].addr = arrival.from;
                return Poll::Ready(Ok(1));
            }
            drop(arrivals);
            let mut timer = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
            let timer = timer.insert(Box::pin(tokio::time::sleep_until(at)));
            std::task::ready!(timer.as_mut().poll(cx));
        }
    }
}
