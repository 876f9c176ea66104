//! What the examples of `metered-realtime` and `metered-dev-server` begin with and their readers need not see: a
//! local server, a client or peers of it, a call. An example names in its first hidden line what it needs, and in
//! its last that it went well; its scene is ended for it.
//!
//! ```
//! metered_scenes::play(async |metered_scenes::Met { alice, to_bob, .. }| {
//!     assert_eq!(alice.peer_id().as_deref(), Some("alice"));
//!     assert_eq!(to_bob.id(), "bob");
//!     Ok(())
//! });
//! ```
//!
//! Not for tests, which look at what an example leaves alone: `tests/support` is theirs.

mod call;
mod met;
mod service;

pub use call::{Filmed, Heard, film, sing};
pub use met::{Chat, Met};
pub use service::{Client, Peer, Service};

/// As an example ends: any error will do.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What an example needs, and how it is put away.
#[expect(async_fn_in_trait, reason = "an example runs on one thread")]
pub trait Scene: Sized {
    /// Returns when everything is there.
    ///
    /// # Errors
    /// If something of it cannot be had.
    async fn begin() -> Result<Self>;

    /// Returns when peers and clients are closed and the server has stopped.
    async fn end(self);
}

/// Runs an example in the scene that its argument names.
///
/// # Panics
/// If the example, or the beginning of its scene, ends with an error.
pub fn play<S: Scene>(example: impl AsyncFnOnce(&S) -> Result) {
    run(async {
        let scene = S::begin().await?;
        let played = example(&scene).await;
        scene.end().await;
        played
    });
}

/// Runs an example that needs no scene, on a runtime as an app has it. Tasks that it leaves end with it.
///
/// # Panics
/// If the example ends with an error.
pub fn run(example: impl Future<Output = Result>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime of one thread can be had");
    if let Err(error) = runtime.block_on(example) {
        panic!("the example failed: {error:?}");
    }
}
