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
use super::whole::{Cut, Whole};

/// Of a tone that are written at once.
const CHUNK_US: u64 = 20_000;
/// A tone that is later goes on without what it missed; a track takes that for a pause.
const MOST_LATE_US: u64 = 200_000;
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
    pub(super) cut: Option<Cut>,
}

impl SoundFile {
    /// Reads all of it once: what is wrong with it is better known before it is sent.
    fn checked(self, reader: impl MediaReader) -> Result<Self, Fault> {
        let mut reader = Whole::new(reader);
        reader.next_item()?.ok_or(Fault::Empty)?;
        while reader.next_item()?.is_some() {}
        Ok(Self { cut: reader.into_cut(), ..self })
    }

    /// What became of a file that was read once already.
    fn damaged(&self, error: FileError) -> SourceError {
        SourceError::File { path: self.path.clone(), error }
    }
}

type InMemory = Cursor<Bytes>;

/// A reader that ends, or one that does not.
enum Rounds<R> {
    Once(Whole<R>),
    Endless(Looped<Whole<R>>),
}

impl<R: MediaReader<Source = InMemory>> Rounds<R> {
    fn new(reader: R, repeats: bool) -> Self {
        let reader = Whole::new(reader);
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

    /// When to go on with what has no time of its own: what is overdue by more is left out.
    fn caught_up(&self, us: u64) -> u64 {
        let elapsed = self.0.elapsed().as_micros() as u64;
        if elapsed.saturating_sub(us) > MOST_LATE_US { elapsed } else { us }
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
        let reader = OggOpusReader::new(Cursor::new(file.data.clone()))?;
        file.checked(reader).map(Self::Ogg)
    }

    pub(super) fn wav(file: SoundFile) -> Result<Self, Fault> {
        let reader = WavReader::new(Cursor::new(file.data.clone()))?;
        file.checked(reader).map(Self::Wav)
    }

    pub(super) const fn cut(&self) -> Option<&Cut> {
        match self {
            Self::Ogg(file) | Self::Wav(file) => file.cut.as_ref(),
            Self::Tone(_) => None,
        }
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
        due_us = pace.caught_up(due_us + CHUNK_US);
    }
}
