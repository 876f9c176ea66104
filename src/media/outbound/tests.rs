//! A sender's task over a wire that is played, in virtual time.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::media::{
    AccessUnit, LocalTrack, LocalTrackEvent, LocalVideoTrack, Rotation, VideoCodec,
};
use crate::rtc::RtcError;
use crate::rtc::engine::*;

/// A wire that keeps when each packet left and whether it ended a picture, and that may refuse the codec.
#[derive(Debug, Default)]
struct Wire(Mutex<Vec<(Instant, u32, bool)>>, Mutex<Vec<Option<u8>>>, AtomicBool);

impl Wire {
    fn pictures(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|(.., last)| *last).count()
    }
}

#[async_trait]
impl TrackSender for Wire {
    fn id(&self) -> &str {
        "wire"
    }

    fn stream(&self) -> u32 {
        7
    }

    fn mime_type(&self) -> &'static str {
        "video/VP8"
    }

    async fn agreement(&self, _: Option<StreamProfile>) -> Agreement {
        match self.2.load(Ordering::Relaxed) {
            true => Agreement::Refused,
            false => Agreement::Taken(SenderFormat { payload_type: 96, orientation: None }),
        }
    }

    async fn send(&self, packets: Vec<OutgoingPacket>) -> Result<(), RtcError> {
        for packet in packets {
            let left = (Instant::now(), packet.timestamp, packet.marker);
            self.0.lock().unwrap().push(left);
            if packet.marker {
                self.1.lock().unwrap().push(packet.orientation);
            }
        }
        Ok(())
    }

    fn captured(&self, _: u32, _: Instant) {}

    async fn next(&self) -> Option<SenderFeedback> {
        std::future::pending().await
    }
}

fn picture(n: u64, key: bool, bytes: usize) -> AccessUnit {
    let head = [u8::from(!key) | 0x10, 0, 0, 0x9d, 1, 0x2a];
    let data = [&head[..], &vec![0x55; bytes]].concat().into();
    AccessUnit::new(VideoCodec::Vp8, data, n * 33_333)
}

async fn pass() {
    tokio::time::sleep(Duration::from_millis(34)).await;
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_does_not_take_the_codec_gets_nothing_and_its_source_is_told_once() {
    let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
    wire.2.store(true, Ordering::Relaxed);
    let track = LocalVideoTrack::new(VideoCodec::Vp8);
    let mut events = track.events();
    let source = Arc::clone(LocalTrack::from(&track).shared());
    let sender = Arc::clone(&wire) as Arc<dyn TrackSender>;
    let (outbound, task) = Outbound::new(sender, source, Arc::clone(&bandwidth), true);
    let task = tokio::spawn(task);
    for n in 0..3 {
        outbound.negotiated();
        pass().await;
        track.write(&picture(n, true, 1_000)).unwrap();
        pass().await;
    }
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    let peer_id = bandwidth.peer_id().to_owned();
    assert_eq!(told, [LocalTrackEvent::CodecNotSupported { peer_id, codec: "video/VP8" }]);
    assert_eq!(wire.pictures(), 0);
    assert!(outbound.is_refused() && outbound.told().as_deref() == Some(track.id()));
    // Another negotiation agrees on it.
    wire.2.store(false, Ordering::Relaxed);
    outbound.negotiated();
    pass().await;
    let agreed = LocalTrackEvent::CodecAgreed { peer_id: bandwidth.peer_id().to_owned() };
    assert_eq!(events.try_next(), Some(agreed));
    assert!(!outbound.is_refused() && outbound.told().is_none());
    track.write(&picture(9, true, 1_000)).unwrap();
    pass().await;
    assert_eq!(wire.pictures(), 1);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn the_sender_after_a_refused_one_tells_only_another_track() {
    let track = LocalVideoTrack::new(VideoCodec::Vp8);
    let mut events = track.events();
    let source = Arc::clone(LocalTrack::from(&track).shared());
    for (told, hears) in [(Some(track.id()), false), (Some("before"), true), (None, true)] {
        let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
        wire.2.store(true, Ordering::Relaxed);
        let refusal = Refusal::new(&Arc::default(), told.map(str::to_owned));
        let (outbound, task) = Outbound::after(wire, Arc::clone(&source), bandwidth, true, refusal);
        let task = tokio::spawn(task);
        outbound.negotiated();
        pass().await;
        assert_eq!((outbound.is_refused(), events.try_next().is_some()), (true, hears));
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_without_room_gets_nothing_and_then_a_key_frame_first() {
    let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
    let track = LocalVideoTrack::new(VideoCodec::Vp8);
    let mut wishes = track.events();
    let source = Arc::clone(LocalTrack::from(&track).shared());
    let sender = Arc::clone(&wire) as Arc<dyn TrackSender>;
    let (outbound, task) = Outbound::new(sender, source, Arc::clone(&bandwidth), true);
    let task = tokio::spawn(task);
    outbound.negotiated();
    pass().await;
    for n in 0..10 {
        track.write(&picture(n, n == 0, 2_000)).unwrap();
        pass().await;
    }
    assert_eq!((wire.pictures(), outbound.figures().0), (10, 10));
    bandwidth.set_share(0);
    for n in 10..20 {
        track.write(&picture(n, n == 15, 2_000)).unwrap();
        pass().await;
    }
    assert_eq!(wire.pictures(), 10);
    bandwidth.set_share(100_000);
    while wishes.try_next().is_some() {}
    for n in 20..40 {
        let key = std::iter::from_fn(|| wishes.try_next())
            .any(|event| event == LocalTrackEvent::KeyFrameWanted);
        track.write(&picture(n, key, 2_000)).unwrap();
        pass().await;
    }
    let (frames, key_frames, share) = outbound.figures();
    // The first picture asked for a key frame, and the second was one.
    assert_eq!((wire.pictures(), frames, key_frames), (29, 29, 2));
    assert_eq!(share, Some(100_000));
    drop(outbound);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_large_picture_leaves_in_bursts_that_buffers_hold() {
    let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
    let track = LocalVideoTrack::new(VideoCodec::Vp8);
    let source = Arc::clone(LocalTrack::from(&track).shared());
    let sender = Arc::clone(&wire) as Arc<dyn TrackSender>;
    let (outbound, task) = Outbound::new(sender, source, bandwidth, true);
    let task = tokio::spawn(task);
    outbound.negotiated();
    pass().await;
    track.write(&picture(0, true, 1 << 20)).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let left = wire.0.lock().unwrap().clone();
    assert!(left.len() > 800 && left.iter().filter(|(.., last)| *last).count() == 1);
    for burst in left.chunk_by(|(one, ..), (two, ..)| one == two) {
        assert!(burst.len() <= 48, "{} packets at once", burst.len());
    }
    drop(outbound);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whatever_is_turned_says_so() {
    let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
    let track = LocalVideoTrack::new(VideoCodec::Vp8);
    let source = Arc::clone(LocalTrack::from(&track).shared());
    let sender = Arc::clone(&wire) as Arc<dyn TrackSender>;
    let (outbound, task) = Outbound::new(sender, source, bandwidth, true);
    let task = tokio::spawn(task);
    outbound.negotiated();
    pass().await;
    let turns = [Rotation::None, Rotation::None, Rotation::Quarter, Rotation::Quarter];
    for (n, rotation) in (0..).zip(turns.into_iter().chain([Rotation::None; 2])) {
        track.write(&AccessUnit { rotation, ..picture(n, n == 0, 9) }).unwrap();
        pass().await;
    }
    let told = wire.1.lock().unwrap().clone();
    assert_eq!(told, [Some(0), None, Some(1), Some(1), Some(0), None]);
    drop(outbound);
    task.await.unwrap();
}
