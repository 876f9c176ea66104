//! Any history of two negotiations: nothing is done that WebRTC forbids, and both end connected.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| metered_realtime::peer::fuzz_negotiation(bytes));
