//! The thread that everything from other languages runs on.
//!
//! Owns the runtime and knows which objects are open. A call is polled once by its caller, so that calls
//! leave in the order in which they were made; then it is a task here, aborted when the caller gives up.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::error::SdkError;

/// More would wake each other for every packet: with two, a call takes a quarter more of the processor, and a data
/// channel carries less (bench/media, bench/peer). What is heavy, Opus, runs on the app's own threads.
const THREADS: usize = 1;
const THREAD_NAME: &str = "metered-sdk";
/// An object that does not end within this is left to the end of the runtime: closing alone takes 2 s at
/// most.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
static OPEN: Mutex<Vec<Weak<dyn Closing>>> = Mutex::new(Vec::new());

/// What [`shutdown_all`] ends.
pub(super) trait Closing: Send + Sync {
    fn end(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers an object for [`shutdown_all`]; it may be dropped before.
pub(super) fn register(object: Weak<dyn Closing>) {
    let mut open = lock(&OPEN);
    open.retain(|object| object.strong_count() > 0);
    open.push(object);
}

/// The runtime; the first call starts it.
pub(super) fn handle() -> Result<Handle, SdkError> {
    let mut slot = lock(&RUNTIME);
    if let Some(runtime) = slot.as_ref() {
        return Ok(runtime.handle().clone());
    }
    let built = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name(THREAD_NAME)
        .enable_all()
        .build();
    match built {
        Ok(runtime) => Ok(slot.insert(runtime).handle().clone()),
        Err(error) => Err(SdkError::internal(format!("no thread could be started: {error}"))),
    }
}

/// Ends at that time, whoever polls it: on the clock of the task, or of our runtime where the app's own thread
/// polls. None without a runtime: a wait must not start one that was shut down.
pub(super) fn sleep_until(time: Instant) -> Option<impl Future<Output = ()> + Send> {
    let ours = || lock(&RUNTIME).as_ref().map(|runtime| runtime.handle().clone());
    let handle = Handle::try_current().ok().or_else(ours)?;
    Some(sleep_on(&handle, time))
}

/// Ends with the runtime, if that ends first. A task, since whoever polls a timer of a runtime that has ended
/// panics.
fn sleep_on(handle: &Handle, time: Instant) -> impl Future<Output = ()> + Send + use<> {
    Task(handle.spawn(async move { tokio::time::sleep_until(time).await })).map(drop)
}

/// A task that ends with its owner.
pub(super) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Result<Self, SdkError> {
        Ok(Self(handle()?.spawn(work.boxed())))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// Runs a call on our thread. Dropped, it takes the call with it.
pub(super) async fn run<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, SdkError>
where
    T: Send + 'static,
    E: Into<SdkError>,
{
    run_boxed(async move { work.await.map_err(Into::into) }.boxed()).await
}

/// One for each kind of result instead of one for each call: with the task and its tables that is some
/// kilobytes of the library every time.
async fn run_boxed<T: Send + 'static>(
    work: BoxFuture<'static, Result<T, SdkError>>,
) -> Result<T, SdkError> {
    let handle = handle()?;
    let mut work = AssertUnwindSafe(work).catch_unwind();
    let first = poll_fn(|cx| {
        let _context = handle.enter();
        Poll::Ready(work.poll_unpin(cx))
    });
    let done = match first.await {
        Poll::Ready(done) => done,
        Poll::Pending => match Task(handle.spawn(work)).await {
            Ok(done) => done,
            Err(_) => return Err(SdkError::internal("the SDK was shut down during the call")),
        },
    };
    done.unwrap_or_else(|_| Err(SdkError::internal("the call panicked")))
}

/// [`run`] for what cannot fail.
pub(super) async fn finish<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, SdkError> {
    run(async move { Ok::<T, SdkError>(work.await) }).await
}

/// A runtime whose end does not wait, wherever it is dropped.
struct Ending(Option<Runtime>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Shuts every client and peer down and ends the SDK's threads. A later call starts them again.
///
/// For the end of the process, of an app's engine, or of a test.
#[uniffi::export]
pub async fn shutdown_all() -> Result<(), SdkError> {
    let ending = Ending(lock(&RUNTIME).take());
    let open: Vec<_> = std::mem::take(&mut *lock(&OPEN));
    let Some(runtime) = &ending.0 else { return Ok(()) };
    let all: Vec<_> = open
        .iter()
        .filter_map(Weak::upgrade)
        .map(|object| {
            Task(runtime.spawn(async move {
                if tokio::time::timeout(SHUTDOWN_LIMIT, object.end()).await.is_err() {
                    tracing::error!("an object did not end in time and is left behind");
                }
            }))
        })
        .collect();
    for ended in all {
        if let Err(error) = ended.await {
            tracing::error!(%error, "an object failed while it was shut down");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_is_over_when_its_runtime_ends() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let handle = runtime.handle().clone();
        let wait = || Box::pin(sleep_on(&handle, Instant::now() + Duration::from_secs(3_600)));
        let mut waits = [wait(), wait()];
        assert!((&mut waits[0]).now_or_never().is_none());
        runtime.shutdown_background();
        for wait in waits.into_iter().chain([wait()]) {
            wait.await;
        }
    }
}
