//! `metered rpc` by its contract: replies, events before replies, errors, the end.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use metered_dev_server::{DevServer, DevServerHandle};
use serde_json::{Value, json};

struct Rpc {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
    seen: Vec<Value>,
}

impl Rpc {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_metered"))
            .arg("rpc")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        Self { child, input, lines, seen: Vec::new() }
    }

    fn write(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
    }

    /// The next message that fits; every message before it is kept in `seen`.
    fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(20)).expect("a line in time");
            self.seen.push(line.clone());
            if fits(&line) {
                return line;
            }
        }
    }

    /// An event of this type, seen already or to come: a snapshot may precede the reply or follow it.
    fn event(&mut self, kind: &str) -> Value {
        let seen = self.seen.iter().find(|line| line["params"]["type"] == kind).cloned();
        seen.unwrap_or_else(|| self.until(|line| line["params"]["type"] == kind))
    }

    fn call(&mut self, id: u64, method: &str, params: &Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.write(&request.to_string());
        self.until(|line| line["id"] == id)
    }

    fn ok(&mut self, id: u64, method: &str, params: &Value) -> Value {
        let answer = self.call(id, method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn error(&mut self, id: u64, method: &str, params: &Value) -> Value {
        self.call(id, method, params)["error"].clone()
    }

    /// Ends the input; answers the exit code, how long it took, and what standard error says.
    fn end(mut self) -> (Option<i32>, Duration, String) {
        let began = Instant::now();
        drop(self.input.take());
        let code = self.child.wait().unwrap().code();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (code, began.elapsed(), said)
    }
}

fn with_server(test: impl FnOnce(&DevServerHandle, &tokio::runtime::Runtime)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(DevServer::builder().start()).unwrap();
    test(&server, &runtime);
    runtime.block_on(server.shutdown());
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
        for signal in ["INT", "TERM"] {
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
