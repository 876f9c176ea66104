//! The native client of the Metered Realtime Messaging service.

pub mod credential;
pub mod diagnosis;
pub mod platform;
pub mod signalling;
pub mod wire;
