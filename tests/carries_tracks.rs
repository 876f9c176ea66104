//! Pictures and sound between peers of a room.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use std::sync::Arc;
use std::time::Duration;

use metered_realtime::media::{
    AccessUnit, FrameEvent, LocalAudioTrack, LocalTrack, LocalTrackEvent, LocalVideoTrack,
    MediaStream, PacketEvent, VideoCodec, VideoFrames,
};
use metered_realtime::peer::*;
use metered_realtime::wire::Json;
use room::*;
use support::{server, within};
use tokio::task::JoinHandle;

/// A VP8 picture of a size that needs several packets.
fn picture(n: u64, key: bool) -> AccessUnit {
    let mut data = vec![u8::from(!key), 0, 0, 0x9d, 0x01, 0x2a];
    data.extend((0..5_000).map(|at| (at + n * 3) as u8 | 2));
    AccessUnit::new(VideoCodec::Vp8, data.into(), n * 20_000)
}

/// An encoder that makes a key frame when one is wanted, until it is aborted.
fn encoder(track: &LocalVideoTrack) -> JoinHandle<()> {
    let track = track.clone();
    tokio::spawn(async move {
        let mut wishes = track.events();
        for n in 0.. {
            let mut key = n == 0;
            while let Some(event) = wishes.try_next() {
                key |= event == LocalTrackEvent::KeyFrameWanted;
            }
            track.write(&picture(n, key)).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

async fn track(events: &mut RemoteEvents) -> Arc<RemoteTrack> {
    until_remote(events, |event| match event {
        RemoteEvent::Track(track) => Some(Arc::clone(track)),
        _ => None,
    })
    .await
}

async fn pictures(frames: &mut VideoFrames, count: usize) -> Vec<Arc<AccessUnit>> {
    let read = async {
        let mut units = Vec::new();
        while units.len() < count {
            if let FrameEvent::Frame(unit) = frames.next().await.expect("the track goes on") {
                units.push(unit);
            }
        }
        units
    };
    within(read).await
}

fn metadata(text: &str) -> Option<Json> {
    Some(Json::parse(text).unwrap())
}

#[tokio::test]
async fn a_stream_of_picture_and_sound_reaches_who_is_there_and_who_comes() {
    let server = server().await;
    let mut alice = Member::joined(&server, "alice").await;
    let video = LocalVideoTrack::new(VideoCodec::Vp8);
    let audio = LocalAudioTrack::default();
    let stream = MediaStream::default().with_track(&video).with_track(&audio);
    alice.peer.add_stream(&stream, metadata(r#"{"name":"camera"}"#).as_ref()).unwrap();
    alice.peer.add_stream(&stream, None).unwrap();
    let encoder = encoder(&video);
    let voice = tokio::spawn({
        let audio = audio.clone();
        async move {
            for n in 0_u64.. {
                audio.write(vec![0xfc, n as u8, 1].into(), n * 20_000, n == 0).unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    for name in ["bob", "carol"] {
        let mut member = Member::joined(&server, name).await;
        let remote = member
            .until(|event| match event {
                PeerEvent::PeerJoined(remote) if remote.id() == "alice" => Some(remote.clone()),
                _ => None,
            })
            .await;
        let mut events = remote.events();
        let added = until_remote(&mut events, |event| match event {
            RemoteEvent::StreamAdded { stream_id, metadata } => {
                Some((stream_id.clone(), metadata.clone()))
            }
            _ => None,
        });
        let (stream_id, said) = added.await;
        assert_eq!((stream_id.as_str(), said), (stream.id(), metadata(r#"{"name":"camera"}"#)));
        let (one, two) = (track(&mut events).await, track(&mut events).await);
        let (seen, heard) = if one.video().is_some() { (one, two) } else { (two, one) };
        assert_eq!((seen.track_id.as_str(), seen.codec.as_str()), (video.id(), "video/VP8"));
        assert_eq!((heard.track_id.as_str(), heard.kind), (audio.id(), "audio"));
        assert_eq!(seen.metadata, metadata(r#"{"name":"camera"}"#));
        let mut frames = seen.video().unwrap().frames();
        let units = pictures(&mut frames, 20).await;
        assert!(units[0].key_frame);
        for unit in &units {
            let n = (0..100_000).find(|n| picture(*n, unit.key_frame).data == unit.data);
            assert!(n.is_some(), "a torn picture");
        }
        let mut packets = heard.audio().unwrap().packets();
        let Some(PacketEvent::Packet(packet)) = within(packets.next()).await else { panic!() };
        assert_eq!((packet.payload[0], packet.payload[2]), (0xfc, 1));
        member.peer.close().await;
    }
    encoder.abort();
    voice.abort();
    let bob = alice.other().await;
    assert_eq!(bob.id(), "bob");
    alice.peer.close().await;
    server.shutdown().await;
}

/// The figures of the one track in this direction, as soon as they are so.
async fn figures(
    remote: &RemotePeer,
    direction: &str,
    are: impl Fn(&TrackStats) -> bool,
) -> (ConnectionStats, TrackStats) {
    let read = async {
        loop {
            let stats = remote.stats().await.unwrap();
            let track = stats.tracks.iter().find(|track| track.direction == direction).cloned();
            if let Some(track) = track.filter(&are) {
                return (stats, track);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(read).await
}

#[tokio::test]
async fn a_track_has_figures_on_both_sides_and_its_source_a_target() {
    let server = server().await;
    let mut alice = Member::joined(&server, "alice").await;
    let mut bob = Member::joined(&server, "bob").await;
    let (remote, back) = (bob.other().await, alice.other().await);
    let mut events = remote.events();
    let video = LocalVideoTrack::new(VideoCodec::Vp8);
    let mut told = video.events();
    alice.peer.add_track(&video, None, None).unwrap();
    let encoder = encoder(&video);
    let seen = track(&mut events).await;
    pictures(&mut seen.video().unwrap().frames(), 20).await;
    let (path, sent) = figures(&back, "outbound", |track| {
        track.round_trip_time_ms.is_some() && track.target_bitrate.is_some()
    })
    .await;
    assert!(sent.frames >= 20 && sent.key_frames >= 1 && sent.fraction_lost == Some(0.0));
    assert!(path.available_outgoing_bitrate.unwrap() >= sent.target_bitrate.unwrap());
    let (_, received) = figures(&remote, "inbound", |track| track.frames >= 20).await;
    assert!(received.key_frames >= 1 && received.freezes == 0 && received.jitter_ms.is_some());
    let target = async {
        loop {
            let event = told.next().await.expect("the track goes on");
            if let LocalTrackEvent::TargetBitrate { peer_id: None, frame_rate, .. } = event {
                return frame_rate;
            }
        }
    };
    assert!(within(target).await >= 15);
    assert!(video.target_for("bob").is_some() && video.target_for("carol").is_none());
    encoder.abort();
    alice.peer.close().await;
    bob.peer.close().await;
    assert_eq!(video.target(), None);
    server.shutdown().await;
}

#[tokio::test]
async fn a_track_is_replaced_silenced_removed_and_added_again() {
    let server = server().await;
    let mut alice = Member::joined(&server, "alice").await;
    let mut bob = Member::joined(&server, "bob").await;
    let (remote, back) = (bob.other().await, alice.other().await);
    let mut events = remote.events();
    let first = LocalVideoTrack::new(VideoCodec::Vp8);
    let stream = MediaStream::default();
    alice.peer.add_track(&first, Some(&stream), metadata(r#"{"n":1}"#).as_ref()).unwrap();
    let error = alice.peer.add_track(&first, None, None).unwrap_err();
    assert_eq!((error.name(), &*error.code()), ("MeteredPeerStateError", "track_already_attached"));
    let too_much = metadata(&format!(r#"{{"x":"{}"}}"#, "x".repeat(70_000)));
    let other = LocalVideoTrack::new(VideoCodec::Vp8);
    let error = alice.peer.add_track(&other, None, too_much.as_ref()).unwrap_err();
    assert_eq!(error.name(), "MeteredPeerOversizedError");
    let feed = encoder(&first);
    let seen = track(&mut events).await;
    let mut frames = seen.video().unwrap().frames();
    pictures(&mut frames, 5).await;

    // Another source behind the same sender: nothing is negotiated, the pictures go on with a key frame.
    feed.abort();
    let offers = || server.log().iter().filter(|entry| entry.text.contains("\"offer\"")).count();
    let before = offers();
    let second = LocalVideoTrack::new(VideoCodec::Vp8);
    let h264 = LocalTrack::from(&LocalVideoTrack::new(VideoCodec::H264));
    let error = alice.peer.replace_track(first.id(), Some(&h264)).unwrap_err();
    assert!(matches!(&error, PeerError::ReplaceTrack { failed, .. } if *failed == ["bob"]));
    alice.peer.replace_track(first.id(), Some(&LocalTrack::from(&second))).unwrap();
    assert_eq!(alice.peer.track_metadata(second.id()), metadata(r#"{"n":1}"#));
    assert!(alice.peer.track_metadata(first.id()).is_none());
    let feed = encoder(&second);
    pictures(&mut frames, 30).await;
    assert_eq!(offers(), before, "no negotiation");
    assert_eq!(back.state(), RemoteState::Connected);

    alice.peer.remove_track(second.id()).unwrap();
    let gone = until_remote(&mut events, |event| match event {
        RemoteEvent::StreamRemoved { stream_id } => Some(stream_id.clone()),
        _ => None,
    });
    assert_eq!(gone.await, stream.id());
    let end = async { while frames.next().await.is_some() {} };
    within(end).await;
    let left = remote.stats().await.unwrap().tracks;
    assert_eq!(left, [], "what is sent no more has no figures");

    alice.peer.add_track(&second, Some(&stream), None).unwrap();
    let seen = track(&mut events).await;
    assert_eq!((seen.track_id.as_str(), &seen.metadata), (second.id(), &None));
    pictures(&mut seen.video().unwrap().frames(), 5).await;
    for (end, direction) in [(&remote, "inbound"), (&back, "outbound")] {
        let tracks = end.stats().await.unwrap().tracks;
        let track = tracks.iter().map(|track| (track.direction.as_str(), track.frames >= 5));
        assert_eq!(track.collect::<Vec<_>>(), [(direction, true)]);
    }
    feed.abort();
    alice.peer.close().await;
    assert!(alice.peer.add_track(&first, None, None).is_err());
    bob.peer.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn who_comes_after_a_replacement_hears_of_the_track_and_of_no_silenced_one() {
    let server = server().await;
    let mut alice = Member::joined(&server, "alice").await;
    let mut bob = Member::joined(&server, "bob").await;
    let (remote, _) = (bob.other().await, alice.other().await);
    let mut events = remote.events();
    let [first, second] = [(); 2].map(|()| LocalVideoTrack::new(VideoCodec::Vp8));
    let beside = LocalVideoTrack::new(VideoCodec::Vp8);
    // Without a stream only the track's id tells what is meant.
    alice.peer.add_track(&first, None, metadata(r#"{"seat":1}"#).as_ref()).unwrap();
    alice.peer.add_track(&beside, None, metadata(r#"{"seat":2}"#).as_ref()).unwrap();
    let [seen, _] = [track(&mut events).await, track(&mut events).await];
    let feed = encoder(&second);
    alice.peer.replace_track(first.id(), Some(&LocalTrack::from(&second))).unwrap();
    pictures(&mut seen.video().unwrap().frames(), 5).await;
    // For those who have it, a track that is replaced by nothing is silent: no negotiation, no end.
    let offers = || {
        let log = server.log();
        let received = log.iter().filter(|entry| entry.event == "in");
        received.filter(|entry| entry.text.contains("\"offer\"")).count()
    };
    let before = offers();
    alice.peer.replace_track(beside.id(), None).unwrap();
    assert!(alice.peer.track_metadata(beside.id()).is_none());

    let mut carol = Member::joined(&server, "carol").await;
    let from_alice = loop {
        let remote = carol.other().await;
        if remote.id() == "alice" {
            break remote;
        }
    };
    let seen = track(&mut from_alice.events()).await;
    assert_eq!(seen.metadata, metadata(r#"{"seat":1}"#));
    pictures(&mut seen.video().unwrap().frames(), 5).await;
    let stats = from_alice.stats().await.unwrap();
    assert_eq!(stats.tracks.len(), 1, "the silenced one is not for who comes");
    assert_eq!(offers(), before + 1, "carol's, and nobody else's");
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, RemoteEvent::TrackRemoved { .. }), "{event:?}");
    }
    feed.abort();
    for member in [alice, bob, carol] {
        member.peer.close().await;
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_channel_opens_on_a_call_however_long_that_has_gone_on() {
    let server = server().await;
    for (n, wait) in [0, 10, 30, 60, 120, 250].into_iter().enumerate() {
        // Who has the tracks is polite in one half of the rounds and opens the channel in the other.
        let ids = [["alice", "bob"], ["zoe", "bob"]][n % 2];
        let mut caller = Member::joined(&server, ids[0]).await;
        let sound = LocalAudioTrack::default();
        caller.peer.add_track(&sound, None, None).unwrap();
        let mut callee = Member::joined(&server, ids[1]).await;
        let (there, back) = (caller.other().await, callee.other().await);
        let mut heard = back.events();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let ends = if n % 3 == 0 { [&there, &back] } else { [&back, &there] };
        let mut events = ends[1].events();
        let channel =
            ends[0].open_data_channel("chat", DataChannelOptions::default()).await.unwrap();
        within(channel.send_text("hello")).await.unwrap();
        let arrived = incoming_channel(&mut events).await;
        let mut messages = arrived.events();
        assert_eq!(message(&mut messages).await, ChannelMessage::Text("hello".into()), "{wait} ms");
        assert_eq!(track(&mut heard).await.track_id, sound.id());
        for remote in ends {
            let stats = within(remote.stats()).await.unwrap();
            let labels: Vec<_> = stats.channels.iter().map(|channel| &*channel.label).collect();
            assert_eq!(labels, ["chat"], "only what somebody opened");
        }
        // The m-lines that follow fit in with the first ones.
        let picture = LocalVideoTrack::new(VideoCodec::Vp8);
        caller.peer.add_track(&picture, None, None).unwrap();
        assert_eq!(track(&mut heard).await.track_id, picture.id());
        within(channel.send_text("still here")).await.unwrap();
        assert_eq!(message(&mut messages).await, ChannelMessage::Text("still here".into()));
        caller.peer.close().await;
        callee.peer.close().await;
    }
    server.shutdown().await;
}
