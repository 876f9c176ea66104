//! Sound for a track: a tone, Opus in Ogg, or WAV, at its own pace.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use metered_realtime::media::LocalAudioTrack;
use metered_realtime::media::audio::{OpusApplication, OpusEncoder, OpusOptions, PcmFormat, Tone};
use metered_realtime::media::files::{FileError, Looped, MediaReader, OggOpusReader, WavReader};
use tokio::time::Instant;

use super::SourceError;
use super::source::Fault;

/// Of the packets that are encoded here.
const PACKET_US: u64 = 20_000;
/// Files may be music.
const FILE_BITRATE_BPS: u32 = 64_000;
/// A packet of so many bytes says that the sender pauses.
const MAX_PAUSE_BYTES: usize = 2;

/// Sound, checked.
pub(crate) enum Sound {
    Tone(f32),
    Ogg(SoundFile),
    Wav(SoundFile),
}

/// A file in memory.
pub(crate) struct SoundFile {
    pub(super) path: String,
    pub(super) data: Bytes,
    pub(super) repeats: bool,
}

impl SoundFile {
    /// What became of a file that was read once already.
    fn damaged(&self, error: FileError) -> SourceError {
        SourceError::File { path: self.path.clone(), error }
    }
}

type InMemory = Cursor<Bytes>;

/// A reader that ends, or one that does not.
enum Rounds<R> {
    Once(R),
    Endless(Looped<R>),
}

impl<R: MediaReader<Source = InMemory>> Rounds<R> {
    fn new(reader: R, repeats: bool) -> Self {
        if repeats { Self::Endless(Looped::new(reader)) } else { Self::Once(reader) }
    }

    fn next(&mut self) -> Result<Option<R::Item>, FileError> {
        match self {
            Self::Once(reader) => reader.next_item(),
            Self::Endless(reader) => reader.next_item().map(Some),
        }
    }
}

/// Keeps a source's time.
struct Pace(Instant);

impl Pace {
    async fn until(&self, us: u64) {
        tokio::time::sleep_until(self.0 + Duration::from_micros(us)).await;
    }
}

impl Sound {
    pub(super) fn tone(hz: f32) -> Result<Self, SourceError> {
        if (20.0..=20_000.0).contains(&hz) {
            Ok(Self::Tone(hz))
        } else {
            Err(SourceError::Tone { hz })
        }
    }

    pub(super) fn ogg(file: SoundFile) -> Result<Self, Fault> {
        let mut reader = OggOpusReader::new(Cursor::new(file.data.clone()))?;
        reader.next_item()?.ok_or(Fault::Empty)?;
        Ok(Self::Ogg(file))
    }

    pub(super) fn wav(file: SoundFile) -> Result<Self, Fault> {
        let mut reader = WavReader::new(Cursor::new(file.data.clone()))?;
        reader.next_item()?.ok_or(Fault::Empty)?;
        Ok(Self::Wav(file))
    }

    /// Feeds the track until dropped, or to the end of what does not repeat.
    pub(super) async fn play(self, track: &LocalAudioTrack) -> Result<(), SourceError> {
        let pace = Pace(Instant::now());
        match self {
            Self::Tone(hz) => play_tone(hz, track, &pace).await,
            Self::Ogg(file) => {
                let damaged = |error| file.damaged(error);
                let reader = OggOpusReader::new(Cursor::new(file.data.clone())).map_err(damaged)?;
                let mut packets = Rounds::new(reader, file.repeats);
                let mut begins = true;
                while let Some(packet) = packets.next().map_err(damaged)? {
                    pace.until(packet.timestamp_us).await;
                    track.write(packet.data, packet.timestamp_us, begins)?;
                    begins = false;
                }
                Ok(())
            }
            Self::Wav(file) => {
                let damaged = |error| file.damaged(error);
                let reader = WavReader::new(Cursor::new(file.data.clone())).map_err(damaged)?;
                let options = OpusOptions {
                    application: OpusApplication::Music,
                    bitrate_bps: FILE_BITRATE_BPS,
                    ..OpusOptions::default()
                };
                let mut encoded = Encoded::new(reader.format(), options)?;
                let mut chunks = Rounds::new(reader, file.repeats);
                while let Some(chunk) = chunks.next().map_err(damaged)? {
                    pace.until(chunk.timestamp_us).await;
                    encoded.write(&chunk.pcm, track)?;
                }
                Ok(())
            }
        }
    }
}

async fn play_tone(hz: f32, track: &LocalAudioTrack, pace: &Pace) -> Result<(), SourceError> {
    let format = PcmFormat::OPUS_MONO;
    // A tone that does not change is a noise to the voice detector: DTX would leave it out.
    let options = OpusOptions { dtx: false, ..OpusOptions::default() };
    let mut encoded = Encoded::new(format, options)?;
    let mut tone = Tone::new(hz, format.rate(), format.channels());
    let mut pcm = vec![0.0; format.samples_in(PACKET_US)];
    loop {
        pace.until(encoded.due_us).await;
        tone.fill(&mut pcm);
        encoded.write(&pcm, track)?;
    }
}

/// PCM on its way to a track.
struct Encoded {
    encoder: OpusEncoder,
    due_us: u64,
    /// The next packet follows silence.
    begins: bool,
}

impl Encoded {
    fn new(format: PcmFormat, options: OpusOptions) -> Result<Self, SourceError> {
        Ok(Self { encoder: OpusEncoder::new(format, options)?, due_us: 0, begins: true })
    }

    fn write(&mut self, pcm: &[f32], track: &LocalAudioTrack) -> Result<(), SourceError> {
        for packet in self.encoder.push(pcm)? {
            let at = self.due_us;
            self.due_us += PACKET_US;
            if packet.len() <= MAX_PAUSE_BYTES {
                self.begins = true;
            } else {
                track.write(packet, at, std::mem::take(&mut self.begins))?;
            }
        }
        Ok(())
    }
}
