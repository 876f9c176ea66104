//! The handle of a signalling client.
//!
//! Cheap to clone; all clones are one client. It starts an [`Actor`](super::actor::Actor) at `connect` and awaits
//! its end at `close`. When the last clone is dropped the actor closes the connection and ends by itself.
//!
//! Here is what all clones share. Starting and ending the actor is in [`lifecycle`], what an app asks of the
//! service in [`requests`], how the client stands in [`status`], what the platform knows better in [`hints`].
//! All of them reach the actor by its queue of commands alone; what it tells unasked is in [`Shared`].

mod hints;
mod lifecycle;
mod requests;
mod shared;
mod status;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::actor::Command;
use super::options::{OptionsError, SignallingOptions};
use super::session::SessionConfig;
use super::socket::Target;
use crate::credential::Credential;
use lifecycle::Running;

pub use requests::SubscribeOptions;
pub(crate) use shared::Shared;
pub use status::Pacing;

/// A client of the service: pub/sub with presence, and data from peer to peer, over one connection that is
/// kept alive.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Service { server }| {
/// # let url = server.url();
/// use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions};
///
/// let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
/// options.url = url; // a local server; leave it out for the service
/// let (alice, bob) = (SignallingClient::new(options.clone())?, SignallingClient::new(options)?);
/// let mut events = bob.events();
/// bob.connect().await?;
/// bob.subscribe("room").await?;
/// alice.connect().await?;
/// alice.publish("room", &serde_json::json!({ "hello": "world" })).await?;
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Presence { presence, .. } => println!("{} came", presence.joined.len()),
///         Event::Message(message) => {
///             assert_eq!(message.data.as_str(), r#"{"hello":"world"}"#);
///             break;
///         }
///         Event::Disconnected(lost) => println!("{}", lost.error.diagnosis()),
///         _ => {}
///     }
/// }
/// alice.close().await;
/// bob.close().await;
/// # Ok(())
/// # });
/// ```
///
/// Its methods need a tokio runtime with time and network enabled. States, events and their order are those
/// of the JavaScript SDK 1.2.0.
#[derive(Clone, Debug)]
pub struct SignallingClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    credential: Credential,
    preflight: bool,
    config: SessionConfig,
    target: Arc<Target>,
    commands: Mutex<Option<mpsc::UnboundedSender<Command>>>,
    /// Held by `connect` and `close` while they start or await the actor. It is awaited in place: whoever gives
    /// up waiting leaves it to the next, and none starts beside it.
    running: tokio::sync::Mutex<Option<Running>>,
}

impl SignallingClient {
    /// A client at rest. Checks every option.
    ///
    /// # Errors
    /// [`OptionsError`] names the option that cannot be.
    pub fn new(options: SignallingOptions) -> Result<Self, OptionsError> {
        let config = options.session_config()?;
        let target = Arc::new(options.target()?);
        Ok(Self {
            inner: Arc::new(Inner {
                shared: Arc::new(Shared::new()),
                credential: options.credential,
                preflight: options.preflight,
                config,
                target,
                commands: Mutex::new(None),
                running: tokio::sync::Mutex::new(None),
            }),
        })
    }

    fn sender(&self) -> Option<mpsc::UnboundedSender<Command>> {
        self.inner.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
