//! Faults on demand as methods, one for each [`Fault`]; nothing is decided here.
//!
//! | module | what goes wrong |
//! | --- | --- |
//! | [`connections`] | connections that are refused, cut, closed, or silent |
//! | [`protocol`] | the order and the content of what the service says |
//! | [`frames`] | single frames, and the time that each takes |
//! | [`service`] | the plan, the account and the clock |

mod connections;
mod frames;
mod protocol;
mod service;

use std::time::Duration;

use super::DevServerHandle;
use crate::faults::Fault;

impl DevServerHandle {
    /// Lets something go wrong; answers how many connections it met at once.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// use metered_dev_server::{Fault, Target};
    /// client.connect().await?;
    /// let fault: Fault = serde_json::from_str(r#"{"fault":"drop","peerId":"alice"}"#)?; // from a test's data
    /// assert_eq!(server.inject(fault), 1);
    /// assert_eq!(server.inject(Fault::Drop { to: Target::peer("nobody") }), 0);
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn inject(&self, fault: Fault) -> usize {
        self.state.inject(fault)
    }

    /// Ends every fault that lasts.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { server, client }| {
    /// client.connect().await?;
    /// server.quota_exhausted(true);
    /// assert!(client.publish("room", "hello").await.is_err());
    /// server.reset_faults(); // between two tests that share a server
    /// client.publish("room", "hello").await?;
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn reset_faults(&self) {
        self.inject(Fault::Reset);
    }
}

/// Milliseconds, as faults have them.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
