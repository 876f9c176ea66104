//! Tracks over a simulated network, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::support::*;
use crate::rtc::Certificate;
use crate::rtc::engine::*;
use crate::rtc::h264::StreamProfile;
use crate::rtc::runtime::simulated::{Path, SimulatedNetwork};
use crate::rtc::runtime::{AddressSource, NetworkContext};
use crate::wire::{DescriptionKind, SessionDescription};

async fn side(network: &Arc<SimulatedNetwork>, last: u8) -> Side {
    side_with(network, last, ConnectionConfig::default()).await
}

async fn side_with(network: &Arc<SimulatedNetwork>, last: u8, config: ConnectionConfig) -> Side {
    let context = NetworkContext {
        addresses: AddressSource::Given(Arc::new(move || vec![[127, 0, 0, last].into()])),
        simulation: Some(Arc::clone(network)),
        ..NetworkContext::default()
    };
    Side::with(context, config).await
}

fn track(id: &str, mime_type: &'static str) -> SenderInit {
    let kind = if mime_type == "audio/opus" { MediaKind::Audio } else { MediaKind::Video };
    SenderInit { kind, track_id: id.into(), stream_id: "stream".into(), mime_type }
}

async fn arrival(side: &mut Side) -> Arc<dyn TrackReceiver> {
    let mut found = None;
    side.take(|event| match event {
        ConnectionEvent::Track(track) => {
            found = Some(Arc::clone(track));
            true
        }
        _ => false,
    })
    .await;
    found.unwrap()
}

async fn connected(one: &mut Side, two: &mut Side) {
    one.until(|event| matches!(event, ConnectionEvent::Connected)).await;
    two.until(|event| matches!(event, ConnectionEvent::Connected)).await;
}

fn packet(format: SenderFormat, n: u16) -> OutgoingPacket {
    OutgoingPacket {
        format,
        sequence: n,
        timestamp: u32::from(n) * 3_000,
        marker: true,
        payload: Bytes::from(vec![n as u8; 100]),
        orientation: Some(1),
    }
}

async fn agreed(sender: &dyn TrackSender) -> SenderFormat {
    match sender.agreement(None).await {
        Agreement::Taken(format) => format,
        other => panic!("a format is agreed, not {other:?}"),
    }
}

async fn send_and_hear(sender: &dyn TrackSender, receiver: &dyn TrackReceiver, first: u16) {
    let format = agreed(sender).await;
    let numbers: Vec<_> = (0..50).map(|n| first.wrapping_add(n)).collect();
    // One by one, and the packets of a picture together.
    let (single, together) = numbers.split_at(10);
    for picture in single.chunks(1).chain(together.chunks(8)) {
        let packets = picture.iter().map(|n| packet(format, *n)).collect();
        sender.send(packets).await.unwrap();
    }
    for n in numbers {
        let heard = tokio::time::timeout(Duration::from_secs(5), receiver.next()).await;
        let heard = heard.expect("a packet comes").expect("the track goes on");
        assert_eq!((heard.sequence, heard.payload.len()), (n, 100));
        assert_eq!(heard.orientation.is_some(), format.orientation.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn tracks_of_every_codec_pass_in_both_directions_with_their_ids() {
    for codec in ["video/VP8", "video/H264", "video/VP9", "video/AV1", "audio/opus"] {
        let network = SimulatedNetwork::new(Path::default(), 1);
        let (mut one, mut two) = (side(&network, 1).await, side(&network, 2).await);
        let forth = one.connection.add_sender(&track("forth", codec)).await.unwrap();
        let back = two.connection.add_sender(&track("back", codec)).await.unwrap();
        assert_eq!(forth.agreement(None).await, Agreement::Open, "nothing is agreed yet");
        negotiate(&mut one, &mut two, false).await;
        connected(&mut one, &mut two).await;
        let (there, here) = (arrival(&mut two).await, arrival(&mut one).await);
        for (receiver, id) in [(&there, "forth"), (&here, "back")] {
            let info = receiver.info();
            assert_eq!((info.track_id.as_str(), info.mid.as_str()), (id, "0"), "{codec}");
            assert_eq!(info.stream_ids, ["stream"]);
            assert_eq!(info.codec, codec);
        }
        send_and_hear(&*forth, &*there, 65_500).await;
        send_and_hear(&*back, &*here, 10).await;
        if codec != "audio/opus" {
            assert!(agreed(&*forth).await.orientation.is_some());
            there.request_key_frame().await;
            let wanted = tokio::time::timeout(Duration::from_secs(5), forth.next()).await;
            assert_eq!(wanted.unwrap(), Some(SenderFeedback::KeyFrameWanted));
        }
        one.connection.close(true).await;
        two.connection.close(true).await;
    }
}

/// Without candidates: the path is there.
/// See `peer::negotiation::adoption`.
#[tokio::test(start_paused = true)]
async fn what_a_remote_answered_to_the_connection_before_is_gone_on_with() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let config = ConnectionConfig {
        certificate: Some(Certificate::new().unwrap()),
        ..ConnectionConfig::default()
    };
    let mut old = side_with(&network, 1, config.clone()).await;
    let mut before = side(&network, 2).await;
    before.connection.add_sender(&track("before", "audio/opus")).await.unwrap();
    before.connection.add_sender(&track("picture", "video/VP8")).await.unwrap();
    negotiate(&mut before, &mut old, false).await;
    connected(&mut before, &mut old).await;
    old.connection.offer(true).await.unwrap();
    old.gathered().await;
    let restart = old.connection.local_description().await.unwrap();

    let mut remote = side(&network, 3).await;
    let sound = remote.connection.add_sender(&track("sound", "audio/opus")).await.unwrap();
    let picture = remote.connection.add_sender(&track("picture", "video/VP8")).await.unwrap();
    remote.connection.apply_remote(restart).await.unwrap();
    remote.connection.answer().await.unwrap();
    remote.gathered().await;
    let answer = remote.connection.local_description().await.unwrap();
    old.connection.close(false).await;

    let mut next = side_with(&network, 4, config).await;
    let offer = SessionDescription { kind: DescriptionKind::Offer, ..answer };
    next.connection.apply_remote(offer).await.unwrap();
    next.connection.answer().await.unwrap();
    next.gathered().await;
    negotiate(&mut next, &mut remote, true).await;
    connected(&mut next, &mut remote).await;
    for _ in 0..2 {
        let receiver = arrival(&mut next).await;
        let sender = if receiver.info().track_id == "sound" { &sound } else { &picture };
        send_and_hear(&**sender, &*receiver, 7).await;
    }
    for side in [before, remote, next] {
        side.connection.close(true).await;
    }
}

async fn renegotiate(one: &Side, two: &Side) {
    let offer = one.connection.offer(false).await.unwrap();
    two.connection.apply_remote(offer).await.unwrap();
    one.connection.apply_remote(two.connection.answer().await.unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_removed_track_ends_and_the_next_one_takes_its_m_line_under_its_own_id() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let (mut one, mut two) = (side(&network, 1).await, side(&network, 2).await);
    let first = one.connection.add_sender(&track("first", "video/VP8")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    connected(&mut one, &mut two).await;
    let receiver = arrival(&mut two).await;
    send_and_hear(&*first, &*receiver, 1).await;
    one.connection.remove_sender(&*first).await.unwrap();
    renegotiate(&one, &two).await;
    two.until(|event| matches!(event, ConnectionEvent::TrackEnded { mid } if mid == "0")).await;
    assert!(receiver.next().await.is_none());
    assert_eq!(first.agreement(None).await, Agreement::Open);
    let second = one.connection.add_sender(&track("second", "video/VP8")).await.unwrap();
    renegotiate(&one, &two).await;
    let receiver = arrival(&mut two).await;
    assert_eq!(receiver.info().track_id, "second");
    send_and_hear(&*second, &*receiver, 1_000).await;
    one.connection.close(true).await;
    two.connection.close(true).await;
}

/// Who only sends is answered by `recvonly`, whatever the crate makes of it.
#[tokio::test(start_paused = true)]
async fn to_who_only_sends_nothing_is_sent_before_our_own_offer() {
    for codec in ["video/VP8", "audio/opus"] {
        let network = SimulatedNetwork::new(Path::default(), 1);
        let (mut one, mut two) = (side(&network, 1).await, side(&network, 2).await);
        let forth = one.connection.add_sender(&track("forth", codec)).await.unwrap();
        one.connection.offer(false).await.unwrap();
        one.gathered().await;
        let mut offer = one.connection.local_description().await.unwrap();
        offer.sdp = offer.sdp.replace("a=sendrecv", "a=sendonly");
        two.connection.apply_remote(offer).await.unwrap();
        let back = two.connection.add_sender(&track("back", codec)).await.unwrap();
        let answer = two.connection.answer().await.unwrap();
        assert!(!crate::rtc::sdp::media_sections(&answer.sdp)[0].sends, "{}", answer.sdp);
        two.gathered().await;
        one.connection
            .apply_remote(two.connection.local_description().await.unwrap())
            .await
            .unwrap();
        connected(&mut one, &mut two).await;
        let there = arrival(&mut two).await;
        send_and_hear(&*forth, &*there, 1).await;
        assert_eq!(back.agreement(None).await, Agreement::Open, "{codec}");
        renegotiate(&two, &one).await;
        let here = arrival(&mut one).await;
        assert_eq!(here.info().track_id, "back");
        send_and_hear(&*back, &*here, 1).await;
        one.connection.close(true).await;
        two.connection.close(true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_path_loses_is_sent_again() {
    // The last one as another profile than the first: what is sent again has to go with it.
    let high = Some(StreamProfile::new(0x64, 0x0c, false));
    let cases = [
        (0.02, "video/VP8", None),
        (0.05, "video/VP8", None),
        (0.1, "video/VP8", None),
        (0.05, "video/H264", high),
    ];
    for (seed, (loss, codec, stream)) in (1..).zip(cases) {
        let path = Path { delay: Duration::from_millis(20), ..Path::default() };
        let network = SimulatedNetwork::new(path, seed);
        let (mut one, mut two) = (side(&network, 1).await, side(&network, 2).await);
        let sender = one.connection.add_sender(&track("t", codec)).await.unwrap();
        negotiate(&mut one, &mut two, false).await;
        connected(&mut one, &mut two).await;
        let receiver = arrival(&mut two).await;
        network.set_all(Path { loss, ..path });
        let Agreement::Taken(format) = sender.agreement(stream).await else { panic!("{codec}") };
        assert_eq!(format.payload_type, if stream.is_some() { 108 } else { 96 });
        let count = 1_000_u16;
        let hear = async {
            let mut heard = std::collections::BTreeSet::new();
            while heard.len() < usize::from(count) {
                let wait = tokio::time::timeout(Duration::from_secs(3), receiver.next()).await;
                let Ok(Some(packet)) = wait else { break };
                heard.insert(packet.sequence);
            }
            heard.len()
        };
        let say = async {
            // The last ones can only be missed when others follow.
            for n in 0..count + 50 {
                sender.send(vec![packet(format, n)]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
        };
        let (heard, ()) = tokio::join!(hear, say);
        assert_eq!(heard, usize::from(count), "at {loss}");
        one.connection.close(true).await;
        two.connection.close(true).await;
    }
}

/// A description without the formats of these codecs, as of a remote that does not know them.
fn without(mut description: SessionDescription, codecs: &[&str]) -> SessionDescription {
    let sdp = description.sdp.clone();
    let number_of = |line: &str, word: &str| {
        line.strip_prefix(word)?.split_once(' ').map(|(number, _)| number.to_owned())
    };
    let mut gone: Vec<_> = sdp
        .lines()
        .filter(|line| codecs.iter().any(|codec| line.contains(&format!(" {codec}/90000"))))
        .filter_map(|line| number_of(line, "a=rtpmap:"))
        .collect();
    let rtx = |line: &&str| gone.iter().any(|number| line.ends_with(&format!(" apt={number}")));
    let repairs: Vec<_> =
        sdp.lines().filter(rtx).filter_map(|line| number_of(line, "a=fmtp:")).collect();
    gone.extend(repairs);
    let of = |line: &str| {
        ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"].iter().find_map(|word| number_of(line, word))
    };
    let kept = sdp.lines().filter(|line| of(line).is_none_or(|number| !gone.contains(&number)));
    let line = |line: &str| match line.strip_prefix("m=video ") {
        Some(rest) => {
            let words = rest.split(' ').enumerate();
            let kept = words.filter(|(n, word)| *n < 2 || !gone.iter().any(|gone| gone == word));
            format!("m=video {}", kept.map(|(_, word)| word).collect::<Vec<_>>().join(" "))
        }
        None => line.to_owned(),
    };
    description.sdp = kept.map(line).map(|line| line + "\r\n").collect();
    description
}

#[tokio::test(start_paused = true)]
async fn a_codec_that_the_remote_does_not_answer_is_refused_and_others_are_taken() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let (one, two) = (side(&network, 1).await, side(&network, 2).await);
    let refused = one.connection.add_sender(&track("refused", "video/H264")).await.unwrap();
    let taken = one.connection.add_sender(&track("taken", "video/VP8")).await.unwrap();
    let codecs = ["H264", "AV1"];
    let offer = one.connection.offer(false).await.unwrap();
    two.connection.apply_remote(without(offer, &codecs)).await.unwrap();
    let answer = without(two.connection.answer().await.unwrap(), &codecs);
    one.connection.apply_remote(answer).await.unwrap();
    assert_eq!(refused.agreement(None).await, Agreement::Refused);
    agreed(&*taken).await;
    assert!(one.connection.remote_takes("video/VP8") && one.connection.remote_takes("video/VP9"));
    assert!(!one.connection.remote_takes("video/H264"));
    one.connection.remove_sender(&*refused).await.unwrap();
    // What was not agreed on at first is not agreed on later; what was is, also for other tracks.
    let error = one.connection.add_sender(&track("late", "video/H264")).await.unwrap_err();
    assert_eq!(error.reason, NO_SUCH_CODEC);
    let more = one.connection.add_sender(&track("more", "video/VP9")).await.unwrap();
    let again = one.connection.add_sender(&track("again", "video/VP8")).await.unwrap();
    renegotiate(&one, &two).await;
    agreed(&*more).await;
    agreed(&*again).await;
    one.connection.close(true).await;
    two.connection.close(true).await;
}

/// Bursts of one track, each as fast as its sender can: of none is a packet lost on our side.
async fn bursts(mut one: Side, mut two: Side) {
    let forth = one.connection.add_sender(&track("forth", "video/VP8")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    connected(&mut one, &mut two).await;
    let there = arrival(&mut two).await;
    let format = agreed(&*forth).await;
    let mut first = 0_u16;
    for burst in [128_u16, 256, 512, 900] {
        let packets = (first..first + burst).map(|n| packet(format, n)).collect();
        forth.send(packets).await.unwrap();
        for n in first..first + burst {
            let heard = tokio::time::timeout(PATIENCE, there.next()).await;
            let heard = heard.unwrap_or_else(|_| panic!("{} of {burst} come", n - first));
            assert_eq!(heard.expect("the track goes on").sequence, n, "of {burst}");
        }
        first += burst;
    }
    one.connection.close(true).await;
    two.connection.close(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_is_longer_than_the_crates_queue_arrives_whole() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    bursts(side(&network, 1).await, side(&network, 2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_burst_over_sockets_arrives_whole_on_one_thread() {
    bursts(Side::new().await, Side::new().await).await;
}
