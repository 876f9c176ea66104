//! Any history of a session: no panic, every request answered once, nothing unbounded, and an end.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| metered_realtime::signalling::fuzz_session(bytes));
