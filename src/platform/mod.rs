//! What differs between the systems that we run on.

pub(crate) mod race;
pub mod tls;
mod trust;
