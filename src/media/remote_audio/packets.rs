//! The Opus packets of a remote's sound, for whoever decodes, records or forwards them itself.

use std::sync::Arc;

use bytes::Bytes;

use crate::events::{Event, Events};

/// An Opus packet.
///
/// ```
/// use metered_realtime::media::AudioPacket;
/// use metered_realtime::media::audio::OpusPacketInfo;
/// /// Samples at 48 kHz between a packet's end and the next one's start: what a recording has to fill.
/// fn gap(before: &AudioPacket, next: &AudioPacket) -> u32 {
///     let samples = OpusPacketInfo::of(&before.payload).map_or(960, |info| info.samples);
///     next.timestamp.wrapping_sub(before.timestamp).wrapping_sub(samples)
/// }
/// # let packet = |sequence: u16, timestamp: u32| AudioPacket {
/// #     sequence, timestamp, marker: false, payload: vec![0x78, 1, 2, 3].into(),
/// # };
/// assert_eq!(gap(&packet(7, 960), &packet(9, 2_880)), 960); // one packet of 20 ms
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioPacket {
    /// Counts packets, and wraps: tells what is lost or out of order.
    pub sequence: u16,
    /// In samples at 48 kHz, and wraps.
    pub timestamp: u32,
    /// Whether sound begins here after silence.
    pub marker: bool,
    /// The packet (RFC 6716 section 3).
    pub payload: Bytes,
}

/// What a track of sound has to say.
///
/// ```
/// use metered_realtime::media::PacketEvent;
/// /// For a recording: what to write, and whether something is missing before it.
/// fn written(event: PacketEvent, missed: &mut u64) -> Option<bytes::Bytes> {
///     match event {
///         PacketEvent::Packet(packet) => Some(packet.payload.clone()),
///         PacketEvent::Lagged { missed: packets } => {
///             *missed += packets;
///             None
///         }
///         _ => None,
///     }
/// }
/// let mut missed = 0;
/// assert_eq!(written(PacketEvent::Lagged { missed: 3 }, &mut missed), None);
/// assert_eq!(missed, 3);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PacketEvent {
    /// A packet, as it came: late ones and duplicates too.
    Packet(Arc<AudioPacket>),
    /// This sink was too slow: so many packets are lost.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event for PacketEvent {
    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }

    fn size(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.payload.len(),
            Self::Lagged { .. } => 0,
        }
    }
}

/// A sink of Opus packets. Ends with its track, or when dropped.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Heard { audio, .. }| {
/// use metered_realtime::media::{AudioPackets, PacketEvent};
/// let mut packets: AudioPackets = audio.packets();
/// let Some(PacketEvent::Packet(packet)) = packets.next().await else { panic!() };
/// assert!(!packet.payload.is_empty()); // Opus, as it came
/// assert!(!audio.is_ended());
/// # Ok(())
/// # });
/// ```
pub type AudioPackets = Events<PacketEvent>;
