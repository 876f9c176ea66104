//! From one rate to another: a windowed sinc, read at any position. Pure and allocation-free once warm.
//!
//! Ours rather than a crate: the well-kept ones bring an FFT and a dozen crates for a quality that voice
//! does not need. This one keeps 90 dB between the pass band and its images, and its position is a
//! fraction of integers, so that an hour of sound ends on the sample where it should.

use std::f64::consts::PI;

/// Zero crossings of the sinc on each side: enough for a pass band to 0.9 of the lower Nyquist rate.
const CROSSINGS: usize = 24;
/// Steps of the table between two zero crossings; linear between them.
const STEPS: usize = 512;
/// Shape of the Kaiser window: side lobes at -90 dB.
const KAISER_BETA: f64 = 9.0;
/// Where the pass band ends, of the lower Nyquist rate.
const CUTOFF: f64 = 0.92;

/// Changes the rate of interleaved PCM, chunk by chunk.
///
/// ```
/// use metered_realtime::media::audio::Resampler;
/// let mut resampler = Resampler::new(44_100, 48_000, 1);
/// let mut pcm = Vec::new();
/// for _ in 0..100 {
///     resampler.push(&[0.0; 441], &mut pcm); // a second in all
/// }
/// assert!((47_900..=48_000).contains(&pcm.len())); // less what it holds back to look ahead
/// ```
#[derive(Clone, Debug)]
pub struct Resampler {
    channels: usize,
    /// Input moments per output moment: `step / den`.
    step: u64,
    den: u64,
    /// Position of the next output moment in `held`, in units of `1 / den`.
    position: u64,
    /// Input moments that are still looked at, interleaved.
    held: Vec<f32>,
    /// The window's right half; empty if both rates are the same.
    table: Vec<f32>,
    /// Input moments looked at on each side.
    reach: usize,
    /// Zero crossings per input moment.
    density: f64,
}

impl Resampler {
    /// From a rate to another in Hz; both above 0, one channel or more.
    pub fn new(from: u32, to: u32, channels: u8) -> Self {
        let (from, to) = (u64::from(from.max(1)), u64::from(to.max(1)));
        let common = gcd(from, to);
        let channels = usize::from(channels.max(1));
        let density = CUTOFF * (to as f64 / from as f64).min(1.0);
        let reach = (CROSSINGS as f64 / density).ceil() as usize;
        let same = from == to;
        Self {
            channels,
            step: from / common,
            den: to / common,
            position: reach as u64 * (to / common),
            // Silence before the start, so that the first moment comes out at once.
            held: if same { Vec::new() } else { vec![0.0; reach * channels] },
            table: if same { Vec::new() } else { window(density) },
            reach,
            density,
        }
    }

    /// Takes interleaved PCM and adds what is ready to the end of a buffer. A moment cut short is dropped.
    pub fn push(&mut self, input: &[f32], output: &mut Vec<f32>) {
        if self.table.is_empty() {
            output.extend_from_slice(input);
            return;
        }
        let whole = input.len() - input.len() % self.channels;
        self.held.extend_from_slice(&input[..whole]);
        let moments = self.held.len() / self.channels;
        loop {
            let at = (self.position / self.den) as usize;
            if at + self.reach >= moments {
                break;
            }
            self.moment(at, output);
            self.position += self.step;
        }
        let past = ((self.position / self.den) as usize).saturating_sub(self.reach).min(moments);
        self.held.drain(..past * self.channels);
        self.position -= past as u64 * self.den;
    }

    /// One output moment, just after the input moment `at`.
    fn moment(&self, at: usize, output: &mut Vec<f32>) {
        let fraction = (self.position % self.den) as f64 / self.den as f64;
        let first = at + 1 - self.reach;
        let start = output.len();
        output.resize(start + self.channels, 0.0);
        let scale = self.density * STEPS as f64;
        for n in first..=at + self.reach {
            let distance = (n as f64 - at as f64 - fraction).abs() * scale;
            let index = distance as usize;
            let Some([low, high]) = self.table.get(index..index + 2) else { continue };
            let weight = low + (high - low) * (distance - index as f64) as f32;
            for channel in 0..self.channels {
                output[start + channel] += weight * self.held[n * self.channels + channel];
            }
        }
    }
}

/// The right half of the windowed sinc, scaled so that its sum over the input is 1.
fn window(density: f64) -> Vec<f32> {
    let entries = CROSSINGS * STEPS;
    (0..=entries)
        .map(|n| {
            let x = n as f64 / STEPS as f64;
            let sinc = if n == 0 { 1.0 } else { (PI * x).sin() / (PI * x) };
            let edge = n as f64 / entries as f64;
            let kaiser = bessel(KAISER_BETA * (1.0 - edge * edge).sqrt()) / bessel(KAISER_BETA);
            (density * sinc * kaiser) as f32
        })
        .collect()
}

/// Modified Bessel function of order 0.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..40 {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum += term;
    }
    sum
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::{Tone, tone_share};

    fn resampled(from: u32, to: u32, hz: f32, chunk: usize) -> Vec<f32> {
        let mut input = vec![0.0; from as usize / 2];
        Tone::new(hz, from, 1).fill(&mut input);
        let mut resampler = Resampler::new(from, to, 1);
        let mut output = Vec::new();
        for part in input.chunks(chunk) {
            resampler.push(part, &mut output);
        }
        output
    }

    fn power(pcm: &[f32]) -> f32 {
        pcm.iter().map(|x| x * x).sum::<f32>() / pcm.len() as f32
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_level_between_all_rates() {
        for from in [8_000, 22_050, 44_100, 48_000] {
            for to in [8_000, 12_000, 44_100, 48_000] {
                let output = resampled(from, to, 1_000.0, 441);
                assert!(
                    output.len().abs_diff(to as usize / 2) < to as usize / 50,
                    "{from} to {to}"
                );
                let settled = &output[to as usize / 10..];
                assert!(tone_share(1_000.0, to, settled) > 0.999, "{from} to {to}");
                let level = power(settled) / (Tone::AMPLITUDE * Tone::AMPLITUDE / 2.0);
                assert!((0.99..1.01).contains(&level), "{from} to {to}: {level}");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_does_not_fold_back() {
        let output = resampled(48_000, 8_000, 5_500.0, 960);
        assert!(10.0 * power(&output[800..]).log10() < -70.0);
    }

    #[test]
    fn chunks_make_no_difference() {
        let whole = resampled(44_100, 48_000, 440.0, usize::MAX);
        for chunk in [1, 7, 441, 4_096] {
            assert_eq!(resampled(44_100, 48_000, 440.0, chunk), whole);
        }
    }

    #[test]
    fn a_long_stream_ends_on_its_sample() {
        let mut resampler = Resampler::new(44_100, 48_000, 1);
        let (mut count, mut output) = (0_usize, Vec::new());
        let second = vec![0.0; 44_100];
        for _ in 0..10 {
            resampler.push(&second, &mut output);
            count += output.len();
            output.clear();
        }
        // The reach ahead is held back.
        let held = 10 * 48_000 - count;
        assert!(held < 60, "{held}");
        assert!(resampler.held.len() < 200);
    }
}
