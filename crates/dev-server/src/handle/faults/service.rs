//! Faults of the service as a whole: a plan that is used up, an account that is suspended, a clock that is wrong.

use crate::faults::Fault;
use crate::handle::DevServerHandle;

impl DevServerHandle {
    /// Uses the plan's messages up, or not.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// client.connect().await?;
    /// server.quota_exhausted(true);
    /// assert_eq!(client.publish("room", "hello").await.unwrap_err().code(), "over_message_quota");
    /// client.subscribe("room").await?; // receiving goes on
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn quota_exhausted(&self, exhausted: bool) {
        self.inject(Fault::Quota { exhausted });
    }

    /// Suspends the account, or not.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_realtime::signalling::Event;
    /// use metered_realtime::wire::CloseCode;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.suspend(true);
    /// let lost = loop {
    ///     if let Some(Event::Disconnected(lost)) = events.next().await {
    ///         break lost;
    ///     }
    /// };
    /// assert_eq!(lost.code, CloseCode::ACCOUNT_SUSPENDED);
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn suspend(&self, suspended: bool) {
        self.inject(Fault::Suspend { suspended });
    }

    /// Changes how many connections the plan has.
    ///
    /// ```
    /// # metered_scenes::play(async |service: &metered_scenes::Service| {
    /// use metered_realtime::wire::CloseCode;
    /// # let (server, first, second) = (&service.server, service.client("alice")?, service.client("alice")?);
    /// server.concurrent_limit(1);
    /// first.connect().await?;
    /// assert_eq!(second.connect().await.unwrap_err().close_code(), CloseCode::OVER_CONCURRENT_LIMIT);
    /// first.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn concurrent_limit(&self, limit: usize) {
        self.inject(Fault::ConcurrentLimit { limit });
    }

    /// Sets the server's clock ahead by so many seconds; negative for behind.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Service { server }| {
    /// # use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions};
    /// use std::time::{SystemTime, UNIX_EPOCH};
    ///
    /// # let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
    /// # options.url = server.url();
    /// server.clock_ahead(3_600.0);
    /// let client = SignallingClient::new(options)?;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// let connected = loop {
    ///     if let Some(Event::Connected(connected)) = events.next().await {
    ///         break connected;
    ///     }
    /// };
    /// let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    /// let ahead = connected.server_time.expect("the local server says it").0 - now;
    /// assert!((3_590.0..3_610.0).contains(&ahead));
    /// # client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn clock_ahead(&self, seconds: f64) {
        self.inject(Fault::Clock { ahead_seconds: seconds });
    }
}
