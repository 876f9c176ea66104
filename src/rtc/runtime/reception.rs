//! What a socket's reader gets besides what the socket has: datagrams from streams, and those that came early.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use webrtc::runtime::RecvMeta;

use super::early::{Early, Verdict};
use super::sockets::STREAM_QUEUE;

/// What is to be read besides the socket: what servers sent over streams, and what came early.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    queue: Mutex<VecDeque<(Bytes, SocketAddr)>>,
    /// Whether the queue may hold something: a look without the lock.
    filled: AtomicBool,
    waker: AtomicWaker,
}

impl Inbound {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Bytes, SocketAddr)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room; like a datagram on any path, one without room is lost.
    pub(super) fn push(&self, datagram: Bytes, from: SocketAddr) -> bool {
        let mut queue = self.lock();
        let room = queue.len() < STREAM_QUEUE;
        if room {
            queue.push_back((datagram, from));
            self.filled.store(true, Ordering::Release);
            drop(queue);
            self.waker.wake();
        }
        room
    }

    /// Wakes the reader when something is pushed.
    pub(super) fn register(&self, reader: &Waker) {
        self.waker.register(reader);
    }

    pub(super) fn pop(&self) -> Option<(Bytes, SocketAddr)> {
        if !self.filled.load(Ordering::Acquire) {
            return None;
        }
        let mut queue = self.lock();
        let first = queue.pop_front();
        self.filled.store(!queue.is_empty(), Ordering::Release);
        first
    }
}

/// Whether the connection has selected a pair, for its sockets.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    selected: AtomicBool,
    /// Sockets that may hold what came early.
    sockets: Mutex<Vec<Weak<Reception>>>,
}

impl Selection {
    /// Pairs are being checked, and none is selected.
    pub(crate) fn checking(&self) {
        self.selected.store(false, Ordering::Release);
    }

    /// A pair is selected: what came early is read now.
    pub(crate) fn selected(&self) {
        if self.selected.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.upgrade().map(|socket| socket.release()).is_some());
    }

    pub(super) fn is_selected(&self) -> bool {
        self.selected.load(Ordering::Acquire)
    }

    pub(super) fn watch(&self, socket: &Arc<Reception>) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(socket));
    }
}

/// The receiving side of a socket.
#[derive(Debug, Default)]
pub(super) struct Reception {
    early: Mutex<Early>,
    pub(super) inbound: Arc<Inbound>,
}

impl Reception {
    fn early(&self) -> MutexGuard<'_, Early> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self) {
        let now = tokio::time::Instant::now();
        for (datagram, from) in self.early().release(now) {
            // It was bounded where it waited.
            self.inbound.push(datagram, from);
        }
    }

    /// Whether the crate gets the datagrams in a buffer.
    pub(super) fn admits(&self, bytes: &[u8], meta: &RecvMeta) -> bool {
        let now = tokio::time::Instant::now();
        let mut early = self.early();
        let mut kept = true;
        for datagram in bytes[..meta.len.min(bytes.len())].chunks(meta.stride.max(1)) {
            match early.look(now, datagram, meta.addr) {
                Verdict::Kept => {}
                Verdict::Pass => kept = false,
                Verdict::PassAnd(next) => {
                    kept = false;
                    self.inbound.push(next, meta.addr);
                }
            }
        }
        !kept
    }
}
