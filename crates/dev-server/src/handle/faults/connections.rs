//! Faults on connections: whether one comes about, how long it is heard, how it ends.

use std::time::Duration;

use super::ms;
use crate::faults::{Fault, Target};
use crate::handle::DevServerHandle;

impl DevServerHandle {
    /// Cuts connections without a close frame.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::State;
    /// client.connect().await?;
    /// let mut state = client.watch_state();
    /// assert_eq!(server.drop_connections(Target::peer("alice")), 1);
    /// state.wait_for(|state| *state == State::Reconnecting).await?;
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn drop_connections(&self, to: Target) -> usize {
        self.inject(Fault::Drop { to })
    }

    /// Closes connections with a code.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::State;
    /// client.connect().await?;
    /// let mut state = client.watch_state();
    /// server.close_connections(4020, "banned", Target::all());
    /// state.wait_for(|state| *state != State::Connected).await?;
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn close_connections(&self, code: u16, reason: &str, to: Target) -> usize {
        self.inject(Fault::Close { code, reason: reason.to_owned(), to })
    }

    /// Answers the next upgrades with an HTTP status, a body and `Retry-After` in seconds.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// let body = serde_json::json!({ "error": "rate_limited" });
    /// server.refuse_upgrades(1, 429, Some(body), Some(5));
    /// let error = client.connect().await.unwrap_err();
    /// assert_eq!((error.http_status(), error.http_code()), (Some(429), Some("rate_limited")));
    /// client.connect().await?; // the next one is let in
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn refuse_upgrades(
        &self,
        count: u32,
        status: u16,
        body: Option<serde_json::Value>,
        retry_after_seconds: Option<u64>,
    ) {
        self.inject(Fault::RefuseUpgrades { count, status, body, retry_after_seconds });
    }

    /// Accepts the next TCP connections and never answers on them.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_realtime::signalling::State;
    /// server.ignore_connects(1);
    /// // What the user sees meanwhile, and that it can be called off.
    /// let attempt = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.connect().await }
    /// });
    /// client.watch_state().wait_for(|state| *state == State::Connecting).await?;
    /// client.close().await;
    /// assert_eq!(attempt.await?.unwrap_err().code(), "closed_by_app");
    /// # Ok(())
    /// # });
    /// ```
    pub fn ignore_connects(&self, count: u32) {
        self.inject(Fault::IgnoreConnects { count });
    }

    /// Announces an end, and closes with 1001 after a while if asked to.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::Event;
    /// use std::time::Duration;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.going_away(Duration::from_secs(5), None, Target::all());
    /// let asked = loop {
    ///     if let Some(Event::GoingAway { retry_after_ms }) = events.next().await {
    ///         break retry_after_ms;
    ///     }
    /// };
    /// assert_eq!(asked, 5_000);
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn going_away(&self, retry_after: Duration, close_after: Option<Duration>, to: Target) {
        let (retry_after_ms, close_after_ms) = (ms(retry_after), close_after.map(ms));
        self.inject(Fault::GoingAway { retry_after_ms, close_after_ms, to });
    }

    /// Goes silent while TCP stays.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// client.connect().await?;
    /// // With its WebSocket pings, as a server that is stuck behind its socket; without, as a dead path.
    /// assert_eq!(server.mute(true, Target::peer("alice")), 1);
    /// let request = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.publish("room", "hello").await }
    /// });
    /// while client.pacing().unanswered == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// server.drop_connections(Target::all()); // else it ends after 15 s with `ack_timeout`
    /// assert_eq!(request.await?.unwrap_err().code(), "disconnected");
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn mute(&self, pings: bool, to: Target) -> usize {
        self.inject(Fault::Mute { pings, to })
    }

    /// Reads no more.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// client.connect().await?;
    /// assert_eq!(server.stop_reading(Target::all()), 1);
    /// // The system's buffers still take this; the answer never comes.
    /// let request = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.publish("room", "hello").await }
    /// });
    /// while client.pacing().unanswered == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// server.drop_connections(Target::all());
    /// assert!(request.await?.is_err());
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn stop_reading(&self, to: Target) -> usize {
        self.inject(Fault::StopReading { to })
    }

    /// Ends tokens now.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::Event;
    /// use metered_realtime::wire::CloseCode;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.expire_tokens(Target::peer("alice"));
    /// let lost = loop {
    ///     if let Some(Event::Disconnected(lost)) = events.next().await {
    ///         break lost;
    ///     }
    /// };
    /// assert_eq!(lost.code, CloseCode::TOKEN_EXPIRED);
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn expire_tokens(&self, to: Target) -> usize {
        self.inject(Fault::ExpireTokens { to })
    }
}
