//! Any bytes of a remote's feedback: what it says of our packets is said once, and of none that never left.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| metered_realtime::fuzz_feedback(bytes));
