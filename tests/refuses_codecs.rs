//! A remote that does not take a track's codec: the source is told once, and nobody looks at a black picture.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/narrow.rs"]
mod narrow;
#[path = "support/room.rs"]
mod room;
mod support;

use std::time::Duration;

use metered_dev_server::DevServerHandle;
use metered_realtime::media::{
    AccessUnit, FrameEvent, LocalAudioTrack, LocalTrack, LocalTrackEvent, LocalTrackEvents,
    LocalVideoTrack, MediaStream, VideoCodec,
};
use metered_realtime::peer::*;
use narrow::Narrow;
use room::*;
use support::{server, within};

/// The next thing that is said of a codec: by whom, and whether it is taken.
async fn word(events: &mut LocalTrackEvents) -> (String, Option<&'static str>) {
    let found = async {
        loop {
            match events.next().await.expect("the track is there") {
                LocalTrackEvent::CodecAgreed { peer_id } => return (peer_id, None),
                LocalTrackEvent::CodecNotSupported { peer_id, codec } => {
                    return (peer_id, Some(codec));
                }
                _ => {}
            }
        }
    };
    within(found).await
}

/// What else was said of codecs.
fn words(events: &mut LocalTrackEvents) -> Vec<LocalTrackEvent> {
    let said = std::iter::from_fn(|| events.try_next());
    said.filter(|event| {
        matches!(
            event,
            LocalTrackEvent::CodecAgreed { .. } | LocalTrackEvent::CodecNotSupported { .. }
        )
    })
    .collect()
}

/// Until a track of Alice's has come and gone, or has never come: nothing is to be seen.
async fn nothing_to_see(remote: &RemotePeer) {
    let look = async {
        let mut quiet = 0;
        while quiet < 10 {
            let stats = remote.stats().await.unwrap();
            let seen = |track: &TrackStats| track.direction == "inbound" && track.kind == "video";
            let sees = stats.tracks.iter().any(seen);
            quiet = if sees { 0 } else { quiet + 1 };
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(look).await;
}

/// Bob in the room, by a way on which descriptions lose codecs.
async fn bob_behind(narrow: &Narrow, server: &DevServerHandle) -> Member {
    let network = Network::at([127, 0, 0, 1]);
    let mut through = options(server, "bob", &network);
    through.signalling.url = narrow.url.clone();
    let bob = Member::new(through, network);
    bob.peer.join("room").await.unwrap();
    bob
}

async fn bob_of(alice: &mut Member) -> RemotePeer {
    loop {
        let remote = alice.other().await;
        if remote.id() == "bob" {
            return remote;
        }
    }
}

#[tokio::test]
async fn who_sends_what_a_remote_does_not_take_is_told_once_and_the_remote_sees_nothing() {
    for codec in [VideoCodec::H264, VideoCodec::Av1] {
        let server = server().await;
        let narrow = Narrow::before(&server, &["H264", "AV1"]).await;
        let mut alice = Member::joined(&server, "alice").await;
        let (video, sound) = (LocalVideoTrack::new(codec), LocalAudioTrack::default());
        let mut said = video.events();
        let picture = MediaStream::default().with_track(&video);
        alice.peer.add_stream(&picture, None).unwrap();
        alice.peer.add_track(&sound, None, None).unwrap();
        let mut bob = bob_behind(&narrow, &server).await;
        let of_alice = bob.other().await;
        assert_eq!(word(&mut said).await, ("bob".to_owned(), Some(codec.mime_type())));
        remote_state(&of_alice, RemoteState::Connected).await;
        nothing_to_see(&of_alice).await;

        // Who takes it gets it, whatever others do.
        let carol = Member::joined(&server, "carol").await;
        assert_eq!(word(&mut said).await, ("carol".to_owned(), None));

        // Bob begins to take it. What a connection agreed on first stays, so there is nothing new to say.
        narrow.widen();
        let back = LocalVideoTrack::new(VideoCodec::Vp8);
        bob.peer.add_track(&back, None, None).unwrap();
        let to_bob = bob_of(&mut alice).await;
        let mut seen = to_bob.events();
        until_remote(&mut seen, |event| matches!(event, RemoteEvent::Track(_)).then_some(())).await;
        nothing_to_see(&of_alice).await;
        assert_eq!(words(&mut said), []);

        // Another track behind the same sender has a source of its own.
        let other = LocalVideoTrack::new(codec);
        let mut others = other.events();
        alice.peer.replace_track(video.id(), Some(&LocalTrack::from(&other))).unwrap();
        let mut heard = vec![word(&mut others).await, word(&mut others).await];
        heard.sort();
        let wanted = [("bob".to_owned(), Some(codec.mime_type())), ("carol".to_owned(), None)];
        assert_eq!(heard, wanted);
        assert_eq!(words(&mut said), []);

        // On another connection it is agreed on.
        bob.peer.close().await;
        let mut bob = Member::joined(&server, "bob").await;
        assert_eq!(word(&mut others).await, ("bob".to_owned(), None));
        let found = |event: &PeerEvent| match event {
            PeerEvent::PeerJoined(remote) if remote.id() == "alice" => Some(remote.clone()),
            _ => None,
        };
        let remote = bob.until(found).await;
        let mut events = remote.events();
        let of_picture = |event: &RemoteEvent| match event {
            RemoteEvent::Track(track) => track.video().is_some().then_some(()),
            _ => None,
        };
        until_remote(&mut events, of_picture).await;
        assert_eq!(words(&mut others), []);
        for member in [alice, bob, carol] {
            member.peer.close().await;
        }
        server.shutdown().await;
    }
}

#[tokio::test]
async fn a_track_that_comes_after_the_first_agreement_is_refused_as_well() {
    let server = server().await;
    let narrow = Narrow::before(&server, &["H264", "AV1"]).await;
    let alice = Member::joined(&server, "alice").await;
    let seen = LocalVideoTrack::new(VideoCodec::Vp8);
    let mut said = seen.events();
    alice.peer.add_track(&seen, None, None).unwrap();
    let bob = bob_behind(&narrow, &server).await;
    assert_eq!(word(&mut said).await, ("bob".to_owned(), None));
    // Pictures that Bob takes, and pictures that he does not.
    for (codec, wanted) in [
        (VideoCodec::H264, Some("video/H264")),
        (VideoCodec::Vp9, None),
        (VideoCodec::Vp8, None),
        (VideoCodec::Av1, Some("video/AV1")),
    ] {
        let late = LocalVideoTrack::new(codec);
        let mut told = late.events();
        alice.peer.add_track(&late, None, None).unwrap();
        assert_eq!(word(&mut told).await, ("bob".to_owned(), wanted));
        assert_eq!(words(&mut told), []);
    }
    for member in [alice, bob] {
        member.peer.close().await;
    }
    server.shutdown().await;
}

/// A key frame of H.264 whose parameters name this profile.
fn key_frame(profile: [u8; 2], time_us: u64) -> AccessUnit {
    let parameters = [&[0, 0, 0, 1, 0x67][..], &profile, &[0x1f, 0xac]].concat();
    let slices = [0, 0, 0, 1, 0x68, 0xce, 0, 0, 0, 1, 0x65, 0x88, profile[0]];
    AccessUnit::new(VideoCodec::H264, [&parameters[..], &slices].concat().into(), time_us)
}

/// An encoder of H.264 may write what a remote that knows H.264 does not know of it.
#[tokio::test]
async fn a_profile_that_a_remote_does_not_take_is_told_and_another_one_is_sent() {
    const HIGH: [u8; 2] = [0x64, 0];
    const CONSTRAINED_BASELINE: [u8; 2] = [0x42, 0xe0];
    let server = server().await;
    let narrow = Narrow::before(&server, &["64"]).await;
    let alice = Member::joined(&server, "alice").await;
    let video = LocalVideoTrack::new(VideoCodec::H264);
    let mut said = video.events();
    let (encoder, profile) = (video.clone(), tokio::sync::watch::Sender::new(HIGH));
    let written = profile.subscribe();
    video.write(&key_frame(HIGH, 0)).unwrap();
    let encoding = tokio::spawn(async move {
        for n in 1.. {
            encoder.write(&key_frame(*written.borrow(), n * 20_000)).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    alice.peer.add_track(&video, None, None).unwrap();
    let mut bob = bob_behind(&narrow, &server).await;
    let of_alice = bob.other().await;
    let mut seen = of_alice.events();
    let refused = ("bob".to_owned(), Some("video/H264"));
    assert_eq!(word(&mut said).await, refused);
    remote_state(&of_alice, RemoteState::Connected).await;
    nothing_to_see(&of_alice).await;
    let carol = Member::joined(&server, "carol").await;
    assert_eq!(word(&mut said).await, ("carol".to_owned(), None));

    // The encoder is set anew, and again: each time in one connection.
    for _ in 0..2 {
        profile.send_replace(CONSTRAINED_BASELINE);
        assert_eq!(word(&mut said).await, ("bob".to_owned(), None));
        let found = async {
            loop {
                let track = until_remote(&mut seen, |event| match event {
                    RemoteEvent::Track(track) => Some(track.clone()),
                    _ => None,
                });
                let track = track.await;
                let mut frames = track.video().unwrap().frames();
                while let Some(event) = frames.next().await {
                    if let FrameEvent::Frame(unit) = event {
                        return unit;
                    }
                }
            }
        };
        let unit = within(found).await;
        assert!(unit.key_frame && unit.data.ends_with(&CONSTRAINED_BASELINE[..1]));
        profile.send_replace(HIGH);
        assert_eq!(word(&mut said).await, refused);
        let gone = |event: &RemoteEvent| matches!(event, RemoteEvent::TrackRemoved { .. });
        until_remote(&mut seen, |event| gone(event).then_some(())).await;
    }
    assert_eq!(words(&mut said), []);
    encoding.abort();
    for member in [alice, bob, carol] {
        member.peer.close().await;
    }
    server.shutdown().await;
}
