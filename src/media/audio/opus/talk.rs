//! Which of Opus' two coders the frames of a voice are for. Pure.
//!
//! Opus codes speech by a model of the voice (SILK) or, as music, by its spectrum (CELT). With bits enough and
//! nothing lost the spectrum sounds better for less than half the work; but only SILK copies what may get lost into the
//! next packet, has a detector for pauses (DTX), and makes do with few bits. So the spectrum gets what is loud and
//! changes, and SILK the pauses between words, noises that go on, few bits and lossy paths.

/// Bits per second and channel from which on the spectrum is the better one.
const ENOUGH_BPS: u32 = 24_000;
/// Frames that say what is loud here: two seconds of 20 ms.
const WINDOW: usize = 100;
/// Frames behind a loud one that belong to it: less is no pause.
const HOLD: usize = 25;
/// So far below the loudest frame a frame is not loud.
const LOUD_DB: f32 = 18.0;
/// So far the loudest is above the quietest where somebody talks; a fan or a hum is evener.
const LIVELY_DB: f32 = 12.0;
/// Nobody talks below that, in decibels of full scale.
const QUIET_DBFS: f32 = -60.0;
const SILENCE_DBFS: f32 = -100.0;
const FULL_SCALE: f32 = 32_768.0;

/// What is known about the sound of one encoder.
#[derive(Debug)]
pub(super) struct Talk {
    levels: [f32; WINDOW],
    next: usize,
    /// Frames since the last loud one.
    quiet: usize,
}

/// How the encoder is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) bps: u32,
    pub(super) channels: u8,
    pub(super) expects_loss: bool,
    pub(super) dtx: bool,
}

impl Setting {
    const fn allows_spectrum(self) -> bool {
        !self.expects_loss && self.bps >= ENOUGH_BPS * self.channels as u32
    }
}

impl Talk {
    pub(super) const fn new() -> Self {
        Self { levels: [SILENCE_DBFS; WINDOW], next: 0, quiet: HOLD }
    }

    /// Whether this frame, the one behind the last, is for the spectrum.
    pub(super) fn is_for_spectrum(&mut self, frame: &[i16], setting: Setting) -> bool {
        if !setting.allows_spectrum() {
            return false;
        }
        if !setting.dtx {
            return true;
        }
        let level = dbfs(frame);
        self.levels[self.next] = level;
        self.next = (self.next + 1) % WINDOW;
        let range = |(least, most): (f32, f32), level: &f32| (least.min(*level), most.max(*level));
        let (least, most) = self.levels.iter().fold((0.0, SILENCE_DBFS), range);
        let is_lively = most - least >= LIVELY_DB && most >= QUIET_DBFS;
        let is_loud = is_lively && level >= most - LOUD_DB;
        self.quiet = if is_loud { 0 } else { (self.quiet + 1).min(HOLD) };
        is_lively && self.quiet < HOLD
    }
}

fn dbfs(frame: &[i16]) -> f32 {
    let sum: u64 = frame.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    let mean = sum as f32 / (frame.len().max(1) as f32 * FULL_SCALE * FULL_SCALE);
    (10.0 * mean.log10()).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::Tone;

    const SETTING: Setting = Setting { bps: 32_000, channels: 1, expects_loss: false, dtx: true };

    /// Frames of noise that does not change, so many decibels below full scale.
    fn noise(frames: usize, below: f32) -> Vec<i16> {
        let most = 32_768.0 * 10_f32.powf(-below / 20.0);
        super::super::tests::noise().take(frames * 960).map(|noise| (noise * most) as i16).collect()
    }

    fn tone(frames: usize) -> Vec<i16> {
        let mut pcm = vec![0.0; frames * 960];
        Tone::new(440.0, 48_000, 1).fill(&mut pcm);
        pcm.iter().map(|sample| (sample * 32_768.0) as i16).collect()
    }

    /// Whose spectrum was coded.
    fn coded(talk: &mut Talk, sound: &[i16], setting: Setting) -> Vec<bool> {
        sound.chunks(960).map(|frame| talk.is_for_spectrum(frame, setting)).collect()
    }

    #[test]
    fn talk_is_loud_and_changes() {
        let mut talk = Talk::new();
        coded(&mut talk, &noise(WINDOW, 50.0), SETTING);
        for _ in 0..20 {
            let words = coded(&mut talk, &tone(12), SETTING);
            assert_eq!(words, [true; 12], "from the first frame");
            assert_eq!(coded(&mut talk, &noise(HOLD - 1, 50.0), SETTING), [true; HOLD - 1]);
        }
        assert_eq!(coded(&mut talk, &noise(500, 50.0), SETTING), [false; 500], "a pause");
    }

    #[test]
    fn what_goes_on_evenly_is_judged_by_the_detector_for_pauses() {
        for sound in [noise(1_000, 20.0), tone(1_000), noise(1_000, 70.0), vec![0; 960_000]] {
            let coded = coded(&mut Talk::new(), &sound, SETTING);
            assert!(!coded[WINDOW..].contains(&true));
        }
        let talks = coded(&mut Talk::new(), &tone(200), Setting { dtx: false, ..SETTING });
        assert_eq!(talks, [true; 200], "nothing is left out, so nothing is judged");
    }

    #[test]
    fn loss_few_bits_and_two_channels_for_the_bits_of_one_are_for_the_model() {
        let refused = [
            Setting { expects_loss: true, ..SETTING },
            Setting { bps: ENOUGH_BPS - 1, ..SETTING },
            Setting { channels: 2, ..SETTING },
        ];
        for setting in refused {
            for dtx in [true, false] {
                let coded = coded(&mut Talk::new(), &tone(10), Setting { dtx, ..setting });
                assert_eq!(coded, [false; 10], "{setting:?}");
            }
        }
    }

    #[test]
    fn levels_are_of_full_scale() {
        assert_eq!(dbfs(&[0; 960]), SILENCE_DBFS);
        assert_eq!(dbfs(&[]), SILENCE_DBFS);
        assert_eq!(dbfs(&[i16::MIN; 960]), 0.0);
        assert!((dbfs(&tone(1)) + 15.0).abs() < 0.2);
    }
}
