//! 5,000 connections in one server, in under 300 MB. Linux only: it reads /proc.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;

const CONNECTIONS: usize = 5_000;
const MOST_KIB: u64 = 300 * 1_000 * 1_000 / 1_024;

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn five_thousand_connections_fit_into_300_megabytes() {
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(descriptors > CONNECTIONS as u64 + 100, "the system gives {descriptors} descriptors");
    let mut server = Command::new(env!("CARGO_BIN_EXE_metered"))
        .args(["serve", "--port", "0", "--json", "--exit-with-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let address = ready["httpUrl"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let before = resident_kib(server.id());
    let request = "GET /v1?key=pk_live_dev HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut open = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut got = Vec::new();
        let mut chunk = [0; 1_024];
        while !got.windows(7).any(|word| word == b"welcome") {
            let read = stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the connection stands");
            got.extend_from_slice(&chunk[..read]);
        }
        open.push(stream);
    }
    let after = resident_kib(server.id());
    println!("{CONNECTIONS} connections: {before} KiB before, {after} KiB with them");
    assert!(after < MOST_KIB, "{after} KiB");
    drop(open);
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}
