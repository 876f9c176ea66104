//! What became of the packets of a remote's pictures, in figures.

use crate::media::video::VideoJitterBuffer;

/// Figures of a track of pictures, since it came.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Filmed { video, .. }| {
/// use metered_realtime::media::VideoStats;
/// let mut frames = video.frames();
/// frames.next().await; // a picture is here
/// let VideoStats { frames_received, key_frames_received, packets_lost, jitter_ms, .. } = video.stats();
/// assert!(frames_received >= key_frames_received && key_frames_received > 0);
/// println!("{packets_lost} packets lost, {jitter_ms:.1} ms of jitter");
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoStats {
    /// Whole pictures.
    pub frames_received: u64,
    /// Those of them that a decoder can begin with.
    pub key_frames_received: u64,
    /// Bytes of RTP payload.
    pub bytes_received: u64,
    /// RTP packets.
    pub packets_received: u64,
    /// Packets that never came, nor their retransmissions in time.
    pub packets_lost: u64,
    /// Times that a key frame was asked for because of losses.
    pub key_frames_asked: u64,
    /// Times without a picture for a second.
    pub freezes: u64,
    /// Variation of the transit time (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
}

impl VideoStats {
    /// Of what a track's buffer took and gave.
    pub(super) fn of(buffer: &VideoJitterBuffer) -> Self {
        let stats = buffer.stats();
        Self {
            frames_received: stats.frames,
            key_frames_received: stats.key_frames,
            bytes_received: stats.bytes,
            packets_received: stats.packets,
            packets_lost: stats.lost,
            key_frames_asked: stats.key_frames_asked,
            freezes: stats.freezes,
            jitter_ms: stats.jitter_ms,
        }
    }
}
