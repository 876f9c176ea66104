//! What an encoder and a microphone would give, without one: pictures of an even size, and a sweep.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat};
use metered_realtime::media::{
    AccessUnit, LocalAudioTrack, LocalTrackEvent, LocalVideoTrack, VideoCodec,
};
use tokio::time::MissedTickBehavior;

use crate::Outcome;

/// Of 720p30.
pub(crate) const VIDEO_BPS: usize = 1_500_000;
const FPS: usize = 30;
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / FPS as u64);
const PICTURE_BYTES: usize = VIDEO_BPS / 8 / FPS;
/// A key frame is larger than others.
const KEY_FACTOR: usize = 6;
/// A VP8 key frame begins so, at 1280x720 (RFC 6386 section 9.1).
const KEY_HEAD: [u8; 10] = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02];
const DELTA_HEAD: [u8; 3] = [0x11, 0, 0];
const NUMBER_BYTES: usize = 8;

/// As a sound card gives and takes.
pub(crate) const CHUNK: Duration = Duration::from_millis(10);
pub(crate) const FORMAT: PcmFormat = PcmFormat::OPUS_MONO;
pub(crate) const CHUNK_SAMPLES: usize = 480;

/// When each picture was written, by its number.
pub(crate) type Written = Arc<Mutex<Vec<Instant>>>;

fn picture(n: u64, key: bool) -> AccessUnit {
    let (head, size) = if key {
        (&KEY_HEAD[..], PICTURE_BYTES * KEY_FACTOR)
    } else {
        (&DELTA_HEAD[..], PICTURE_BYTES)
    };
    let mut data = Vec::with_capacity(size);
    data.extend_from_slice(head);
    data.extend_from_slice(&n.to_be_bytes());
    data.resize(size, 0x55);
    AccessUnit::new(VideoCodec::Vp8, data.into(), n * FRAME.as_micros() as u64)
}

/// The number that a picture carries.
pub(crate) fn number(unit: &AccessUnit) -> Option<u64> {
    let head = if unit.key_frame { KEY_HEAD.len() } else { DELTA_HEAD.len() };
    let bytes = unit.data.get(head..head + NUMBER_BYTES)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// Pictures, a key frame first and whenever one is wanted, until it is aborted.
pub(crate) async fn encode(track: LocalVideoTrack, written: Option<Written>) -> Outcome<()> {
    let mut wishes = track.events();
    let mut clock = tokio::time::interval(FRAME);
    for n in 0_u64.. {
        clock.tick().await;
        let mut key = n == 0;
        while let Some(event) = wishes.try_next() {
            key |= event == LocalTrackEvent::KeyFrameWanted;
        }
        let unit = picture(n, key);
        if let Some(written) = &written {
            written.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
        track.write(&unit)?;
    }
    Ok(())
}

/// A clock that takes what it has missed, as sound cards do.
pub(crate) fn sound_clock() -> tokio::time::Interval {
    let mut clock = tokio::time::interval(CHUNK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    clock
}

/// Every half second a sweep of 80 ms from 300 to 3,000 Hz, and a soft hum between, until it is aborted. Made once:
/// what is measured is not the sine.
pub(crate) struct Voice {
    period: Vec<f32>,
    position: usize,
}

/// Between two sweeps.
pub(crate) const PERIOD: usize = 24_000;
const SWEEP: usize = 3_840;

impl Default for Voice {
    fn default() -> Self {
        Self { period: period(), position: 0 }
    }
}

/// The sound that is looked for.
#[allow(clippy::cast_precision_loss)] // a few thousand samples
pub(crate) fn sweep() -> Vec<f32> {
    use std::f32::consts::{PI, TAU};
    let (from, to, rate) = (300.0_f32, 3_000.0_f32, FORMAT.rate() as f32);
    let lasts = SWEEP as f32 / rate;
    let at = |n: usize| {
        let t = n as f32 / rate;
        let phase = TAU * (from * t + (to - from) * t * t / (2.0 * lasts));
        0.5 * phase.sin() * (PI * n as f32 / SWEEP as f32).sin()
    };
    (0..SWEEP).map(at).collect()
}

/// From one sweep to the next. The hum of 150 Hz has whole waves in it.
#[allow(clippy::cast_precision_loss)] // a few thousand samples
fn period() -> Vec<f32> {
    let wave = std::f32::consts::TAU * 150.0 / FORMAT.rate() as f32;
    let mut period: Vec<f32> = (0..PERIOD).map(|n| 0.01 * (n as f32 * wave).sin()).collect();
    for (sample, sweep) in period.iter_mut().zip(sweep()) {
        *sample += sweep;
    }
    period
}

impl Voice {
    pub(crate) fn fill(&mut self, pcm: &mut [f32]) {
        let mut filled = 0;
        while let Some(empty) = pcm.get_mut(filled..).filter(|empty| !empty.is_empty()) {
            let part = empty.len().min(PERIOD - self.position);
            empty[..part].copy_from_slice(&self.period[self.position..self.position + part]);
            self.position = (self.position + part) % PERIOD;
            filled += part;
        }
    }
}

/// Writes the voice at its pace, until it is aborted.
pub(crate) async fn speak(track: LocalAudioTrack, written: Option<Written>) -> Outcome<()> {
    let (mut clock, mut voice) = (sound_clock(), Voice::default());
    let mut pcm = [0.0; CHUNK_SAMPLES];
    loop {
        clock.tick().await;
        voice.fill(&mut pcm);
        if let Some(written) = &written {
            written.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
        track.write_pcm(FORMAT, &pcm)?;
    }
}

/// Writes ready packets of the voice at their pace, until it is aborted: the encoder has done its work before.
pub(crate) async fn speak_packets(track: LocalAudioTrack) -> Outcome<()> {
    const PACKET: Duration = Duration::from_millis(20);
    let mut pcm = vec![0.0; 4 * PERIOD];
    Voice::default().fill(&mut pcm);
    let packets = OpusEncoder::new(FORMAT, OpusOptions::default())?.push(&pcm)?;
    let mut clock = tokio::time::interval(PACKET);
    for (n, packet) in (0_u64..).zip(packets.iter().cycle()) {
        clock.tick().await;
        track.write(packet.clone(), n * PACKET.as_micros() as u64, n == 0)?;
    }
    Ok(())
}
