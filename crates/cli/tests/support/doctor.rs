//! `metered doctor` as a user runs it: once with words and once with JSON, and both without a credential in them.
#![allow(dead_code)] // each test file uses a part

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use metered_dev_server::{Config, DevServer, DevServerHandle};
use serde_json::Value;
use tokio::net::TcpSocket;

/// What a doctor said.
pub(crate) struct Examination {
    pub(crate) exit_code: i32,
    pub(crate) report: Value,
    pub(crate) words: String,
}

/// Runs the doctor twice, with arguments of which some are secret.
pub(crate) fn doctor(args: &[&str], secrets: &[&str]) -> Examination {
    let start = |json: &[&str]| -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metered"));
        for name in ["METERED_API_KEY", "METERED_TOKEN", "METERED_URL", "METERED_PROXY"] {
            command.env_remove(name);
        }
        for name in ["https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        // What a trace tells must be as clean as the rest.
        command.args(["doctor", "--local-address", "127.0.0.1", "--log-level", "debug"]);
        command.args(args).args(json).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ended = |child: Child| child.wait_with_output().unwrap();
    // In a room each would meet the other, for as long as chance has it.
    let (words, json) = if args.contains(&"--room") {
        (ended(start(&[])), ended(start(&["--json"])))
    } else {
        let (words, json) = (start(&[]), start(&["--json"]));
        (ended(words), ended(json))
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for output in [&words, &json] {
        let all = text(&output.stdout) + &text(&output.stderr);
        for secret in secrets {
            assert!(!all.contains(secret), "a secret is shown:\n{all}");
        }
    }
    let said = text(&json.stdout);
    assert_eq!(said.lines().count(), 1, "one document: {said}\n{}", text(&json.stderr));
    let report: Value = serde_json::from_str(&said).unwrap();
    let exit_code = json.status.code().unwrap();
    assert_eq!(words.status.code(), Some(exit_code), "{report}\n{}", text(&words.stdout));
    assert_eq!((&report["version"], &report["ok"]), (&1.into(), &(exit_code == 0).into()));
    Examination { exit_code, report, words: text(&words.stdout) }
}

impl Examination {
    /// The checks of a name.
    pub(crate) fn all(&self, id: &str) -> Vec<&Value> {
        let checks = self.report["checks"].as_array().unwrap();
        checks.iter().filter(|check| check["id"] == id).collect()
    }

    pub(crate) fn check(&self, id: &str) -> &Value {
        let found = self.all(id);
        assert_eq!(found.len(), 1, "{id} in {}", self.report);
        found[0]
    }

    pub(crate) fn is(&self, id: &str, status: &str) -> &Value {
        let check = self.check(id);
        assert_eq!(check["status"], status, "{check}");
        check
    }

    /// A problem with this code, whose fix has this word; words and JSON say the same.
    pub(crate) fn names(&self, check: &Value, code: &str, fix: &str) {
        assert_eq!(check["code"], code, "{check}");
        let (cause, said) = (check["cause"].as_str().unwrap(), check["fix"].as_str().unwrap());
        assert!(cause.len() > 20, "{check}");
        assert!(said.contains(fix), "{fix:?} in {check}");
        assert!(self.words.contains(&format!("[{code}]")), "{}", self.words);
        // Figures in a cause may differ from run to run.
        assert!(self.words.contains(said), "{said:?} in {}", self.words);
    }

    /// A failure with this code, and the exit code that tells of one.
    pub(crate) fn fails(&self, id: &str, code: &str, fix: &str) -> &Value {
        assert_eq!(self.exit_code, 3, "{}", self.words);
        let check = self.is(id, "failed");
        self.names(check, code, fix);
        check
    }

    pub(crate) fn skips(&self, ids: &[&str], because: &str) {
        for id in ids {
            assert_eq!(self.is(id, "skipped")["because"], because, "{id}");
        }
    }
}

/// A port of this machine that refuses every connection, and that nobody else gets, for as long as this lives.
pub(crate) struct Refusing {
    _socket: TcpSocket,
    pub(crate) address: SocketAddr,
}

impl Refusing {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { _socket: socket, address }
    }
}

/// A server for a test that waits for children.
pub(crate) fn with_server(config: Config, test: impl FnOnce(&DevServerHandle)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(DevServer::builder().config(config).start()).unwrap();
    // Some faults start a task.
    let inside = runtime.enter();
    test(&server);
    drop(inside);
    runtime.block_on(server.shutdown());
}
