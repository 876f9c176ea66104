//! `metered rpc` sends and records: files that ffmpeg decodes without a complaint.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/ffmpeg.rs"]
mod ffmpeg;
#[path = "support/rpc.rs"]
mod rpc;

use std::path::PathBuf;

use ffmpeg::{counted, heard};
use metered_realtime::media::audio::tone_share;
use rpc::{Rpc, with_server};
use serde_json::{Value, json};

/// The file that the next `recorded` event names.
fn recorded(rpc: &mut Rpc) -> PathBuf {
    let payload =
        rpc.until(|line| line["params"]["type"] == "recorded")["params"]["payload"].clone();
    assert!(payload["frames"].as_u64().unwrap() > 0 && payload["bytes"].as_u64().unwrap() > 0);
    PathBuf::from(payload["file"].as_str().unwrap())
}

/// Waits until so much of a remote's track has come; answers how much.
fn received(rpc: &mut Rpc, track_id: &str, frames: u64) -> u64 {
    let source = format!("track:{track_id}");
    loop {
        let come = rpc.next_of(&source, "stats")["framesReceived"].as_u64().unwrap();
        if come >= frames {
            return come;
        }
    }
}

#[test]
fn a_stream_is_sent_recorded_and_decoded() {
    with_server(|server, _| {
        let folder = tempfile::tempdir().unwrap();
        let (mut ann, mut bob) = (Rpc::start(), Rpc::start());
        ann.join(server, "ann");
        bob.join(server, "bob");
        ann.event("peer-joined");
        let record = json!({ "peerId": "bob", "dir": folder.path() });
        assert_eq!(ann.ok(4, "remote.record", &record), json!({ "files": [] }));
        for (n, codec) in (0_u64..).zip(["vp8", "vp9", "h264", "av1"]) {
            // Ids may be hostile: they name no other folder and hide nothing.
            let (picture, sound) = (format!("../{codec}\u{202e}"), format!("/etc/{codec}"));
            let tracks = json!([
                { "kind": "video", "source": { "testPattern": { "codec": codec } }, "trackId": picture },
                { "kind": "audio", "source": { "tone": { "hz": 440 } }, "trackId": sound },
            ]);
            let add = json!({ "streamId": codec, "tracks": tracks, "metadata": { "n": n } });
            let added = bob.ok(10 + n, "peer.addStream", &add);
            assert_eq!(added, json!({ "streamId": codec, "trackIds": [picture, sound] }));
            received(&mut ann, &picture, 60);
            received(&mut ann, &sound, 100);
            let again = ann.ok(20 + n, "remote.record", &record);
            assert_eq!(again, json!({ "files": [] }), "it is recorded there already");
            bob.ok(30 + n, "peer.removeStream", &json!({ "streamId": codec }));
            let mut files = [recorded(&mut ann), recorded(&mut ann)];
            files.sort_by_key(|file| file.extension().is_some_and(|kind| kind == "ogg"));
            let [picture, sound] = files;
            assert_eq!(picture.parent(), Some(folder.path()));
            let numbers = counted(&picture);
            assert!(numbers.len() > 40, "{codec}: {numbers:?}");
            let steps = numbers.windows(2).filter(|two| (two[0] + 1) % 100 == two[1]).count();
            // It jumps where a key frame was asked for, and nowhere else.
            assert!(steps + 4 >= numbers.len(), "{codec}: {numbers:?}");
            let pcm = heard(&sound);
            let end = &pcm[pcm.len().saturating_sub(12_000)..];
            assert!(tone_share(440.0, 48_000, end) > 0.9, "{codec}");
        }
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 8, "{names:?}");
        assert!(bob.end().2.is_empty());
        ann.end();
    });
}

#[test]
fn what_is_still_recorded_at_the_end_is_finished() {
    with_server(|server, _| {
        let folder = tempfile::tempdir().unwrap();
        let (mut ann, mut bob) = (Rpc::start(), Rpc::start());
        ann.join(server, "ann");
        bob.join(server, "bob");
        ann.event("peer-joined");
        let source = json!({ "testPattern": { "codec": "vp8" }, "rotation": 90 });
        let add = json!({ "kind": "video", "source": source, "trackId": "cam" });
        bob.ok(4, "peer.addTrack", &add);
        let first = ann.next_of("track:cam", "first-frame");
        let seen = ["keyFrame", "rotation", "width", "height"].map(|name| first[name].clone());
        assert_eq!(seen, [json!(true), json!(90), json!(320), json!(180)]);
        let before = received(&mut ann, "cam", 30);
        let dir = folder.path().join("new");
        let files = ann.ok(4, "remote.record", &json!({ "peerId": "bob", "dir": dir }));
        let file = PathBuf::from(files["files"][0].as_str().unwrap());
        assert_eq!(file, dir.join("bob_cam.ivf"));
        received(&mut ann, "cam", before + 60);
        let (code, ..) = ann.end();
        assert_eq!(code, Some(0));
        assert!(counted(&file).len() > 20);
        bob.end();
    });
}

#[test]
fn sources_are_replaced_and_refused_with_cause_and_fix() {
    with_server(|server, _| {
        let mut rpc = Rpc::start();
        let none = rpc.error(1, "peer.addTrack", &json!({}));
        assert_eq!(none["data"]["code"], "no_client");
        rpc.join(server, "ann");
        let tone = json!({ "kind": "audio", "source": { "tone": {} }, "streamId": "s" });
        let added = rpc.ok(4, "peer.addTrack", &tone);
        let id = added["trackId"].as_str().unwrap();
        let wav = json!({ "trackId": id, "source": { "tone": { "hz": 880 } } });
        let replaced = rpc.ok(5, "peer.replaceTrack", &wav);
        assert_ne!(replaced["trackId"], added["trackId"]);
        let mute = json!({ "trackId": replaced["trackId"], "muted": true });
        assert_eq!(rpc.ok(12, "peer.muteTrack", &mute), Value::Null);
        let unknown = rpc.error(13, "peer.muteTrack", &json!({ "trackId": id, "muted": true }));
        assert_eq!(unknown["code"], -32602);
        let other = json!({ "trackId": replaced["trackId"], "source": { "testPattern": {} } });
        assert!(rpc.error(6, "peer.replaceTrack", &other)["data"]["fix"].is_string());
        assert_eq!(rpc.ok(7, "peer.removeStream", &json!({ "streamId": "s" })), Value::Null);
        assert_eq!(rpc.error(8, "peer.removeStream", &json!({ "streamId": "s" }))["code"], -32602);
        let big = json!({ "kind": "video", "source": { "testPattern": { "width": 4096 } } });
        let error = rpc.error(9, "peer.addTrack", &big);
        assert_eq!(
            (&error["code"], &error["data"]["code"]),
            (&json!(-32602), &json!("no_such_pattern"))
        );
        assert!(error["data"]["fix"].as_str().unwrap().contains("320x180"));
        let misshapen = json!({ "kind": "audio", "source": { "file": 1 } });
        let error = rpc.error(14, "peer.addTrack", &misshapen);
        assert_eq!(
            (&error["code"], &error["data"]["param"]),
            (&json!(-32602), &json!("source.file"))
        );
        let wrong = json!({ "kind": "audio", "source": { "testPattern": {} } });
        assert_eq!(rpc.error(10, "peer.addTrack", &wrong)["data"]["code"], "source_other_kind");
        let twice =
            json!({ "tracks": [tone, { "kind": "audio", "source": { "file": "no.wav" } }] });
        assert_eq!(rpc.error(11, "peer.addStream", &twice)["code"], -32602);
        rpc.end();
    });
}
