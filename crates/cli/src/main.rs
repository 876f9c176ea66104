//! The metered command.
fn main() {}
