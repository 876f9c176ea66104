//! Trains of datagrams that the system coalesced (UDP GRO), given to the crate in pieces.
//!
//! The crate keeps a buffer for the longest train at each socket and one more, 94 KiB each, for as long as the
//! connection lives. Here trains arrive in a buffer that the connections of a thread share, and the crate's own
//! need only hold a piece. A connection keeps a train only until the crate has taken all of it.

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use webrtc::runtime::{AsyncUdpSocket, RecvMeta};

/// Datagrams in the longest train (the kernel's limit), each as long as Ethernet carries it.
const LONGEST_TRAIN: usize = 64 * 1_500;
/// Datagrams of a train that the crate takes at a time, and has a buffer for.
const PIECE: usize = 8;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A train of which the crate has taken the beginning.
#[derive(Debug)]
struct Train {
    bytes: Vec<u8>,
    taken: usize,
    meta: RecvMeta,
}

impl Train {
    /// The next whole datagrams that fit; all of one that never does, cut short as the system would.
    fn piece(&mut self, buffer: &mut [u8]) -> RecvMeta {
        let mut meta = self.meta;
        meta.stride = meta.stride.max(1);
        let rest = self.bytes.get(self.taken..meta.len).unwrap_or_default();
        let whole = (buffer.len() / meta.stride * meta.stride).max(meta.stride);
        let taken = whole.min(rest.len());
        meta.len = taken.min(buffer.len());
        buffer[..meta.len].copy_from_slice(&rest[..meta.len]);
        self.taken += taken;
        meta
    }

    fn is_over(&self) -> bool {
        self.taken >= self.meta.len
    }
}

/// Reads one socket.
#[derive(Debug, Default)]
pub(super) struct Trains {
    train: Mutex<Option<Train>>,
    waits: AtomicBool,
}

impl Trains {
    fn lock(&self) -> MutexGuard<'_, Option<Train>> {
        self.train.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the crate is told instead of the socket's own figure.
    pub(super) fn max_segments(of_socket: usize) -> usize {
        of_socket.min(PIECE)
    }

    /// As [`AsyncUdpSocket::poll_recv`] of `socket`.
    pub(super) fn poll_recv(
        &self,
        socket: &dyn AsyncUdpSocket,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if socket.max_gro_segments() <= PIECE {
            return socket.poll_recv(cx, buffers, metas);
        }
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), metas.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        if self.waits.load(Ordering::Acquire) {
            let mut waiting = self.lock();
            if let Some(mut train) = waiting.take() {
                *meta = train.piece(buffer);
                match train.is_over() {
                    true => {
                        self.waits.store(false, Ordering::Release);
                        SPARE.set(train.bytes);
                    }
                    false => *waiting = Some(train),
                }
                return Poll::Ready(Ok(1));
            }
        }
        let mut bytes = SPARE.take();
        // Zeroes as the system gives them: pages that no train has reached cost nothing.
        if bytes.is_empty() {
            bytes = vec![0; LONGEST_TRAIN];
        }
        let mut found = [RecvMeta::default()];
        let polled = socket.poll_recv(cx, &mut [IoSliceMut::new(&mut bytes)], &mut found);
        let [found] = found;
        let mut train = Train { bytes, taken: 0, meta: found };
        if matches!(polled, Poll::Ready(Ok(received)) if received > 0) {
            *meta = train.piece(buffer);
            if !train.is_over() {
                *self.lock() = Some(train);
                self.waits.store(true, Ordering::Release);
                return polled;
            }
        }
        SPARE.set(train.bytes);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(train: &[u8], stride: usize, buffer: usize) -> Vec<(Vec<u8>, usize)> {
        let mut meta = RecvMeta::default();
        (meta.len, meta.stride) = (train.len(), stride);
        let mut train = Train { bytes: train.to_vec(), taken: 0, meta };
        let mut pieces = Vec::new();
        loop {
            let mut buffer = vec![0; buffer];
            let meta = train.piece(&mut buffer);
            pieces.push((buffer[..meta.len].to_vec(), meta.stride));
            if train.is_over() {
                return pieces;
            }
        }
    }

    #[test]
    fn a_train_is_given_in_whole_datagrams() {
        let train: Vec<u8> = (0..10).collect();
        assert_eq!(pieces(&train, 3, 64), [(train.clone(), 3)]);
        let cut = |range: std::ops::Range<usize>| (train[range].to_vec(), 3);
        assert_eq!(pieces(&train, 3, 7), [cut(0..6), cut(6..10)]);
        assert_eq!(pieces(&train, 3, 3), [cut(0..3), cut(3..6), cut(6..9), cut(9..10)]);
    }

    #[test]
    fn a_datagram_larger_than_the_buffer_is_cut_and_none_is_empty() {
        assert_eq!(pieces(&[1, 2, 3, 4, 5], 3, 2), [(vec![1, 2], 3), (vec![4, 5], 3)]);
        assert_eq!(pieces(&[], 0, 2), [(vec![], 1)]);
    }
}
