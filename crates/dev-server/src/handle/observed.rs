//! What a server has seen, and who is there: for assertions, and for tests that wait instead of sleeping.

use std::time::Duration;

use super::DevServerHandle;
use crate::log::LogEntry;

impl DevServerHandle {
    /// Connections now.
    pub fn connections(&self) -> usize {
        self.state.hub().len()
    }

    /// Waits until there are so many connections. Give it a time limit of your own.
    pub async fn wait_connections(&self, wanted: usize) {
        while self.connections() != wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Tasks now; the one that accepts is always there.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Service { server }| {
    /// let before = server.tasks();
    /// // … an app's clients come and go, then:
    /// server.wait_connections(0).await;
    /// assert_eq!(server.tasks(), before); // nothing of theirs is left here
    /// # Ok(())
    /// # });
    /// ```
    pub fn tasks(&self) -> usize {
        self.state.tasks.len()
    }

    /// What was seen, if it is recorded; the last 10,000 entries.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use metered_dev_server::DevServer;
    /// let server = DevServer::builder().record().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// client.publish("room", "hello").await?;
    /// let asked: Vec<_> = server.log().into_iter().filter(|entry| entry.event == "in").collect();
    /// assert!(asked[0].text.contains(r#""type":"publish""#));
    /// client.close().await;
    /// server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn log(&self) -> Vec<LogEntry> {
        self.state.log.entries()
    }

    /// Waits for an entry that fits, past ones included. Give it a time limit of your own.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use metered_dev_server::DevServer;
    /// let server = DevServer::builder().record().start().await?;
    /// # let mut options = metered_realtime::signalling::SignallingOptions::with_token(server.token("alice")?)?;
    /// # options.url = server.url();
    /// # let client = metered_realtime::signalling::SignallingClient::new(options)?;
    /// client.connect().await?;
    /// let opened = server.wait_for(|entry| entry.event == "open").await;
    /// assert_eq!(opened.peer_id.as_deref(), Some("alice"));
    /// client.close().await;
    /// server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait_for(&self, fits: impl Fn(&LogEntry) -> bool) -> LogEntry {
        self.state.log.wait_for(fits).await
    }
}
