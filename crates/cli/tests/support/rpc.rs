//! `metered rpc` as a child, and a server for it.

#[cfg(unix)]
#[path = "hangup.rs"]
mod hangup;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use metered_dev_server::{DevServer, DevServerHandle};
use serde_json::{Value, json};

pub(crate) struct Rpc {
    pub(crate) child: Child,
    pub(crate) input: Option<ChildStdin>,
    lines: Receiver<Value>,
    pub(crate) seen: Vec<Value>,
    /// Which of `seen` [`next_of`](Self::next_of) has answered.
    taken: HashSet<usize>,
}

impl Rpc {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metered"));
        #[cfg(unix)]
        hangup::heeds_hangup(&mut command);
        let mut child = command
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
        Self { child, input, lines, seen: Vec::new(), taken: HashSet::new() }
    }

    pub(crate) fn write(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
    }

    /// The next message that fits; every message before it is kept in `seen`.
    pub(crate) fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let Ok(line) = self.lines.recv_timeout(Duration::from_secs(20)) else {
                panic!("no such line in time, but these: {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if fits(&line) {
                return line;
            }
        }
    }

    /// An event of this type, seen already or to come: a snapshot may precede the reply or follow it.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        let seen = self.seen.iter().find(|line| line["params"]["type"] == kind).cloned();
        seen.unwrap_or_else(|| self.until(|line| line["params"]["type"] == kind))
    }

    pub(crate) fn call(&mut self, id: u64, method: &str, params: &Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.write(&request.to_string());
        self.until(|line| line["id"] == id)
    }

    pub(crate) fn ok(&mut self, id: u64, method: &str, params: &Value) -> Value {
        let answer = self.call(id, method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub(crate) fn error(&mut self, id: u64, method: &str, params: &Value) -> Value {
        self.call(id, method, params)["error"].clone()
    }

    /// The next event of this source and type, and its payload: what a request caused may have come before
    /// its reply.
    pub(crate) fn next_of(&mut self, source: &str, kind: &str) -> Value {
        let fits =
            |line: &Value| line["params"]["source"] == source && line["params"]["type"] == kind;
        let seen =
            (0..self.seen.len()).find(|at| !self.taken.contains(at) && fits(&self.seen[*at]));
        let at = seen.unwrap_or_else(|| {
            self.until(fits);
            self.seen.len() - 1
        });
        self.taken.insert(at);
        self.seen[at]["params"]["payload"].clone()
    }

    /// A peer that has joined the room.
    pub(crate) fn join(&mut self, server: &DevServerHandle, name: &str) {
        let options = json!({
            "url": server.url(),
            "token": server.token(name).unwrap(),
            "localAddresses": ["127.0.0.1"],
        });
        assert_eq!(self.ok(1, "peer.create", &options), json!({}));
        assert_eq!(self.ok(2, "peer.state", &json!({})), "idle");
        assert_eq!(self.ok(3, "peer.join", &json!({ "channel": "room" })), Value::Null);
    }

    /// Ends the input; answers the exit code, how long it took, and what standard error says.
    pub(crate) fn end(mut self) -> (Option<i32>, Duration, String) {
        let began = Instant::now();
        drop(self.input.take());
        let code = self.child.wait().unwrap().code();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (code, began.elapsed(), said)
    }
}

pub(crate) fn with_server(test: impl FnOnce(&DevServerHandle, &tokio::runtime::Runtime)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(DevServer::builder().start()).unwrap();
    test(&server, &runtime);
    runtime.block_on(server.shutdown());
}
