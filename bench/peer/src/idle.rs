//! What connections cost that carry nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::room::Pair;

const PAIRS: usize = 100;
/// Long enough for every connection to have left the brisk pace of its set-up.
const SETTLE: Duration = Duration::from_secs(12);
const WATCH: Duration = Duration::from_secs(10);
/// Connections that the figure of the CPU is for.
const OF_CONNECTIONS: f64 = 100.0;

fn resident_kib() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
}

pub(crate) async fn idle(url: &str) -> Outcome<Value> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let warm = Pair::connected(url, "idle-warm").await?;
    let before = resident_kib()?;
    let mut pairs = Vec::new();
    for n in 0..PAIRS {
        pairs.push(Pair::connected(url, &format!("idle-{n}")).await?);
    }
    tokio::time::sleep(SETTLE).await;
    let grown = resident_kib()? - before;
    let cpu = cpu_time::ProcessTime::now();
    tokio::time::sleep(WATCH).await;
    let cpu = cpu.elapsed().as_secs_f64() / WATCH.as_secs_f64();
    for pair in pairs {
        pair.close().await;
    }
    warm.close().await;
    #[allow(clippy::cast_precision_loss)] // a few hundred
    let ends = (2 * PAIRS) as f64;
    Ok(json!({
        "idleKib": grown / ends,
        "idleCpuPercent": cpu * 100.0 * OF_CONNECTIONS / ends,
    }))
}
