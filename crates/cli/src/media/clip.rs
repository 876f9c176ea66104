//! Encoded pictures in memory, played at their own pace.
//!
//! What is encoded cannot be encoded anew: when a remote wants a key frame, the clip goes on at its nearest one,
//! before or behind, while the track's own time goes on. A clip with a key frame every two seconds answers a
//! wish within a frame and jumps by a second at most.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use metered_realtime::media::files::{AnnexBReader, IvfReader, MediaReader};
use metered_realtime::media::{AccessUnit, LocalTrackEvent, LocalVideoTrack, Rotation, VideoCodec};
use tokio::time::Instant;

use super::SourceError;
use super::filler::Filler;
use super::source::Fault;
use super::whole::{Cut, Whole};

/// A source is held in memory.
pub(super) const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// The shortest a picture is shown, whatever a damaged file says: a loop of it must not spin.
const MIN_FRAME_US: u64 = 1_000;

/// A clip, read.
pub(crate) struct Clip {
    /// Never empty, and the first is a key frame.
    frames: Vec<AccessUnit>,
    /// From the start to the end of the last frame.
    length_us: u64,
    repeats: bool,
    filler: Option<Filler>,
    cut: Option<Cut>,
}

impl Clip {
    pub(super) fn ivf(data: &Bytes, repeats: bool) -> Result<Self, Fault> {
        Self::read(IvfReader::new(Cursor::new(data))?, repeats)
    }

    pub(super) fn annex_b(
        data: &Bytes,
        (rate, scale): (u32, u32),
        repeats: bool,
    ) -> Result<Self, Fault> {
        Self::read(AnnexBReader::new(Cursor::new(data), rate, scale)?, repeats)
    }

    fn read(reader: impl MediaReader<Item = AccessUnit>, repeats: bool) -> Result<Self, Fault> {
        let (mut reader, mut frames) = (Whole::new(reader), Vec::new());
        while let Some(frame) = reader.next_item()? {
            frames.push(frame);
        }
        let first = frames.first().ok_or(Fault::Empty)?;
        if !first.key_frame {
            return Err(Fault::NoKeyFrame);
        }
        let (length_us, cut) = (reader.read_us(), reader.into_cut());
        Ok(Self { frames, length_us, repeats, filler: None, cut })
    }

    pub(super) const fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    pub(super) fn codec(&self) -> VideoCodec {
        self.frames.first().map_or(VideoCodec::Vp8, |first| first.codec)
    }

    /// All of it lies like this.
    pub(super) fn turned(mut self, rotation: Rotation) -> Self {
        for frame in &mut self.frames {
            frame.rotation = rotation;
        }
        self
    }

    /// H.264 as large as the remotes' paths allow, up to so many bits per second.
    pub(super) fn filled(mut self, bits_per_second: u64) -> Self {
        self.filler = Some(Filler::up_to(bits_per_second));
        self
    }

    /// How long a frame is shown.
    fn duration_us(&self, at: usize) -> u64 {
        let Some(frame) = self.frames.get(at) else { return MIN_FRAME_US };
        let end = self.frames.get(at + 1).map_or(self.length_us, |next| next.timestamp_us);
        end.saturating_sub(frame.timestamp_us).max(MIN_FRAME_US)
    }

    /// Where to go on from `at` with a key frame: the nearest, the earlier one of two that are as near.
    pub(super) fn nearest_key_frame(&self, at: usize) -> usize {
        let keys = self.frames.iter().enumerate().filter(|(_, frame)| frame.key_frame);
        keys.map(|(n, _)| n).min_by_key(|n| n.abs_diff(at)).unwrap_or_default()
    }

    /// Feeds the track until dropped, or to the clip's end if it does not repeat.
    pub(super) async fn play(mut self, track: &LocalVideoTrack) -> Result<(), SourceError> {
        let mut wishes = track.events();
        let (mut at, mut due_us) = (0, 0_u64);
        let began = Instant::now();
        while let Some(frame) = self.frames.get(at) {
            let duration_us = self.duration_us(at);
            let mut frame = AccessUnit { timestamp_us: due_us, ..frame.clone() };
            if let Some(filler) = &mut self.filler {
                let target = track.target().map(|target| target.bits_per_second);
                frame.data = filler.fill(&frame.data, target, duration_us);
            }
            track.write(&frame)?;
            due_us = due_us.saturating_add(duration_us);
            at += 1;
            if at == self.frames.len() && self.repeats {
                at = 0;
            }
            // From the start and not from the last frame, so that nothing adds up.
            tokio::time::sleep_until(began + Duration::from_micros(due_us)).await;
            let mut wanted = false;
            while let Some(event) = wishes.try_next() {
                wanted |= event == LocalTrackEvent::KeyFrameWanted;
            }
            if wanted && at < self.frames.len() {
                at = self.nearest_key_frame(at);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn frames(&self) -> &[AccessUnit] {
        &self.frames
    }
}
