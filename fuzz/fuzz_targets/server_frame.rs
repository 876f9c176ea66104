//! Any text of a server: read without a panic, and what was read means the same after being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metered_realtime::wire::ServerFrame;

fuzz_target!(|text: &str| {
    if let Ok(decoded) = ServerFrame::decode(text) {
        let again = ServerFrame::decode(&decoded.frame.encode()).expect("what we write, we read");
        assert_eq!(again.dropped, 0);
        assert_eq!(again.frame, decoded.frame);
    }
});
