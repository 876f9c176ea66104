//! From writing an access unit to its sink, both ends in this process, one way; alone, and beside a sound of the same
//! stream, for which pictures wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use metered_realtime::media::{
    FrameEvent, LocalAudioTrack, LocalVideoTrack, MediaStream, RemoteAudioTrack, VideoCodec,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bare::Bare;
use crate::call::{Pair, track};
use crate::encoder::{CHUNK_SAMPLES, FORMAT, Written, encode, number, sound_clock, speak};
use crate::{Outcome, percentile};

const SETTLE: Duration = Duration::from_secs(3);
const WATCH: Duration = Duration::from_secs(20);
/// The receiver asks for key frames so often, to have their figure too.
const KEY_PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn picture(url: &str) -> Outcome<Value> {
    let mut alone = watch(url, "picture", None).await?;
    let beside = watch(url, "beside", Some(LocalAudioTrack::default())).await?;
    for (figure, is) in [("besideSoundMs", "pictureMs"), ("besideSoundP95Ms", "pictureP95Ms")] {
        alone[figure] = beside[is].clone();
    }
    Ok(alone)
}

/// Plays it as a loudspeaker does, until it ends.
async fn listen(remote: RemoteAudioTrack) -> Outcome<()> {
    let mut output = remote.playout(FORMAT)?;
    let (mut clock, mut pcm) = (sound_clock(), [0.0; CHUNK_SAMPLES]);
    while !output.is_ended() {
        clock.tick().await;
        output.pull(&mut pcm);
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // bits per second
async fn watch(url: &str, room: &str, sound: Option<LocalAudioTrack>) -> Outcome<Value> {
    let (video, written) = (LocalVideoTrack::new(VideoCodec::Vp8), Written::default());
    let mut stream = MediaStream::default().with_track(&video);
    let (mut tasks, mut tracks) = (JoinSet::new(), 1);
    if let Some(sound) = sound {
        stream = stream.with_track(&sound);
        tasks.spawn(speak(sound, None));
        tracks += 1;
    }
    tasks.spawn(encode(video, Some(written.clone())));
    let mut pair = Pair::joined(url, room, [Some(&stream), None]).await?;
    let mut remote = None;
    for _ in 0..tracks {
        let track = track(&mut pair.remotes[1]).await?;
        remote = remote.or_else(|| track.video().cloned());
        if let Some(sound) = track.audio() {
            tasks.spawn(listen(sound.clone()));
        }
    }
    let remote = remote.ok_or("no picture")?;
    let mut frames = remote.frames();
    let sender = pair.peers[0].remote_peers().pop().ok_or("no remote")?;
    let lowest = Arc::new(AtomicU64::new(u64::MAX));
    let path = Arc::clone(&lowest);
    let asking = tokio::spawn(async move {
        for second in 1_u64.. {
            tokio::time::sleep(KEY_PAUSE).await;
            remote.request_key_frame();
            let Ok(stats) = sender.stats().await else { return };
            if let Some(bits) = stats.available_outgoing_bitrate
                && second > SETTLE.as_secs()
            {
                path.fetch_min(bits, Ordering::Relaxed);
            }
        }
    });
    let bare = Bare::begin().await?;
    let (begun, mut keys, mut deltas) = (Instant::now(), Vec::new(), Vec::new());
    while begun.elapsed() < SETTLE + WATCH {
        let event = tokio::time::timeout(SETTLE, frames.next()).await?;
        let (came, since) = (Instant::now(), begun.elapsed());
        match event {
            Some(FrameEvent::Frame(unit)) if since > SETTLE => {
                let n = number(&unit).ok_or("a torn picture")?;
                let written = written.lock().unwrap_or_else(PoisonError::into_inner);
                let wrote =
                    written.get(usize::try_from(n)?).ok_or("a picture that was not sent")?;
                let times = if unit.key_frame { &mut keys } else { &mut deltas };
                times.push((came - *wrote).as_secs_f64() * 1e3);
            }
            Some(FrameEvent::Lagged { missed }) => {
                return Err(format!("the sink missed {missed}").into());
            }
            Some(_) => {}
            None => return Err("the track ended".into()),
        }
    }
    asking.abort();
    tasks.abort_all();
    pair.close().await;
    let key = percentile(&mut keys, 50);
    let mut all = [keys, deltas].concat();
    let (bare, bare_p95) = bare.percentiles();
    Ok(json!({
        "pictureMs": percentile(&mut all, 50),
        "pictureP95Ms": percentile(&mut all, 95),
        "keyFrameMs": key,
        "bareMs": bare,
        "bareP95Ms": bare_p95,
        "pathMbps": lowest.load(Ordering::Relaxed) as f64 / 1e6,
    }))
}
