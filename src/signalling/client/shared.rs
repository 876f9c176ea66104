//! How the client stands, for actor and handles. It outlives every actor of the client, and numbers its requests.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::events::Hub;
use crate::signalling::error::ConnectError;
use crate::signalling::event::{Connected, Disconnected, Event, State};
use crate::signalling::session::Counters;
use crate::signalling::socket::{Attempt, DialProgress};
use crate::wire::DEFAULT_MAX_MESSAGE_SIZE;

/// What actor and handles share. The actor writes, handles read.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) events: Hub<Event>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) connected: watch::Sender<Option<Arc<Connected>>>,
    pub(crate) counters: watch::Sender<Counters>,
    /// Probes that were answered.
    pub(crate) heard: watch::Sender<u64>,
    pub(crate) max_message_size: AtomicUsize,
    pub(crate) waiting_signalling: AtomicUsize,
    pub(crate) waiting_app: AtomicUsize,
    pub(crate) unanswered: AtomicUsize,
    /// Commands that the actor has not taken yet.
    pub(crate) queued: AtomicUsize,
    next_request: AtomicU64,
    /// Of the last dial.
    attempt: Mutex<Option<DialProgress>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            events: Hub::default(),
            state: watch::Sender::new(State::Idle),
            connected: watch::Sender::new(None),
            counters: watch::Sender::new(Counters::default()),
            heard: watch::Sender::new(0),
            max_message_size: AtomicUsize::new(DEFAULT_MAX_MESSAGE_SIZE),
            waiting_signalling: AtomicUsize::new(0),
            waiting_app: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            next_request: AtomicU64::new(1),
            attempt: Mutex::new(None),
        }
    }

    pub(crate) fn note_attempt(&self, progress: &DialProgress) {
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
    }

    /// The actor ended before its session did: its runtime was shut down, or it failed.
    pub(crate) fn abandoned(&self) {
        let from = self.state.send_replace(State::Closed);
        if from == State::Closed {
            return;
        }
        self.connected.send_replace(None);
        let error = Arc::new(ConnectError::Internal { what: "the client's task ended early" });
        self.events.publish(&Event::Disconnected(Arc::new(Disconnected {
            code: error.close_code(),
            reason: String::new(),
            will_reconnect: false,
            error,
        })));
        self.events.publish(&Event::StateChange { from, to: State::Closed });
    }

    /// Of a request that begins; no two of a client have the same.
    pub(super) fn next_request_id(&self) -> u64 {
        self.next_request.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn last_attempt(&self) -> Option<Attempt> {
        let attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.as_ref().map(DialProgress::attempt)
    }
}
