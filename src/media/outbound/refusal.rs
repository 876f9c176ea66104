//! A remote that does not take a track's codec: the source is told once, the owner each time.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::media::local::{Shared, lock};
use crate::rtc::h264::StreamProfile;

/// What became of a track at a remote that does not take its codec.
#[derive(Debug)]
pub(crate) struct Refusal {
    state: Mutex<RefusalState>,
    /// Of the owner, who ends the sender then: a track without packets is a black picture.
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct RefusalState {
    /// Whether the last negotiation says so.
    refused: bool,
    /// The profile of H.264 that was written then.
    profile: Option<StreamProfile>,
    /// The track that was told last, if nothing was agreed on since.
    told: Option<String>,
}

impl Refusal {
    /// `told` is the track that was told already, by the sender before.
    pub(crate) fn new(wake: &Arc<Notify>, told: Option<String>) -> Arc<Self> {
        let state = Mutex::new(RefusalState { told, ..RefusalState::default() });
        Arc::new(Self { state, wake: Arc::clone(wake) })
    }

    /// Tells the source, unless it was told.
    pub(super) fn refused(&self, source: &Shared, profile: Option<StreamProfile>, peer_id: &str) {
        let mut state = lock(&self.state);
        (state.refused, state.profile) = (true, profile);
        let told = state.told.replace(source.id().to_owned());
        drop(state);
        if told.as_deref() != Some(source.id()) {
            source.refused(peer_id);
        }
        self.wake.notify_one();
    }

    pub(super) fn agreed(&self) {
        *lock(&self.state) = RefusalState::default();
    }

    pub(super) fn is_refused(&self) -> bool {
        lock(&self.state).refused
    }

    pub(super) fn profile(&self) -> Option<StreamProfile> {
        lock(&self.state).profile
    }

    pub(super) fn told(&self) -> Option<String> {
        lock(&self.state).told.clone()
    }
}
