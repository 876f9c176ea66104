//! Faults on single frames: what no service sends, and frames that wait.

use std::time::Duration;

use super::ms;
use crate::faults::{Fault, Target};
use crate::handle::DevServerHandle;

impl DevServerHandle {
    /// Sends a text frame as it is: malformed, of an unknown type, anything.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// client.connect().await?;
    /// server.send_text("no JSON at all", Target::all());
    /// client.publish("room", "hello").await?; // its ack comes after that text
    /// assert_eq!(client.counters().malformed_frames, 1);
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn send_text(&self, text: &str, to: Target) -> usize {
        self.inject(Fault::SendText { text: text.to_owned(), to })
    }

    /// Sends a binary frame.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// client.connect().await?;
    /// server.send_binary(64, Target::all());
    /// client.publish("room", "hello").await?;
    /// assert_eq!(client.counters().binary_frames, 1); // counted, and nothing else
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn send_binary(&self, size: usize, to: Target) -> usize {
        self.inject(Fault::SendBinary { size, to })
    }

    /// Sends a message frame of so many bytes.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::Target;
    /// use metered_realtime::signalling::{ConnectError, Event};
    /// use metered_realtime::wire::MAX_INBOUND_FRAME_BYTES;
    /// let mut events = client.events();
    /// client.connect().await?;
    /// server.send_oversized(MAX_INBOUND_FRAME_BYTES + 1, Target::all());
    /// let lost = loop {
    ///     if let Some(Event::Disconnected(lost)) = events.next().await {
    ///         break lost;
    ///     }
    /// };
    /// assert!(matches!(*lost.error, ConnectError::InboundTooBig));
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn send_oversized(&self, size: usize, to: Target) -> usize {
        self.inject(Fault::SendOversized { size, to })
    }

    /// Lets every frame wait.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use std::time::{Duration, Instant};
    /// client.connect().await?;
    /// server.delay_frames(Duration::from_millis(30)); // a slow path towards the client
    /// let begun = Instant::now();
    /// client.publish("room", "hello").await?;
    /// assert!(begun.elapsed() >= Duration::from_millis(30));
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn delay_frames(&self, by: Duration) {
        self.inject(Fault::DelayFrames { ms: ms(by) });
    }
}
