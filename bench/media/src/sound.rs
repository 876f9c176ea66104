//! From the call that takes PCM to the call that gives it, both ends in this process, one way.
//!
//! A sweep every half second is looked for in what comes out by correlation, so the codec's own delay is in it.
//! The time that a microphone takes to fill its chunk is not.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use metered_realtime::media::audio::OpusOptions;
use metered_realtime::media::{LocalAudioTrack, MediaStream};
use serde_json::{Value, json};

use crate::call::{Pair, track};
use crate::encoder::{CHUNK_SAMPLES, FORMAT, PERIOD, Written, sound_clock, speak, sweep};
use crate::{Outcome, percentile};

const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(20);
/// A sweep that comes later is not found.
const LONGEST: Duration = Duration::from_millis(400);
/// How like the sweep what is found must be.
const LIKE: f32 = 0.7;

/// The moment at which a sample was written or heard.
fn at(times: &[Instant], sample: usize) -> Option<Instant> {
    let within = Duration::from_secs(1) * u32::try_from(sample % CHUNK_SAMPLES).ok()?;
    Some(*times.get(sample / CHUNK_SAMPLES)? + within / FORMAT.rate())
}

/// Where the sweep is in a stretch of sound, and how like it what is there is, up to 1.
fn find(sweep: &[f32], sound: &[f32]) -> Option<(usize, f32)> {
    let energy = |part: &[f32]| part.iter().map(|sample| sample * sample).sum::<f32>();
    let own = energy(sweep);
    let likeness = |part: &[f32]| {
        let product: f32 = part.iter().zip(sweep).map(|(one, two)| one * two).sum();
        product / (own * energy(part)).sqrt().max(f32::MIN_POSITIVE)
    };
    let found = sound.windows(sweep.len()).map(likeness).enumerate();
    found.max_by(|(_, one), (_, two)| one.total_cmp(two))
}

/// Milliseconds on the way of each sweep.
fn delays(written: &[Instant], heard: &[Instant], pcm: &[f32]) -> Vec<f64> {
    let sweep = sweep();
    let sweeps = (0..written.len() * CHUNK_SAMPLES).step_by(PERIOD);
    let delay = |start: usize| {
        let wrote = at(written, start)?;
        let first = heard.partition_point(|heard| *heard < wrote).checked_sub(1)? * CHUNK_SAMPLES;
        let most = CHUNK_SAMPLES + LONGEST.as_millis() as usize * FORMAT.rate() as usize / 1_000;
        let (found, like) = find(&sweep, pcm.get(first..first + most + sweep.len())?)?;
        (like >= LIKE).then_some(())?;
        Some((at(heard, first + found)?.checked_duration_since(wrote)?).as_secs_f64() * 1e3)
    };
    sweeps.filter_map(delay).collect()
}

pub(crate) async fn sound(url: &str) -> Outcome<Value> {
    let (audio, written) = (LocalAudioTrack::default(), Written::default());
    // As libwebrtc's default.
    audio.set_encoding(OpusOptions { dtx: false, ..OpusOptions::default() })?;
    let stream = MediaStream::default().with_track(&audio);
    let speaker = tokio::spawn(speak(audio, Some(written.clone())));
    let mut pair = Pair::joined(url, "sound", [Some(&stream), None]).await?;
    let track = track(&mut pair.remotes[1]).await?;
    let mut output = track.audio().ok_or("no sound")?.playout(FORMAT)?;
    let (begun, mut heard, mut pcm) = (Instant::now(), Vec::new(), Vec::new());
    let (mut clock, mut chunk) = (sound_clock(), [0.0; CHUNK_SAMPLES]);
    while begun.elapsed() < SETTLE + WATCH {
        clock.tick().await;
        heard.push(Instant::now());
        output.pull(&mut chunk);
        pcm.extend_from_slice(&chunk);
    }
    let stats = output.stats();
    speaker.abort();
    pair.close().await;
    let settled = heard.partition_point(|heard| *heard - begun < SETTLE);
    let pcm = pcm.get(settled * CHUNK_SAMPLES..).unwrap_or_default();
    let written = written.lock().unwrap_or_else(PoisonError::into_inner);
    let mut delays = delays(&written, heard.get(settled..).unwrap_or_default(), pcm);
    let expected = WATCH.as_secs() as usize * FORMAT.rate() as usize / PERIOD;
    if delays.len() * 10 < expected * 9 {
        return Err(format!("{} of {expected} sweeps were heard: {stats:?}", delays.len()).into());
    }
    Ok(json!({
        "soundMs": percentile(&mut delays, 50),
        "soundP95Ms": percentile(&mut delays, 95),
        "soundTargetMs": stats.jitter.target_delay.as_secs_f64() * 1e3,
    }))
}
