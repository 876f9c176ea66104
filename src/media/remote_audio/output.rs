//! PCM of a remote's sound, at the pace of whoever plays it.
//!
//! Each output has a jitter buffer and a decoder of its own. It decodes when it is asked for PCM: its clock leads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::RemoteAudioTrack;
use super::packets::AudioPacket;
use super::shared::Shared;
use crate::media::audio::{
    AudioError, AudioPlayout, JitterOptions, Level, LevelWindow, PcmFormat, PlayoutStats,
};
use crate::media::local::lock;

/// After so long without a pull nobody listens.
pub(super) const UNHEARD: Duration = Duration::from_millis(500);

impl RemoteAudioTrack {
    /// A sink of PCM in a format, with a jitter buffer of its own. It begins with what came in the last half
    /// second if it is the first.
    ///
    /// # Errors
    /// [`AudioError::NotBuilt`] without the feature `opus`; [`AudioError::Codec`] if the codec refuses, which it
    /// does not.
    pub fn playout(&self, format: PcmFormat) -> Result<AudioOutput, AudioError> {
        self.playout_with(format, JitterOptions::default())
    }

    /// As [`playout`](Self::playout), with bounds of the delay.
    ///
    /// # Errors
    /// [`AudioError::Delay`] for bounds that cannot be.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Heard { audio, .. }| {
    /// use metered_realtime::media::audio::{JitterOptions, PcmFormat};
    /// use std::time::Duration;
    /// // For a choir: never more than 80 ms behind, even if more is concealed then.
    /// let bounds = JitterOptions { max_delay: Duration::from_millis(80), ..JitterOptions::default() };
    /// let output = audio.playout_with(PcmFormat::OPUS_MONO, bounds)?;
    /// # let _ = output;
    /// let wrong = JitterOptions { max_delay: Duration::ZERO, ..bounds };
    /// assert_eq!(audio.playout_with(PcmFormat::OPUS_MONO, wrong).unwrap_err().code(), "audio_delay");
    /// # Ok(())
    /// # });
    /// ```
    pub fn playout_with(
        &self,
        format: PcmFormat,
        options: JitterOptions,
    ) -> Result<AudioOutput, AudioError> {
        let output = Output {
            playout: AudioPlayout::new(format, options)?,
            level: LevelWindow::default(),
            pulled: self.shared.now(),
        };
        let (number, output) = self.shared.add(output);
        Ok(AudioOutput { shared: Arc::clone(&self.shared), output, number, format })
    }

    /// How loud the last 100 ms were, as its outputs heard them; silence if nobody plays it.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Heard { audio, .. }| {
    /// use metered_realtime::media::audio::Level;
    /// // Nobody plays it yet, so nothing was decoded.
    /// assert_eq!(audio.level(), Level::SILENCE);
    /// # Ok(())
    /// # });
    /// ```
    pub fn level(&self) -> Level {
        let now = self.shared.now();
        let outputs = self.shared.outputs();
        let levels = outputs.iter().map(|output| lock(output).level(now));
        levels.max_by(|one, two| one.rms_dbfs.total_cmp(&two.rms_dbfs)).unwrap_or(Level::SILENCE)
    }
}

/// A sink of a track's PCM. Pull from it at the pace of what plays it; what is lost or late on the way is
/// concealed. Detached when dropped.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Heard { audio, .. }| {
/// use metered_realtime::media::AudioOutput;
/// use metered_realtime::media::audio::PcmFormat;
/// let mut output: AudioOutput = audio.playout(PcmFormat::new(16_000, 1)?)?; // for a recogniser of speech
/// assert_eq!(output.format().rate(), 16_000);
/// let mut chunk = [0.0; 160]; // 10 ms
/// while output.level().peak_dbfs < -30.0 {
///     output.pull(&mut chunk);
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// }
/// assert!(audio.level().peak_dbfs > -40.0); // what a picture of who speaks goes by
/// assert!(output.stats().jitter.played_samples > 0);
/// assert!(!output.is_ended());
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct AudioOutput {
    shared: Arc<Shared>,
    output: Arc<Mutex<Output>>,
    number: u64,
    format: PcmFormat,
}

impl AudioOutput {
    /// What PCM it gives.
    pub const fn format(&self) -> PcmFormat {
        self.format
    }

    /// Fills a chunk of any size with interleaved PCM whose first moment is heard now. Never waits; after the
    /// track's end it fills in silence.
    pub fn pull(&mut self, pcm: &mut [f32]) {
        let now = self.shared.now();
        let heard = {
            let mut output = lock(&self.output);
            output.pull(now, pcm);
            output.playout.heard()
        };
        self.shared.played(self.number, now, heard);
    }

    /// How loud the last 100 ms were; silence if nothing was pulled for half a second.
    pub fn level(&self) -> Level {
        lock(&self.output).level(self.shared.now())
    }

    /// What was counted and measured so far.
    pub fn stats(&self) -> PlayoutStats {
        lock(&self.output).stats()
    }

    /// Whether the remote sends the track no more. What is on its way to the ear is still to be pulled.
    pub fn is_ended(&self) -> bool {
        self.shared.is_ended()
    }
}

/// What a handle and the track's task share of an output.
#[derive(Debug)]
pub(super) struct Output {
    playout: AudioPlayout,
    level: LevelWindow,
    pulled: Duration,
}

impl Output {
    pub(super) fn handle(&mut self, now: Duration, packet: &AudioPacket) {
        let AudioPacket { sequence, timestamp, payload, .. } = packet;
        if let Err(error) = self.playout.handle(now, *sequence, *timestamp, payload.clone()) {
            // Counted by the playout, and its time is concealed.
            tracing::debug!(%error, "a packet is not played");
        }
    }

    fn level(&self, now: Duration) -> Level {
        let heard = now.saturating_sub(self.pulled) <= UNHEARD;
        if heard { self.level.level() } else { Level::SILENCE }
    }

    pub(super) fn stats(&self) -> PlayoutStats {
        self.playout.stats()
    }

    fn pull(&mut self, now: Duration, pcm: &mut [f32]) {
        self.playout.pull(now, pcm);
        self.pulled = now;
        self.level.push(self.playout.format(), pcm);
    }
}
