//! What a dial is doing, readable while it does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The steps of a dial, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Resolving,
    Connecting,
    Proxy,
    Tls,
    Upgrading,
}

const PHASES: [Phase; 6] = [
    Phase::Starting,
    Phase::Resolving,
    Phase::Connecting,
    Phase::Proxy,
    Phase::Tls,
    Phase::Upgrading,
];

impl Phase {
    /// In words that complete "time ran out while …".
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Resolving => "looking up the server's name",
            Self::Connecting => "connecting to the server's address",
            Self::Proxy => "asking the proxy for a tunnel",
            Self::Tls => "agreeing on encryption",
            Self::Upgrading => "waiting for the answer to the upgrade",
        }
    }
}

/// Shared between a dial and who awaits it.
#[derive(Clone, Debug, Default)]
pub(crate) struct DialProgress(Arc<AtomicU8>);

impl DialProgress {
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        PHASES[usize::from(self.0.load(Ordering::Relaxed)).min(PHASES.len() - 1)]
    }
}
