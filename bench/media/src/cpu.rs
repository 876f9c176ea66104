//! What a call costs: both ends in this process, each sends and receives; half of it is one end's.

use std::sync::Arc;
use std::time::Duration;

use cpu_time::ProcessTime;
use metered_realtime::media::{
    FrameEvent, LocalAudioTrack, LocalVideoTrack, MediaStream, PacketEvent, VideoCodec,
};
use metered_realtime::peer::RemoteTrack;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::call::{Pair, track};
use crate::encoder::{CHUNK_SAMPLES, FORMAT, encode, sound_clock, speak, speak_packets};

const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(20);

/// What is heard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sound {
    Silence,
    /// PCM in and out, Opus between.
    Pcm,
    /// Ready packets of Opus in and out.
    Packets,
}

/// Takes what comes, as a player would, or a recorder.
fn consume(
    track: &Arc<RemoteTrack>,
    sound: Sound,
    tasks: &mut JoinSet<Outcome<()>>,
) -> Outcome<()> {
    if let Some(video) = track.video() {
        let mut frames = video.frames();
        tasks.spawn(async move {
            while let Some(event) = frames.next().await {
                if let FrameEvent::Lagged { missed } = event {
                    return Err(format!("the sink missed {missed}").into());
                }
            }
            Ok(())
        });
    }
    if let Some(audio) = track.audio().filter(|_| sound == Sound::Packets) {
        let mut packets = audio.packets();
        tasks.spawn(async move {
            while let Some(event) = packets.next().await {
                if let PacketEvent::Lagged { missed } = event {
                    return Err(format!("the recorder missed {missed}").into());
                }
            }
            Ok(())
        });
    } else if let Some(audio) = track.audio() {
        let mut output = audio.playout(FORMAT)?;
        tasks.spawn(async move {
            let (mut clock, mut pcm) = (sound_clock(), [0.0; CHUNK_SAMPLES]);
            while !output.is_ended() {
                clock.tick().await;
                output.pull(&mut pcm);
            }
            Ok(())
        });
    }
    Ok(())
}

/// Percent of a core for one end.
async fn call(url: &str, room: &str, pictures: bool, sound: Sound) -> Outcome<f64> {
    let sounds = sound != Sound::Silence;
    let mut tasks = JoinSet::new();
    let streams: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = MediaStream::default();
            if pictures {
                let video = LocalVideoTrack::new(VideoCodec::Vp8);
                stream = stream.with_track(&video);
                tasks.spawn(encode(video, None));
            }
            if sounds {
                let audio = LocalAudioTrack::default();
                stream = stream.with_track(&audio);
                if sound == Sound::Packets {
                    tasks.spawn(speak_packets(audio));
                } else {
                    tasks.spawn(speak(audio, None));
                }
            }
            stream
        })
        .collect();
    let mut pair = Pair::joined(url, room, [streams.first(), streams.get(1)]).await?;
    for remote in &mut pair.remotes {
        for _ in 0..usize::from(pictures) + usize::from(sounds) {
            consume(&track(remote).await?, sound, &mut tasks)?;
        }
    }
    tokio::time::sleep(SETTLE).await;
    let cpu = ProcessTime::now();
    tokio::time::sleep(WATCH).await;
    let percent = cpu.elapsed().as_secs_f64() / WATCH.as_secs_f64() * 100.0 / 2.0;
    if let Some(ended) = tasks.try_join_next() {
        ended??;
    }
    tasks.abort_all();
    pair.close().await;
    Ok(percent)
}

/// All four, or the one that is named: for two binaries that run at once.
pub(crate) async fn cpu(url: &str, only: Option<&str>) -> Outcome<Value> {
    const FIGURES: [(&str, bool, Sound); 4] = [
        ("cpuSound", false, Sound::Pcm),
        ("cpuPicture", true, Sound::Silence),
        ("cpuPackets", true, Sound::Packets),
        ("cpuBoth", true, Sound::Pcm),
    ];
    let mut figures = serde_json::Map::new();
    for (name, pictures, sound) in FIGURES {
        if only.is_none_or(|only| only == name) {
            // Several runs may share a server.
            let room = format!("{name}-{}", std::process::id());
            figures.insert(name.to_owned(), call(url, &room, pictures, sound).await?.into());
        }
    }
    if figures.is_empty() {
        return Err(format!("no figure is named {}", only.unwrap_or_default()).into());
    }
    Ok(figures.into())
}
