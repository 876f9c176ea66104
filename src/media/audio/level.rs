//! How loud PCM is: root mean square and peak, in decibels below full scale.

use super::pcm::PcmFormat;

/// How long a window is.
const WINDOW_US: u64 = 100_000;
/// Sums that are kept beside each other: two vectors of the narrowest kind.
const LANES: usize = 8;

/// The level of silence: the floor of RFC 6464 section 3.
///
/// ```
/// use metered_realtime::media::audio::{Level, SILENCE_DBFS};
/// /// The length of a bar, 0.0 to 1.0, that begins at -60 dB.
/// fn bar(level: Level) -> f32 {
///     (1.0 + level.rms_dbfs.max(-60.0) / 60.0).min(1.0)
/// }
/// assert_eq!(bar(Level::SILENCE), 0.0);
/// assert_eq!(Level::SILENCE.peak_dbfs, SILENCE_DBFS);
/// ```
pub const SILENCE_DBFS: f32 = -127.0;

/// A level in dBFS: 0.0 is a square wave of full scale, [`SILENCE_DBFS`] is silence.
///
/// ```
/// use metered_realtime::media::audio::Level;
/// /// Whether somebody speaks, rather than breathes.
/// fn speaks(level: Level) -> bool {
///     level.rms_dbfs > -40.0
/// }
/// assert!(!speaks(Level::SILENCE));
/// assert!(speaks(Level { rms_dbfs: -22.0, peak_dbfs: -9.0 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Root mean square of the stretch that was measured.
    pub rms_dbfs: f32,
    /// Its highest sample.
    pub peak_dbfs: f32,
}

impl Level {
    /// Nothing to hear.
    pub const SILENCE: Self = Self { rms_dbfs: SILENCE_DBFS, peak_dbfs: SILENCE_DBFS };
}

/// Sums up PCM until the level is taken.
///
/// ```
/// use metered_realtime::media::audio::{Level, LevelMeter, Tone};
/// let mut meter = LevelMeter::default();
/// assert_eq!(meter.take(), Level::SILENCE);
/// let mut pcm = [0.0; 4_800];
/// Tone::new(440.0, 48_000, 1).fill(&mut pcm);
/// meter.push(&pcm);
/// let level = meter.take();
/// assert!((level.peak_dbfs - -12.0).abs() < 0.1 && (level.rms_dbfs - -15.0).abs() < 0.1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LevelMeter {
    squares: f64,
    samples: u64,
    peak: f32,
}

impl LevelMeter {
    /// Adds PCM to the stretch.
    pub fn push(&mut self, pcm: &[f32]) {
        // Several sums at once: one alone waits for each addition.
        let (mut squares, mut peaks) = ([0.0_f64; LANES], [self.peak; LANES]);
        let (whole, rest) = pcm.as_chunks::<LANES>();
        for samples in whole {
            for ((sample, squares), peak) in samples.iter().zip(&mut squares).zip(&mut peaks) {
                *squares += f64::from(*sample) * f64::from(*sample);
                // As `max`, in one instruction; what is not a number is no peak.
                *peak = if sample.abs() > *peak { sample.abs() } else { *peak };
            }
        }
        for sample in rest {
            squares[0] += f64::from(*sample) * f64::from(*sample);
            peaks[0] = peaks[0].max(sample.abs());
        }
        self.squares += squares.iter().sum::<f64>();
        self.peak = peaks.into_iter().fold(self.peak, f32::max);
        self.samples += pcm.len() as u64;
    }

    /// The level since the last call; silence if there was nothing.
    pub fn take(&mut self) -> Level {
        let meter = std::mem::take(self);
        if meter.samples == 0 {
            return Level::SILENCE;
        }
        let mean = (meter.squares / meter.samples as f64).sqrt() as f32;
        Level { rms_dbfs: dbfs(mean), peak_dbfs: dbfs(meter.peak) }
    }
}

/// The level of the last 100 ms of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LevelWindow {
    meter: LevelMeter,
    metered_us: u64,
    level: Level,
}

impl Default for LevelWindow {
    fn default() -> Self {
        Self { meter: LevelMeter::default(), metered_us: 0, level: Level::SILENCE }
    }
}

impl LevelWindow {
    pub(crate) fn push(&mut self, format: PcmFormat, pcm: &[f32]) {
        self.meter.push(pcm);
        self.metered_us += format.microseconds_of(pcm.len());
        if self.metered_us >= WINDOW_US {
            self.metered_us = 0;
            self.level = self.meter.take();
        }
    }

    pub(crate) const fn level(&self) -> Level {
        self.level
    }
}

fn dbfs(amplitude: f32) -> f32 {
    // The maximum also swallows NaN and the logarithm of zero.
    (20.0 * amplitude.log10()).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_is_zero_and_silence_is_the_floor() {
        let mut meter = LevelMeter::default();
        meter.push(&[1.0, -1.0, 1.0, -1.0]);
        assert_eq!(meter.take(), Level { rms_dbfs: 0.0, peak_dbfs: 0.0 });
        meter.push(&[0.0; 9]);
        assert_eq!(meter.take(), Level::SILENCE);
        meter.push(&[f32::NAN]);
        assert_eq!(meter.take(), Level::SILENCE);
    }

    #[test]
    fn taking_a_level_starts_the_next() {
        let mut meter = LevelMeter::default();
        meter.push(&[1.0]);
        meter.take();
        meter.push(&[0.1]);
        assert!((meter.take().peak_dbfs - -20.0).abs() < 1e-3);
    }
}
