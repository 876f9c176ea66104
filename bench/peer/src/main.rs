//! One figure of our peer, as one line of JSON: `bench-peer FIGURE [URL]`.
//!
//! `js/wrtc.mjs` and `python/bench.py` do the same with the same numbers; `run` alternates them. `join` is the
//! other way round: `js/browser.mjs` starts it, names a room per line, and reads a line per room.
#![allow(clippy::print_stdout)] // its output is its purpose

mod channel;
mod idle;
mod join;
mod room;

use std::time::Duration;

use serde_json::json;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const CONNECTS: usize = 30;

pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

async fn open() -> Outcome<serde_json::Value> {
    let mut times = Vec::new();
    for _ in 0..CONNECTS {
        times.push(metered_realtime::bench::offer_to_open().await?);
    }
    Ok(json!({
        "openMs": percentile(&mut times, 50),
        "openP95Ms": percentile(&mut times, 95),
    }))
}

async fn figure(arguments: &[&str]) -> Outcome<Option<serde_json::Value>> {
    Ok(Some(match arguments {
        ["open", ..] => open().await?,
        ["throughput", url] => channel::throughput(url).await?,
        ["throughput-apart", url] => channel::throughput_apart(url).await?,
        ["receive", url, room] => return channel::receive(url, room).await.map(|()| None),
        ["rtt", url] => channel::round_trip(url).await?,
        ["idle", url] => idle::idle(url).await?,
        ["join", url] => return join::join(url).await.map(|()| None),
        _ => {
            let figures = "open|throughput|throughput-apart|rtt|idle|join";
            return Err(format!("usage: bench-peer {figures} URL").into());
        }
    }))
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Some(line) = figure(&arguments).await? {
        println!("{line}");
    }
    Ok(())
}
