//! Any history of a room: who joined leaves once, data comes after its sender, and nothing is unbounded.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| metered_realtime::peer::fuzz_roster(bytes));
