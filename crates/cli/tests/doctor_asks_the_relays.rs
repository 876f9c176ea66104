//! STUN and TURN servers, each by its URL: coturn as it should be, with another password, and what is silent.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/doctor.rs"]
mod support;

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use metered_dev_server::{Config, DEV_API_KEY, TurnConfig};
use metered_realtime::peer::{LocalAddresses, MeteredPeer, PeerOptions};
use serde_json::{Value, json};
use support::{Examination, Refusing, doctor, with_server};

const PASSWORD: &str = "c0rr3ct-h0rs3";

/// Debian's coturn on a port of its own.
struct Turn {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

/// A port that is free, and below those that the system hands out: what takes one meanwhile gets another.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 100) as u16 * 100;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let at = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return port;
        }
    }
}

impl Turn {
    fn start() -> Self {
        Self::with("allow-loopback-peers")
    }

    /// With one more line in its configuration.
    fn with(line: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\nrealm=example.org\nuserdb={}\npidfile={}\nlog-file={}\nuser=user:{PASSWORD}\nlt-cred-mech\nsimple-log\nno-cli\nno-tls\nno-dtls\nfingerprint\nno-rfc5780\n{line}\n",
            at("turndb"),
            at("pid"),
            at("log"),
        );
        std::fs::write(at("conf"), config).unwrap();
        let child = Command::new("turnserver")
            .args(["-c", &at("conf")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("turnserver, which tools/test installs");
        let turn = Self { child, port, _folder: folder };
        for _ in 0..100 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return turn;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("coturn does not listen");
    }

    fn url(&self, kind: &str, query: &str) -> String {
        format!("{kind}:127.0.0.1:{}{query}", self.port)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Ended already if it could not be started well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn config(urls: Vec<String>, password: &str) -> Config {
    let (username, credential) = (Some("user".to_owned()), Some(password.to_owned()));
    Config {
        turn: Some(TurnConfig { urls, username, credential, ..TurnConfig::default() }),
        ..Config::default()
    }
}

fn examine(url: &str, password: &str, more: &[&str]) -> Examination {
    let args = [&["--url", url, "--key", DEV_API_KEY], more].concat();
    doctor(&args, &[password, DEV_API_KEY])
}

fn server<'a>(seen: &'a Examination, url: &str) -> &'a Value {
    let all = seen.all("ice-server");
    all.into_iter().find(|check| check["target"] == url).unwrap()
}

#[test]
fn all_is_well_with_a_relay_and_somebody_in_the_room() {
    let turn = Turn::start();
    let urls = vec![turn.url("stun", ""), turn.url("turn", ""), turn.url("turn", "?transport=tcp")];
    with_server(config(urls.clone(), PASSWORD), |dev| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut options = PeerOptions::with_token(dev.token("bob").unwrap()).unwrap();
        options.signalling.url = dev.url();
        let local = || vec![Ipv4Addr::LOCALHOST.into()];
        options.local_addresses = Some(Arc::new(local) as Arc<dyn LocalAddresses>);
        let bob = runtime.block_on(async {
            let bob = MeteredPeer::new(options).unwrap();
            bob.join("lobby").await.unwrap();
            bob
        });
        let seen = examine(&dev.url(), PASSWORD, &["--room", "lobby", "--stay", "4"]);
        assert_eq!(seen.exit_code, 0, "{}", seen.words);
        assert!(seen.words.contains("All is well."), "{}", seen.words);
        let counts = &seen.report["summary"];
        assert_eq!((&counts["warning"], &counts["failed"]), (&json!(0), &json!(0)));
        for (url, transport) in urls.iter().zip(["udp", "udp", "tcp"]) {
            let check = server(&seen, url);
            assert_eq!(
                (&check["status"], &check["data"]["transport"]),
                (&json!("ok"), &json!(transport))
            );
        }
        let relay = &seen.is("relay", "ok")["data"]["path"];
        assert_eq!((&relay["localType"], &relay["remoteType"]), (&json!("relay"), &json!("relay")));
        assert_eq!(seen.is("picture", "ok")["data"]["by"], "relay");
        seen.is("udp", "ok");
        seen.is("direct", "ok");
        let peer = seen.all("peer").into_iter().find(|peer| peer["target"] == "bob").unwrap();
        assert_eq!((&peer["status"], &peer["data"]["state"]), (&json!("ok"), &json!("connected")));
        assert_eq!(peer["data"]["path"]["protocol"], "udp");
        runtime.block_on(bob.close());
    });
}

#[test]
fn a_wrong_password_is_named_for_each_url() {
    let turn = Turn::start();
    let urls = vec![turn.url("turn", ""), turn.url("turn", "?transport=tcp")];
    with_server(config(urls.clone(), "wr0ng-h0rs3"), |dev| {
        let seen = examine(&dev.url(), "wr0ng-h0rs3", &[]);
        assert_eq!(seen.exit_code, 3);
        for url in &urls {
            let check = server(&seen, url);
            assert_eq!(
                (&check["status"], &check["data"]["errorCode"]),
                (&json!("failed"), &json!(401))
            );
            seen.names(check, "turn_unauthorized", "credentials of the last welcome");
        }
        // It refuses, and so it answers.
        seen.is("udp", "ok");
        seen.skips(&["relay"], "ice-server");
        assert_eq!(seen.is("picture", "ok")["data"]["by"], "direct");
    });
}

#[test]
fn a_server_that_is_silent_over_udp_is_told_from_a_network_that_blocks_it() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nowhere = format!("turn:{}", silent.local_addr().unwrap());
    with_server(config(vec![nowhere.clone()], PASSWORD), |dev| {
        let seen = examine(&dev.url(), PASSWORD, &[]);
        assert_eq!(server(&seen, &nowhere)["status"], "failed");
        seen.names(server(&seen, &nowhere), "ice_server_timeout", "turns: on port 443");
        seen.skips(&["udp", "relay"], "ice-server");
    });
    let turn = Turn::start();
    let by_tcp = turn.url("turn", "?transport=tcp");
    with_server(config(vec![nowhere.clone(), by_tcp.clone()], PASSWORD), |dev| {
        let seen = examine(&dev.url(), PASSWORD, &[]);
        assert_eq!(seen.exit_code, 0, "{}", seen.words);
        assert_eq!(server(&seen, &nowhere)["status"], "warning");
        seen.names(seen.is("udp", "warning"), "udp_blocked", "turns: on port 443");
        assert_eq!(seen.is("relay", "ok")["data"]["path"]["relayUrl"], by_tcp.as_str());
    });
}

#[test]
fn a_url_that_nobody_listens_at_and_one_that_is_none() {
    let nobody = Refusing::new();
    let closed = format!("turn:{}?transport=tcp", nobody.address);
    let odd = "turn:user:h1dd3n@127.0.0.1:80".to_owned();
    with_server(config(vec![closed.clone(), odd], PASSWORD), |dev| {
        let args = ["--url", &dev.url(), "--key", DEV_API_KEY];
        let seen = doctor(&args, &[PASSWORD, "h1dd3n"]);
        seen.names(server(&seen, &closed), "turn_unreachable", "host and port");
        seen.names(server(&seen, "turn:127.0.0.1:80"), "ice_url_unusable", "turn:host:port");
        assert_eq!(seen.exit_code, 3);
    });
}

#[test]
fn a_relay_that_lets_nothing_through() {
    let turn = Turn::with("denied-peer-ip=127.0.0.1");
    let url = turn.url("turn", "");
    with_server(config(vec![url.clone()], PASSWORD), |dev| {
        let seen = examine(&dev.url(), PASSWORD, &[]);
        assert_eq!(server(&seen, &url)["status"], "ok");
        seen.fails("relay", "turn_address_refused", "allowed-peer-ip");
        // Not by the relay, so.
        assert_eq!(seen.is("picture", "ok")["data"]["by"], "direct");
    });
}
