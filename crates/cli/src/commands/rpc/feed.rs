//! Clips as sources of tracks: IVF (VP8, VP9, AV1) and H.264 in Annex B, at their own pace.

use std::time::Duration;

use bytes::Bytes;
use metered_realtime::media::{AccessUnit, LocalTrackEvent, LocalVideoTrack, VideoCodec};
use tokio::time::Instant;

use super::error::RpcError;

/// A clip is held in memory.
const MAX_CLIP_BYTES: u64 = 64 * 1024 * 1024;
/// H.264 in Annex B says nothing of its pace.
const ANNEX_B_FRAME_US: u64 = 33_333;

/// A clip, read.
pub(super) struct Clip {
    pub(super) codec: VideoCodec,
    frames: Vec<AccessUnit>,
    frame_us: u64,
}

fn refused(what: &str) -> RpcError {
    RpcError::params(format_args!("source.file: {what}"))
}

impl Clip {
    pub(super) async fn read(path: &str) -> Result<Self, RpcError> {
        let size = tokio::fs::metadata(path).await.map_err(|error| refused(&error.to_string()))?;
        if size.len() > MAX_CLIP_BYTES {
            return Err(refused("a clip has at most 64 MiB"));
        }
        let data = tokio::fs::read(path).await.map_err(|error| refused(&error.to_string()))?;
        let clip = match path.rsplit_once('.').map(|(_, kind)| kind) {
            Some("ivf") => ivf(&data.into()),
            Some("h264") => Some(annex_b(&data)),
            _ => return Err(refused("a clip is .ivf or .h264")),
        };
        let clip = clip.ok_or_else(|| refused("the file is damaged"))?;
        let begins = clip.frames.first().is_some_and(|first| first.key_frame);
        if begins { Ok(clip) } else { Err(refused("a clip begins with a key frame")) }
    }

    /// Feeds the track until it is aborted, or at the clip's end if it does not loop. A key frame that is
    /// wanted is the clip's next one: what is encoded cannot be encoded anew.
    pub(super) async fn play(self, track: LocalVideoTrack, repeats: bool) {
        let mut wishes = track.events();
        let (mut at, mut shown) = (0, 0_u64);
        let began = Instant::now();
        while let Some(frame) = self.frames.get(at) {
            let timestamp_us = shown * self.frame_us;
            let frame = AccessUnit { timestamp_us, ..frame.clone() };
            if let Err(error) = track.write(&frame) {
                return tracing::warn!(code = error.code(), "the clip ends here: {error}");
            }
            shown += 1;
            at += 1;
            if at == self.frames.len() && repeats {
                at = 0;
            }
            tokio::time::sleep_until(began + Duration::from_micros(shown * self.frame_us)).await;
            let mut wanted = false;
            while let Some(event) = wishes.try_next() {
                wanted |= event == LocalTrackEvent::KeyFrameWanted;
            }
            if wanted {
                let rest = self.frames.iter().skip(at).position(|frame| frame.key_frame);
                at = rest.map_or(if repeats { 0 } else { at }, |further| at + further);
            }
        }
    }
}

/// IVF: a header of 32 bytes, then frames with their length and time.
fn ivf(data: &Bytes) -> Option<Clip> {
    let number = |at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?));
    let codec = match (data.get(..4)?, data.get(8..12)?) {
        (b"DKIF", b"VP80") => VideoCodec::Vp8,
        (b"DKIF", b"VP90") => VideoCodec::Vp9,
        (b"DKIF", b"AV01") => VideoCodec::Av1,
        _ => return None,
    };
    let (rate, scale) = (u64::from(number(16)?), u64::from(number(20)?));
    let frame_us = (scale * 1_000_000).checked_div(rate).filter(|us| *us > 0)?;
    let mut at = usize::from(u16::from_le_bytes(data.get(6..8)?.try_into().ok()?));
    let mut frames = Vec::new();
    while at < data.len() {
        let length = usize::try_from(number(at)?).ok()?;
        let begin = at.checked_add(12)?;
        at = begin.checked_add(length).filter(|end| *end <= data.len())?;
        frames.push(AccessUnit::new(codec, data.slice(begin..at), 0));
    }
    Some(Clip { codec, frames, frame_us })
}

/// Annex B: a picture ends where another's first NAL unit begins (ITU-T H.264 section 7.4.1.2.3).
fn annex_b(data: &[u8]) -> Clip {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(found) = data.get(at..).and_then(|rest| {
        rest.windows(3).position(|window| window == [0, 0, 1]).map(|found| at + found)
    }) {
        starts.push(found);
        at = found + 3;
    }
    let mut pictures: Vec<usize> = Vec::new();
    let mut has_slice = true;
    for start in starts {
        let kind = data.get(start + 3).map_or(0, |head| head & 0x1f);
        let slice = matches!(kind, 1 | 5);
        // first_mb_in_slice is 0 where its first bit is 1.
        let first = data.get(start + 4).is_some_and(|byte| byte & 0x80 != 0);
        if has_slice && (!slice || first) {
            pictures.push(start);
            has_slice = false;
        }
        has_slice |= slice;
    }
    let ends = pictures.iter().copied().skip(1).chain([data.len()]);
    let picture = |(start, end): (&usize, usize)| {
        AccessUnit::new(VideoCodec::H264, Bytes::copy_from_slice(&data[*start..end]), 0)
    };
    let frames = pictures.iter().zip(ends).map(picture).collect();
    Clip { codec: VideoCodec::H264, frames, frame_us: ANNEX_B_FRAME_US }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(name: &str) -> String {
        format!("{}/../../tests/interop/browser/clips/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[tokio::test]
    async fn clips_are_read_picture_by_picture() {
        for (name, codec) in [
            ("pattern-vp8.ivf", VideoCodec::Vp8),
            ("pattern-vp9.ivf", VideoCodec::Vp9),
            ("pattern.h264", VideoCodec::H264),
        ] {
            let clip = Clip::read(&clip(name)).await.map_err(|error| error.to_json()).unwrap();
            assert_eq!((clip.codec, clip.frames.len()), (codec, 40), "{name}");
            let keys = clip.frames.iter().enumerate().filter(|(_, frame)| frame.key_frame);
            assert_eq!(keys.map(|(n, _)| n).collect::<Vec<_>>(), [0, 10, 20, 30], "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_no_clip_is_refused() {
        let whole = std::fs::read(clip("pattern-vp8.ivf")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 4] = [
            ("cut.ivf", &whole[..100]),
            ("none.ivf", b""),
            ("delta.h264", &[0, 0, 1, 0x41, 0x80]),
            ("a.mp4", b"x"),
        ];
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            assert!(Clip::read(path.to_str().unwrap()).await.is_err(), "{name}");
        }
        assert!(Clip::read("nowhere.ivf").await.is_err());
    }
}
