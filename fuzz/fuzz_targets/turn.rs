//! Any bytes of a TURN server: cut in any way they give the same messages, and their answers are read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| metered_realtime::fuzz_turn(bytes));
