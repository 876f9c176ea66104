//! Sound and a picture that follows its target, over connections on a simulated network, in virtual time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::media::tests::Side;
use crate::media::{
    AccessUnit, Bandwidth, FrameEvent, Inbound, LocalAudioTrack, LocalTrack, LocalTrackEvent,
    LocalVideoTrack, Outbound, RemoteVideoTrack, Sounds, Target, TrackBitrate, TrackPriority,
    VideoCodec, receive,
};
use crate::rtc::engine::*;
use crate::rtc::runtime::simulated::{Path, SimulatedNetwork};

const PATIENCE: Duration = Duration::from_secs(30);
const FRAME: Duration = Duration::from_micros(33_333);
const SOUND: Duration = Duration::from_millis(20);
/// Bytes per second.
const WIDE: u64 = 250_000;
const NARROW: u64 = 37_500;

const fn path(rate: u64) -> Path {
    let delay = Duration::from_millis(25);
    let jitter = Duration::ZERO;
    Path { delay, jitter, loss: 0.0, rate: Some(rate), most_bytes: None, up: true }
}

/// When something was written and when it came.
type Times = Arc<Mutex<(Vec<Instant>, BTreeMap<usize, Instant>)>>;

struct Call {
    sides: [Side; 2],
    bandwidth: Arc<Bandwidth>,
    video: LocalVideoTrack,
    audio: LocalAudioTrack,
    remote: RemoteVideoTrack,
    sound: Times,
    outbounds: Vec<Outbound>,
    tasks: Vec<JoinHandle<()>>,
}

impl Call {
    async fn over(network: &Arc<SimulatedNetwork>) -> Self {
        let (mut one, mut two) = (Side::new(network, 1).await, Side::new(network, 2).await);
        let video = LocalVideoTrack::new(VideoCodec::Vp8);
        let audio = LocalAudioTrack::with_id("sound");
        let (bandwidth, task) = Bandwidth::of(Arc::clone(&one.connection), "two".into());
        let (mut tasks, mut outbounds) = (vec![tokio::spawn(task)], Vec::new());
        for track in [LocalTrack::from(&video), LocalTrack::from(&audio)] {
            let (_, outbound, task) = one.send(&track, &bandwidth).await;
            tasks.push(task);
            outbounds.push(outbound);
        }
        let mut remote = None;
        let sound = Times::default();
        for receiver in one.offer(&mut two, 2).await {
            if receiver.info().kind == MediaKind::Audio {
                tasks.push(tokio::spawn(listen(receiver, Arc::clone(&sound))));
            } else if let Inbound::Video(track, work) = receive(receiver, &Sounds::default()) {
                tasks.push(tokio::spawn(work));
                remote = Some(track);
            }
        }
        one.connect(&mut two, &outbounds).await;
        let (sides, remote) = ([one, two], remote.unwrap());
        let mut call = Self { sides, bandwidth, video, audio, remote, sound, outbounds, tasks };
        call.tasks.push(tokio::spawn(encode(call.video.clone())));
        call.tasks.push(tokio::spawn(speak(call.audio.clone(), Arc::clone(&call.sound))));
        call
    }

    fn target(&self) -> u64 {
        self.video.target().map_or(0, |target| target.bits_per_second)
    }

    /// How long it took.
    async fn until(&self, is: impl Fn(u64) -> bool) -> Duration {
        let begun = Instant::now();
        while !is(self.target()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(begun.elapsed() < PATIENCE, "never, at {}", self.target());
        }
        begun.elapsed()
    }

    /// Of the sound since then: the share that came, and the longest way.
    fn sound_since(&self, then: Instant) -> (f64, Duration) {
        let times = self.sound.lock().unwrap();
        // The last ones are under way.
        let until = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let said = times.0.iter().enumerate().filter(|(_, at)| **at >= then && **at < until);
        let ways: Vec<_> = said.map(|(n, at)| times.1.get(&n).map(|came| *came - *at)).collect();
        let came = ways.iter().flatten().count();
        (came as f64 / ways.len() as f64, ways.iter().flatten().max().copied().unwrap_or_default())
    }

    async fn end(self) {
        for side in &self.sides {
            side.connection.close(true).await;
        }
        drop(self.outbounds);
        // The bandwidth's task ends with the connection.
        for task in self.tasks.into_iter().rev().collect::<Vec<_>>().drain(..2) {
            task.abort();
        }
    }
}

/// An encoder that follows the target, but for key frames of four pictures' size.
async fn encode(track: LocalVideoTrack) {
    let mut wishes = track.events();
    let mut clock = tokio::time::interval(FRAME);
    for n in 0_u64.. {
        clock.tick().await;
        let mut key = n == 0;
        while let Some(event) = wishes.try_next() {
            key |= event == LocalTrackEvent::KeyFrameWanted;
        }
        let target = track.target().map_or(300_000, |target| target.bits_per_second);
        // Headers take their part.
        let size = (target as usize * 9 / 10 / 8 / 30).max(100) * if key { 4 } else { 1 };
        let head: &[u8] = if key { &[0x10, 0, 0, 0x9d, 1, 0x2a] } else { &[0x11, 0, 0] };
        let data = [head, &vec![0x55; size]].concat().into();
        let time = n * FRAME.as_micros() as u64;
        track.write(&AccessUnit::new(VideoCodec::Vp8, data, time)).unwrap();
    }
}

async fn speak(track: LocalAudioTrack, times: Times) {
    let mut clock = tokio::time::interval(SOUND);
    for n in 0_u64.. {
        clock.tick().await;
        times.lock().unwrap().0.push(Instant::now());
        let mut packet = vec![0xf8; 80];
        packet[1..5].copy_from_slice(&(n as u32).to_be_bytes());
        track.write(Bytes::from(packet), n * 20_000, false).unwrap();
    }
}

async fn listen(receiver: Arc<dyn TrackReceiver>, times: Times) {
    while let Some(packet) = receiver.next().await {
        let n = u32::from_be_bytes(packet.payload[1..5].try_into().unwrap());
        times.lock().unwrap().1.entry(n as usize).or_insert_with(Instant::now);
    }
}

#[tokio::test(start_paused = true)]
async fn the_target_follows_a_path_down_and_up_and_sound_survives() {
    let network = SimulatedNetwork::new(path(WIDE), 1);
    let call = Call::over(&network).await;
    let up = call.until(|target| target > 1_500_000).await;
    assert!(up < Duration::from_secs(5), "{up:?} to begin with");
    tokio::time::sleep(Duration::from_secs(15)).await;
    let wide = call.remote.stats();
    network.set_all(path(NARROW));
    let fell = Instant::now();
    let down = call.until(|target| target < 300_000).await;
    assert!(down < Duration::from_secs(2), "{down:?} down");
    // The queue is empty again, and stays short.
    tokio::time::sleep(Duration::from_secs(5).saturating_sub(fell.elapsed())).await;
    let calm = Instant::now();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (came, longest) = call.sound_since(calm);
    assert!(
        came > 0.99 && longest < Duration::from_millis(300),
        "{came} of the sound, {longest:?}"
    );
    let narrow = call.remote.stats();
    assert!(narrow.frames_received - wide.frames_received > 25 * 15, "{wide:?} {narrow:?}");
    // What the narrow path's queue of half a second did not hold is all that is missing.
    let (came, _) = call.sound_since(fell);
    assert!(came > 0.95, "{came} of the sound since the fall");
    network.set_all(path(WIDE));
    let up = call.until(|target| target > 1_500_000).await;
    assert!(up < Duration::from_secs(5), "{up:?} up");
    call.end().await;
}

#[tokio::test(start_paused = true)]
async fn losses_alone_do_not_take_the_target_down() {
    for (seed, loss) in (1..).zip([0.0, 0.02, 0.05, 0.1]) {
        let network = SimulatedNetwork::new(path(WIDE * 2), seed);
        let call = Call::over(&network).await;
        call.until(|target| target > 1_500_000).await;
        network.set_all(Path { loss, ..path(WIDE * 2) });
        let mut least = u64::MAX;
        for _ in 0..150 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            least = least.min(call.target());
        }
        let most = call.video.reported_loss();
        assert!(least > 1_300_000, "{least} at {loss}");
        if loss <= 0.02 {
            assert!(least >= 1_500_000, "less at {loss}");
        }
        assert!(
            (most - loss).abs() < 0.1 && (loss == 0.0 || most > 0.0),
            "{most} reported at {loss}"
        );
        call.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_pictures_share_a_narrow_path_by_their_weights_and_sound_has_all_it_can_use() {
    let network = SimulatedNetwork::new(path(125_000), 1);
    let (mut one, mut two) = (Side::new(&network, 1).await, Side::new(&network, 2).await);
    let pictures = [TrackPriority::High, TrackPriority::Low].map(|priority| {
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        track.set_bitrate(TrackBitrate { priority, ..TrackBitrate::of(MediaKind::Video) });
        track
    });
    let sound = LocalAudioTrack::with_id("sound");
    let (bandwidth, task) = Bandwidth::of(Arc::clone(&one.connection), "two".into());
    let (mut tasks, mut outbounds) = (vec![tokio::spawn(task)], Vec::new());
    let [high, low] = pictures.each_ref().map(LocalTrack::from);
    for track in [high, low, LocalTrack::from(&sound)] {
        let (_, outbound, task) = one.send(&track, &bandwidth).await;
        tasks.push(task);
        outbounds.push(outbound);
    }
    let heard = Times::default();
    for receiver in one.offer(&mut two, 3).await {
        match receive(Arc::clone(&receiver), &Sounds::default()) {
            Inbound::Video(_, work) => tasks.push(tokio::spawn(work)),
            Inbound::Audio(..) => tasks.push(tokio::spawn(listen(receiver, Arc::clone(&heard)))),
        }
    }
    one.connect(&mut two, &outbounds).await;
    tasks.extend(pictures.iter().map(|track| tokio::spawn(encode(track.clone()))));
    tasks.push(tokio::spawn(speak(sound.clone(), Arc::clone(&heard))));
    // It has found out what the path carries.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (mut seconds, mut sum) = (0.0, 0.0);
    while seconds < 20.0 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        seconds += 0.25;
        let target = |found: Option<Target>| found.expect("a target").bits_per_second;
        let [high, low] = pictures.each_ref().map(|track| target(track.target()));
        // Weights are 8 and 2, of what is left when both have their minimum of 30 kbit/s.
        let share = (high - 30_000) as f64 / (low - 30_000) as f64;
        assert!((share - 4.0).abs() < 0.1, "{high} and {low} after {seconds} s");
        assert_eq!(target(sound.target()), 64_000);
        let all = high + low + 64_000;
        assert!(all.abs_diff(bandwidth.estimate()) < 100, "{all} of {}", bandwidth.estimate());
        sum += all as f64 / 80.0;
    }
    assert!((700_000.0..=1_200_000.0).contains(&sum), "{sum} bit/s in the mean");
    let (said, came) = {
        let times = heard.lock().unwrap();
        (times.0.len(), times.1.len())
    };
    assert!(came * 100 > said * 97, "{came} of {said} sounds");
    for side in [one, two] {
        side.connection.close(true).await;
    }
    drop(outbounds);
    tasks.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_key_frame_of_100_kib_leaves_whole_and_sound_is_not_held_behind_it() {
    let network = SimulatedNetwork::new(Path { rate: None, ..path(WIDE) }, 1);
    let call = Call::over(&network).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut sink = call.remote.frames();
    let begun = Instant::now();
    let picture = [&[0x10, 0, 0, 0x9d, 1, 0x2a][..], &vec![0x77; 100 << 10]].concat();
    let unit = AccessUnit::new(VideoCodec::Vp8, picture.into(), 10_000_000);
    call.video.write(&unit).unwrap();
    let came = async {
        loop {
            match sink.next().await.expect("the track goes on") {
                FrameEvent::Frame(found) if found.data == unit.data => return begun.elapsed(),
                _ => {}
            }
        }
    };
    let took = tokio::time::timeout(PATIENCE, came).await.expect("the key frame comes");
    assert!(took < Duration::from_millis(400), "{took:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (came, longest) = call.sound_since(begun);
    assert!(came == 1.0 && longest < Duration::from_millis(40), "{came} of the sound, {longest:?}");
    assert!(call.bandwidth.estimate() > 0);
    call.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_and_what_the_remote_reports_is_in_the_figures() {
    let network = SimulatedNetwork::new(Path { loss: 0.05, ..path(WIDE) }, 3);
    let call = Call::over(&network).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let stats = call.sides[0].connection.stats().await;
    let find = |kind: &str| {
        let mut tracks = stats.tracks.iter();
        tracks.find(|track| track.kind == kind && track.direction == "outbound").unwrap()
    };
    let (video, audio) = (find("video"), find("audio"));
    for track in [video, audio] {
        assert!(track.packets > 300 && track.packets_lost > 5, "{track:?}");
        let trip = track.round_trip_time_ms.unwrap();
        assert!((50.0..300.0).contains(&trip), "{trip} ms");
        assert!(track.fraction_lost.is_some() && track.jitter_ms.is_some());
    }
    assert!(video.retransmitted_packets > 10 && video.retransmitted_bytes > 1_000, "{video:?}");
    // What came again is asked for no more, but for requests that are under way.
    assert!(video.retransmitted_packets < video.packets_lost.unsigned_abs() * 2, "{video:?}");
    let (frames, key_frames, share) = call.outbounds[0].figures();
    assert!(frames > 250 && key_frames >= 1 && share.is_some(), "{frames} {key_frames} {share:?}");
    call.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_blackout_halves_the_target_and_it_comes_back() {
    let network = SimulatedNetwork::new(path(WIDE), 1);
    let call = Call::over(&network).await;
    call.until(|target| target > 1_500_000).await;
    let before = call.target();
    network.set_all(Path { up: false, ..path(WIDE) });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(call.target() < before * 6 / 10, "{} of {before}", call.target());
    network.set_all(path(WIDE));
    let took = call.until(|target| target > 1_500_000).await;
    assert!(took < Duration::from_secs(6), "{took:?}");
    call.end().await;
}

/// In a stretch of a call, in milliseconds: how long sound travelled, and how much later pictures came than the
/// first one.
fn ways(call: &Call, seen: &[(Instant, u64)], stretch: Range<Instant>) -> (f64, f64) {
    let ms = |way: Duration| way.as_secs_f64() * 1e3;
    let middle = |mut ways: Vec<f64>| {
        ways.sort_unstable_by(f64::total_cmp);
        ways[ways.len() / 2]
    };
    let times = call.sound.lock().unwrap();
    let said = times.0.iter().enumerate().filter(|(_, at)| stretch.contains(at));
    let sound = said.filter_map(|(n, at)| Some(ms(*times.1.get(&n)? - *at))).collect();
    let (began, first) = seen[0];
    let shown = seen.iter().filter(|(at, _)| stretch.contains(at));
    let late = |(at, us): &(Instant, u64)| ms(*at - began) - (us - first) as f64 / 1e3;
    (middle(sound), middle(shown.map(late).collect()))
}

#[tokio::test(start_paused = true)]
async fn two_minutes_of_every_weather_leave_nothing_late() {
    let network = SimulatedNetwork::new(path(WIDE), 5);
    let call = Call::over(&network).await;
    let mut sink = call.remote.frames();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let looking = tokio::spawn(async move {
        while let Some(event) = sink.next().await {
            if let FrameEvent::Frame(unit) = event {
                noted.lock().unwrap().push((Instant::now(), unit.timestamp_us));
            }
        }
    });
    let mut then = Instant::now();
    let ms = Duration::from_millis;
    for (seconds, weather) in [
        (20, path(WIDE)),
        (20, Path { loss: 0.05, jitter: ms(10), ..path(WIDE) }),
        (20, Path { jitter: ms(100), ..path(WIDE) }),
        (15, path(NARROW)),
        (3, Path { up: false, ..path(WIDE) }),
        (30, path(WIDE)),
        (12, path(WIDE)),
    ] {
        network.set_all(weather);
        then = Instant::now();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    let seen = seen.lock().unwrap().clone();
    let begun = seen[0].0;
    let first = ways(&call, &seen, begun..begun + Duration::from_secs(10));
    let last = ways(&call, &seen, then..then + Duration::from_secs(10));
    // Pictures fill the path by then, and one of them is ahead in its queue.
    assert!(last.0 < 80.0, "sound {} ms on the way", last.0);
    assert!(last.1 < 80.0, "pictures {} ms later than the first one", last.1);
    assert!(((last.0 - first.0) - (last.1 - first.1)).abs() <= 40.0, "{first:?} {last:?}");
    let figures = call.remote.stats();
    assert!(figures.freezes <= 3 && seen.len() > 2_500, "{} pictures, {figures:?}", seen.len());
    looking.abort();
    call.end().await;
}
