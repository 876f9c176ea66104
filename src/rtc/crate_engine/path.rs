//! Whether a connection has a path: known to its channels, so that they do not send into the void.
//!
//! A network that changed may have left the path as it was: then a few messages leave all the same, as many as
//! are sent again if it did not, and the rest as soon as anything comes over it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::watch;

/// Datagrams that may leave over a path in doubt: half of what is sent again over the next one, because what
/// left just before counts as well.
const AT_RISK: usize = 32;
/// Bytes of a message that a datagram carries, at least.
const DATAGRAM: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    There,
    /// The network changed, and nothing came since.
    Doubtful,
    Lost,
}

#[derive(Debug)]
pub(super) struct Path {
    state: watch::Sender<State>,
    /// A look at the state for each datagram that comes.
    doubtful: AtomicBool,
    /// Whether what is lost with it is sent again.
    repeated: AtomicBool,
    /// Datagrams that may still leave while it is in doubt.
    at_risk: AtomicUsize,
}

impl Default for Path {
    /// Before the first path no channel is open: nothing needs to wait.
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::There),
            doubtful: AtomicBool::new(false),
            repeated: AtomicBool::new(false),
            at_risk: AtomicUsize::new(0),
        }
    }
}

impl Path {
    /// It is silent, or being looked for anew.
    pub(super) fn lost(&self) {
        self.state.send_replace(State::Lost);
    }

    /// It was found, or the connection ended: then a send tells.
    pub(super) fn settled(&self) {
        self.state.send_replace(State::There);
    }

    /// Whether what this path loses is sent again over the next one.
    pub(super) fn is_repeated(&self, repeated: bool) {
        self.repeated.store(repeated, Ordering::Relaxed);
    }

    /// The network changed. Of a path that is lost nothing becomes better by that.
    pub(super) fn doubted(&self) {
        self.state.send_if_modified(|state| {
            let doubted = *state == State::There;
            if doubted {
                *state = State::Doubtful;
                self.at_risk.store(AT_RISK, Ordering::Relaxed);
                self.doubtful.store(true, Ordering::Release);
            }
            doubted
        });
    }

    /// The remote was heard: it is the path that it was.
    pub(super) fn heard(&self) {
        if !self.doubtful.load(Ordering::Acquire) {
            return;
        }
        self.state.send_if_modified(|state| {
            self.doubtful.store(false, Ordering::Release);
            let heard = *state == State::Doubtful;
            if heard {
                *state = State::There;
            }
            heard
        });
    }

    /// Done when a message of so many bytes may leave.
    pub(super) async fn wait(&self, bytes: usize) {
        let passes = |state: &State| match state {
            State::There => true,
            State::Doubtful => self.risks(1 + bytes / DATAGRAM),
            State::Lost => false,
        };
        // The sender lives as long as `self`.
        drop(self.state.subscribe().wait_for(passes).await);
    }

    fn risks(&self, datagrams: usize) -> bool {
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        self.repeated.load(Ordering::Relaxed)
            && self.at_risk.fetch_update(set, get, |left| left.checked_sub(datagrams)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn passes(path: &Path, bytes: usize) -> bool {
        path.wait(bytes).now_or_never().is_some()
    }

    #[tokio::test]
    async fn a_send_waits_while_the_path_is_lost() {
        let path = Path::default();
        assert!(passes(&path, 1));
        path.lost();
        path.doubted();
        path.heard();
        assert!(!passes(&path, 1));
        path.settled();
        path.wait(1).await;
    }

    #[tokio::test]
    async fn in_doubt_leaves_what_would_be_sent_again_and_all_when_the_remote_is_heard() {
        let path = Path::default();
        path.is_repeated(true);
        path.doubted();
        assert!(!passes(&path, 256 * 1024));
        let left = (0..100).filter(|_| passes(&path, 1_100)).count();
        assert_eq!(left, AT_RISK / 2);
        let waits = path.wait(256 * 1024);
        path.heard();
        waits.await;
        // Another change, and this time the path goes.
        path.doubted();
        assert!(passes(&path, 10));
        path.lost();
        path.heard();
        assert!(!passes(&path, 10));
    }

    #[tokio::test]
    async fn in_doubt_nothing_leaves_that_would_not_be_sent_again() {
        let path = Path::default();
        path.doubted();
        assert!(!passes(&path, 1));
        path.heard();
        assert!(passes(&path, 1));
    }
}
