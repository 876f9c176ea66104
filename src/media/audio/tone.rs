//! A sine tone, and the measure of one: for tests, demos and calls without a microphone.

use std::f64::consts::TAU;

/// A sine at a quarter of full scale (-15 dBFS), without end.
///
/// ```
/// use metered_realtime::media::audio::{Tone, tone_share};
/// let mut tone = Tone::new(440.0, 48_000, 1);
/// let mut pcm = [0.0; 4_800];
/// tone.fill(&mut pcm);
/// assert!(tone_share(440.0, 48_000, &pcm) > 0.99);
/// assert!(tone_share(1_000.0, 48_000, &pcm) < 0.01);
/// ```
#[derive(Clone, Debug)]
pub struct Tone {
    /// Turns per sample.
    step: f64,
    channels: usize,
    /// Turns so far, without the whole ones.
    turns: f64,
}

impl Tone {
    /// The peak of the sine.
    pub const AMPLITUDE: f32 = 0.25;

    /// A tone of a frequency at a rate, both in Hz, the same in each channel.
    pub fn new(hz: f32, rate: u32, channels: u8) -> Self {
        Self {
            step: f64::from(hz) / f64::from(rate.max(1)),
            channels: usize::from(channels.max(1)),
            turns: 0.0,
        }
    }

    /// Writes the next moments over a chunk of interleaved PCM.
    pub fn fill(&mut self, pcm: &mut [f32]) {
        for moment in pcm.chunks_mut(self.channels) {
            moment.fill((self.turns * TAU).sin() as f32 * Self::AMPLITUDE);
            self.turns = (self.turns + self.step).fract();
        }
    }
}

/// How much of the energy of one channel lies at a frequency, from 0.0 to 1.0; 0.0 for silence.
///
/// ```
/// use metered_realtime::media::audio::{Tone, tone_share};
/// // Whether a test's tone arrived, and not another's.
/// let mut heard = [0.0; 4_800];
/// Tone::new(440.0, 48_000, 1).fill(&mut heard);
/// assert!(tone_share(440.0, 48_000, &heard) > 0.9);
/// assert_eq!(tone_share(440.0, 48_000, &[0.0; 480]), 0.0);
/// ```
pub fn tone_share(hz: f32, rate: u32, pcm: &[f32]) -> f32 {
    let step = f64::from(hz) / f64::from(rate.max(1)) * TAU;
    let (mut real, mut imaginary, mut energy) = (0.0, 0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let (sine, cosine) = (step * n as f64).sin_cos();
        let sample = f64::from(*sample);
        real += sample * cosine;
        imaginary += sample * sine;
        energy += sample * sample;
    }
    if energy <= f64::EPSILON {
        return 0.0;
    }
    let at_tone = 2.0 * (real * real + imaginary * imaginary) / pcm.len() as f64;
    (at_tone / energy).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_join_without_a_seam() {
        let (mut whole, mut parts) = ([0.0; 960], [0.0; 960]);
        Tone::new(441.0, 44_100, 2).fill(&mut whole);
        let mut tone = Tone::new(441.0, 44_100, 2);
        for part in parts.chunks_mut(6) {
            tone.fill(part);
        }
        assert_eq!(whole, parts);
        assert!(whole.chunks(2).all(|both| both[0] == both[1]));
    }

    #[test]
    fn silence_has_no_tone() {
        assert_eq!(tone_share(440.0, 48_000, &[0.0; 480]), 0.0);
        assert_eq!(tone_share(440.0, 48_000, &[]), 0.0);
    }
}
