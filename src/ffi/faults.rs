//! Functions that fail on purpose, for the tests of the bindings. Built with the feature `ffi-test` alone.

use super::error::SdkError;
use super::runtime;

/// Panics at once.
#[uniffi::export]
pub fn panic_inside() -> Result<(), SdkError> {
    panic!("on purpose, in a call");
}

/// Panics in a task of the SDK.
#[uniffi::export]
pub async fn panic_in_a_task() -> Result<(), SdkError> {
    runtime::finish(async {
        tokio::task::yield_now().await;
        panic!("on purpose, in a task");
    })
    .await
}

/// Sleeps. Shows whether a call that was given up goes on: it is done only if it slept to the end.
#[uniffi::export]
pub async fn sleep(duration_ms: u64) -> Result<(), SdkError> {
    // Made inside: a timer needs the runtime at hand.
    let duration = std::time::Duration::from_millis(duration_ms);
    runtime::finish(async move { tokio::time::sleep(duration).await }).await
}
