//! The estimate over a modelled path, and over real connections on a simulated network.

mod call;
mod estimate;
