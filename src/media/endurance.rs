//! An hour of a call in virtual time: clocks that differ, losses, jitter and blackouts, from packets to the ear
//! and the eye.
//!
//! Sender, sound card and network are played; jitter buffers, decoder, mixer, and what holds pictures until their
//! sound is heard are the real ones. When a sound is heard is found in the PCM itself, by correlation with a sweep.

use std::collections::BTreeMap;
use std::f32::consts::{PI, TAU};
use std::time::Duration;

use bytes::Bytes;

use super::audio::{
    AudioPlayout, JitterOptions, Mixer, OPUS_CLOCK_HZ, OpusEncoder, OpusOptions, PcmFormat,
};
use super::sync::{CaptureClock, Heard, Held as Waiting, LipSync, Report, Sound};
use super::video::{AccessUnit, Output, Packetiser, RtpVideoPacket, VideoCodec, VideoJitterBuffer};

/// Times are in microseconds.
const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// What happens on the network begins again after so long.
const ROUND: u64 = 5 * MINUTE;
/// The sender's microphone is faster and our loudspeaker slower by so many millionths.
const DRIFT_PPM: u64 = 100;
/// The fastest way.
const WAY: u64 = 25_000;
const FRAME: u64 = 33_333;
const PACKET: u64 = 20_000;
const PACKET_SAMPLES: u32 = 960;
const CHUNK: usize = 480;
const RATE: usize = OPUS_CLOCK_HZ as usize;
/// The sound of the call, again and again, with a sweep in the middle of each second.
const LOOP_SECONDS: usize = 5;
const SWEEP: usize = 1_920;
/// What is spoken: the decoder is fastest with it.
const VOICE_RATE: usize = 8_000;

fn sweep(rate: usize) -> Vec<f32> {
    let (rate, lasts) = (rate as f32, SWEEP as f32 / RATE as f32);
    let at = |n: usize| {
        let t = n as f32 / rate;
        let phase = TAU * (300.0 * t + 1_350.0 * t * t / lasts);
        0.5 * phase.sin() * (PI * t / lasts).sin()
    };
    (0..(rate * lasts) as usize).map(at).collect()
}

/// As an encoder makes it that expects no losses or many.
fn voice(expected_loss: u8) -> Vec<Bytes> {
    let options = OpusOptions { dtx: false, ..OpusOptions::default() };
    let format = PcmFormat::new(VOICE_RATE as u32, 1).unwrap();
    let mut encoder = OpusEncoder::new(format, options).unwrap();
    encoder.set_expected_loss(expected_loss).unwrap();
    let sweep = sweep(VOICE_RATE);
    let mut pcm: Vec<f32> =
        (0..LOOP_SECONDS * VOICE_RATE).map(|n| 0.05 * (n as f32 * 0.1).sin()).collect();
    for second in pcm.chunks_mut(VOICE_RATE) {
        for (sample, sweep) in second[VOICE_RATE / 2..].iter_mut().zip(&sweep) {
            *sample += sweep;
        }
    }
    // Twice, so that what is looped begins as it ends.
    let packets = encoder.push(&[&pcm[..], &pcm[..]].concat()).unwrap();
    packets[packets.len() / 2..].to_vec()
}

/// What the network does at a time of the round.
struct Weather {
    loss: f64,
    jitter: u64,
    up: bool,
}

impl Weather {
    fn at(time: u64) -> Self {
        let (loss, jitter, up) = match (time % ROUND) / (10 * SECOND) {
            6..12 => (0.05, 5_000, true),
            12..18 => (0.0, 100_000, true),
            18..22 => (0.1, 50_000, true),
            22 => (0.0, 0, time % (10 * SECOND) >= 3 * SECOND),
            _ => (0.0, 2_000, true),
        };
        Self { loss, jitter, up }
    }
}

enum Arrival {
    Sound(u64),
    Picture(RtpVideoPacket),
    /// Of sound or of pictures.
    Report(usize, Report),
}

/// What reports of a stream are made of.
#[derive(Default)]
struct Reporter {
    capture: CaptureClock,
    /// A time of the stream, and when that was recorded.
    last: (u32, i64),
}

impl Reporter {
    fn sent(&mut self, rtp: u32, recorded: i64, media: u64) {
        self.last = (rtp, self.capture.captured_us(recorded, media));
    }

    fn report(&self, now: u64, rate: i64) -> Report {
        let (rtp, recorded) = self.last;
        let ticks = (now as i64 - recorded) * rate / 1_000;
        let ntp = (u128::from(now) << 32) / u128::from(SECOND);
        let rtp = rtp.wrapping_add(ticks as u32);
        Report { received: Duration::ZERO, ntp: ntp as u64, rtp }
    }
}

/// Both ends and what is under way.
struct Call {
    chance: fastrand::Rng,
    arrivals: BTreeMap<(u64, u64), Arrival>,
    order: u64,
    /// In calm, and with copies against losses.
    voices: [Vec<Bytes>; 2],
    packets: u64,
    packetiser: Packetiser,
    frames: u64,
    sequence: u16,
    /// When the encoder makes a key frame next.
    key_at: Option<u64>,
    playout: AudioPlayout,
    mixer: Mixer<u8>,
    video: VideoJitterBuffer,
    reporters: [Reporter; 2],
    reported_until: u64,
    sync: LipSync,
    sound_report: Option<Report>,
    waiting: Waiting<()>,
    /// The latest ways of pictures: when they were shown, and for how long they had travelled.
    shown: Vec<(u64, u64)>,
    /// What is heard since a check began, and when that was.
    heard: Option<(u64, Vec<f32>)>,
    held: Held,
}

/// The most that waited anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    packets: usize,
    samples: usize,
    picture_bytes: usize,
    under_way: usize,
}

impl Call {
    fn new() -> Self {
        Self {
            chance: fastrand::Rng::with_seed(7),
            arrivals: BTreeMap::new(),
            order: 0,
            voices: [voice(0), voice(10)],
            packets: 0,
            packetiser: Packetiser::default(),
            frames: 0,
            sequence: 65_000,
            key_at: Some(0),
            playout: AudioPlayout::new(PcmFormat::OPUS_MONO, JitterOptions::default()).unwrap(),
            mixer: Mixer::new(1),
            video: VideoJitterBuffer::new(),
            reporters: Default::default(),
            reported_until: 0,
            sync: LipSync::new(),
            sound_report: None,
            waiting: Waiting::default(),
            shown: Vec::new(),
            heard: None,
            held: Held::default(),
        }
    }

    /// Something leaves; a picture's packet that is lost is sent again after a round trip, twice at most.
    fn travels(&mut self, leaves: u64, arrival: Arrival) {
        let mut leaves = leaves;
        for _ in 0..3 {
            let weather = Weather::at(leaves);
            if weather.up && self.chance.f64() >= weather.loss {
                let at = leaves + WAY + self.chance.u64(0..=weather.jitter);
                self.order += 1;
                self.arrivals.insert((at, self.order), arrival);
                return;
            }
            if !matches!(arrival, Arrival::Picture(_)) {
                return;
            }
            leaves += 3 * WAY;
        }
    }

    /// When a sample was recorded, as its own clock counts them.
    fn recorded(samples: u64) -> u64 {
        let us = samples * SECOND / u64::from(OPUS_CLOCK_HZ);
        us - us * DRIFT_PPM / 1_000_000
    }

    fn send_until(&mut self, now: u64) {
        // A packet leaves when its last sample was recorded.
        while Self::recorded((self.packets + 1) * u64::from(PACKET_SAMPLES)) <= now {
            let leaves = Self::recorded((self.packets + 1) * u64::from(PACKET_SAMPLES));
            let rtp = (self.packets as u32).wrapping_mul(PACKET_SAMPLES);
            self.reporters[0].sent(rtp, leaves as i64 - PACKET as i64, self.packets * PACKET);
            self.travels(leaves, Arrival::Sound(self.packets));
            self.packets += 1;
        }
        while self.frames * FRAME <= now {
            let leaves = self.frames * FRAME;
            let key = self.key_at.is_some_and(|at| at <= leaves);
            if key {
                self.key_at = None;
            }
            let head: &[u8] = if key { &[0x10, 0, 0, 0x9d, 1, 0x2a] } else { &[0x11, 0, 0] };
            let data = [head, &vec![0x55; if key { 10_000 } else { 2_500 }]].concat().into();
            let unit = AccessUnit::new(VideoCodec::Vp8, data, leaves);
            self.reporters[1].sent((leaves * 9 / 100) as u32, leaves as i64, leaves);
            let payloads = self.packetiser.packetise(&unit).unwrap();
            let last = payloads.len() - 1;
            for (n, payload) in payloads.into_iter().enumerate() {
                let packet = RtpVideoPacket {
                    codec: VideoCodec::Vp8,
                    sequence: self.sequence,
                    timestamp: (leaves * 9 / 100) as u32,
                    marker: n == last,
                    payload,
                    rotation: None,
                };
                self.sequence = self.sequence.wrapping_add(1);
                self.travels(leaves, Arrival::Picture(packet));
            }
            self.frames += 1;
        }
        if now >= self.reported_until + SECOND {
            self.reported_until = now;
            for (which, rate) in [(0, 48), (1, 90)] {
                let report = self.reporters[which].report(now, rate);
                self.travels(now, Arrival::Report(which, report));
            }
        }
    }

    /// A chunk of the sound card: what came until now, then 10 ms by its clock.
    fn play(&mut self, now: u64) {
        self.send_until(now);
        while let Some(entry) = self.arrivals.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), arrival) = entry.remove_entry();
            let at = Duration::from_micros(at);
            match arrival {
                Arrival::Sound(n) => {
                    let voice = &self.voices[usize::from(Weather::at(n * PACKET).loss > 0.0)];
                    let payload = voice[n as usize % voice.len()].clone();
                    let timestamp = (n as u32).wrapping_mul(PACKET_SAMPLES);
                    self.playout.handle(at, n as u16, timestamp, payload).unwrap();
                }
                Arrival::Picture(packet) => self.video.packet(at, packet),
                Arrival::Report(0, report) => {
                    self.sound_report = Some(Report { received: at, ..report });
                }
                Arrival::Report(_, report) => self.sync.reported(Report { received: at, ..report }),
            }
            self.look(at);
        }
        let time = Duration::from_micros(now);
        if self.video.next_deadline().is_some_and(|due| due <= time) {
            self.video.timeout(time);
            self.look(time);
        }
        let mut pcm = [0.0; CHUNK];
        self.playout.pull(time, &mut pcm);
        if let Some((_, heard)) = &mut self.heard {
            let mut mix = [0.0; CHUNK];
            self.mixer.add(&0, &pcm, &mut mix);
            self.mixer.finish(&mut mix);
            heard.extend_from_slice(&mix);
        }
        let (packets, samples) = self.playout.held();
        let held = &mut self.held;
        held.packets = held.packets.max(packets);
        held.samples = held.samples.max(samples);
        while self.waiting.pop(time).is_some() {}
        let bytes = self.video.waiting_bytes() + self.waiting.bytes();
        held.picture_bytes = held.picture_bytes.max(bytes);
        held.under_way = held.under_way.max(self.arrivals.len());
    }

    fn look(&mut self, now: Duration) {
        while let Some(output) = self.video.poll_output() {
            match output {
                Output::Frame(unit, rtp) => {
                    let heard = self.playout.heard().map(|(at, rtp)| Heard { at, rtp });
                    let sound = Sound { ssrc: 1, report: self.sound_report, heard };
                    let due = self.sync.due(now, rtp, Some(sound));
                    self.waiting.push(due, unit.data.len(), ());
                    // The first picture was taken at 0.
                    let due = due.as_micros() as u64;
                    self.shown.push((due, due - unit.timestamp_us));
                }
                Output::KeyFrameWanted => self.key_at = Some(now.as_micros() as u64 + WAY),
                Output::Frozen | Output::Resumed => {}
            }
        }
    }

    /// The sweeps of what was heard: when that was, and how long they had travelled.
    fn sound_ways(from: u64, pcm: &[f32]) -> Vec<(u64, u64)> {
        let sweep = sweep(RATE);
        let second = u64::from(OPUS_CLOCK_HZ);
        let mut ways = Vec::new();
        for n in 0.. {
            let said = Self::recorded(n * second + second / 2);
            if said < from {
                continue;
            }
            let Some(part) = pcm.get(samples(said - from)..samples(said - from) + RATE / 2) else {
                return ways;
            };
            let alike = |at: &usize| -> f32 {
                part[*at..].iter().zip(&sweep).map(|(one, two)| one * two).sum()
            };
            // In steps of 83 us: the sweep ends at 3 kHz.
            let found = (0..part.len() - SWEEP).step_by(4).map(|at| (at, alike(&at)));
            let found = found.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at);
            let heard = from + found.unwrap() as u64 * SECOND / second;
            let heard = heard + samples_us(samples(said - from));
            ways.push((heard, heard - said));
        }
        ways
    }
}

const fn samples(us: u64) -> usize {
    (us * OPUS_CLOCK_HZ as u64 / SECOND) as usize
}

const fn samples_us(samples: usize) -> u64 {
    samples as u64 * SECOND / OPUS_CLOCK_HZ as u64
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Of sound and of pictures at a time of a round, in microseconds, and the most that waited since the last one.
#[derive(Debug)]
struct Check {
    /// Seconds of the round.
    at: u64,
    sound: u64,
    picture: u64,
    /// Between a sound and the picture that is seen when it is heard.
    apart: u64,
    held: Held,
}

#[test]
fn an_hour_of_a_call_stays_small_and_together() {
    const LOOKED_AT: u64 = 4 * SECOND;
    // While much jitters, after the blackout, and in calm.
    const LOOKS: [u64; 3] = [180, 240, 300];
    // What is promised of sound and pictures.
    const APART: u64 = 40_000;
    let mut call = Call::new();
    let mut checks = Vec::new();
    for chunk in 0.. {
        let us = chunk * 10_000;
        let now = us + us * DRIFT_PPM / 1_000_000;
        if now >= HOUR {
            break;
        }
        let (round, next) = (now % ROUND, now % ROUND + 10_001);
        let looks = |at: &u64| (at * SECOND - LOOKED_AT..at * SECOND).contains(&round);
        if LOOKS.iter().any(looks) && call.heard.is_none() {
            call.heard = Some((now, Vec::new()));
            call.shown.clear();
        }
        call.play(now);
        if let Some(at) = LOOKS.into_iter().find(|at| (round..next).contains(&(at * SECOND - 1))) {
            let (from, pcm) = call.heard.take().unwrap();
            let sounds = Call::sound_ways(from, &pcm);
            let apart = |(heard, way): &(u64, u64)| {
                let seen = call.shown.iter().min_by_key(|(shown, _)| shown.abs_diff(*heard));
                way.abs_diff(seen.unwrap().1)
            };
            let apart = middle(sounds.iter().map(apart).collect());
            let sound = middle(sounds.iter().map(|(_, way)| *way).collect());
            let picture = middle(call.shown.iter().map(|(_, way)| *way).collect());
            checks.push(Check { at, sound, picture, apart, held: std::mem::take(&mut call.held) });
        }
    }
    assert_eq!(checks.len(), 36);
    let stats = call.playout.stats();
    println!("{checks:?}");
    for (round, looks) in checks.chunks(LOOKS.len()).enumerate() {
        for Check { at, apart, held, .. } in looks {
            // In absolute time: a packet of sound is 20 ms old when it leaves, and the codec looks 6.5 ms ahead.
            assert!(*apart <= APART, "{apart} us apart at {at} s of round {round}: {checks:#?}");
            // 200 ms of sound; what comes of a picture's stream while a key frame is on its way.
            assert!(held.packets <= 10 && held.samples <= 2 * PACKET_SAMPLES as usize, "{held:?}");
            assert!(held.picture_bytes <= 150_000 && held.under_way <= 40, "{held:?}");
        }
        let [.., Check { sound, picture, .. }] = looks else { panic!("{looks:?}") };
        let first = &checks[LOOKS.len() - 1];
        let drift = sound.abs_diff(first.sound).max(picture.abs_diff(first.picture));
        assert!(drift <= 10_000, "{drift} us from the first round's, round {round}: {checks:#?}");
    }
    assert_eq!(stats.jitter.restarts, 0);
    // A blackout of three seconds in each round is one part of a hundred.
    assert!(call.frames - call.video.stats().frames < call.frames / 40, "{:?}", call.video.stats());
}
