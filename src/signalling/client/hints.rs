//! Hints: what the platform or the user knows before the connection does, and a probe of the service for the app. A
//! hint may get lost, so what waits for an answer has a limit.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::SignallingClient;
use crate::signalling::PROBE_TIMEOUT;
use crate::signalling::actor::Command;
use crate::signalling::event::State;
use crate::signalling::pacing::MAX_WAITING;

impl SignallingClient {
    /// Asks the service for a sign of life and tells how long the answer took. `None` without a connection, or if
    /// none came within [`PROBE_TIMEOUT`]: then the connection is being replaced.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
    /// assert_eq!(client.round_trip().await, None);
    /// client.connect().await?;
    /// assert!(client.round_trip().await.is_some());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn round_trip(&self) -> Option<Duration> {
        if self.state() != State::Connected {
            return None;
        }
        let mut heard = self.heard();
        heard.mark_unchanged();
        let began = tokio::time::Instant::now();
        self.hint(Command::EnteredBackground);
        let answer = tokio::time::timeout(PROBE_TIMEOUT, heard.changed()).await;
        matches!(answer, Ok(Ok(()))).then(|| began.elapsed())
    }

    /// Changes with each probe of the connection that is answered.
    pub(crate) fn heard(&self) -> watch::Receiver<u64> {
        self.inner.shared.heard.subscribe()
    }

    /// The platform reports another network: the connection is probed (2 s) and replaced at once if it is
    /// dead; a reconnect that waits is tried now.
    ///
    /// ```
    /// use metered_realtime::signalling::SignallingClient;
    /// /// What a platform's callbacks hand on. None of these blocks, and none hurts too often or too early.
    /// enum Platform {
    ///     OtherNetwork,
    ///     Background,
    ///     Foreground,
    ///     ButtonReconnect,
    /// }
    /// fn hand_on(client: &SignallingClient, what: Platform) {
    ///     match what {
    ///         Platform::OtherNetwork => client.network_changed(),
    ///         Platform::Background => client.entered_background(),
    ///         Platform::Foreground => client.entered_foreground(),
    ///         Platform::ButtonReconnect => client.reconnect_now(),
    ///     }
    /// }
    /// # let options = metered_realtime::signalling::SignallingOptions::with_api_key("pk_live_example").unwrap();
    /// # let client = SignallingClient::new(options).unwrap();
    /// # hand_on(&client, Platform::OtherNetwork);
    /// # hand_on(&client, Platform::Background);
    /// # hand_on(&client, Platform::Foreground);
    /// # hand_on(&client, Platform::ButtonReconnect);
    /// ```
    pub fn network_changed(&self) {
        self.hint(Command::NetworkChanged);
    }

    /// The app went to the background: the connection is probed, so that a dead one is replaced while there
    /// is time.
    pub fn entered_background(&self) {
        self.hint(Command::EnteredBackground);
    }

    /// The app came to the foreground: like [`network_changed`](Self::network_changed).
    pub fn entered_foreground(&self) {
        self.hint(Command::EnteredForeground);
    }

    /// The user asks: like [`network_changed`](Self::network_changed), and a wait that the server asked for
    /// is ended too.
    pub fn reconnect_now(&self) {
        self.hint(Command::ReconnectNow);
    }

    fn hint(&self, command: Command) {
        let queued = &self.inner.shared.queued;
        // With a full queue the actor is about to hear from the connection anyway; without an actor there
        // is nothing to hurry.
        if queued.load(Ordering::Relaxed) < MAX_WAITING
            && let Some(commands) = self.sender()
        {
            queued.fetch_add(1, Ordering::Relaxed);
            drop(commands.send(command));
        }
    }
}
