//! What a call costs one end, which sends and receives.

use std::time::Duration;

use cpu_time::ProcessTime;
use metered_realtime::media::{
    AudioOutput, FrameEvent, LocalAudioTrack, LocalVideoTrack, MediaStream, PacketEvent, VideoCodec,
};
use metered_realtime::peer::{MeteredPeer, RemoteTrack};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::call::{peer, remote, track};
use crate::child::{Child, Orders};
use crate::encoder::{CHUNK_SAMPLES, FORMAT, Voice, encode, sound_clock, speak_packets};

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
fn consume(track: &RemoteTrack, tasks: &mut JoinSet<Outcome<()>>) {
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
    if let Some(audio) = track.audio() {
        let mut packets = audio.packets();
        tasks.spawn(async move {
            while let Some(event) = packets.next().await {
                if let PacketEvent::Lagged { missed } = event {
                    return Err(format!("the recorder missed {missed}").into());
                }
            }
            Ok(())
        });
    }
}

/// A sound card records and plays on one clock, as phones' do.
async fn sound_card(microphone: LocalAudioTrack, mut loudspeaker: AudioOutput) -> Outcome<()> {
    let (mut clock, mut voice) = (sound_clock(), Voice::default());
    let mut pcm = [0.0; CHUNK_SAMPLES];
    while !loudspeaker.is_ended() {
        clock.tick().await;
        voice.fill(&mut pcm);
        microphone.write_pcm(FORMAT, &pcm)?;
        loudspeaker.pull(&mut pcm);
    }
    Ok(())
}

/// What is sent and received for a figure.
#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    pictures: bool,
    sound: Sound,
    /// Each end is a process of its own, which the other one's packets wake up.
    apart: bool,
}

const FIGURES: [Figure; 5] = [
    Figure { name: "cpuSound", pictures: false, sound: Sound::Pcm, apart: false },
    Figure { name: "cpuPicture", pictures: true, sound: Sound::Silence, apart: false },
    Figure { name: "cpuPackets", pictures: true, sound: Sound::Packets, apart: false },
    Figure { name: "cpuBoth", pictures: true, sound: Sound::Pcm, apart: false },
    Figure { name: "cpuApart", pictures: true, sound: Sound::Pcm, apart: true },
];

impl Figure {
    fn named(name: &str) -> Outcome<Self> {
        let found = FIGURES.into_iter().find(|figure| figure.name == name);
        found.ok_or_else(|| format!("no figure is named {name}").into())
    }
}

/// One end of the call, which sends and receives.
struct End {
    us: MeteredPeer,
    tasks: JoinSet<Outcome<()>>,
}

impl End {
    /// Joins, and calls who else joins.
    async fn called(url: &str, room: &str, figure: Figure) -> Outcome<Self> {
        let (mut stream, mut tasks) = (MediaStream::default(), JoinSet::new());
        if figure.pictures {
            let video = LocalVideoTrack::new(VideoCodec::Vp8);
            stream = stream.with_track(&video);
            tasks.spawn(encode(video, None));
        }
        let audio = LocalAudioTrack::default();
        if figure.sound != Sound::Silence {
            stream = stream.with_track(&audio);
        }
        if figure.sound == Sound::Packets {
            tasks.spawn(speak_packets(audio.clone()));
        }
        let us = peer(url)?;
        us.add_stream(&stream, None)?;
        let mut events = us.events();
        us.join(room).await?;
        let mut remote = remote(&mut events).await?;
        for _ in 0..usize::from(figure.pictures) + usize::from(figure.sound != Sound::Silence) {
            let track = track(&mut remote).await?;
            match track.audio() {
                Some(heard) if figure.sound == Sound::Pcm => {
                    tasks.spawn(sound_card(audio.clone(), heard.playout(FORMAT)?));
                }
                _ => consume(&track, &mut tasks),
            }
        }
        Ok(Self { us, tasks })
    }

    async fn close(mut self) -> Outcome<()> {
        if let Some(ended) = self.tasks.try_join_next() {
            ended??;
        }
        self.tasks.abort_all();
        self.us.close().await;
        Ok(())
    }
}

/// Percent of a core that this process takes once the call has settled.
async fn watch() -> f64 {
    tokio::time::sleep(SETTLE).await;
    let cpu = ProcessTime::now();
    tokio::time::sleep(WATCH).await;
    cpu.elapsed().as_secs_f64() / WATCH.as_secs_f64() * 100.0
}

/// An end that is a process: says when it is called, then what that takes, and leaves at the end of the input.
pub(crate) async fn end(url: &str, room: &str, figure: &str) -> Outcome<()> {
    let end = End::called(url, room, Figure::named(figure)?).await?;
    println!("called");
    println!("{}", watch().await);
    Orders::default().next().await?;
    end.close().await
}

/// Percent of a core for one end, the mean of both.
async fn call(url: &str, figure: Figure) -> Outcome<f64> {
    // Several runs may share a server.
    let room = format!("{}-{}", figure.name, std::process::id());
    if !figure.apart {
        let called = || End::called(url, &room, figure);
        let (one, two) = tokio::try_join!(called(), called())?;
        let percent = watch().await;
        tokio::try_join!(one.close(), two.close())?;
        return Ok(percent / 2.0);
    }
    let start = || Child::start(&["end", url, &room, figure.name]);
    let mut ends = [start()?, start()?];
    for end in &mut ends {
        end.line().await?;
    }
    let mut percent = 0.0;
    for end in &mut ends {
        percent += end.line().await?.parse::<f64>()?;
    }
    for end in ends {
        end.end().await?;
    }
    Ok(percent / 2.0)
}

/// All, or the one that is named: for two binaries that run at once.
pub(crate) async fn cpu(url: &str, only: Option<&str>) -> Outcome<Value> {
    let only = only.map(Figure::named).transpose()?;
    let mut figures = serde_json::Map::new();
    for figure in only.map_or(FIGURES.to_vec(), |only| vec![only]) {
        figures.insert(figure.name.to_owned(), call(url, figure).await?.into());
    }
    Ok(figures.into())
}
