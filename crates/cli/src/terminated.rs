//! Signals that end a command: it finishes what it has begun.

use crate::output::Failure;

/// The exit code of a command that such a signal ended before its work was done, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Runs until a signal comes; `None` if it came first.
pub(crate) async fn stoppable<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Option<T>, Failure> {
    tokio::select! {
        done = work => done.map(Some),
        () = terminated() => Ok(None),
    }
}

/// Done when SIGINT or SIGTERM comes, or SIGHUP, which a closed terminal or a lost ssh session sends; Ctrl-C elsewhere.
/// They are listened to from this call on.
#[cfg(unix)]
pub(crate) fn terminated() -> impl Future<Output = ()> {
    use std::task::Poll;
    use tokio::signal::unix::{SignalKind, signal};
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    if !hangup_is_ignored() {
        kinds.push(SignalKind::hangup());
    }
    // One that cannot be listened to ends us as it ends anybody.
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    std::future::poll_fn(move |cx| {
        match signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
}

#[cfg(not(unix))]
pub(crate) async fn terminated() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether we were started to outlive the terminal, as nohup does it: to listen would end that.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    // SAFETY: `sigaction` is plain data of the system, for which zeros are a value.
    #[allow(unsafe_code)]
    let mut present: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action it changes nothing, and writes to the place of `present` alone.
    #[allow(unsafe_code)]
    let told = unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut present) };
    told == 0 && present.sa_sigaction == libc::SIG_IGN
}
