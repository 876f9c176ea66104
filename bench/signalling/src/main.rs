//! One figure of our client, as one line of JSON: `bench-ours URL FIGURE`.
//!
//! The JavaScript side (`js/bench.mjs`) does the same with the same numbers; `run` alternates the two.
#![allow(clippy::print_stdout)] // its output is its purpose

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const CONNECTS: usize = 200;
const ACKS: usize = 5_000;
const MESSAGES: u32 = 50_000;
/// Publishes under way at once.
const WINDOW: usize = 64;
const IDLE_CLIENTS: usize = 5_000;

fn client(url: &str) -> Outcome<SignallingClient> {
    let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
    options.url = url.to_owned();
    options.pacing = None;
    Ok(SignallingClient::new(options)?)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

async fn connect(url: &str) -> Outcome<serde_json::Value> {
    let mut times = Vec::new();
    for _ in 0..CONNECTS {
        let client = client(url)?;
        let began = Instant::now();
        client.connect().await?;
        times.push(began.elapsed());
        client.close().await;
    }
    Ok(json!({ "connectMs": median(times) }))
}

async fn ack(url: &str) -> Outcome<serde_json::Value> {
    let client = client(url)?;
    client.connect().await?;
    let data = "x".repeat(100);
    let mut times = Vec::new();
    for _ in 0..ACKS {
        let began = Instant::now();
        client.publish("c", &data).await?;
        times.push(began.elapsed());
    }
    client.close().await;
    Ok(json!({ "ackMs": median(times) }))
}

async fn throughput(url: &str) -> Outcome<serde_json::Value> {
    let (publisher, subscriber) = (client(url)?, client(url)?);
    publisher.connect().await?;
    subscriber.connect().await?;
    subscriber.subscribe("c").await?;
    let mut events = subscriber.events();
    let (began, cpu) = (Instant::now(), ProcessTime::now());
    let receiving = tokio::spawn(async move {
        let mut count = 0;
        while count < MESSAGES {
            match events.next().await {
                Some(Event::Message(_)) => count += 1,
                Some(Event::Lagged { missed }) => return Err(format!("{missed} missed")),
                Some(_) => {}
                None => return Err("the client is gone".to_owned()),
            }
        }
        Ok(())
    });
    let data = "x".repeat(100);
    let mut under_way = FuturesUnordered::new();
    for _ in 0..MESSAGES {
        if under_way.len() >= WINDOW
            && let Some(result) = under_way.next().await
        {
            let _acked: () = result?;
        }
        under_way.push(publisher.publish("c", &data));
    }
    while let Some(result) = under_way.next().await {
        let _acked: () = result?;
    }
    drop(under_way);
    receiving.await??;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu.elapsed().as_secs_f64());
    publisher.close().await;
    subscriber.close().await;
    Ok(json!({
        "messagesPerSecond": f64::from(MESSAGES) / took,
        "cpuMicrosPerMessage": cpu * 1e6 / f64::from(MESSAGES),
    }))
}

fn resident_kib() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
}

async fn idle(url: &str) -> Outcome<serde_json::Value> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let warm = client(url)?;
    warm.connect().await?;
    let before = resident_kib()?;
    let mut clients = Vec::new();
    for _ in 0..IDLE_CLIENTS {
        let client = client(url)?;
        client.connect().await?;
        client.subscribe("c").await.or_else(|error| match error.code() {
            // Presence of thousands on one channel is not what is measured.
            "channel_limit_exceeded" => Ok(()),
            _ => Err(error),
        })?;
        client.unsubscribe("c").await?;
        clients.push(client);
    }
    let grown = resident_kib()? - before;
    for client in clients {
        client.close().await;
    }
    #[allow(clippy::cast_precision_loss)] // a few thousand
    Ok(json!({ "idleKib": grown / IDLE_CLIENTS as f64 }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, figure] = arguments.as_slice() else {
        return Err("usage: bench-ours URL connect|ack|throughput|idle".into());
    };
    let line = match figure.as_str() {
        "connect" => connect(url).await?,
        "ack" => ack(url).await?,
        "throughput" => throughput(url).await?,
        "idle" => idle(url).await?,
        other => return Err(format!("there is no figure {other}").into()),
    };
    println!("{line}");
    Ok(())
}
