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

    /// The sound of inputs, in chunks of so many moments, over and over.
    fn mixed(mixer: &mut Mixer<usize>, inputs: &[(usize, Vec<f32>)], chunks: &[usize]) -> Vec<f32> {
        let channels = mixer.channels;
        let mut sizes = chunks.iter().cycle().map(|moments| moments * channels);
        let mut all = vec![0.0; inputs.first().map_or(0, |(_, pcm)| pcm.len())];
        let mut at = 0;
        while at < all.len() {
            let end = (at + sizes.next().unwrap()).min(all.len());
            for (remote, pcm) in inputs {
                mixer.add(remote, &pcm[at..end], &mut all[at..end]);
            }
            mixer.finish(&mut all[at..end]);
            at = end;
        }
        all
    }

    fn any_gain() -> impl Strategy<Value = f32> {
        prop_oneof![4 => 0.0_f32..=MAX_GAIN, 1 => any::<f32>()]
    }

    proptest! {
        #[test]
        fn any_mix_is_bounded_and_linear_below_the_clip_and_who_left_leaves_nothing(
            remotes in prop::collection::vec(
                (any_gain(), prop::collection::vec(-1.0_f32..=1.0, 240)), 1..6),
            chunks in prop::collection::vec(1_usize..100, 1..8),
            channels in 1_u8..=2,
            later in any_gain(),
            loudness in 1.0_f32..1_000.0,
        ) {
            let mut mixer = Mixer::new(channels);
            let scaled = |by: f32| {
                let pcm = remotes.iter().map(|(_, pcm)| pcm.iter().map(|sample| sample * by).collect());
                pcm.enumerate().collect::<Vec<(usize, Vec<f32>)>>()
            };
            for (remote, (gain, _)) in remotes.iter().enumerate() {
                mixer.set_gain(remote, *gain);
            }
            let loud = mixed(&mut mixer.clone(), &scaled(loudness), &chunks);
            prop_assert!(loud.iter().all(|sample| sample.abs() <= 1.0));

            // Together they stay below the knee.
            let quiet = scaled(KNEE / MAX_GAIN / remotes.len() as f32);
            let heard = mixed(&mut mixer, &quiet, &chunks);
            for (at, sample) in heard.iter().enumerate() {
                let sum: f32 = quiet.iter().map(|(remote, pcm)| pcm[at] * mixer.gain(remote)).sum();
                prop_assert!((sample - sum).abs() < 1e-5, "{sample} for {sum}");
            }

            let mut turned = mixer.clone();
            turned.set_gain(0, later);
            let whole = mixed(&mut turned.clone(), &quiet, &[240]);
            prop_assert_eq!(mixed(&mut turned, &quiet, &chunks), whole);

            mixer.remove(&0);
            let mut without = Mixer::new(channels);
            for (remote, (gain, _)) in remotes.iter().enumerate().skip(1) {
                without.set_gain(remote, *gain);
            }
            let others = mixed(&mut without, &quiet[1..], &chunks);
            prop_assert_eq!(mixed(&mut mixer, &quiet[1..], &chunks), others);
            // Who comes back is as loud as anybody, from its first sample on.
            prop_assert_eq!(&mixed(&mut mixer, &quiet[..1], &chunks), &quiet[0].1);
            (1..remotes.len()).for_each(|remote| mixer.remove(&remote));
            prop_assert!(mixer.gains.is_empty());
        }

        #[test]
        fn the_clip_is_bounded_odd_and_rises(a in -100.0_f32..100.0, b in -100.0_f32..100.0) {
            prop_assert!(soft_clip(a).abs() <= 1.0);
            prop_assert_eq!(soft_clip(-a), -soft_clip(a));
            prop_assert!(a > b || soft_clip(a) <= soft_clip(b));
        }
    }
}
