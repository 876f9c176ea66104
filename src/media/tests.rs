//! Pictures from track to sink over a simulated network, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::media::files::{AnnexBReader, MediaReader};
use crate::rtc::crate_engine::CrateEngine;
use crate::rtc::engine::*;
use crate::rtc::h264::StreamProfile;
use crate::rtc::runtime::simulated::{Path, SimulatedNetwork};
use crate::rtc::runtime::{AddressSource, NetworkContext};
use crate::wire::SessionDescription;

/// 30 pictures a second.
const FRAME: Duration = Duration::from_micros(33_333);
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Side {
    pub(super) connection: Arc<dyn Connection>,
    events: mpsc::UnboundedReceiver<ConnectionEvent>,
}

impl Side {
    pub(super) async fn new(network: &Arc<SimulatedNetwork>, last: u8) -> Self {
        let context = NetworkContext {
            addresses: AddressSource::Given(Arc::new(move || vec![[127, 0, 0, last].into()])),
            simulation: Some(Arc::clone(network)),
            ..NetworkContext::default()
        };
        let (sender, events) = mpsc::unbounded_channel();
        let engine = CrateEngine::new(Arc::new(context));
        let connection = engine.connect(&ConnectionConfig::default(), sender).await.unwrap();
        Self { connection, events }
    }

    pub(super) async fn until<T>(
        &mut self,
        mut fits: impl FnMut(ConnectionEvent) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                if let Some(found) = fits(self.events.recv().await.expect("events go on")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event comes")
    }

    /// Sends a track; the stream that it has on the wire.
    pub(super) async fn send(
        &self,
        track: &LocalTrack,
        bandwidth: &Arc<Bandwidth>,
    ) -> (u32, Outbound, JoinHandle<()>) {
        let init = SenderInit {
            kind: track.kind(),
            track_id: track.id().to_owned(),
            stream_id: "stream".into(),
            mime_type: track.mime_type(),
        };
        let sender = self.connection.add_sender(&init).await.unwrap();
        let stream = sender.stream();
        let source = Arc::clone(track.shared());
        let (outbound, task) = Outbound::new(sender, source, Arc::clone(bandwidth), false);
        (stream, outbound, tokio::spawn(task))
    }

    async fn gathered(&mut self) -> SessionDescription {
        self.until(|event| matches!(event, ConnectionEvent::GatheringComplete).then_some(())).await;
        self.connection.local_description().await.unwrap()
    }

    /// Offers what it sends to the other side; what that receives of so many tracks.
    pub(super) async fn offer(
        &mut self,
        to: &mut Self,
        tracks: usize,
    ) -> Vec<Arc<dyn TrackReceiver>> {
        self.connection.offer(false).await.unwrap();
        to.connection.apply_remote(self.gathered().await).await.unwrap();
        let mut receivers = Vec::new();
        while receivers.len() < tracks {
            receivers.push(
                to.until(|event| match event {
                    ConnectionEvent::Track(receiver) => Some(receiver),
                    _ => None,
                })
                .await,
            );
        }
        receivers
    }

    /// The other side answers, and both are connected.
    pub(super) async fn connect(&mut self, to: &mut Self, outbounds: &[Outbound]) {
        to.connection.answer().await.unwrap();
        self.connection.apply_remote(to.gathered().await).await.unwrap();
        outbounds.iter().for_each(Outbound::negotiated);
        self.until(|event| matches!(event, ConnectionEvent::Connected).then_some(())).await;
        outbounds.iter().for_each(|outbound| outbound.set_connected(true));
    }
}

/// A track that an encoder fills, and one remote's sink of it.
struct Call {
    sides: [Side; 2],
    track: LocalVideoTrack,
    remote: RemoteVideoTrack,
    tasks: Vec<JoinHandle<()>>,
    _outbound: Outbound,
}

impl Call {
    async fn over(network: &Arc<SimulatedNetwork>, codec: VideoCodec) -> Self {
        Self::of(network, LocalVideoTrack::new(codec), 2).await
    }

    /// The track over a connection to one more remote, whose address ends so. The sender's side is connected now.
    async fn of(network: &Arc<SimulatedNetwork>, track: LocalVideoTrack, last: u8) -> Self {
        let (mut one, mut two) = (Side::new(network, 1).await, Side::new(network, last).await);
        let (bandwidth, estimates) = Bandwidth::of(Arc::clone(&one.connection), last.to_string());
        let (_, outbound, task) = one.send(&LocalTrack::from(&track), &bandwidth).await;
        let mut tasks = vec![task, tokio::spawn(estimates)];
        let receiver = one.offer(&mut two, 1).await.remove(0);
        let Inbound::Video(remote, work) = receive(receiver, &Sounds::default()) else {
            panic!("no video")
        };
        tasks.push(tokio::spawn(work));
        one.connect(&mut two, std::slice::from_ref(&outbound)).await;
        Self { sides: [one, two], track, remote, tasks, _outbound: outbound }
    }

    async fn end(self) {
        for side in &self.sides {
            side.connection.close(true).await;
        }
        for task in self.tasks {
            task.abort();
        }
    }
}

/// A picture with its number in it: a key frame of 24 packets or a delta frame of 4.
pub(super) fn picture(codec: VideoCodec, n: u64, key: bool) -> AccessUnit {
    let size = if key { 26_000 } else { 4_000 };
    let mut noise: Vec<u8> = n.to_be_bytes().iter().map(|byte| byte | 0x80).collect();
    noise.extend((0..size).map(|at| (at as u64 * 31 + n * 7) as u8 | 2));
    let head: &[u8] = match (codec, key) {
        (VideoCodec::H264, true) => &[
            0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1,
            0x65,
        ],
        (VideoCodec::H264, false) => &[0, 0, 0, 1, 0x41],
        (_, true) => &[0x10, 0, 0, 0x9d, 1, 0x2a],
        (_, false) => &[0x11, 0, 0],
    };
    let data = [head, &noise].concat().into();
    let unit = AccessUnit::new(codec, data, n * FRAME.as_micros() as u64);
    assert_eq!(unit.key_frame, key);
    unit
}

/// An encoder: a key frame first and whenever one is wanted. Returns what it made.
async fn encode(track: LocalVideoTrack, count: u64) -> Vec<AccessUnit> {
    let mut wishes = track.events();
    let mut made = Vec::new();
    for n in 0..count {
        let mut key = n == 0;
        while let Some(event) = wishes.try_next() {
            key |= event == LocalTrackEvent::KeyFrameWanted;
        }
        let unit = picture(track.codec(), n, key);
        track.write(&unit).unwrap();
        made.push(unit);
        tokio::time::sleep(FRAME).await;
    }
    made
}

#[tokio::test(start_paused = true)]
async fn pictures_pass_whole_and_in_order_whatever_the_path_loses() {
    for codec in [VideoCodec::Vp8, VideoCodec::H264] {
        for (seed, (loss, least)) in (1..).zip([(0.0, 299), (0.02, 285), (0.05, 270), (0.1, 240)]) {
            let path = Path { delay: Duration::from_millis(20), ..Path::default() };
            let network = SimulatedNetwork::new(path, seed);
            let call = Call::over(&network, codec).await;
            network.set_all(Path { loss, jitter: Duration::from_millis(10), ..path });
            let mut sink = call.remote.frames();
            let hear = async {
                let mut heard = Vec::new();
                while let Ok(Some(event)) =
                    tokio::time::timeout(Duration::from_secs(3), sink.next()).await
                {
                    if let FrameEvent::Frame(unit) = event {
                        heard.push((unit, Instant::now()));
                    }
                }
                heard
            };
            let (made, heard) = tokio::join!(encode(call.track.clone(), 300), hear);
            let mut last = None;
            for (unit, _) in &heard {
                let n = made.iter().position(|sent| sent.data == unit.data).expect("whole");
                let follows = last.is_some_and(|last: usize| last + 1 == n);
                assert!(
                    follows || (unit.key_frame && last.is_none_or(|last| last < n)),
                    "at {loss}"
                );
                last = Some(n);
            }
            let stats = call.remote.stats();
            assert!(heard.len() >= least, "{} of 300 at {loss}: {stats:?}", heard.len());
            assert!(stats.frames_received >= heard.len() as u64);
            call.end().await;
        }
    }
}

/// The NAL units of Annex B.
fn nal_units(annex_b: &[u8]) -> Vec<&[u8]> {
    let begins: Vec<_> =
        (0..annex_b.len()).filter(|at| annex_b[*at..].starts_with(&[0, 0, 1])).collect();
    let ends = begins.iter().skip(1).copied().chain([annex_b.len()]);
    begins
        .iter()
        .zip(ends)
        .map(|(begin, end)| {
            let unit = &annex_b[begin + 3..end];
            &unit[..unit.iter().rposition(|byte| *byte != 0).unwrap() + 1]
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_an_encoder_writes_as_avcc_a_remote_gets_as_annex_b() {
    let clip = format!("{}/crates/cli/assets/clips/counter_h264.h264", env!("CARGO_MANIFEST_DIR"));
    let clip = std::fs::read(clip).unwrap();
    let mut reader = AnnexBReader::new(&clip[..], 25, 1).unwrap();
    let network = SimulatedNetwork::new(Path::default(), 1);
    let call = Call::over(&network, VideoCodec::H264).await;
    let mut sink = call.remote.frames();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for n in 0..60 {
        let annex_b = reader.next_item().unwrap().unwrap();
        let units = nal_units(&annex_b.data);
        let lengths = units.iter().map(|nal| [&(nal.len() as u32).to_be_bytes(), *nal].concat());
        let avcc = lengths.collect::<Vec<_>>().concat();
        let avcc = AccessUnit::new(VideoCodec::H264, avcc.into(), annex_b.timestamp_us);
        call.track.write(&avcc).unwrap();
        let Some(FrameEvent::Frame(heard)) = sink.next().await else { panic!("no picture {n}") };
        let codes = units.iter().filter(|nal| nal[0] & 0x1f != 9);
        let codes = codes.map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect::<Vec<_>>().concat();
        assert_eq!(heard.data, codes, "{n}");
        assert_eq!([avcc.key_frame, heard.key_frame], [n % 50 == 0; 2]);
        let size = (n % 50 == 0).then_some((320, 180));
        assert_eq!([avcc.size(), heard.size()], [size; 2]);
        assert_eq!(video::h264_profile(&avcc), video::h264_profile(&heard));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let profile = LocalTrack::from(&call.track).shared().profile();
    assert_eq!(profile, Some(StreamProfile::new(0x42, 0xc0, false)));
    call.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_sink_gets_a_key_frame_and_rotation_travels() {
    let path = Path { delay: Duration::from_millis(40), ..Path::default() };
    let network = SimulatedNetwork::new(path, 1);
    let call = Call::over(&network, VideoCodec::H264).await;
    let track = call.track.clone();
    let encoder = tokio::spawn(async move {
        let mut wishes = track.events();
        for n in 0..200 {
            let mut key = n == 0;
            while let Some(event) = wishes.try_next() {
                key |= event == LocalTrackEvent::KeyFrameWanted;
            }
            let rotation = if n < 60 { Rotation::None } else { Rotation::ThreeQuarters };
            track.write(&AccessUnit { rotation, ..picture(VideoCodec::H264, n, key) }).unwrap();
            tokio::time::sleep(FRAME).await;
        }
    });
    tokio::time::sleep(FRAME * 90).await;
    let began = Instant::now();
    let mut sink = call.remote.frames();
    let Some(FrameEvent::Frame(first)) = sink.next().await else { panic!("no picture") };
    assert!(first.key_frame);
    assert_eq!(first.rotation, Rotation::ThreeQuarters);
    // A round trip, and a picture's wait at the encoder.
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    encoder.abort();
    call.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_call_of_two_gets_a_key_frame_within_500_ms_and_the_other_loses_nothing() {
    let path = Path { delay: Duration::from_millis(40), ..Path::default() };
    let network = SimulatedNetwork::new(path, 1);
    let call = Call::over(&network, VideoCodec::H264).await;
    let mut sink = call.remote.frames();
    let watching = tokio::spawn(async move {
        let mut seen = Vec::new();
        // Until a second after the last one.
        while let Some(FrameEvent::Frame(unit)) = sink.next().await {
            seen.push(unit.data.clone());
        }
        seen
    });
    let encoder = tokio::spawn(encode(call.track.clone(), 600));
    let mut longest = Duration::ZERO;
    // The other remote asks for key frames until this one is connected: at one of these moments just before that,
    // and the key frame has left without it.
    for phase in (0..300).step_by(20).map(Duration::from_millis) {
        let other = call.remote.clone();
        let asking = tokio::spawn(async move {
            tokio::time::sleep(phase).await;
            let mut clock = tokio::time::interval(Duration::from_millis(300));
            loop {
                clock.tick().await;
                other.request_key_frame();
            }
        });
        let third = Call::of(&network, call.track.clone(), 3).await;
        let connected = Instant::now();
        asking.abort();
        let Some(FrameEvent::Frame(first)) = third.remote.frames().next().await else {
            panic!("no picture")
        };
        assert!(first.key_frame);
        let took = connected.elapsed();
        assert!(took <= Duration::from_millis(500), "{took:?}");
        longest = longest.max(took);
        third.end().await;
    }
    assert!(longest > Duration::from_millis(250), "no wish came just before: {longest:?}");
    let made = encoder.await.unwrap();
    let seen = watching.await.unwrap();
    assert_eq!(seen, made.into_iter().map(|unit| unit.data).collect::<Vec<_>>());
    let stats = call.remote.stats();
    assert_eq!((stats.packets_lost, stats.freezes), (0, 1));
    call.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_wishes_is_one_in_300_ms() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let call = Call::over(&network, VideoCodec::Vp8).await;
    let mut wishes = call.track.events();
    let encoder = tokio::spawn(encode(call.track.clone(), 90));
    for _ in 0..300 {
        call.remote.request_key_frame();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let wanted = std::iter::from_fn(|| wishes.try_next())
        .filter(|event| *event == LocalTrackEvent::KeyFrameWanted);
    let wanted = wanted.count();
    assert!((5..=11).contains(&wanted), "{wanted} in three seconds");
    encoder.abort();
    call.end().await;
}

/// The source is told of two remotes' wishes together as seldom as of one's, whose receiver waits as long itself.
#[tokio::test(start_paused = true)]
async fn wishes_of_two_remotes_at_different_moments_are_one_in_300_ms() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let track = LocalVideoTrack::new(VideoCodec::Vp8);
    let calls =
        [Call::of(&network, track.clone(), 2).await, Call::of(&network, track.clone(), 3).await];
    let mut wishes = track.events();
    while wishes.try_next().is_some() {}
    let begun = Instant::now();
    let listening = tokio::spawn(async move {
        let mut told = Vec::new();
        while begun.elapsed() < Duration::from_secs(6) {
            let event = tokio::time::timeout(Duration::from_millis(500), wishes.next()).await;
            if event == Ok(Some(LocalTrackEvent::KeyFrameWanted)) {
                told.push(begun.elapsed());
            }
        }
        told
    });
    let encoder = tokio::spawn(encode(track, 240));
    let mut asking = Vec::new();
    for (call, phase) in calls.iter().zip([0, 130]) {
        let remote = call.remote.clone();
        asking.push(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(phase)).await;
            for _ in 0..600 {
                remote.request_key_frame();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }));
    }
    let told = listening.await.unwrap();
    let gaps: Vec<_> = told.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(300)), "{gaps:?}");
    assert!(told.len() >= 15, "{} in six seconds", told.len());
    for task in asking {
        task.abort();
    }
    encoder.abort();
    for call in calls {
        call.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_blackout_is_told_within_a_second_and_ends_with_a_key_frame() {
    let path = Path { delay: Duration::from_millis(20), ..Path::default() };
    let network = SimulatedNetwork::new(path, 1);
    let call = Call::over(&network, VideoCodec::Vp8).await;
    let encoder = tokio::spawn(encode(call.track.clone(), 300));
    let mut sink = call.remote.frames();
    for _ in 0..30 {
        sink.next().await.unwrap();
    }
    network.set_all(Path { up: false, ..path });
    let began = Instant::now();
    while !matches!(sink.next().await, Some(FrameEvent::Frozen)) {}
    let told = began.elapsed();
    assert!(told <= Duration::from_millis(1_050), "{told:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    network.set_all(path);
    let back = Instant::now();
    while !matches!(sink.next().await, Some(FrameEvent::Resumed)) {}
    // What was lost is sent again for a while; beyond that a key frame is asked for.
    let resumed = back.elapsed();
    assert!(resumed < Duration::from_millis(1_200), "{resumed:?}");
    let Some(FrameEvent::Frame(unit)) = sink.next().await else { panic!("no picture") };
    let stats = call.remote.stats();
    assert!(unit.key_frame || stats.packets_lost == 0);
    assert_eq!(stats.freezes, 1);
    encoder.abort();
    call.end().await;
}
