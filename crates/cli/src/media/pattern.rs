//! The test pattern: the clips that `tools/clips` made, with a counter that people and tests can read.

use metered_realtime::media::VideoCodec;
use serde::Deserialize;

use super::SourceError;

/// Of every clip.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
/// Pictures per second.
pub(super) const FPS: u32 = 25;

/// What is asked for; the nearest clip is taken, and what is left out is as the clip has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pattern {
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) fps: Option<f64>,
    pub(crate) codec: Option<VideoCodec>,
}

/// Each with its codec. A further size would be a further line here.
const CLIPS: [(VideoCodec, &[u8]); 4] = [
    (VideoCodec::Vp8, include_bytes!("../../assets/clips/counter_vp8.ivf")),
    (VideoCodec::Vp9, include_bytes!("../../assets/clips/counter_vp9.ivf")),
    (VideoCodec::Av1, include_bytes!("../../assets/clips/counter_av1.ivf")),
    (VideoCodec::H264, include_bytes!("../../assets/clips/counter_h264.h264")),
];

/// What there is, in a sentence.
pub(super) fn offered() -> String {
    format!(
        "There is {WIDTH}x{HEIGHT} at {FPS} a second, as vp8, vp9, av1 and h264; for anything else give a file."
    )
}

/// The nearest clip. Half or twice of what is asked for is near; beyond that there is none.
///
/// # Errors
/// [`SourceError::NoPattern`].
pub(super) fn nearest(wanted: &Pattern) -> Result<(VideoCodec, &'static [u8]), SourceError> {
    let near = |wanted: Option<f64>, is: u32| {
        wanted.is_none_or(|wanted| (0.5..=2.0).contains(&(wanted / f64::from(is))))
    };
    let fits = near(wanted.width.map(f64::from), WIDTH)
        && near(wanted.height.map(f64::from), HEIGHT)
        && near(wanted.fps, FPS);
    let codec = wanted.codec.unwrap_or(VideoCodec::Vp8);
    let clip = CLIPS.into_iter().find(|(known, _)| *known == codec && fits);
    clip.ok_or_else(|| {
        let width = wanted.width.unwrap_or(WIDTH);
        let height = wanted.height.unwrap_or(HEIGHT);
        let fps = wanted.fps.unwrap_or(FPS.into());
        SourceError::NoPattern(format!(
            "{width}x{height} at {fps} a second in {}",
            codec.mime_type()
        ))
    })
}
