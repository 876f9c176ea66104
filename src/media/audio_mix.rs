//! All remotes of a call as one sound, for one loudspeaker.

use std::sync::{Arc, Mutex};

use super::audio::{AudioError, JitterOptions, Level, LevelMeter, Mixer, PcmFormat};
use super::local::lock;
use super::remote_audio::{AudioOutput, RemoteAudioTrack};

/// Mixes tracks, each with a gain of its own. Handles are cheap clones of one mix: the thread that plays pulls,
/// others add tracks and turn the gains.
///
/// ```
/// use metered_realtime::media::AudioMix;
/// use metered_realtime::media::audio::PcmFormat;
/// let mix = AudioMix::new(PcmFormat::new(48_000, 2)?);
/// let mut pcm = [1.0; 960]; // 10 ms in stereo
/// mix.pull(&mut pcm); // no remote, no sound
/// assert_eq!(pcm, [0.0; 960]);
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AudioMix {
    format: PcmFormat,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    mixer: Mixer<u64>,
    inputs: Vec<Input>,
    next: u64,
    part: Vec<f32>,
    meter: LevelMeter,
}

#[derive(Debug)]
struct Input {
    id: u64,
    output: AudioOutput,
    /// Samples that may still be on their way to the ear.
    left: usize,
}

/// A track in a mix.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Heard { audio, .. }| {
/// use metered_realtime::media::audio::{MAX_GAIN, PcmFormat};
/// use metered_realtime::media::{AudioMix, MixInput};
/// let mix = AudioMix::new(PcmFormat::OPUS_STEREO);
/// assert_eq!(mix.format(), PcmFormat::OPUS_STEREO);
/// let bob_in_mix: MixInput = mix.add(&audio)?;
/// mix.set_gain(bob_in_mix, MAX_GAIN); // who is too quiet
/// let mut chunk = [0.0; 960]; // 10 ms
/// while mix.level().peak_dbfs < -30.0 {
///     mix.pull(&mut chunk); // at the pace of the loudspeaker
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// }
/// assert_eq!(mix.inputs(), 1);
/// mix.remove(bob_in_mix); // for this listener alone; the track goes on
/// assert_eq!(mix.inputs(), 0);
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MixInput(pub(crate) u64);

impl AudioMix {
    /// A mix that gives PCM in a format.
    pub fn new(format: PcmFormat) -> Self {
        let inner = Inner {
            mixer: Mixer::new(format.channels()),
            inputs: Vec::new(),
            next: 0,
            part: Vec::new(),
            meter: LevelMeter::default(),
        };
        Self { format, inner: Arc::new(Mutex::new(inner)) }
    }

    /// What PCM it gives.
    pub const fn format(&self) -> PcmFormat {
        self.format
    }

    /// Adds a track, at gain 1.0. It leaves the mix by itself when it ends.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if the codec refuses, which it does not.
    pub fn add(&self, track: &RemoteAudioTrack) -> Result<MixInput, AudioError> {
        let output = track.playout(self.format)?;
        let mut inner = lock(&self.inner);
        let id = inner.next;
        inner.next += 1;
        let left = self.format.samples_in(JitterOptions::default().max_delay.as_micros() as u64);
        inner.inputs.push(Input { id, output, left });
        Ok(MixInput(id))
    }

    /// Takes a track out.
    pub fn remove(&self, input: MixInput) {
        let mut inner = lock(&self.inner);
        inner.inputs.retain(|known| known.id != input.0);
        inner.mixer.remove(&input.0);
    }

    /// How loud a track is: 0.0 is silent, 1.0 unchanged, at most [`MAX_GAIN`](super::audio::MAX_GAIN). It
    /// moves there within 10 ms, so that nothing clicks.
    pub fn set_gain(&self, input: MixInput, gain: f32) {
        lock(&self.inner).mixer.set_gain(input.0, gain);
    }

    /// Fills a chunk with the sound of all tracks whose first moment is heard now.
    pub fn pull(&self, pcm: &mut [f32]) {
        let mut inner = lock(&self.inner);
        let Inner { mixer, inputs, part, meter, .. } = &mut *inner;
        pcm.fill(0.0);
        inputs.retain_mut(|Input { id, output, left }| {
            part.clear();
            part.resize(pcm.len(), 0.0);
            output.pull(part);
            mixer.add(id, part, pcm);
            if output.is_ended() {
                *left = left.saturating_sub(pcm.len());
            }
            if *left == 0 {
                mixer.remove(id);
            }
            *left > 0
        });
        mixer.finish(pcm);
        meter.push(pcm);
    }

    /// How many tracks are in it.
    pub fn inputs(&self) -> usize {
        lock(&self.inner).inputs.len()
    }

    /// How loud it was since the last call.
    pub fn level(&self) -> Level {
        lock(&self.inner).meter.take()
    }
}
