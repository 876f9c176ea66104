//! Sound and pictures of one stream over a simulated network, in virtual time: what reports say of them, and when
//! either is there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::audio::{JitterOptions, OpusOptions, PcmFormat, Tone};
use super::tests::{Side, picture};
use super::*;
use crate::rtc::engine::*;
use crate::rtc::runtime::simulated::{Path, SimulatedNetwork};

const FRAME: Duration = Duration::from_micros(33_333);
const CHUNK: Duration = Duration::from_millis(10);
const WAY: Duration = Duration::from_millis(25);

/// When each chunk or picture was written.
type Written = Arc<Mutex<Vec<Instant>>>;

struct Call {
    sides: [Side; 2],
    /// Of sound and of pictures.
    receivers: [Arc<dyn TrackReceiver>; 2],
    streams: [u32; 2],
    written: [Written; 2],
    tasks: Vec<JoinHandle<()>>,
    _outbounds: Vec<Outbound>,
}

impl Call {
    async fn over(network: &Arc<SimulatedNetwork>) -> Self {
        let (mut one, mut two) = (Side::new(network, 1).await, Side::new(network, 2).await);
        let (audio, video) = (LocalAudioTrack::default(), LocalVideoTrack::new(VideoCodec::Vp8));
        audio.set_encoding(OpusOptions { dtx: false, ..OpusOptions::default() }).unwrap();
        let (bandwidth, task) = Bandwidth::of(Arc::clone(&one.connection), "two".into());
        let (mut tasks, mut outbounds, mut streams) =
            (vec![tokio::spawn(task)], Vec::new(), [0; 2]);
        let tracks = [LocalTrack::from(&audio), LocalTrack::from(&video)];
        for (track, stream) in tracks.iter().zip(&mut streams) {
            let (number, outbound, task) = one.send(track, &bandwidth).await;
            *stream = number;
            tasks.push(task);
            outbounds.push(outbound);
        }
        let mut receivers = one.offer(&mut two, 2).await;
        receivers.sort_by_key(|receiver| receiver.info().kind == MediaKind::Video);
        let receivers = receivers.try_into().ok().unwrap();
        one.connect(&mut two, &outbounds).await;
        // What is written first comes: the other side has its keys by then.
        tokio::time::sleep(20 * CHUNK).await;
        let written = [Written::default(), Written::default()];
        tasks.push(tokio::spawn(speak(audio, Arc::clone(&written[0]))));
        tasks.push(tokio::spawn(film(video, Arc::clone(&written[1]))));
        let sides = [one, two];
        Self { sides, receivers, streams, written, tasks, _outbounds: outbounds }
    }

    async fn end(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        for side in self.sides {
            side.connection.close(true).await;
        }
    }
}

async fn speak(track: LocalAudioTrack, written: Written) {
    let mut tone = Tone::new(440.0, 48_000, 1);
    loop {
        tokio::time::sleep(CHUNK).await;
        let mut chunk = [0.0; 480];
        tone.fill(&mut chunk);
        written.lock().unwrap().push(Instant::now());
        track.write_pcm(PcmFormat::OPUS_MONO, &chunk).unwrap();
    }
}

/// Its clock is one of its own; a key frame of 100 KiB each second.
async fn film(track: LocalVideoTrack, written: Written) {
    let mut clock = tokio::time::interval(FRAME);
    for n in 0.. {
        clock.tick().await;
        let mut unit = picture(VideoCodec::Vp8, n, n % 30 == 0);
        unit.timestamp_us += 77_000_000;
        if unit.key_frame {
            unit.data = [&unit.data[..], &vec![0x55; 75_000]].concat().into();
        }
        written.lock().unwrap().push(Instant::now());
        track.write(&unit).unwrap();
    }
}

/// Reads a track; gives its first packet's time.
async fn first_time(receiver: Arc<dyn TrackReceiver>) -> u32 {
    let first = receiver.next().await.expect("a packet").timestamp;
    tokio::spawn(async move { while receiver.next().await.is_some() {} });
    first
}

#[tokio::test(start_paused = true)]
async fn reports_of_sound_and_pictures_tell_of_one_clock() {
    let path = Path { delay: WAY, rate: Some(500_000), ..Path::default() };
    let network = SimulatedNetwork::new(path, 1);
    let call = Call::over(&network).await;
    let [sound, picture] = call.receivers.clone();
    let firsts = [first_time(sound).await, first_time(picture).await];
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        let mut clocks = [0_i64; 2];
        for (which, rate) in [(0, 48), (1, 90)] {
            let report =
                call.receivers[which].sender_report(call.streams[which]).expect("a report");
            // The first sample of the first packet, two chunks of sound, was recorded before that was written.
            let (written, before) = if which == 0 { (1, 2 * CHUNK) } else { (0, Duration::ZERO) };
            let recorded = call.written[which].lock().unwrap()[written] - before;
            let told = (u128::from(report.ntp) * 1_000_000) >> 32;
            let since = i64::from(report.rtp.wrapping_sub(firsts[which])) * 1_000 / rate;
            let since_recorded = (Instant::now() - recorded).as_micros() as i64;
            clocks[which] = told as i64 - since + since_recorded;
        }
        let apart = (clocks[0] - clocks[1]).abs();
        assert!(apart <= 3_000, "{apart} us between the two clocks");
    }
    call.end().await;
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Milliseconds from writing to the sink of the pictures of some seconds, the middle.
async fn pictures(sink: &mut VideoFrames, written: &Written, seconds: u64) -> f64 {
    let (begun, mut ways) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(seconds) {
        let Some(event) = sink.next().await else { panic!("the track ended") };
        if let FrameEvent::Frame(unit) = event {
            // Its number's last seven bits are in it; none is on its way for four seconds.
            let low = usize::from(unit.data[if unit.key_frame { 13 } else { 10 }] & 0x7f);
            let written = written.lock().unwrap();
            let n = (0..written.len()).rev().find(|n| n & 0x7f == low).unwrap();
            ways.push(written[n].elapsed().as_secs_f64() * 1e3);
        }
    }
    middle(ways)
}

#[tokio::test(start_paused = true)]
async fn pictures_wait_for_the_sound_of_their_stream_and_for_none_that_is_not_heard() {
    let path = Path { delay: WAY, ..Path::default() };
    let network = SimulatedNetwork::new(path, 1);
    let mut call = Call::over(&network).await;
    network.set_all(Path { jitter: Duration::from_millis(2), ..path });
    let (sounds, [sound, picture]) = (Sounds::default(), call.receivers.clone());
    let Inbound::Audio(sound, listens) = receive(sound, &sounds) else { panic!("no sound") };
    let Inbound::Video(video, looks) = receive(picture, &sounds) else { panic!("no picture") };
    call.tasks.extend([tokio::spawn(listens), tokio::spawn(looks)]);
    let (mut sink, written) = (video.frames(), Arc::clone(&call.written[1]));
    // Nobody listens.
    let alone = pictures(&mut sink, &written, 5).await;
    assert!(alone < 40.0, "{alone} ms");
    let (min_delay, start_delay) = (Duration::from_millis(150), Duration::from_millis(150));
    let options = JitterOptions { min_delay, start_delay, ..JitterOptions::default() };
    let mut output = sound.playout_with(PcmFormat::OPUS_MONO, options).unwrap();
    let plays = tokio::spawn(async move {
        loop {
            output.pull(&mut [0.0; 480]);
            tokio::time::sleep(CHUNK).await;
        }
    });
    pictures(&mut sink, &written, 10).await;
    let together = pictures(&mut sink, &written, 5).await;
    // From the first sample of a packet: its length, the way, what it waits, and what the encoder looks ahead.
    let heard = 20.0 + WAY.as_secs_f64() * 1e3 + sound.stats().delay_ms + 6.5;
    assert!(sound.stats().delay_ms > 140.0, "{:?}", sound.stats());
    let ahead = heard - together;
    assert!((25.0..=40.0).contains(&ahead), "pictures {together} ms, sound {heard} ms");
    // It is switched off; and on again, and then nobody plays any more.
    video.set_lip_sync(false);
    pictures(&mut sink, &written, 1).await;
    let apart = pictures(&mut sink, &written, 5).await;
    assert!(apart < alone + 10.0, "{apart} ms");
    video.set_lip_sync(true);
    pictures(&mut sink, &written, 5).await;
    plays.abort();
    pictures(&mut sink, &written, 5).await;
    let unheard = pictures(&mut sink, &written, 5).await;
    assert!(unheard < alone + 10.0, "{unheard} ms");
    call.end().await;
}
