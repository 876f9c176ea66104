//! What differs between the systems that we run on.

pub mod tls;
mod trust;
