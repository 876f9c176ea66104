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
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
/// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
/// #     options.signalling.url = server.url();
/// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
/// # };
/// # let (alice, bob) = (peer("alice")?, peer("bob")?);
/// # let microphone = metered_realtime::media::LocalAudioTrack::default();
/// # bob.add_track(&microphone, None, None)?;
/// # let source = microphone.clone();
/// # let singing = tokio::spawn(async move {
/// #     let format = metered_realtime::media::audio::PcmFormat::OPUS_MONO;
/// #     let mut tone = metered_realtime::media::audio::Tone::new(440.0, 48_000, 1);
/// #     loop {
/// #         let mut chunk = [0.0; 480];
/// #         tone.fill(&mut chunk);
/// #         source.write_pcm(format, &chunk).unwrap();
/// #         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// #     }
/// # });
/// # let mut arrivals = alice.events();
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// # let to_bob = loop {
/// #     let event = arrivals.next().await.ok_or("gone")?;
/// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
/// # };
/// # let mut of_bob = to_bob.events();
/// # let track = loop {
/// #     let event = of_bob.next().await.ok_or("bob left")?;
/// #     if let metered_realtime::peer::RemoteEvent::Track(track) = event { break track }
/// # };
/// # let audio = track.audio().ok_or("pictures")?.clone();
/// use metered_realtime::media::{AudioPackets, PacketEvent};
/// let mut packets: AudioPackets = audio.packets();
/// let Some(PacketEvent::Packet(packet)) = packets.next().await else { panic!() };
/// assert!(!packet.payload.is_empty()); // Opus, as it came
/// assert!(!audio.is_ended());
/// # singing.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub type AudioPackets = Events<PacketEvent>;
