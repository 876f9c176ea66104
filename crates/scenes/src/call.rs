//! Calls in which bob films or sings, and alice has the track.

use std::time::Duration;

use metered_realtime::media::audio::{PcmFormat, Tone};
use metered_realtime::media::{
    AccessUnit, LocalAudioTrack, LocalVideoTrack, RemoteAudioTrack, RemoteVideoTrack, VideoCodec,
};
use metered_realtime::peer::{MeteredPeer, RemoteEvent, RemoteEvents, RemotePeer, RemoteTrack};

use crate::{Met, Result, Scene};

/// Between two pictures and between two chunks of sound.
const PACE: Duration = Duration::from_millis(10);
/// All that a receiver reads of a picture: that it is a key frame, of 2 by 2 pixels.
const VP8_KEY_FRAME: [u8; 10] = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];

/// A camera that a peer sends to everyone in its room, and that films until the example ends.
///
/// # Errors
/// If the peer is closed.
pub fn film(peer: &MeteredPeer) -> Result<LocalVideoTrack> {
    let camera = LocalVideoTrack::new(VideoCodec::Vp8);
    peer.add_track(&camera, None, None)?;
    let source = camera.clone();
    tokio::spawn(async move {
        for n in 0.. {
            let unit = AccessUnit::new(VideoCodec::Vp8, VP8_KEY_FRAME.to_vec().into(), n * 40_000);
            source.write(&unit).expect("a camera takes pictures");
            tokio::time::sleep(PACE).await;
        }
    });
    Ok(camera)
}

/// A microphone that a peer sends to everyone in its room, and that hears a tone until the example ends.
///
/// # Errors
/// If the peer is closed.
pub fn sing(peer: &MeteredPeer) -> Result<LocalAudioTrack> {
    let microphone = LocalAudioTrack::default();
    peer.add_track(&microphone, None, None)?;
    let source = microphone.clone();
    tokio::spawn(async move {
        let mut tone = Tone::new(440.0, 48_000, 1);
        loop {
            let mut chunk = [0.0; 480];
            tone.fill(&mut chunk);
            source.write_pcm(PcmFormat::OPUS_MONO, &chunk).expect("a microphone takes sound");
            tokio::time::sleep(PACE).await;
        }
    });
    Ok(microphone)
}

async fn track(of_bob: &mut RemoteEvents) -> Result<RemoteTrack> {
    loop {
        if let RemoteEvent::Track(track) = of_bob.next().await.ok_or("bob left")? {
            return Ok(RemoteTrack::clone(&track));
        }
    }
}

/// Bob films, and alice has his pictures.
#[derive(Debug)]
pub struct Filmed {
    met: Met,
    /// Bob, as alice sees him.
    pub to_bob: RemotePeer,
    /// Bob's.
    pub camera: LocalVideoTrack,
    /// As it came to alice.
    pub track: RemoteTrack,
    /// Its pictures.
    pub video: RemoteVideoTrack,
}

impl Scene for Filmed {
    async fn begin() -> Result<Self> {
        let met = Met::begin().await?;
        let to_bob = met.to_bob.clone();
        let mut of_bob = to_bob.events();
        let camera = film(&met.bob)?;
        let track = track(&mut of_bob).await?;
        let video = track.video().ok_or("sound")?.clone();
        Ok(Self { met, to_bob, camera, track, video })
    }

    async fn end(self) {
        self.met.end().await;
    }
}

/// Bob sings, and alice has his sound.
#[derive(Debug)]
pub struct Heard {
    met: Met,
    /// Who sings.
    pub bob: MeteredPeer,
    /// Bob's.
    pub microphone: LocalAudioTrack,
    /// As it came to alice.
    pub track: RemoteTrack,
    /// Its sound.
    pub audio: RemoteAudioTrack,
}

impl Scene for Heard {
    async fn begin() -> Result<Self> {
        let met = Met::begin().await?;
        let bob = met.bob.clone();
        let mut of_bob = met.to_bob.events();
        let microphone = sing(&bob)?;
        let track = track(&mut of_bob).await?;
        let audio = track.audio().ok_or("pictures")?.clone();
        Ok(Self { met, bob, microphone, track, audio })
    }

    async fn end(self) {
        self.met.end().await;
    }
}
