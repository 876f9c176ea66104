//! Sound that we send: PCM, encoded once for all remotes, or ready Opus packets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::audio::{
    Capture, Captured, Level, MAX_PACKET_BYTES, OPUS_CLOCK_HZ, OpusOptions, OpusPacketInfo,
    PcmFormat, from_i16,
};
use super::local::{LocalTrackEvents, Parcel, Shared, WriteError, lock, random_id};
use crate::rtc::engine::MediaKind;

/// Sound for the remotes. Handles are cheap clones of one track.
///
/// Write PCM as the microphone gives it, and the track encodes it; or write Opus packets of your own. Not both:
/// their clocks differ.
///
/// ```
/// use metered_realtime::media::LocalAudioTrack;
/// use metered_realtime::media::audio::PcmFormat;
/// let track = LocalAudioTrack::default();
/// let microphone = PcmFormat::new(44_100, 1)?;
/// track.write_pcm_i16(microphone, &[0; 441])?; // 10 ms
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LocalAudioTrack {
    shared: Arc<Shared>,
    encoding: Arc<Encoding>,
}

#[derive(Debug)]
struct Encoding {
    epoch: Instant,
    capture: Mutex<Capture>,
    converted: Mutex<Vec<f32>>,
    /// Whether what is written next follows a silence that we made.
    was_muted: AtomicBool,
}

impl Default for LocalAudioTrack {
    fn default() -> Self {
        Self::with_id(random_id())
    }
}

impl LocalAudioTrack {
    /// A track with this id, which must differ from every other's.
    ///
    /// ```
    /// use metered_realtime::media::LocalAudioTrack;
    /// let microphone = LocalAudioTrack::with_id("microphone");
    /// assert_eq!(microphone.id(), "microphone");
    /// ```
    pub fn with_id(id: impl Into<String>) -> Self {
        let shared = Shared::new(id.into(), MediaKind::Audio, "audio/opus");
        let encoding = Encoding {
            epoch: Instant::now(),
            capture: Mutex::new(Capture::new(OpusOptions::default())),
            converted: Mutex::default(),
            was_muted: AtomicBool::new(false),
        };
        Self { shared, encoding: Arc::new(encoding) }
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.shared.id()
    }

    fn now(&self) -> Duration {
        self.encoding.epoch.elapsed()
    }

    /// Takes interleaved PCM from -1.0 to 1.0, in chunks of any size, as it is recorded: encodes it to Opus
    /// packets of 20 ms and hands those to every remote. Never waits; takes as long as the encoder does, about
    /// a sixtieth of what the sound lasts. Half a second that is written at once is more than may wait.
    ///
    /// What is written while muted is dropped, and its time passes all the same.
    ///
    /// # Errors
    /// [`WriteError::Audio`]: a chunk that ends in the middle of a moment, or a codec that failed or was not built.
    ///
    /// ```
    /// use metered_realtime::media::LocalAudioTrack;
    /// use metered_realtime::media::audio::{PcmFormat, Tone};
    /// let track = LocalAudioTrack::default();
    /// let mut tone = Tone::new(440.0, 48_000, 1);
    /// let mut chunk = [0.0; 480]; // 10 ms
    /// for _ in 0..10 {
    ///     tone.fill(&mut chunk);
    ///     track.write_pcm(PcmFormat::OPUS_MONO, &chunk)?;
    /// }
    /// assert!((track.level().rms_dbfs - -15.0).abs() < 0.5); // for the bar beside the microphone
    /// # Ok::<(), metered_realtime::media::WriteError>(())
    /// ```
    pub fn write_pcm(&self, format: PcmFormat, pcm: &[f32]) -> Result<(), WriteError> {
        if self.shared.is_muted() {
            format.check(pcm.len())?;
            Capture::is_built()?;
            self.encoding.was_muted.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let captured = {
            let mut capture = lock(&self.encoding.capture);
            if self.encoding.was_muted.swap(false, Ordering::Relaxed) {
                capture.resume();
            }
            let limit = self.target().map(|target| target.bits_per_second);
            capture.adapt(self.shared.worst_loss(), limit)?;
            capture.push(self.now(), format, pcm)?
        };
        captured.into_iter().for_each(|captured| self.send_captured(captured));
        Ok(())
    }

    /// As [`write_pcm`](Self::write_pcm), for samples from -32,768 to 32,767.
    ///
    /// # Errors
    /// As `write_pcm`.
    pub fn write_pcm_i16(&self, format: PcmFormat, pcm: &[i16]) -> Result<(), WriteError> {
        let mut converted = lock(&self.encoding.converted);
        converted.clear();
        from_i16(pcm, &mut converted);
        self.write_pcm(format, &converted)
    }

    /// Hands an Opus packet to every remote. `timestamp_us` is the time of its first sample on a clock of the
    /// track's own; `begins` says that it follows silence. Never waits.
    ///
    /// # Errors
    /// [`WriteError::NotOpus`] by its size.
    ///
    /// ```
    /// use metered_realtime::media::LocalAudioTrack;
    /// use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat};
    /// let track = LocalAudioTrack::default();
    /// let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, OpusOptions::default())?; // or a file
    /// let mut time_us = 0;
    /// for packet in encoder.push(&[0.1; 4_800])? {
    ///     track.write(packet, time_us, time_us == 0)?;
    ///     time_us += 20_000;
    /// }
    /// assert_eq!(track.write(vec![0; 2_000].into(), time_us, false).unwrap_err().code(), "opus_packet_size");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&self, packet: Bytes, timestamp_us: u64, begins: bool) -> Result<(), WriteError> {
        if packet.is_empty() || packet.len() > MAX_PACKET_BYTES {
            return Err(WriteError::NotOpus);
        }
        self.send(packet, timestamp_us, begins);
        Ok(())
    }

    fn send_captured(&self, captured: Captured) {
        self.send(captured.packet, captured.timestamp_us, captured.begins);
    }

    fn send(&self, packet: Bytes, timestamp_us: u64, begins: bool) {
        // Its time is that of its first sample, and it is there when the last one is.
        let samples = OpusPacketInfo::of(&packet).map_or(0, |info| info.samples);
        let lasts = Duration::from_secs(samples.into()) / OPUS_CLOCK_HZ;
        let now = Instant::now();
        self.shared.write(Parcel {
            payloads: vec![packet],
            timestamp_us,
            captured: now.checked_sub(lasts).unwrap_or(now),
            key_frame: true,
            profile: None,
            rotation: None,
            marker: begins,
        });
    }

    /// How PCM is encoded from now on. The bitrate is the most: the slowest remote's path may have room for
    /// less, see [`target`](Self::target).
    ///
    /// # Errors
    /// [`WriteError::Audio`] for a bitrate outside the range; nothing changes then.
    ///
    /// ```
    /// use metered_realtime::media::LocalAudioTrack;
    /// use metered_realtime::media::audio::{OpusApplication, OpusOptions};
    /// let track = LocalAudioTrack::default();
    /// let music = OpusOptions { application: OpusApplication::Music, bitrate_bps: 96_000, dtx: false };
    /// track.set_encoding(music)?;
    /// assert_eq!(track.encoding(), music);
    /// # Ok::<(), metered_realtime::media::WriteError>(())
    /// ```
    pub fn set_encoding(&self, options: OpusOptions) -> Result<(), WriteError> {
        Ok(lock(&self.encoding.capture).set_options(options)?)
    }

    /// How PCM is encoded.
    pub fn encoding(&self) -> OpusOptions {
        lock(&self.encoding.capture).options()
    }

    /// How loud the last 100 ms of PCM were; silence while muted, and when nothing is written.
    pub fn level(&self) -> Level {
        if self.shared.is_muted() {
            return Level::SILENCE;
        }
        lock(&self.encoding.capture).level(self.now())
    }

    /// What the remotes need. The first subscription gets what came before it.
    ///
    /// ```
    /// use metered_realtime::media::LocalAudioTrack;
    /// let track = LocalAudioTrack::default();
    /// let mut events = track.events();
    /// assert_eq!(events.try_next(), None); // nobody gets it yet, so nobody has a wish
    /// ```
    pub fn events(&self) -> LocalTrackEvents {
        self.shared.events()
    }

    /// Stops or resumes sending. Its remotes keep the track, and its time goes on.
    ///
    /// ```
    /// use metered_realtime::media::LocalAudioTrack;
    /// use metered_realtime::media::audio::{Level, PcmFormat};
    /// let track = LocalAudioTrack::default();
    /// track.set_muted(true);
    /// track.write_pcm(PcmFormat::OPUS_MONO, &[0.5; 4_800])?; // go on: the time passes, nothing is sent
    /// assert_eq!(track.level(), Level::SILENCE);
    /// # Ok::<(), metered_realtime::media::WriteError>(())
    /// ```
    pub fn set_muted(&self, muted: bool) {
        if muted && !self.shared.is_muted() {
            match lock(&self.encoding.capture).fade_out() {
                Ok(faded) => faded.into_iter().for_each(|captured| self.send_captured(captured)),
                // What is heard last is concealed then, which is less than nice and no more.
                Err(error) => tracing::debug!(%error, "the sound ends abruptly"),
            }
        }
        self.shared.set_muted(muted);
    }
}
