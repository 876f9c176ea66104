//! The native client of the Metered Realtime Messaging service.

pub mod diagnosis;
pub mod wire;
