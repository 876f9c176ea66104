//! How the client stands: state, welcome, events, queues, counters. Reading asks nobody and waits for nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::SignallingClient;
use crate::signalling::event::{Connected, Events, State};
use crate::signalling::session::Counters;
use crate::signalling::socket::Attempt;

/// What waits and what is under way.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
/// use metered_realtime::signalling::Pacing;
/// client.connect().await?;
/// client.publish("room", "hello").await?;
/// let Pacing { waiting_signalling, waiting_app, unanswered } = client.pacing();
/// assert_eq!((waiting_signalling, waiting_app, unanswered), (0, 0, 0)); // a good time for more
/// client.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pacing {
    /// Requests of call set-up that wait for their turn.
    pub waiting_signalling: usize,
    /// Requests of the app that wait for their turn.
    pub waiting_app: usize,
    /// Requests that left, or are leaving, and are not answered yet.
    pub unanswered: usize,
}

impl SignallingClient {
    /// Where the client stands now.
    pub fn state(&self) -> State {
        *self.inner.shared.state.borrow()
    }

    /// The state, now and at each change.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
    /// use metered_realtime::signalling::State;
    /// let mut state = client.watch_state();
    /// assert_eq!(client.state(), State::Idle);
    /// client.connect().await?;
    /// // For a light on the screen: the newest state is never missed.
    /// assert_eq!(*state.wait_for(|state| *state == State::Connected).await?, State::Connected);
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.inner.shared.state.subscribe()
    }

    /// The present connection's welcome; `None` without one.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
    /// assert_eq!(client.connected(), None);
    /// client.connect().await?;
    /// let connected = client.connected().ok_or("lost again at once")?;
    /// assert_eq!(connected.peer_id, "alice");
    /// assert!(connected.expires_at.is_some()); // a token's end; none for a key
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn connected(&self) -> Option<Arc<Connected>> {
        self.inner.shared.connected.borrow().clone()
    }

    /// Events from now on.
    pub fn events(&self) -> Events {
        self.inner.shared.events.subscribe()
    }

    /// What waits for its turn, and what for its answer.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
    /// client.connect().await?;
    /// // Of positions that change all the time only the newest matters: none while others wait.
    /// if client.pacing().waiting_app == 0 {
    ///     client.publish("positions", &(3, 4)).await?;
    /// }
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn pacing(&self) -> Pacing {
        let shared = &self.inner.shared;
        Pacing {
            waiting_signalling: shared.waiting_signalling.load(Ordering::Relaxed),
            waiting_app: shared.waiting_app.load(Ordering::Relaxed),
            unanswered: shared.unanswered.load(Ordering::Relaxed),
        }
    }

    /// What came and led to nothing, since `connect`.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, server }| {
    /// client.connect().await?;
    /// server.send_text(r#"{"type":"of a newer protocol"}"#, metered_dev_server::Target::all());
    /// client.publish("room", "hello").await?; // its ack comes after that frame
    /// assert_eq!(client.counters().unknown_frames, 1);
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn counters(&self) -> Counters {
        *self.inner.shared.counters.borrow()
    }

    /// The last attempt to connect, step by step: how long each took, and at which it failed. `None` before the
    /// first.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Service { server }| {
    /// use metered_realtime::signalling::{ConnectStep, SignallingClient, SignallingOptions};
    ///
    /// let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
    /// options.url = server.url();
    /// let client = SignallingClient::new(options)?;
    /// client.connect().await?;
    /// let attempt = client.last_attempt().expect("there was one");
    /// let steps: Vec<_> = attempt.steps.iter().map(|step| (step.step, step.done)).collect();
    /// let all = [ConnectStep::Resolving, ConnectStep::Connecting, ConnectStep::Upgrading];
    /// assert_eq!(steps, all.map(|step| (step, true)));
    /// # client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn last_attempt(&self) -> Option<Attempt> {
        self.inner.shared.last_attempt()
    }
}
