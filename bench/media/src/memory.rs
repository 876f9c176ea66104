//! What a received track of pictures takes: the sender is a process of its own, which adds tracks when told.

use std::time::Duration;

use metered_realtime::media::{FrameEvent, LocalVideoTrack, VideoCodec};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::call::{peer, remote, track};
use crate::child::{Child, Orders};
use crate::encoder::encode;
use crate::{Outcome, within};

const FIRST: usize = 2;
const MORE: usize = 10;
const SETTLE: Duration = Duration::from_secs(10);
/// Of 30. The path's estimate was that of two tracks: the last ones wait for it to grow, some two seconds.
const LEAST_FPS: u64 = 20;

fn resident_kib() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
}

pub(crate) async fn memory(url: &str) -> Outcome<Value> {
    const ROOM: &str = "memory";
    let us = peer(url)?;
    let mut events = us.events();
    within("the room", async { Ok(us.join(ROOM).await?) }).await?;
    let mut child = Child::start(&["sender", url, ROOM])?;
    let mut remote = remote(&mut events).await?;
    let (mut sinks, mut resident) = (JoinSet::new(), Vec::new());
    for count in [FIRST, MORE] {
        child.tell(&count.to_string()).await?;
        for _ in 0..count {
            let track = track(&mut remote).await?;
            let mut frames = track.video().ok_or("no picture")?.frames();
            sinks.spawn(async move {
                let mut seen = 0_u64;
                while let Some(event) = frames.next().await {
                    seen += u64::from(matches!(event, FrameEvent::Frame(_)));
                }
                seen
            });
        }
        tokio::time::sleep(SETTLE).await;
        resident.push(resident_kib()?);
    }
    child.end().await?;
    within("our end", async {
        us.close().await;
        Ok(())
    })
    .await?;
    let least = within("the tracks' end", async {
        let mut least = u64::MAX;
        while let Some(seen) = sinks.join_next().await {
            least = least.min(seen?);
        }
        Ok(least)
    })
    .await?;
    if least < SETTLE.as_secs() * LEAST_FPS {
        return Err(format!("a track had only {least} pictures").into());
    }
    let (first, all) = (resident[0], resident[1]);
    #[allow(clippy::cast_precision_loss)] // ten
    let each = (all - first) / MORE as f64;
    Ok(json!({ "trackKib": each, "receiverMib": all / 1024.0 }))
}

/// Adds as many tracks as each line says, until the input ends.
pub(crate) async fn sender(url: &str, room: &str) -> Outcome<()> {
    let us = peer(url)?;
    us.join(room).await?;
    let mut orders = Orders::default();
    let mut encoders = JoinSet::new();
    while let Some(line) = orders.next().await? {
        for _ in 0..line.parse::<usize>()? {
            let video = LocalVideoTrack::new(VideoCodec::Vp8);
            us.add_track(&video, None, None)?;
            encoders.spawn(encode(video, None));
        }
    }
    encoders.abort_all();
    us.close().await;
    Ok(())
}
