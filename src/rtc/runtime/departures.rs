//! Media that the driver sends in one turn leaves as trains (UDP GSO): one call of the system for a picture, where
//! the crate makes one for each packet.
//!
//! The crate builds trains of its own from 16 datagrams on, and hands over the packets of a track one by one. Here
//! they wait for each other until the driver has done what it had to do, never longer. What is not media leaves at
//! once, behind the media that waits.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use webrtc::runtime::{AsyncUdpSocket, Transmit};

/// First bytes of RTP and RTCP (RFC 7983 section 7).
pub(super) const MEDIA: std::ops::RangeInclusive<u8> = 128..=191;
/// Datagrams of a train: half of what the kernel takes, and of a size that every queue on the way has room for.
const MOST_DATAGRAMS: usize = 32;
/// Bytes of a train: less than the longest datagram, for systems that check the whole of it.
const MOST_BYTES: usize = 60_000;

thread_local! {
    /// A buffer for the connections of a thread: one that has nothing to send holds none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Datagrams that wait: all of one size, but for a shorter last one.
#[derive(Debug)]
struct Train {
    to: SocketAddr,
    size: usize,
    datagrams: usize,
    bytes: Vec<u8>,
}

impl Train {
    fn of(to: SocketAddr, datagram: &[u8]) -> Self {
        let mut bytes = SPARE.take();
        bytes.clear();
        bytes.extend_from_slice(datagram);
        Self { to, size: datagram.len(), datagrams: 1, bytes }
    }

    /// Whether the datagram became a part of it.
    fn takes(&mut self, to: SocketAddr, datagram: &[u8], most: usize) -> bool {
        let whole = self.bytes.len() == self.size * self.datagrams;
        let fits = whole
            && to == self.to
            && datagram.len() <= self.size
            && self.datagrams < most
            && self.bytes.len() + datagram.len() <= MOST_BYTES;
        if fits {
            self.bytes.extend_from_slice(datagram);
            self.datagrams += 1;
        }
        fits
    }

    fn transmit<'a>(&self, contents: &'a [u8]) -> Transmit<'a> {
        Transmit {
            destination: self.to,
            ecn: None,
            contents,
            segment_size: (contents.len() > self.size).then_some(self.size),
            src_ip: None,
        }
    }
}

/// What is about to leave from one socket.
#[derive(Debug, Default)]
pub(super) struct Departures {
    train: Mutex<Option<Train>>,
}

impl Departures {
    fn lock(&self) -> MutexGuard<'_, Option<Train>> {
        self.train.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`AsyncUdpSocket::poll_send`] of `socket`, and whether something waits now: then
    /// [`poll_flush`](Self::poll_flush) must follow.
    pub(super) fn poll_send(
        &self,
        socket: &dyn AsyncUdpSocket,
        cx: &mut Context<'_>,
        transmit: &Transmit<'_>,
    ) -> (Poll<io::Result<usize>>, bool) {
        let most = socket.max_gso_segments().min(MOST_DATAGRAMS);
        let media = transmit.contents.first().is_some_and(|first| MEDIA.contains(first));
        let waits = media && transmit.segment_size.is_none() && most > 1;
        let (to, contents) = (transmit.destination, transmit.contents);
        let mut train = self.lock();
        if waits && train.as_mut().is_some_and(|train| train.takes(to, contents, most)) {
            return (Poll::Ready(Ok(contents.len())), true);
        }
        if flush(&mut train, socket, cx).is_pending() {
            return (Poll::Pending, true);
        }
        if waits {
            *train = Some(Train::of(to, contents));
            return (Poll::Ready(Ok(contents.len())), true);
        }
        drop(train);
        (socket.poll_send(cx, transmit), false)
    }

    /// Sends what waits. Pending if the socket takes nothing now; its waker is set then.
    pub(super) fn poll_flush(&self, socket: &dyn AsyncUdpSocket, cx: &mut Context<'_>) -> Poll<()> {
        flush(&mut self.lock(), socket, cx)
    }
}

fn flush(
    waiting: &mut Option<Train>,
    socket: &dyn AsyncUdpSocket,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(train) = &*waiting else { return Poll::Ready(()) };
    if let Err(error) = ready!(socket.poll_send(cx, &train.transmit(&train.bytes))) {
        tracing::debug!(kind = ?error.kind(), datagrams = train.datagrams, "a train did not leave");
        if train.datagrams > 1 {
            // A device on the way out refuses trains, and the socket makes none from now on.
            for datagram in train.bytes.chunks(train.size) {
                // Lost, as on the path.
                drop(socket.poll_send(cx, &train.transmit(datagram)));
            }
        }
    }
    if let Some(train) = waiting.take() {
        SPARE.set(train.bytes);
    }
    Poll::Ready(())
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Waker;

    use webrtc::runtime::RecvMeta;

    use super::*;

    /// Keeps what leaves: length and size of the datagrams in it.
    #[derive(Debug, Default)]
    struct Wire {
        sent: Mutex<Vec<(usize, Option<usize>)>>,
        full: AtomicBool,
        refuses_trains: AtomicBool,
    }

    impl AsyncUdpSocket for Wire {
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(address(1))
        }
        fn max_gso_segments(&self) -> usize {
            64
        }
        fn poll_send(&self, _: &mut Context<'_>, t: &Transmit<'_>) -> Poll<io::Result<usize>> {
            if self.full.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            if t.segment_size.is_some() && self.refuses_trains.load(Ordering::Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
            }
            self.sent.lock().unwrap().push((t.contents.len(), t.segment_size));
            Poll::Ready(Ok(t.contents.len()))
        }
        fn poll_recv(
            &self,
            _: &mut Context<'_>,
            _: &mut [IoSliceMut<'_>],
            _: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    struct Way(Wire, Departures);

    impl Way {
        fn new() -> Self {
            Self(Wire::default(), Departures::default())
        }

        fn send(&self, first: u8, length: usize, port: u16) -> Poll<bool> {
            let contents = vec![first; length];
            let transmit = Transmit {
                destination: address(port),
                ecn: None,
                contents: &contents,
                segment_size: None,
                src_ip: None,
            };
            let mut cx = Context::from_waker(Waker::noop());
            let (sent, waits) = self.1.poll_send(&self.0, &mut cx, &transmit);
            sent.map(|sent| {
                assert_eq!(sent.unwrap(), length);
                waits
            })
        }

        fn flush(&self) -> Poll<()> {
            self.1.poll_flush(&self.0, &mut Context::from_waker(Waker::noop()))
        }

        fn left(&self) -> Vec<(usize, Option<usize>)> {
            std::mem::take(&mut *self.0.sent.lock().unwrap())
        }
    }

    #[test]
    fn a_picture_leaves_as_one_train_and_ends_with_its_shorter_packet() {
        let way = Way::new();
        for length in [1_000, 1_000, 1_000, 300] {
            assert_eq!(way.send(0x80, length, 2), Poll::Ready(true));
        }
        assert_eq!(way.left(), []);
        // After the shorter one another train begins.
        assert_eq!(way.send(0x80, 200, 2), Poll::Ready(true));
        assert_eq!(way.left(), [(3_300, Some(1_000))]);
        assert_eq!(way.flush(), Poll::Ready(()));
        assert_eq!(way.left(), [(200, None)]);
        assert_eq!(way.flush(), Poll::Ready(()));
        assert_eq!(way.left(), []);
    }

    #[test]
    fn larger_ones_other_addresses_and_all_that_is_no_media_begin_anew() {
        let way = Way::new();
        assert!(way.send(0x80, 100, 2).is_ready() && way.send(0x80, 101, 2).is_ready());
        assert!(way.send(0x80, 101, 3).is_ready());
        assert_eq!(way.left(), [(100, None), (101, None)]);
        for first in [0, 20, 22, 23, 64] {
            assert_eq!(way.send(first, 50, 3), Poll::Ready(false), "{first}");
        }
        assert_eq!(way.left()[..3], [(101, None), (50, None), (50, None)]);
    }

    #[test]
    fn a_train_is_bounded() {
        let way = Way::new();
        for _ in 0..200 {
            assert!(way.send(0x80, 1_000, 2).is_ready());
        }
        for _ in 0..100 {
            assert!(way.send(0x80, 9_000, 2).is_ready());
        }
        assert!(way.flush().is_ready());
        let left = way.left();
        let sum: usize = left.iter().map(|(length, _)| length).sum();
        assert_eq!(sum, 200 * 1_000 + 100 * 9_000);
        assert!(left.iter().all(|(length, _)| *length <= MOST_BYTES));
        assert_eq!(left[0], (32_000, Some(1_000)));
    }

    #[test]
    fn a_socket_without_room_keeps_the_order() {
        let way = Way::new();
        assert!(way.send(0x80, 100, 2).is_ready());
        way.0.full.store(true, Ordering::Relaxed);
        assert!(way.flush().is_pending());
        assert!(way.send(0x80, 100, 2).is_ready());
        assert!(way.send(23, 50, 2).is_pending());
        way.0.full.store(false, Ordering::Relaxed);
        assert!(way.send(23, 50, 2).is_ready());
        assert_eq!(way.left(), [(200, Some(100)), (50, None)]);
    }

    #[test]
    fn where_trains_are_refused_each_leaves_by_itself() {
        let way = Way::new();
        way.0.refuses_trains.store(true, Ordering::Relaxed);
        for length in [100, 100, 30] {
            assert!(way.send(0x80, length, 2).is_ready());
        }
        assert!(way.flush().is_ready());
        assert_eq!(way.left(), [(100, None), (100, None), (30, None)]);
    }
}
