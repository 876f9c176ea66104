//! The native client of the Metered Realtime Messaging service.
