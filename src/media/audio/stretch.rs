//! A frame made shorter or longer by one pitch period, so that playback hurries or waits unheard. Pure.
//!
//! Where the sound repeats itself, one period can be left out or said twice: the seam is cross-faded over
//! a period (overlap-add at the lag of the highest correlation). Where it does not repeat, it is left
//! alone, unless it is too quiet to matter.

/// Pitch periods that are looked for, at 48 kHz: 400 to 100 Hz.
const SHORTEST_LAG: usize = 120;
const LONGEST_LAG: usize = 480;
/// The search reads one moment of so many.
const STRIDE: usize = 4;
/// Below it the sound does not repeat itself well enough.
const ENOUGH_CORRELATION: f32 = 0.7;
/// Mean square below which nobody hears a seam: -60 dBFS.
const QUIET: f32 = 1e-6;

/// Leaves one period out of a 48 kHz frame; gives the moments left out, 0 if it had better stay.
pub(crate) fn shorten(pcm: &mut Vec<f32>, channels: usize) -> usize {
    let Some(lag) = period(pcm, channels) else { return 0 };
    let width = lag * channels;
    for n in 0..width {
        let fade = (n / channels) as f32 / lag as f32;
        pcm[n] += (pcm[n + width] - pcm[n]) * fade;
    }
    pcm.drain(width..2 * width);
    lag
}

/// Says one period of a 48 kHz frame twice; gives the moments added, 0 if it had better stay.
pub(crate) fn lengthen(pcm: &mut Vec<f32>, channels: usize) -> usize {
    let Some(lag) = period(pcm, channels) else { return 0 };
    let width = lag * channels;
    let seam: Vec<f32> = (0..width)
        .map(|n| {
            let fade = (n / channels) as f32 / lag as f32;
            pcm[width + n] + (pcm[n] - pcm[width + n]) * fade
        })
        .collect();
    pcm.splice(width..width, seam);
    lag
}

/// The lag after which the start of a frame is most like itself.
fn period(pcm: &[f32], channels: usize) -> Option<usize> {
    let moments = pcm.len() / channels;
    let longest = LONGEST_LAG.min(moments / 2);
    if longest < SHORTEST_LAG {
        return None;
    }
    let mono: Vec<f32> =
        pcm.chunks_exact(channels).step_by(STRIDE).map(|moment| moment.iter().sum()).collect();
    let energy = mono.iter().map(|x| x * x).sum::<f32>() / mono.len() as f32;
    if energy < QUIET {
        return Some(longest);
    }
    let mut best = (ENOUGH_CORRELATION, None);
    for lag in SHORTEST_LAG / STRIDE..=longest / STRIDE {
        let (a, b) = (&mono[..lag], &mono[lag..2 * lag]);
        let (mut product, mut left, mut right) = (0.0, f32::EPSILON, f32::EPSILON);
        for (a, b) in a.iter().zip(b) {
            product += a * b;
            left += a * a;
            right += b * b;
        }
        let correlation = product / (left * right).sqrt();
        if correlation > best.0 {
            best = (correlation, Some(lag * STRIDE));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::{Tone, tone_share};
    use proptest::prelude::*;

    fn tone(hz: f32, channels: u8) -> Vec<f32> {
        let mut pcm = vec![0.0; 960 * usize::from(channels)];
        Tone::new(hz, 48_000, channels).fill(&mut pcm);
        pcm
    }

    #[test]
    fn a_tone_stays_a_tone() {
        for hz in [150.0, 220.0, 440.0, 1_000.0] {
            for channels in [1, 2] {
                let original = tone(hz, channels);
                let channels = usize::from(channels);
                let (mut short, mut long) = (original.clone(), original.clone());
                let (less, more) = (shorten(&mut short, channels), lengthen(&mut long, channels));
                assert!(less >= SHORTEST_LAG && more == less, "{hz}");
                assert_eq!(short.len(), original.len() - less * channels);
                assert_eq!(long.len(), original.len() + more * channels);
                let left: Vec<f32> = long.iter().step_by(channels).copied().collect();
                assert!(tone_share(hz, 48_000, &left) > 0.97, "{hz}");
                for changed in [short, long] {
                    let steps = |pcm: &[f32]| {
                        pcm.windows(channels + 1)
                            .map(|w| (w[channels] - w[0]).abs())
                            .fold(0.0, f32::max)
                    };
                    assert!(steps(&changed) < steps(&original) * 1.2, "{hz}: a click");
                }
            }
        }
    }

    #[test]
    fn what_does_not_repeat_is_left_alone() {
        let mut seed = 1_u32;
        let noise: Vec<f32> = (0..960)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) as f32 / 65_536.0 - 0.5
            })
            .collect();
        let mut same = noise.clone();
        assert_eq!((shorten(&mut same, 1), lengthen(&mut same, 1)), (0, 0));
        assert_eq!(same, noise);
    }

    #[test]
    fn silence_moves_by_the_longest_step() {
        assert_eq!(shorten(&mut vec![0.0; 960], 1), LONGEST_LAG);
        assert_eq!(lengthen(&mut vec![0.0; 1_920], 2), LONGEST_LAG);
        assert_eq!(shorten(&mut vec![0.0; 100], 1), 0);
    }

    proptest! {
        #[test]
        fn any_frame_keeps_its_bounds(
            moments in 0_usize..2_000, channels in 1_usize..3, scale in 0.0_f32..1.0,
        ) {
            let pcm: Vec<f32> =
                (0..moments * channels).map(|n| (n as f32 * 0.05).sin() * scale).collect();
            let (mut short, mut long) = (pcm.clone(), pcm.clone());
            let less = shorten(&mut short, channels);
            let more = lengthen(&mut long, channels);
            prop_assert_eq!(short.len() + less * channels, pcm.len());
            prop_assert_eq!(long.len(), pcm.len() + more * channels);
            prop_assert!(short.iter().chain(&long).all(|x| x.abs() <= scale + 1e-6));
        }
    }
}
