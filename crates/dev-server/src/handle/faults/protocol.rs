//! Faults on the protocol: welcomes, acks and snapshots that come late, otherwise, or never.

use std::time::Duration;

use super::ms;
use crate::faults::{Fault, SnapshotMode};
use crate::handle::DevServerHandle;

impl DevServerHandle {
    /// Lets welcomes wait.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use std::time::{Duration, Instant};
    /// server.delay_welcome(Duration::from_millis(30));
    /// let begun = Instant::now();
    /// client.connect().await?;
    /// assert!(begun.elapsed() >= Duration::from_millis(30));
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn delay_welcome(&self, by: Duration) {
        self.inject(Fault::DelayWelcome { ms: ms(by) });
    }

    /// Sends no welcome on the next connections.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_realtime::signalling::State;
    /// server.withhold_welcome(1);
    /// let attempt = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.connect().await }
    /// });
    /// server.wait_connections(1).await;
    /// assert_eq!(client.state(), State::Connecting); // and after ten seconds an error `welcome_timeout`
    /// client.close().await;
    /// # let _ = attempt.await?;
    /// # Ok(())
    /// # });
    /// ```
    pub fn withhold_welcome(&self, count: u32) {
        self.inject(Fault::WithholdWelcome { count });
    }

    /// Sends another text in place of the next welcomes.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// server.replace_welcome(1, r#"{"type":"welcome","peerId":"somebody else","maxMessageSize":1000}"#);
    /// client.connect().await?;
    /// assert_eq!(client.connected().unwrap().max_message_size, 1_000);
    /// let long = "x".repeat(1_000);
    /// assert_eq!(client.publish("room", &long).await.unwrap_err().code(), "oversized_payload");
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn replace_welcome(&self, count: u32, text: &str) {
        self.inject(Fault::ReplaceWelcome { count, text: text.to_owned() });
    }

    /// Loses the next acks, of requests of one type or of all.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::RequestError;
    /// client.connect().await?;
    /// server.lose_acks(1, Some("publish"));
    /// let request = tokio::spawn({
    ///     let client = client.clone();
    ///     async move { client.publish("room", "hello").await }
    /// });
    /// while client.pacing().unanswered == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// // It was done, and the client cannot know.
    /// server.drop_connections(Target::all());
    /// assert!(matches!(request.await?, Err(RequestError::Disconnected { sent: true, .. })));
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn lose_acks(&self, count: u32, of: Option<&str>) {
        self.inject(Fault::LoseAcks { count, of: of.map(str::to_owned) });
    }

    /// Lets acks wait.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use std::time::{Duration, Instant};
    /// client.connect().await?;
    /// server.delay_acks(Duration::from_millis(30));
    /// let begun = Instant::now();
    /// client.publish("room", "hello").await?;
    /// assert!(begun.elapsed() >= Duration::from_millis(30));
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn delay_acks(&self, by: Duration) {
        self.inject(Fault::DelayAcks { ms: ms(by) });
    }

    /// Answers the next requests, of one type or of all, with an error.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// client.connect().await?;
    /// server.fail_requests(1, "backend_error", Some("publish"));
    /// client.subscribe("room").await?; // of another type
    /// assert_eq!(client.publish("room", "hello").await.unwrap_err().code(), "backend_error");
    /// client.publish("room", "again").await?;
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn fail_requests(&self, count: u32, code: &str, of: Option<&str>) {
        let of = of.map(str::to_owned);
        self.inject(Fault::FailRequests { count, code: code.to_owned(), of });
    }

    /// Changes how snapshots come.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::SnapshotMode;
    /// use metered_realtime::signalling::Event;
    /// use std::time::Duration;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.snapshots(SnapshotMode::Normal, Duration::from_millis(30));
    /// client.subscribe("room").await?; // done at its ack, while the snapshot still waits
    /// while !matches!(events.next().await, Some(Event::Presence { snapshot: true, .. })) {}
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn snapshots(&self, mode: SnapshotMode, delay: Duration) {
        self.inject(Fault::Snapshot { mode, delay_ms: ms(delay) });
    }

    /// Lists a peer that is not there, for a while.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_realtime::signalling::Event;
    /// use std::time::Duration;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.ghost("room", "carol", Duration::from_secs(40));
    /// client.subscribe("room").await?;
    /// let there = loop {
    ///     if let Some(Event::Presence { presence, .. }) = events.next().await {
    ///         break presence;
    ///     }
    /// };
    /// assert!(there.joined.iter().any(|peer| peer.peer_id == "carol"));
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn ghost(&self, channel: &str, peer_id: &str, life: Duration) {
        let (channel, peer_id) = (channel.to_owned(), peer_id.to_owned());
        self.inject(Fault::Ghost { channel, peer_id, metadata: None, ms: ms(life) });
    }
}
