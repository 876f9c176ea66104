//! `metered rpc` by its contract: replies, events before replies, errors, the end.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[cfg(unix)]
#[path = "support/processes.rs"]
mod processes;
#[path = "support/rpc.rs"]
mod rpc;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[cfg(unix)]
use processes::ended;
use rpc::{Rpc, with_server};

/// Types of a source's events so far.
fn types_of<'a>(rpc: &'a Rpc, source: &str) -> Vec<&'a str> {
    let of = rpc.seen.iter().filter(|line| line["params"]["source"] == source);
    of.filter_map(|line| line["params"]["type"].as_str()).collect()
}

fn events(rpc: &Rpc) -> Vec<&str> {
    rpc.seen.iter().filter_map(|line| line["params"]["type"].as_str()).collect()
}

#[test]
fn a_session_from_create_to_the_end_of_input() {
    with_server(|server, _| {
        let mut rpc = Rpc::start();
        let options = json!({ "url": server.url(), "apiKey": "pk_live_dev" });
        assert_eq!(rpc.ok(1, "signalling.create", &options), json!({}));
        assert_eq!(rpc.ok(2, "signalling.state", &json!({})), "idle");
        assert_eq!(rpc.ok(3, "signalling.connect", &json!({})), Value::Null);
        // What a request caused precedes its reply.
        assert_eq!(events(&rpc), ["state-change", "state-change", "connected"]);
        assert_eq!(rpc.ok(4, "signalling.subscribe", &json!({ "channel": "c" })), Value::Null);
        let presence = rpc.event("presence");
        assert_eq!(presence["params"]["source"], "signalling");
        assert!(presence["params"]["t"].as_f64().unwrap() > 0.0);
        let expected = json!({ "channel": "c", "joined": [], "left": [] });
        assert_eq!(presence["params"]["payload"], expected);
        for (id, data) in [(5, json!(null)), (6, json!({ "a": [1, 2.5] }))] {
            rpc.ok(id, "signalling.publish", &json!({ "channel": "c", "data": data }));
        }
        for (id, hint) in
            [(10, "reconnectNow"), (11, "networkChanged"), (12, "background"), (13, "foreground")]
        {
            assert_eq!(rpc.ok(id, &format!("signalling.{hint}"), &json!({})), Value::Null);
        }
        let report = rpc.ok(14, "signalling.diagnose", &json!({}));
        assert_eq!(
            (&report["state"], &report["lastDisconnected"]),
            (&json!("connected"), &Value::Null)
        );
        let steps = report["lastAttempt"]["steps"].as_array().unwrap();
        let steps: Vec<_> = steps.iter().map(|step| (&step["step"], &step["done"])).collect();
        let wanted = [json!("resolving"), json!("connecting"), json!("upgrading")];
        assert_eq!(steps, wanted.iter().map(|step| (step, &json!(true))).collect::<Vec<_>>());
        assert_eq!(rpc.ok(15, "signalling.unsubscribe", &json!({ "channel": "c" })), Value::Null);
        assert_eq!(
            rpc.ok(16, "signalling.close", &json!({ "code": 4999, "reason": "bye" })),
            Value::Null
        );
        let lost = rpc.seen.iter().find(|line| line["params"]["type"] == "disconnected").unwrap();
        assert_eq!(lost["params"]["payload"]["willReconnect"], false);
        let (code, took, said) = rpc.end();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(said, "");
    });
}

#[test]
fn errors_have_their_shape() {
    with_server(|server, _| {
        let mut rpc = Rpc::start();
        assert_eq!(rpc.error(1, "signalling.connect", &json!({}))["data"]["code"], "no_client");
        let wrong = json!({ "url": server.url(), "apiKey": "pk_live_wrong" });
        rpc.ok(2, "signalling.create", &wrong);
        let error = rpc.error(3, "signalling.connect", &json!({}));
        assert_eq!(error["code"], -32000);
        let data = &error["data"];
        assert_eq!(data["name"], "SignallingConnectError");
        assert_eq!((&data["code"], &data["closeCode"]), (&json!("invalid_token"), &json!(4001)));
        assert!(
            data["cause"].as_str().unwrap().len() > 20 && data["fix"].as_str().unwrap().len() > 20
        );
        assert!(data.get("httpStatus").is_none(), "fields without a value are left out");
        let error = rpc.error(4, "signalling.publish", &json!({ "channel": "c", "data": 1 }));
        assert_eq!(error["data"]["name"], "NotConnectedError");

        rpc.ok(5, "signalling.create", &json!({ "url": server.url(), "apiKey": "pk_live_dev" }));
        rpc.ok(6, "signalling.connect", &json!({}));
        let error = rpc.error(7, "signalling.send", &json!({ "peerId": "nobody", "data": 1 }));
        assert_eq!(error["data"]["name"], "ServerRequestError");
        assert_eq!(error["data"]["code"], "peer_not_found");
        let large = "x".repeat(70_000);
        let error = rpc.error(8, "signalling.publish", &json!({ "channel": "c", "data": large }));
        assert_eq!(error["data"]["name"], "OversizedPayloadError");
        assert_eq!(
            (&error["data"]["size"], &error["data"]["cap"]),
            (&json!(70_002), &json!(65_536))
        );
        let error = rpc.error(9, "signalling.connect", &json!({}));
        assert_eq!(error["data"]["currentState"], "connected");

        let old = json!({ "url": server.url(), "token": "not.a.token" });
        rpc.ok(10, "signalling.create", &old);
        let error = rpc.error(11, "signalling.connect", &json!({}));
        assert_eq!(error["data"]["preflight"], "malformed");
        assert_eq!(rpc.end().0, Some(0));
    });
}

#[test]
fn two_peers_meet_and_talk_and_part() {
    with_server(|server, _| {
        let (mut a, mut b) = (Rpc::start(), Rpc::start());
        a.join(server, "alice");
        // What a request caused precedes its reply.
        assert_eq!(types_of(&a, "peer"), ["state-change", "state-change", "joined"]);
        let joined = a.event("joined")["params"]["payload"].clone();
        assert_eq!(joined, json!({ "peerId": "alice", "channel": "room" }));
        b.join(server, "bob");
        assert_eq!(a.next_of("peer", "peer-joined"), json!({ "peer": { "id": "bob" } }));
        for (id, method, expected) in [
            (4, "peer.state", json!("joined")),
            (5, "peer.peerId", json!("alice")),
            (6, "peer.channel", json!("room")),
            (7, "peer.remotePeers", json!([{ "id": "bob", "state": "idle" }])),
        ] {
            assert_eq!(a.ok(id, method, &json!({})), expected, "{method}");
        }

        a.ok(10, "peer.send", &json!({ "data": { "n": 1 } }));
        a.ok(11, "peer.sendTo", &json!({ "peerId": "bob", "data": null }));
        let data = |data: Value, kind: &str| json!({ "senderPeerId": "alice", "data": data, "kind": kind });
        assert_eq!(b.next_of("peer", "data"), data(json!({ "n": 1 }), "broadcast"));
        assert_eq!(b.next_of("peer", "data"), data(Value::Null, "direct"));

        let open = json!({
            "peerId": "bob",
            "label": "chat",
            "protocol": "p",
            "ordered": false,
            "bufferedAmountLowThreshold": 1_000,
            "maxBufferedAmount": 1_000_000,
        });
        let opened = a.ok(12, "remote.openDataChannel", &open);
        assert_eq!(types_of(&a, "remote:bob").first(), Some(&"state-change"));
        let channel = opened["channelId"].as_str().unwrap().to_owned();
        let source = format!("channel:{channel}");
        let theirs = b.next_of("remote:alice", "data-channel");
        let shown = (&theirs["label"], &theirs["protocol"], &theirs["ordered"]);
        assert_eq!(shown, (&json!("chat"), &json!("p"), &json!(false)));
        let their_channel = theirs["channelId"].as_str().unwrap().to_owned();
        let their_source = format!("channel:{their_channel}");
        a.next_of(&source, "open");
        let state = a.ok(13, "channel.state", &json!({ "channelId": channel }));
        assert_eq!(state, json!({ "readyState": "open", "bufferedAmount": 0 }));

        a.ok(14, "channel.send", &json!({ "channelId": channel, "text": "ü" }));
        assert_eq!(b.next_of(&their_source, "message"), json!({ "text": "ü" }));
        b.ok(14, "channel.send", &json!({ "channelId": their_channel, "base64": "AP8=" }));
        assert_eq!(a.next_of(&source, "message"), json!({ "base64": "AP8=" }));
        let much = "x".repeat(200_000);
        a.ok(15, "channel.send", &json!({ "channelId": channel, "text": much }));
        assert_eq!(a.next_of(&source, "bufferedamountlow"), json!({}));
        assert_eq!(b.next_of(&their_source, "message")["text"], much);

        let stats = a.ok(16, "remote.stats", &json!({ "peerId": "bob" }));
        let pair = &stats["selectedPair"];
        assert_eq!(pair["local"]["candidateType"], "host");
        assert_eq!(
            (&pair["local"]["address"], &pair["local"]["protocol"]),
            (&json!("127.0.0.1"), &json!("udp"))
        );
        assert!(pair["remote"]["port"].as_u64().unwrap() > 0);
        for field in ["bytesSent", "bytesReceived", "packetsSent", "packetsReceived"] {
            assert!(stats[field].as_u64().unwrap() > 0, "{field}: {stats}");
        }
        assert_eq!((&stats["packetsLost"], &stats["tracks"]), (&json!(0), &json!([])));
        let of = &stats["channels"][0];
        let figures =
            (&of["label"], &of["messagesSent"], &of["bytesSent"], &of["messagesReceived"]);
        assert_eq!(figures, (&json!("chat"), &json!(2), &json!(200_002), &json!(1)));

        for (id, hint) in
            [(20, "networkChanged"), (21, "background"), (22, "foreground"), (23, "reconnectNow")]
        {
            assert_eq!(a.ok(id, &format!("peer.{hint}"), &json!({})), Value::Null);
        }
        let report = a.ok(24, "peer.diagnose", &json!({}));
        assert_eq!((&report["state"], &report["channel"]), (&json!("joined"), &json!("room")));
        assert_eq!(
            (&report["signalling"], &report["lastError"]),
            (&json!("connected"), &Value::Null)
        );
        assert_eq!(report["history"][0]["to"], "joining");
        let remote = &report["remotes"][0];
        assert_eq!((&remote["id"], &remote["polite"]), (&json!("bob"), &json!(true)));
        assert_eq!(remote["history"][0]["to"], "connecting");

        a.ok(30, "channel.close", &json!({ "channelId": channel }));
        a.next_of(&source, "close");
        b.next_of(&their_source, "close");
        let state = b.ok(30, "channel.state", &json!({ "channelId": their_channel }));
        assert_eq!(state["readyState"], "closed");
        let error = a.error(31, "channel.send", &json!({ "channelId": channel, "text": "x" }));
        assert_eq!(error["data"]["code"], "data_channel_closed");

        assert_eq!(a.ok(32, "peer.close", &json!({ "reason": "enough" })), Value::Null);
        assert_eq!(a.event("left")["params"]["payload"], json!({ "reason": "enough" }));
        assert_eq!(b.next_of("peer", "peer-left"), json!({ "peer": { "id": "alice" } }));
        let error = b.error(33, "remote.stats", &json!({ "peerId": "alice" }));
        assert_explained(&error, "RemotePeerClosedError", "remote_gone");
        assert_eq!(types_of(&b, "remote:alice").last(), Some(&"state-change"));
        for rpc in [a, b] {
            let (code, _, said) = rpc.end();
            assert_eq!((code, said.as_str()), (Some(0), ""));
        }
    });
}

#[test]
fn peers_errors_have_their_shape() {
    with_server(|server, _| {
        let mut a = Rpc::start();
        let error = a.error(1, "peer.join", &json!({ "channel": "room" }));
        assert_eq!(error["data"]["code"], "no_client");
        let credential = json!({ "url": server.url(), "apiKey": "pk_live_dev" });
        let with = |name: &str, value: Value| {
            let mut options = credential.clone();
            options[name] = value;
            options
        };
        for (name, value) in [
            ("unknown", json!(1)),
            ("noRtc", json!("yes")),
            ("iceTransportPolicy", json!("some")),
            ("iceServers", json!([{ "username": "no urls" }])),
            ("localAddresses", json!(["localhost"])),
        ] {
            let error = a.error(2, "peer.create", &with(name, value));
            assert_eq!(error["code"], -32602, "{name}: {error}");
            let param = error["data"]["param"].as_str().unwrap();
            assert!(param.starts_with(name) && error["message"].as_str().unwrap().contains(param));
        }
        assert_eq!(a.error(3, "signalling.create", &with("noRtc", json!(true)))["code"], -32602);
        let error = a.error(4, "peer.create", &with("autoResubscribe", json!(false)));
        assert_eq!(error["data"]["code"], "auto_resubscribe_required");

        let mut b = Rpc::start();
        b.join(server, "bob");
        a.ok(5, "peer.create", &with("noRtc", json!(true)));
        let error = a.error(6, "peer.send", &json!({ "data": 1 }));
        assert_explained(&error, "MeteredPeerStateError", "not_joined");
        assert_eq!(error["data"]["currentState"], "idle");
        a.ok(7, "peer.join", &json!({ "channel": "room" }));
        assert_eq!(a.event("peer-joined")["params"]["payload"]["peer"]["id"], "bob");
        let open = json!({ "peerId": "bob", "label": "x" });
        let error = a.error(8, "remote.openDataChannel", &open);
        assert_eq!(error["data"]["code"], "invalid_args", "connections are off");

        let own = a.ok(9, "peer.peerId", &json!({}));
        let error = a.error(10, "peer.sendTo", &json!({ "peerId": own, "data": 1 }));
        assert_explained(&error, "MeteredPeerSendError", "self_send");
        let error = a.error(11, "peer.sendTo", &json!({ "peerId": "nobody", "data": 1 }));
        assert_explained(&error, "ServerRequestError", "peer_not_found");
        let large = json!({ "data": "x".repeat(70_000) });
        let error = a.error(12, "peer.send", &large);
        assert_explained(&error, "MeteredPeerOversizedError", "oversized_payload");
        assert_eq!(
            (&error["data"]["size"], &error["data"]["cap"]),
            (&json!(70_002), &json!(65_536))
        );
        let error = a.error(13, "peer.join", &json!({ "channel": "room" }));
        assert_explained(&error, "MeteredPeerStateError", "invalid_state");
        assert_eq!(error["data"]["method"], "join");
        for (id, method, params) in [
            (20, "remote.stats", json!({ "peerId": "nobody" })),
            (21, "remote.stats", json!({ "peerId": "bob", "more": 1 })),
            (22, "remote.openDataChannel", json!({ "peerId": "bob" })),
            (23, "remote.openDataChannel", json!({ "peerId": "bob", "label": "x", "more": 1 })),
            (24, "channel.send", json!({ "channelId": "dc-0", "text": "x" })),
            (25, "channel.close", json!({})),
            (26, "peer.state", json!({ "more": 1 })),
            (27, "peer.join", json!({ "channel": 1 })),
        ] {
            assert_eq!(a.error(id, method, &params)["code"], -32602, "{method}");
        }
        assert_eq!(a.error(28, "remote.fly", &json!({}))["code"], -32601);
        a.ok(29, "peer.close", &json!({}));
        assert_eq!(a.ok(30, "peer.state", &json!({})), "closed");

        let mut c = Rpc::start();
        c.join(server, "carol");
        assert_eq!(c.event("peer-joined")["params"]["payload"]["peer"]["id"], "bob");
        let both = json!({
            "peerId": "bob", "label": "x", "maxRetransmits": 1, "maxPacketLifeTime": 1,
        });
        let error = c.error(10, "remote.openDataChannel", &both);
        assert_explained(&error, "InvalidArgumentError", "option_out_of_range");
        let opened = c.ok(11, "remote.openDataChannel", &json!({ "peerId": "bob", "label": "x" }));
        let channel = &opened["channelId"];
        let too_large = json!({ "channelId": channel, "text": "x".repeat(300_000) });
        let error = c.error(12, "channel.send", &too_large);
        assert_explained(&error, "OversizedPayloadError", "oversized_payload");
        for (id, params) in [
            (13, json!({ "channelId": channel })),
            (14, json!({ "channelId": channel, "text": "x", "base64": "AA==" })),
            (15, json!({ "channelId": channel, "base64": "%" })),
        ] {
            assert_eq!(c.error(id, "channel.send", &params)["code"], -32602);
        }
        for rpc in [a, b, c] {
            assert_eq!(rpc.end().0, Some(0));
        }
    });
}

fn assert_explained(error: &Value, name: &str, code: &str) {
    assert_eq!(error["code"], -32000, "{error}");
    let data = &error["data"];
    assert_eq!((&data["name"], &data["code"]), (&json!(name), &json!(code)));
    for field in ["cause", "fix"] {
        assert!(data[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {error}");
    }
}

#[test]
fn requests_that_are_none_are_refused_by_json_rpcs_own_codes() {
    let mut rpc = Rpc::start();
    let code = |rpc: &mut Rpc, line: &str| {
        rpc.write(line);
        rpc.until(|line| line.get("error").is_some())["error"]["code"].clone()
    };
    assert_eq!(code(&mut rpc, "{nonsense"), -32700);
    assert_eq!(code(&mut rpc, &"x".repeat(5 * 1024 * 1024)), -32700);
    assert_eq!(code(&mut rpc, r#"{"id":1,"method":"signalling.state"}"#), -32600);
    assert_eq!(code(&mut rpc, r#"{"jsonrpc":"2.0","id":[],"method":"signalling.state"}"#), -32600);
    assert_eq!(code(&mut rpc, r#"{"jsonrpc":"2.0","id":1,"method":"no.such"}"#), -32601);
    let create = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"signalling.create","params":{params}}}"#)
    };
    for params in [
        "{}",
        r#"{"apiKey":"k","token":"t"}"#,
        r#"{"apiKey":"k","unknown":1}"#,
        r#"{"apiKey":"k","reconnect":{"maxAttempts":0}}"#,
        r#"{"apiKey":"k","logLevel":"loud"}"#,
    ] {
        assert_eq!(code(&mut rpc, &create(params)), -32602, "{params}");
    }
    // A mark that editors put first is no fault there, and one elsewhere.
    let marked = "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no.such\"}";
    assert_eq!(code(&mut rpc, marked), -32700);
    let mut marked_first = Rpc::start();
    assert_eq!(code(&mut marked_first, marked), -32601);
    assert_eq!(marked_first.end().0, Some(0));
    let bad_url = create(r#"{"apiKey":"k","url":"ws://example.org"}"#);
    rpc.write(&bad_url);
    let error = rpc.until(|line| line.get("error").is_some());
    assert_eq!(error["error"]["data"]["code"], "invalid_url");
    assert_eq!(rpc.end().0, Some(0));
}

#[test]
fn tokens_come_from_files_and_commands_whenever_they_are_needed() {
    with_server(|server, _| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let mut rpc = Rpc::start();
        let options = json!({ "url": server.url(), "tokenFile": file });
        rpc.ok(1, "signalling.create", &options);
        let error = rpc.error(2, "signalling.connect", &json!({}));
        assert_eq!(error["data"]["name"], "TokenProviderError");
        std::fs::write(&file, server.token("alice").unwrap() + "\n").unwrap();
        rpc.ok(3, "signalling.connect", &json!({}));
        let command = format!("cat {}", file.display());
        rpc.ok(4, "signalling.create", &json!({ "url": server.url(), "tokenCommand": command }));
        rpc.ok(5, "signalling.connect", &json!({}));
        let failing = json!({ "url": server.url(), "tokenCommand": "exit 3" });
        rpc.ok(6, "signalling.create", &failing);
        let error = rpc.error(7, "signalling.connect", &json!({}));
        assert_eq!(error["data"]["code"], "token_provider_failed");
        assert_eq!(rpc.end().0, Some(0));
    });
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_cleanly_within_two_seconds() {
    with_server(|server, runtime| {
        for signal in ["INT", "TERM", "HUP"] {
            let mut rpc = Rpc::start();
            rpc.ok(
                1,
                "signalling.create",
                &json!({ "url": server.url(), "apiKey": "pk_live_dev" }),
            );
            rpc.ok(2, "signalling.connect", &json!({}));
            let began = Instant::now();
            let id = rpc.child.id().to_string();
            Command::new("kill").args(["-s", signal, &id]).status().unwrap();
            assert_eq!(rpc.child.wait().unwrap().code(), Some(0), "{signal}");
            assert!(began.elapsed() < Duration::from_secs(2));
            let gone = async {
                while server.connections() > 0 {
                    tokio::task::yield_now().await;
                }
            };
            runtime
                .block_on(async { tokio::time::timeout(Duration::from_secs(5), gone).await })
                .unwrap();
        }
    });
}

#[cfg(unix)] // asked of sh and ps
#[test]
fn a_token_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let (script, pids) = (folder.path().join("mint.sh"), folder.path().join("pids"));
    let lines = format!(
        "sleep 1000 &\necho $PPID $$ $! > {0}.new\nmv {0}.new {0}\nsleep 1000\necho late\n",
        pids.display()
    );
    std::fs::write(&script, lines).unwrap();
    let mut rpc = Rpc::start();
    // With more time if the script was ended before it could say who it is.
    let said = (0..6).find_map(|n| {
        let options = json!({
            "url": "ws://127.0.0.1:9",
            "tokenCommand": format!("sh {}; true", script.display()),
            "tokenProviderTimeoutMs": 500 << n,
        });
        rpc.ok(2 * n, "signalling.create", &options);
        let error = rpc.error(2 * n + 1, "signalling.connect", &json!({}));
        assert_eq!(error["data"]["code"], "token_provider_timeout", "{error}");
        std::fs::read_to_string(&pids).ok()
    });
    let said = said.expect("the script runs");
    let [ours, script, sleep] = said.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    for (pid, is_ours) in [(ours, true), (script, false), (sleep, false)] {
        assert!(ended(pid, is_ours), "{pid} of {said} goes on");
    }
    assert_eq!(rpc.end().0, Some(0));
}
