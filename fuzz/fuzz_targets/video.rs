//! Any packets of any codec: no panic, and no more memory than what came.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| metered_realtime::media::fuzz_video(bytes));
