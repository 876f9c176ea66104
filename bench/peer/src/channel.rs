//! What a data channel carries, and how fast.

use std::process::Stdio;
use std::time::Instant;

use bytes::Bytes;
use cpu_time::ProcessTime;
use metered_realtime::peer::{ChannelMessage, DataChannel, DataChannelEvents, DataChannelOptions};
use serde_json::{Value, json};

use crate::room::{Pair, incoming, message, opened, other, peer, within};
use crate::{Outcome, percentile};

const BYTES: usize = 64 * 1024 * 1024;
/// Bytes of a message, and the name of its figure.
const SIZES: [(usize, &str); 2] = [(16 * 1024, "16"), (64 * 1024, "64")];
const PINGS: usize = 5_000;
const WARM_UP: usize = 500;
const PING_BYTES: usize = 100;

async fn send_all(channel: &DataChannel, size: usize) -> Outcome<()> {
    let payload = Bytes::from(vec![7; size]);
    for _ in 0..BYTES / size {
        channel.send(ChannelMessage::Binary(payload.clone())).await?;
    }
    Ok(())
}

async fn receive_all(events: &mut DataChannelEvents) -> Outcome<()> {
    let mut bytes = 0;
    while bytes < BYTES {
        bytes += message(events).await?;
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn megabytes_per_second(began: Instant) -> f64 {
    BYTES as f64 / 1e6 / began.elapsed().as_secs_f64()
}

/// Both ends in this process.
pub(crate) async fn throughput(url: &str) -> Outcome<Value> {
    let mut figures = serde_json::Map::new();
    for (size, name) in SIZES {
        let mut pair = Pair::connected(url, &format!("throughput-{name}")).await?;
        let (began, cpu) = (Instant::now(), ProcessTime::now());
        let channel = pair.channels[0].clone();
        let sending = tokio::spawn(async move { send_all(&channel, size).await });
        within("all messages", receive_all(&mut pair.events[1])).await?;
        let (rate, cpu) = (megabytes_per_second(began), cpu.elapsed().as_secs_f64());
        sending.await??;
        pair.close().await;
        figures.insert(format!("throughput{name}"), json!(rate));
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        figures.insert(format!("cpuMsPerMb{name}"), json!(cpu * 1e9 / BYTES as f64));
    }
    Ok(Value::Object(figures))
}

/// The receiving end in a process of its own.
pub(crate) async fn throughput_apart(url: &str) -> Outcome<Value> {
    let mut figures = serde_json::Map::new();
    for (size, name) in SIZES {
        let room = format!("apart-{name}");
        let us = peer(url)?;
        let mut events = us.events();
        us.join(&room).await?;
        let mut child = tokio::process::Command::new(std::env::current_exe()?)
            .args(["receive", url, &room])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let remote = other(&mut events).await?;
        let channel = remote.open_data_channel("bench", DataChannelOptions::default()).await?;
        let mut answers = channel.events();
        opened(&mut answers).await?;
        let began = Instant::now();
        within("all messages", async {
            send_all(&channel, size).await?;
            // The receiver says so when it has all.
            message(&mut answers).await
        })
        .await?;
        figures.insert(format!("apart{name}"), json!(megabytes_per_second(began)));
        us.close().await;
        child.wait().await?;
    }
    Ok(Value::Object(figures))
}

/// The other process of [`throughput_apart`].
pub(crate) async fn receive(url: &str, room: &str) -> Outcome<()> {
    let us = peer(url)?;
    let mut events = us.events();
    us.join(room).await?;
    let mut arrivals = other(&mut events).await?.events();
    let channel = incoming(&mut arrivals).await?;
    let mut messages = channel.events();
    within("all messages", receive_all(&mut messages)).await?;
    channel.send_text("all").await?;
    // The sender closes first.
    while messages.next().await.is_some() {}
    us.close().await;
    Ok(())
}

pub(crate) async fn round_trip(url: &str) -> Outcome<Value> {
    let Pair { peers, channels: [near, far], events: [mut near_events, mut far_events] } =
        Pair::connected(url, "round-trip").await?;
    let payload = Bytes::from(vec![7; PING_BYTES]);
    let echo = tokio::spawn({
        let payload = payload.clone();
        async move {
            for _ in 0..WARM_UP + PINGS {
                message(&mut far_events).await?;
                far.send(ChannelMessage::Binary(payload.clone())).await?;
            }
            Outcome::Ok(())
        }
    });
    let mut times = Vec::with_capacity(PINGS);
    within("all answers", async {
        for n in 0..WARM_UP + PINGS {
            let began = Instant::now();
            near.send(ChannelMessage::Binary(payload.clone())).await?;
            message(&mut near_events).await?;
            if n >= WARM_UP {
                times.push(began.elapsed());
            }
        }
        Ok(())
    })
    .await?;
    echo.await??;
    for peer in peers {
        peer.close().await;
    }
    Ok(json!({ "rttMs": percentile(&mut times, 50), "rttP99Ms": percentile(&mut times, 99) }))
}
