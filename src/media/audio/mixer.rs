//! Several remotes into one sound, each with a gain of its own. Pure.
//!
//! What together would be beyond full scale is bent softly instead of cut; below the knee nothing is
//! touched, so that one remote alone passes unchanged.

use std::collections::HashMap;
use std::hash::Hash;

/// The most a remote can be raised: 12 dB.
///
/// ```
/// use metered_realtime::media::audio::{MAX_GAIN, Mixer};
/// let mut mixer = Mixer::new(1);
/// mixer.set_gain("bob", 100.0);
/// assert_eq!(mixer.gain(&"bob"), MAX_GAIN);
/// ```
pub const MAX_GAIN: f32 = 4.0;

/// Where the soft clipping begins.
const KNEE: f32 = 0.8;
/// Moments over which a gain moves by 1.0: 10 ms at 48 kHz, so that a change does not click.
const GAIN_STEP: f32 = 1.0 / 480.0;

/// Adds up the PCM of several remotes.
///
/// ```
/// use metered_realtime::media::audio::Mixer;
/// let mut mixer = Mixer::new(1);
/// mixer.set_gain("bob", 0.5);
/// let mut pcm = [0.0; 2];
/// mixer.add(&"ann", &[0.25, 0.25], &mut pcm);
/// mixer.add(&"bob", &[0.5, -0.5], &mut pcm);
/// mixer.finish(&mut pcm);
/// assert_eq!(pcm, [0.5, 0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Mixer<K> {
    channels: usize,
    gains: HashMap<K, Gain>,
}

#[derive(Clone, Copy, Debug)]
struct Gain {
    target: f32,
    /// On the way to `target`; `None` before the first sound.
    present: Option<f32>,
}

impl<K: Eq + Hash> Mixer<K> {
    /// A mixer of interleaved PCM with one channel or more.
    pub fn new(channels: u8) -> Self {
        Self { channels: usize::from(channels.max(1)), gains: HashMap::new() }
    }

    /// A remote's gain: 0.0 is silent, 1.0 (at the start) unchanged, at most [`MAX_GAIN`].
    pub fn set_gain(&mut self, remote: K, gain: f32) {
        let gain = if gain.is_nan() { 1.0 } else { gain.clamp(0.0, MAX_GAIN) };
        let present = self.gains.get(&remote).and_then(|gain| gain.present);
        self.gains.insert(remote, Gain { target: gain, present });
    }

    /// The gain that was set.
    pub fn gain(&self, remote: &K) -> f32 {
        self.gains.get(remote).map_or(1.0, |gain| gain.target)
    }

    /// Forgets a remote that left.
    ///
    /// ```
    /// use metered_realtime::media::audio::Mixer;
    /// let mut mixer = Mixer::new(2);
    /// mixer.set_gain("bob", 0.5);
    /// mixer.remove(&"bob");
    /// assert_eq!(mixer.gain(&"bob"), 1.0); // who comes back is as loud as anybody
    /// ```
    pub fn remove(&mut self, remote: &K) {
        self.gains.remove(remote);
    }

    /// Adds a remote's sound to a chunk that began as zeros; what is missing at its end is silence.
    pub fn add(&mut self, remote: &K, input: &[f32], mix: &mut [f32]) {
        let Some(gain) = self.gains.get_mut(remote) else {
            for (out, sample) in mix.iter_mut().zip(input) {
                *out += sample;
            }
            return;
        };
        let mut present = gain.present.unwrap_or(gain.target);
        for (out, moment) in mix.chunks_mut(self.channels).zip(input.chunks(self.channels)) {
            present += (gain.target - present).clamp(-GAIN_STEP, GAIN_STEP);
            for (out, sample) in out.iter_mut().zip(moment) {
                *out += sample * present;
            }
        }
        gain.present = Some(present);
    }

    /// Ends a chunk: no sample is beyond full scale afterwards.
    pub fn finish(&self, mix: &mut [f32]) {
        for sample in mix {
            *sample = soft_clip(*sample);
        }
    }
}

/// The identity to the knee, then a bend towards full scale with the same slope at the knee.
fn soft_clip(sample: f32) -> f32 {
    let size = sample.abs();
    if size <= KNEE {
        sample
    } else if size.is_finite() {
        let room = 1.0 - KNEE;
        (KNEE + room * ((size - KNEE) / room).tanh()).min(1.0).copysign(sample)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_remote_alone_passes_unchanged() {
        let input = [0.1, -0.7, 0.8, 0.0];
        let mut mix = [0.0; 4];
        let mut mixer = Mixer::new(2);
        mixer.add(&1, &input, &mut mix);
        mixer.finish(&mut mix);
        assert_eq!(mix, input);
    }

    #[test]
    fn a_gain_moves_without_a_jump() {
        let mut mixer = Mixer::new(1);
        mixer.set_gain(1, 1.0);
        let mut mix = [0.0; 480];
        mixer.add(&1, &[0.5; 480], &mut mix);
        mixer.set_gain(1, 0.0);
        let mut mix = [0.0; 960];
        mixer.add(&1, &[0.5; 960], &mut mix);
        assert!(mix.windows(2).all(|two| (two[1] - two[0]).abs() <= 0.5 * GAIN_STEP + 1e-6));
        assert!(mix[0] > 0.49 && mix[959].abs() < 1e-6);
    }

    #[test]
    fn gains_are_bounded() {
        let mut mixer = Mixer::new(1);
        for (asked, set) in [(-1.0, 0.0), (9.0, MAX_GAIN), (f32::NAN, 1.0), (0.3, 0.3)] {
            mixer.set_gain(1, asked);
            assert_eq!(mixer.gain(&1), set);
        }
        mixer.remove(&1);
        assert_eq!(mixer.gain(&1), 1.0);
    }

    #[test]
    fn a_short_input_ends_in_silence() {
        let mut mix = [0.0; 4];
        Mixer::new(1).add(&1, &[0.5; 2], &mut mix);
        assert_eq!(mix, [0.5, 0.5, 0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn the_clip_is_bounded_odd_and_rises(a in -100.0_f32..100.0, b in -100.0_f32..100.0) {
            prop_assert!(soft_clip(a).abs() <= 1.0);
            prop_assert_eq!(soft_clip(-a), -soft_clip(a));
            prop_assert!(a > b || soft_clip(a) <= soft_clip(b));
        }
    }
}
