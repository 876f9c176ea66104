//! Any data of a peer: recognised or the app's own; what is recognised survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metered_realtime::wire::{Json, PeerPayload, ice_servers};

fuzz_target!(|text: &str| {
    let Ok(data) = Json::parse(text) else { return };
    let (servers, _) = ice_servers(Some(&data));
    assert!(servers.is_none_or(|servers| servers.len() <= metered_realtime::wire::MAX_ICE_SERVERS));
    let payload = PeerPayload::decode(&data);
    if let Some(written) = payload.encode().expect("what was read can be written") {
        assert_eq!(PeerPayload::decode(&written), payload);
    }
});
