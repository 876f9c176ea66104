//! What a process has, read from /proc: Linux only.
#![allow(dead_code, unreachable_pub)] // each test file uses a part

use std::time::Duration;

#[derive(Debug, PartialEq, Eq)]
pub struct Footprint {
    pub tasks: usize,
    pub sockets: usize,
    pub threads: usize,
}

pub fn footprint() -> Footprint {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let sockets = links
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count();
    Footprint {
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        sockets,
        threads: std::fs::read_dir("/proc/self/task").unwrap().count(),
    }
}

pub fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The server's side needs a moment to notice; bounded by the limit of every wait.
pub async fn settled(wanted: &Footprint) -> Footprint {
    let settle = async {
        while footprint() != *wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    drop(tokio::time::timeout(super::support::LIMIT, settle).await);
    footprint()
}
