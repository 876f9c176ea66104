//! Everyone sends a picture to everyone: a process for each, in rooms of different sizes.

use std::time::Duration;

use cpu_time::ProcessTime;
use metered_realtime::media::{FrameEvent, LocalVideoTrack, MediaStream, VideoCodec, VideoFrames};
use metered_realtime::peer::PeerEvent;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::call::{peer, track};
use crate::child::{Child, Orders};
use crate::encoder::{encode, number};
use crate::{Outcome, within};

const SIZES: [usize; 3] = [2, 4, 6];
/// The estimates of the paths have grown by then.
const SETTLE: Duration = Duration::from_secs(8);
const WATCH: Duration = Duration::from_secs(10);

pub(crate) async fn mesh(url: &str) -> Outcome<Value> {
    let (mut figures, mut lost) = (Map::new(), 0);
    for size in SIZES {
        let room = format!("mesh-{size}");
        let count = size.to_string();
        let mut members = (0..size)
            .map(|_| Child::start(&["member", url, &room, &count]))
            .collect::<Outcome<Vec<_>>>()?;
        for member in &mut members {
            member.line().await?;
        }
        for member in &mut members {
            member.tell("go").await?;
        }
        let mut percent = 0.0;
        for member in &mut members {
            let result: Value = serde_json::from_str(&member.line().await?)?;
            percent += result["cpu"].as_f64().ok_or("no figure")?;
            lost += result["lost"].as_u64().ok_or("no figure")?;
        }
        for member in members {
            member.end().await?;
        }
        #[allow(clippy::cast_precision_loss)] // thirty at most
        let remotes = (size * (size - 1)) as f64;
        figures.insert(format!("meshCpu{size}"), json!(percent / remotes));
    }
    figures.insert("meshLost".into(), json!(lost));
    Ok(Value::Object(figures))
}

/// Pictures that are missing among those of the time of watching.
async fn watch(mut frames: VideoFrames) -> Outcome<u64> {
    let (mut last, mut lost) = (None, 0);
    let over = tokio::time::sleep(WATCH);
    tokio::pin!(over);
    loop {
        let event = tokio::select! {
            event = frames.next() => event.ok_or("the track ended")?,
            () = &mut over => break,
        };
        match event {
            FrameEvent::Frame(unit) => {
                let n = number(&unit).ok_or("a torn picture")?;
                let before: Option<u64> = last.replace(n);
                lost += before.map_or(0, |before| n.saturating_sub(before + 1));
            }
            FrameEvent::Lagged { missed } => lost += missed,
            FrameEvent::Frozen => return Err("a picture froze".into()),
            _ => {}
        }
    }
    if last.is_none() {
        return Err("no picture came".into());
    }
    Ok(lost)
}

/// Joins, says when everyone's picture comes, measures when told, and leaves at the end of the input.
pub(crate) async fn member(url: &str, room: &str, members: usize) -> Outcome<()> {
    let us = peer(url)?;
    let video = LocalVideoTrack::new(VideoCodec::Vp8);
    us.add_stream(&MediaStream::default().with_track(&video), None)?;
    let mut events = us.events();
    let encoder = tokio::spawn(encode(video, None));
    us.join(room).await?;
    let mut remotes = Vec::new();
    within("everyone", async {
        while remotes.len() + 1 < members {
            match events.next().await {
                Some(PeerEvent::PeerJoined(remote)) => remotes.push(remote.events()),
                Some(_) => {}
                None => return Err("the peer is gone".into()),
            }
        }
        Ok(())
    })
    .await?;
    let mut pictures = Vec::new();
    for remote in &mut remotes {
        let track = track(remote).await?;
        pictures.push(track.video().ok_or("no picture")?.clone());
    }
    tokio::time::sleep(SETTLE).await;
    let mut orders = Orders::default();
    println!("ready");
    orders.next().await?;
    let (mut watches, cpu) = (JoinSet::new(), ProcessTime::now());
    for picture in &pictures {
        watches.spawn(watch(picture.frames()));
    }
    let mut lost = 0;
    while let Some(watched) = watches.join_next().await {
        lost += watched??;
    }
    let percent = cpu.elapsed().as_secs_f64() / WATCH.as_secs_f64() * 100.0;
    println!("{}", json!({ "cpu": percent, "lost": lost }));
    orders.next().await?;
    encoder.abort();
    us.close().await;
    Ok(())
}
