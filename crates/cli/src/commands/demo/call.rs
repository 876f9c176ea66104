//! A call: a picture and a sound from either side to the other.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metered_dev_server::DevServerHandle;
use metered_realtime::media::MediaStream;
use metered_realtime::peer::{
    LocalAddresses, MeteredPeer, PeerEvent, PeerEvents, PeerOptions, RemoteEvent,
};
use metered_realtime::signalling::SignallingOptions;
use tokio::task::JoinSet;

use super::{Story, Told, within};
use crate::media::watch::{Listener, Viewer};
use crate::media::{Source, SourceError};
use crate::output::Failure;

/// So many pictures are seen on either side.
const PICTURES: u64 = 50;
/// The share of the energy that a tone has at least: the codec adds a little around it.
const TONE_SHARE: f32 = 0.9;
/// How far the level may be from the tone's own, in dB.
const LEVEL_TOLERANCE: f32 = 2.0;
/// The level of a tone that is sent.
const TONE_DBFS: f32 = -15.0;
/// So often a tone may be there at another level: a moment of it may have come too late and be made up for.
const WRONG_LOOKS: u32 = 100;
/// Between two looks at figures that no event tells.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// One of the two, with what it gets of the other.
struct Caller {
    peer: MeteredPeer,
    events: PeerEvents,
    feeds: JoinSet<Result<(), SourceError>>,
}

struct Received {
    picture: Viewer,
    sound: Listener,
}

impl Caller {
    async fn join(
        server: &DevServerHandle,
        name: &str,
        sources: [&str; 2],
    ) -> Result<Self, String> {
        let token = server.token(name).map_err(say)?;
        let mut options = PeerOptions::new(SignallingOptions::with_token(token).map_err(say)?);
        options.signalling.url = server.url();
        let local = || vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
        options.local_addresses = Some(Arc::new(local) as Arc<dyn LocalAddresses>);
        let peer = MeteredPeer::new(options).map_err(say)?;
        let events = peer.events();
        let (mut stream, mut feeds) = (MediaStream::default(), JoinSet::new());
        for source in sources {
            let media = source.parse::<Source>()?.open().await.map_err(say)?;
            let track = media.track(None);
            stream = stream.with_track(&track);
            feeds.spawn(media.play(track));
        }
        peer.add_stream(&stream, None).map_err(say)?;
        peer.join("call").await.map_err(say)?;
        Ok(Self { peer, events, feeds })
    }

    /// Waits for the other's picture and sound.
    async fn receives(&mut self) -> Result<Received, String> {
        let remote = loop {
            match self.events.next().await {
                Some(PeerEvent::PeerJoined(remote)) => break remote,
                Some(_) => {}
                None => return Err("the peer is gone".into()),
            }
        };
        let mut events = remote.events();
        let (mut picture, mut sound) = (None, None);
        loop {
            match events.next().await {
                Some(RemoteEvent::Track(track)) => {
                    picture = track.video().map(Viewer::start).or(picture);
                    if let Some(audio) = track.audio() {
                        sound = Some(Listener::start(audio).map_err(say)?);
                    }
                }
                Some(_) => {}
                None => return Err("the remote left".into()),
            }
            match (picture, sound) {
                (Some(picture), Some(sound)) => return Ok(Received { picture, sound }),
                both => (picture, sound) = both,
            }
        }
    }
}

pub(super) async fn call(server: &DevServerHandle, story: &mut Story) -> Result<(), Failure> {
    story.chapter("A call")?;
    let title = "kim and lou call each other";
    let began = Instant::now();
    let joined = async {
        let mut kim = Caller::join(server, "kim", ["test-pattern:h264", "tone:440"]).await?;
        let mut lou = Caller::join(server, "lou", ["test-pattern:vp8", "tone:1000"]).await?;
        let (at_kim, at_lou) = tokio::try_join!(kim.receives(), lou.receives())?;
        Ok((kim, lou, at_kim, at_lou))
    };
    match within(joined).await {
        Err(error) => story.tell(title, Err(error)),
        Ok((mut kim, mut lou, at_kim, at_lou)) => {
            let seen = within(pictures(began, [("kim", &at_kim), ("lou", &at_lou)])).await;
            story.tell(title, seen)?;
            let heard = within(tones([("kim", &at_kim, 1_000.0), ("lou", &at_lou, 440.0)])).await;
            story.tell("each hears the other's tone", heard)?;
            for caller in [&mut kim, &mut lou] {
                caller.feeds.abort_all();
                caller.peer.close().await;
            }
            Ok(())
        }
    }
}

async fn pictures(began: Instant, received: [(&str, &Received); 2]) -> Told {
    let first = |(_, at): &(&str, &Received)| at.picture.seen().frames > 0;
    while !received.iter().all(first) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let ms = began.elapsed().as_millis();
    let mut told = Vec::new();
    for (name, at) in received {
        while at.picture.seen().frames < PICTURES {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let (seen, stats) = (at.picture.seen(), at.picture.track.stats());
        let (Some((width, height)), Some(codec)) = (seen.size, seen.codec) else {
            return Err(format!("{name} does not know how large the picture is"));
        };
        if stats.freezes > 0 {
            return Err(format!("the picture froze at {name}: {stats:?}"));
        }
        told.push(format!(
            "{name} got {} pictures of {width}x{height} in {} ({} key frames, {} packets lost)",
            seen.frames,
            codec.mime_type().trim_start_matches("video/"),
            stats.key_frames_received,
            stats.packets_lost
        ));
    }
    Ok(format!(
        "{}; the first ones were there {ms} ms after the first began to join.",
        told.join(", ")
    ))
}

async fn tones(received: [(&str, &Received, f32); 2]) -> Told {
    let mut told = Vec::new();
    for (name, at, hz) in received {
        let mut wrong_looks = 0;
        let (share, level) = loop {
            // Of a whole second, once it is full of it; the level is one of the last moment.
            let (share, level) = (at.sound.tone_share(hz), at.sound.track.level().rms_dbfs);
            let is_right = (level - TONE_DBFS).abs() <= LEVEL_TOLERANCE;
            match (share >= TONE_SHARE, is_right) {
                (true, true) => break (share, level),
                (true, false) if wrong_looks == WRONG_LOOKS => {
                    return Err(format!("{name} hears {level:.1} dB instead of {TONE_DBFS}"));
                }
                (true, false) => wrong_looks += 1,
                (false, _) => {}
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let percent = share * 100.0;
        told.push(format!("{name} hears {hz} Hz ({percent:.0} % of the energy) at {level:.1} dB"));
    }
    Ok(format!("{}.", told.join(", ")))
}
