//! What became of the packets of a remote's sound, in figures.

use crate::media::audio::{JitterStats, PacketCounter};

/// Figures of a track of sound, since it came.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Heard { audio, .. }| {
/// use metered_realtime::media::AudioStats;
/// let mut packets = audio.packets();
/// packets.next().await;
/// let AudioStats { packets_received, packets_lost, jitter_ms, .. } = audio.stats();
/// assert!(packets_received > 0);
/// println!("{packets_lost} packets lost, {jitter_ms:.1} ms of jitter");
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AudioStats {
    /// RTP packets, duplicates too.
    pub packets_received: u64,
    /// Bytes of RTP payload.
    pub bytes_received: u64,
    /// Packets that did not come, or not yet.
    pub packets_lost: u64,
    /// Variation of the transit time (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// Samples at 48 kHz that were made up for packets that did not come in time, of the output that was opened
    /// last.
    pub concealed_samples: u64,
    /// Times that this began, of that output.
    pub concealments: u64,
    /// From a packet's arrival on the fastest way to its sound, of that output.
    pub delay_ms: f64,
}

impl AudioStats {
    /// Of what came, and of what an output made of it.
    pub(super) fn of(counted: &PacketCounter, played: &JitterStats) -> Self {
        Self {
            packets_received: counted.packets(),
            bytes_received: counted.bytes(),
            packets_lost: counted.lost(),
            jitter_ms: counted.jitter().as_secs_f64() * 1_000.0,
            concealed_samples: played.concealed_samples,
            concealments: played.concealments,
            delay_ms: played.delay.as_secs_f64() * 1_000.0,
        }
    }
}
