//! Sound for a track: a tone, Opus in Ogg, or WAV, at its own pace.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use metered_realtime::media::LocalAudioTrack;
use metered_realtime::media::audio::{OpusApplication, OpusOptions, PcmFormat, Tone};
use metered_realtime::media::files::{FileError, Looped, MediaReader, OggOpusReader, WavReader};
use tokio::time::Instant;

use super::SourceError;
use super::source::Fault;

/// Of a tone that are written at once.
const CHUNK_US: u64 = 20_000;
/// Files may be music.
const FILE_BITRATE_BPS: u32 = 64_000;

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
                track.set_encoding(OpusOptions {
                    application: OpusApplication::Music,
                    bitrate_bps: FILE_BITRATE_BPS,
                    ..OpusOptions::default()
                })?;
                let format = reader.format();
                let mut chunks = Rounds::new(reader, file.repeats);
                while let Some(chunk) = chunks.next().map_err(damaged)? {
                    pace.until(chunk.timestamp_us).await;
                    track.write_pcm(format, &chunk.pcm)?;
                }
                Ok(())
            }
        }
    }
}

async fn play_tone(hz: f32, track: &LocalAudioTrack, pace: &Pace) -> Result<(), SourceError> {
    let format = PcmFormat::OPUS_MONO;
    // A tone that does not change is a noise to the voice detector: DTX would leave it out.
    track.set_encoding(OpusOptions { dtx: false, ..OpusOptions::default() })?;
    let mut tone = Tone::new(hz, format.rate(), format.channels());
    let mut pcm = vec![0.0; format.samples_in(CHUNK_US)];
    let mut due_us = 0;
    loop {
        pace.until(due_us).await;
        tone.fill(&mut pcm);
        track.write_pcm(format, &pcm)?;
        due_us += CHUNK_US;
    }
}
