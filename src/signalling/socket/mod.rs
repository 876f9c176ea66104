//! From "connect there" to an open WebSocket: names, addresses, proxies, TLS, the upgrade.
//!
//! Owns the way, not the time: whoever dials drops the future when it has waited long enough, and reads
//! from [`DialProgress`] what it was doing. Credentials travel in the upgrade's query and nowhere else.

mod dial;
mod error;
mod progress;
mod proxy;
mod response;
mod stream;
mod target;
mod upgrade;

pub(crate) use dial::dial;
pub(crate) use error::DialError;
pub use error::TargetError;
pub(crate) use progress::DialProgress;
pub use progress::{Attempt, AttemptStep, ConnectStep};
pub use proxy::ProxySetting;
pub(crate) use stream::Socket;
pub(crate) use target::Target;
