//! Any signals of a remote: bounded, nothing that WebRTC forbids, and an honest remote is connected afterwards.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| metered_realtime::peer::fuzz_signals(bytes));
