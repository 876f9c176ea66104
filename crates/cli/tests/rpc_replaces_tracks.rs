//! `metered rpc` puts another source, or none, in a track's place, and says when it cannot.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/rpc.rs"]
mod rpc;

use metered_dev_server::Target;
use rpc::{Rpc, with_server};
use serde_json::{Value, json};

/// What has come of a remote's track by its next figures.
fn come(rpc: &mut Rpc, track_id: &str) -> u64 {
    rpc.next_of(&format!("track:{track_id}"), "stats")["framesReceived"].as_u64().unwrap()
}

/// Waits until so much more has come than now.
fn more(rpc: &mut Rpc, track_id: &str, frames: u64) {
    let goal = come(rpc, track_id) + frames;
    while come(rpc, track_id) < goal {}
}

/// Waits until nothing more comes, for three of its figures: one a second.
fn ends(rpc: &mut Rpc, track_id: &str) {
    let mut last = [0, 1, 2];
    while last[0] != last[2] {
        last = [last[1], last[2], come(rpc, track_id)];
    }
}

/// Which of these events a remote has caused so far.
fn caused(rpc: &Rpc, remote: &str, kinds: &[&str]) -> Vec<Value> {
    let source = format!("remote:{remote}");
    let of = |line: &&Value| line["params"]["source"] == source.as_str();
    let kind = |line: &Value| line["params"]["type"].as_str().is_some_and(|it| kinds.contains(&it));
    rpc.seen
        .iter()
        .filter(of)
        .filter(|line| kind(line))
        .map(|line| line["params"].clone())
        .collect()
}

const GOES: [&str; 2] = ["track-removed", "stream-removed"];

#[test]
fn none_in_a_tracks_place_is_silence_and_no_end() {
    with_server(|server, _| {
        let (mut ann, mut bob) = (Rpc::start(), Rpc::start());
        ann.join(server, "ann");
        bob.join(server, "bob");
        ann.event("peer-joined");
        let tracks = json!([
            { "kind": "video", "source": { "testPattern": { "codec": "vp8" } }, "trackId": "cam" },
            { "kind": "audio", "source": { "tone": {} }, "trackId": "mic" },
        ]);
        bob.ok(4, "peer.addStream", &json!({ "streamId": "desk", "tracks": tracks }));
        more(&mut ann, "cam", 30);
        let none = json!({ "trackId": "cam", "source": null });
        assert_eq!(bob.ok(5, "peer.replaceTrack", &none), json!({ "trackId": "cam" }));
        ends(&mut ann, "cam");
        more(&mut ann, "mic", 50);
        assert_eq!(caused(&ann, "bob", &GOES), Vec::<Value>::new(), "to ann it is silent");
        // To bob's app it is forgotten.
        let again = json!({ "trackId": "cam", "source": { "testPattern": {} } });
        let error = bob.error(6, "peer.replaceTrack", &again);
        assert_eq!(error["data"]["code"], "invalid_args");
        assert_eq!(error["data"]["cause"], "the track was never added");
        let unknown = bob.error(7, "peer.muteTrack", &json!({ "trackId": "cam", "muted": true }));
        assert_eq!(unknown["code"], -32602);
        // A source that is left out is none as well.
        bob.ok(8, "peer.replaceTrack", &json!({ "trackId": "mic" }));
        ends(&mut ann, "mic");
        // Its id is free again; the one on the wire is still the silent track's.
        let add = json!({ "kind": "video", "source": { "testPattern": { "codec": "vp8" } }, "trackId": "cam" });
        assert_eq!(bob.ok(9, "peer.addTrack", &add)["trackId"], "cam");
        more(&mut ann, "cam-2", 30);
        assert_eq!(caused(&ann, "bob", &GOES), Vec::<Value>::new());
        assert!(bob.end().2.is_empty());
        ann.end();
    });
}

#[test]
fn nothing_is_replaced_while_reconnecting() {
    with_server(|server, _| {
        let (mut ann, mut bob) = (Rpc::start(), Rpc::start());
        ann.join(server, "ann");
        let options = json!({
            "url": server.url(),
            "token": server.token("bob").unwrap(),
            "localAddresses": ["127.0.0.1"],
            // It stays where it is until it is told otherwise.
            "reconnect": { "initialDelayMs": 600_000, "maxDelayMs": 600_000 },
        });
        bob.ok(1, "peer.create", &options);
        bob.ok(2, "peer.join", &json!({ "channel": "room" }));
        let tone = json!({ "kind": "audio", "source": { "tone": {} }, "trackId": "mic" });
        bob.ok(3, "peer.addTrack", &tone);
        more(&mut ann, "mic", 50);

        assert_eq!(server.drop_connections(Target::peer("bob")), 1);
        bob.until(|line| line["params"]["payload"]["to"] == "reconnecting");
        let other = json!({ "tone": { "hz": 880 } });
        for (id, source) in [(4, Value::Null), (5, other.clone())] {
            let replace = json!({ "trackId": "mic", "source": source });
            let error = bob.error(id, "peer.replaceTrack", &replace);
            let data = &error["data"];
            assert_eq!(error["code"], -32000);
            assert_eq!(
                [&data["name"], &data["currentState"], &data["method"]],
                ["MeteredPeerStateError", "reconnecting", "replace_track"],
            );
            assert!(data["cause"].is_string() && data["fix"].is_string(), "{data}");
        }
        assert_eq!(bob.ok(6, "peer.state", &json!({})), "reconnecting");
        // Nothing has changed: it is sent as before, and is replaced once the peer is back.
        bob.ok(7, "peer.reconnectNow", &json!({}));
        bob.until(|line| {
            line["params"]["source"] == "peer" && line["params"]["payload"]["to"] == "joined"
        });
        more(&mut ann, "mic", 50);
        let replace = json!({ "trackId": "mic", "source": other });
        assert_ne!(bob.ok(8, "peer.replaceTrack", &replace)["trackId"], "mic");
        more(&mut ann, "mic", 50);
        assert!(bob.end().2.is_empty());
        ann.end();
    });
}
