//! Any text as a description: bounded facts, read without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| metered_realtime::fuzz_sdp(text));
