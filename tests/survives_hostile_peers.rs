//! Peers that attack: whatever one of them sends, memory stays bounded, what led to nothing is counted, errors
//! are typed, the others of the room talk on, and `close` returns.
//!
//! Linux only: it reads /proc. The tests take turns, since each measures what the process has.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/footprint.rs"]
mod footprint;
#[path = "support/hostile.rs"]
mod hostile;
#[path = "support/room.rs"]
mod room;
mod support;

use hostile::*;
use metered_dev_server::{Fault, Target};
use metered_realtime::peer::*;
use room::*;
use serde_json::{Value, json};
use support::within;

const CANDIDATE: &str = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host";

/// Channels of ours that a remote does not hear of.
const OURS: u16 = 10;

fn candidate(text: &str) -> Value {
    json!({"type": "rtc-ice", "candidate": {"candidate": text, "sdpMid": "0", "sdpMLineIndex": 0}})
}

#[tokio::test]
async fn oversized_descriptions_are_refused_by_name() {
    let mut scene = Scene::begin("mallory").await;
    scene.throw((0..100).map(|_| description("offer", &"a".repeat(300 * 1024)))).await;
    assert_eq!(scene.mallory.last_error().unwrap().code, "remote_description_too_large");
    assert_eq!(scene.dropped().await, 100);
    assert_eq!(scene.mallory.state(), RemoteState::Idle, "nothing was made for it");
    scene.end(128 * 1024).await;
}

#[tokio::test]
async fn answers_to_nothing_are_counted() {
    let mut scene = Scene::begin("mallory").await;
    scene.throw((0..5_000).map(|n| description("answer", &offer(n)))).await;
    assert_eq!(scene.dropped().await, 5_000);
    assert_eq!(scene.mallory.state(), RemoteState::Idle, "nothing was made for it");
    scene.end(32 * 1024).await;
}

#[tokio::test]
async fn candidates_before_any_description_are_few_and_small() {
    let mut scene = Scene::begin("mallory").await;
    scene.throw((0..10_000).map(|_| candidate(CANDIDATE))).await;
    // The first 200 wait for a description.
    assert_eq!(scene.dropped().await, 9_800);
    let fragment = "f".repeat(60_000);
    let large = json!({"type": "rtc-ice", "candidate":
        {"candidate": CANDIDATE, "sdpMid": fragment, "usernameFragment": fragment}});
    scene.throw((0..200).map(|_| large.clone())).await;
    assert_eq!(scene.dropped().await, 10_000);
    scene.end(64 * 1024).await;
}

#[tokio::test]
async fn candidates_after_an_offer_are_cut_off() {
    let mut scene = Scene::begin("mallory").await;
    scene.throw([description("offer", &offer(1))]).await;
    let nonsense = (0..5_000).map(|n| candidate(&format!("candidate:{n} nonsense")));
    scene.throw(nonsense.chain((0..5_000).map(|_| candidate(CANDIDATE)))).await;
    let dropped = scene.dropped().await;
    assert!((9_800..=10_000).contains(&dropped), "{dropped}");
    assert!(scene.mallory.ice_errors().len() <= 32);
    scene.end(32 * 1024).await;
}

#[tokio::test]
async fn offers_of_garbage_are_failures_by_name() {
    let mut scene = Scene::begin("mallory").await;
    let head = offer(1);
    let broken = [
        "garbage".to_owned(),
        String::new(),
        "v=0\r\n".to_owned(),
        head.replace("m=application 9", "m=application x"),
        head.replace("a=ice-pwd", "a=no-pwd"),
        head.replace("sha-256", "sha-999"),
        head.replace("a=setup:actpass", "a=setup:nobody"),
        head.replace("a=mid:0", "a=mid:"),
        format!("{head}m=audio 9 UDP/TLS/RTP/SAVPF 111 999999\r\na=rtpmap:111\r\na=fmtp\r\n"),
        format!("{head}\0\u{1}\u{ffff}"),
        head[..head.len() / 2].to_owned(),
    ];
    scene.throw((0..220).map(|n| description("offer", &broken[n % broken.len()]))).await;
    let failed = || scene.mallory.last_error();
    until(|| failed().is_some()).await;
    assert_eq!(failed().unwrap().code, "negotiation_failed");
    assert!(!failed().unwrap().diagnosis.fix.is_empty());
    scene.end(48 * 1024).await;
}

#[tokio::test]
async fn who_agrees_and_names_no_address_is_told_of() {
    let mut scene = Scene::begin("mallory").await;
    let offer = offer(1);
    assert!(!offer.contains("a=candidate"));
    scene.throw([description("offer", &offer)]).await;
    until(|| scene.mallory.last_error().is_some()).await;
    let error = scene.mallory.last_error().unwrap();
    assert_eq!(error.code, "remote_without_addresses");
    assert!(error.diagnosis.fix.contains("reload"), "{error:?}");
    scene.end(32 * 1024).await;
}

#[tokio::test]
async fn a_good_offer_after_bad_ones_is_answered() {
    let mut scene = Scene::begin("mallory").await;
    let good = offer(1);
    let bad = ["garbage".to_owned(), good.replace("a=ice-pwd", "a=x"), good[..40].to_owned()];
    scene.throw(bad.iter().map(|bad| description("offer", bad))).await;
    until(|| scene.mallory.last_error().is_some()).await;
    scene.throw([description("offer", &good)]).await;
    // Offers of nothing are answered with nothing; this one with a data channel.
    scene.until_received("webrtc-datachannel").await;
    scene.pause().await;
    let more = scene.received("webrtc-datachannel");
    assert_eq!(more, 0, "{:?}", scene.mallory.last_error());
    scene.end(32 * 1024).await;
}

#[tokio::test]
async fn a_new_key_with_each_offer_makes_few_connections() {
    let mut scene = Scene::begin("mallory").await;
    let before = footprint::footprint();
    scene.throw((0..1_000).map(|n| description("offer", &offer(n)))).await;
    scene.pause().await;
    let answers = scene.received("rtc-description");
    assert!(answers <= 10, "{answers} answers to 1,000 offers");
    let sockets = footprint::footprint().sockets - before.sockets;
    assert!(sockets <= 8, "{sockets} sockets for one remote");
    scene.end(64 * 1024).await;
}

#[tokio::test]
async fn a_remote_whose_id_comes_first_can_do_no_more() {
    let mut scene = Scene::begin("Aaron").await;
    within(scene.mallory.open_data_channel("x", DataChannelOptions::default())).await.unwrap();
    let said = (0..2_000).map(|n| match n % 3 {
        0 => description("offer", &offer(n)),
        1 => description("answer", &offer(n)),
        _ => candidate(CANDIDATE),
    });
    scene.throw(said).await;
    scene.pause().await;
    let descriptions = scene.received("rtc-description");
    assert!(descriptions <= 24, "{descriptions} descriptions of ours");
    let dropped = scene.dropped().await;
    assert!(dropped > 1_000, "{dropped}");
    scene.end(64 * 1024).await;
}

#[tokio::test]
async fn bombs_of_m_lines_and_of_attributes_are_taken_in_bounded_time() {
    let mut scene = Scene::begin("mallory").await;
    let media =
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n";
    let lines = |count: usize| {
        let media = (1..=count).map(|n| format!("{media}a=mid:{n}\r\na=sendrecv\r\n"));
        offer(1) + &media.collect::<String>()
    };
    scene.throw((0..20).map(|_| description("offer", &lines(300)))).await;
    until(|| scene.mallory.last_error().is_some()).await;
    assert_eq!(scene.mallory.last_error().unwrap().code, "remote_description_too_large");
    let bombs = [
        lines(200),
        offer(2) + &format!("a={}\r\n", "x".repeat(200_000)),
        offer(3) + &"a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n".repeat(4_000),
        offer(4) + &"a=ssrc:1 cname:x\r\n".repeat(10_000),
        offer(5) + &"a=extmap:1 urn:x\r\na=rtcp-fb:* nack\r\n".repeat(6_000),
        offer(6) + &"\r\n".repeat(100_000),
    ];
    scene.throw(bombs.iter().map(|bomb| description("offer", bomb))).await;
    scene.pause().await;
    // The attacker's actor answers: it is not stuck in a bomb.
    within(scene.mallory.stats()).await.unwrap();
    scene.end(96 * 1024).await;
}

#[tokio::test]
async fn floods_of_metadata_are_forgotten() {
    let mut scene = Scene::begin("mallory").await;
    let note = "x".repeat(20_000);
    let said = |n: usize| {
        json!({"__meteredTrackMeta":
        {"trackId": format!("{n}"), "metadata": {"note": note}, "streamId": "s", "kind": "video"}})
    };
    // 80 MB in all, and each time Alice has taken what was thrown: what is under way counts as growth, for the
    // server that keeps it is in this process.
    for first in (0..4_000).step_by(250) {
        scene.throw((first..first + 250).map(said)).await;
    }
    scene.end(32 * 1024).await;
}

#[tokio::test]
async fn a_room_of_thousands_is_cut_off() {
    let scene = Scene::begin("mallory").await;
    for part in 0..10 {
        let joined: Vec<Value> =
            (0..1_000).map(|n| json!({"peerId": format!("ghost {part} {n}")})).collect();
        let frame = json!({"type": "presence", "channel": "room", "joined": joined, "left": []});
        let fault = Fault::SendText { text: frame.to_string(), to: Target::peer("alice") };
        scene.server.inject(fault);
    }
    let alice = scene.pair.a.peer.clone();
    until(|| alice.counters().peers_beyond_limit == 10_000 - 254).await;
    assert_eq!(alice.remote_peers().len(), 256);
    scene.end(48 * 1024).await;
}

#[tokio::test]
async fn strangers_are_kept_waiting_and_counted() {
    let scene = Scene::begin("mallory").await;
    let stranger = support::Watched::connected(unpaced(&scene.server, "stranger")).await;
    throw_at_alice(&stranger.client, (0..1_000).map(|n| description("offer", &offer(n)))).await;
    let alice = scene.pair.a.peer.clone();
    // All but 32, and those too when their time is over.
    until(|| alice.counters().from_strangers == 1_000).await;
    assert!(alice.remote_peer("stranger").is_none());
    stranger.client.close().await;
    scene.end(32 * 1024).await;
}

#[tokio::test]
async fn a_remote_that_opens_channels_without_end_gets_256_of_them() {
    let mut scene = Scene::begin("mallory").await;
    let mut eve = Member::joined(&scene.server, "eve").await;
    let alice_of_eve = loop {
        let remote = eve.other().await;
        if remote.id() == "alice" {
            break remote;
        }
    };
    let eve_of_alice = scene.pair.a.other().await;
    // Channels that are not announced: Eve does not know that they count.
    for id in 0..OURS {
        let negotiated_id = Some(1_000 + id);
        let options = DataChannelOptions { negotiated_id, ..Default::default() };
        within(eve_of_alice.open_data_channel("ours", options)).await.unwrap();
    }
    remote_state(&alice_of_eve, RemoteState::Connected).await;
    let mut channels = Vec::new();
    for n in 0..256 {
        let options = DataChannelOptions::default();
        let opened = within(alice_of_eve.open_data_channel(&n.to_string(), options)).await;
        channels.push(opened.unwrap());
    }
    let count = |state| channels.iter().filter(|channel| channel.ready_state() == state).count();
    let ours = usize::from(OURS);
    until(|| count(ReadyState::Closed) == ours && count(ReadyState::Open) == 256 - ours).await;
    // 32 MiB before anybody listens: half a MiB a channel is kept.
    let large = vec![7_u8; 64 * 1024];
    for channel in channels.iter().filter(|channel| channel.ready_state() == ReadyState::Open) {
        for _ in 0..2 {
            within(channel.send_bytes(large.clone())).await.unwrap();
        }
    }
    let last = channels.iter().rfind(|channel| channel.ready_state() == ReadyState::Open).unwrap();
    for _ in 0..64 {
        within(last.send_bytes(large.clone())).await.unwrap();
    }
    within(last.send_text("last")).await.unwrap();
    let mut events = eve_of_alice.events();
    let flooded = until_remote(&mut events, |event| match event {
        RemoteEvent::DataChannel(channel) if channel.label() == last.label() => {
            Some(channel.clone())
        }
        _ => None,
    })
    .await;
    let acknowledged = async {
        while last.buffered_amount().await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within(acknowledged).await;
    let (mut events, mut kept) = (flooded.events(), 0);
    loop {
        match message(&mut events).await {
            ChannelMessage::Binary(bytes) => kept += bytes.len(),
            ChannelMessage::Text(text) => break assert_eq!(text, "last"),
        }
    }
    assert!((64 * 1024..=512 * 1024).contains(&kept), "{kept} bytes were kept");
    scene.end(128 * 1024).await;
    within(eve.peer.close()).await;
}
