//! Any text of a client: read as a server reads it; what is accepted can be built, and is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metered_realtime::wire::ClientFrame;

fuzz_target!(|text: &str| {
    if let Ok(received) = ClientFrame::decode(text) {
        let built = received
            .frame
            .encode(received.request_id.as_deref(), usize::MAX)
            .expect("what a server accepts, a client may build");
        assert_eq!(ClientFrame::decode(&built).expect("and the server reads it"), received);
    }
});
