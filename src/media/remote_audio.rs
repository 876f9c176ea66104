//! Sound from a remote: PCM in time for whoever plays it, and ready Opus packets.
//!
//! A track has one task, which hands each packet to every output's jitter buffer. An output decodes when it is
//! asked for PCM: its clock leads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::audio::{
    AudioError, AudioPlayout, JitterOptions, Level, LevelWindow, PacketCounter, PcmFormat,
    PlayoutStats,
};
use super::local::lock;
use super::sounds::report_since;
use super::sync::{Heard as Played, Report, Sound};
use crate::events::{Event, Events, Hub};
use crate::rtc::engine::{IncomingPacket, SenderReport, TrackReceiver};

/// After so long without a pull nobody listens.
const UNHEARD: Duration = Duration::from_millis(500);
/// What comes before the first output is kept, so that it begins with sound: half a second.
const MAX_EARLY: usize = 25;

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

/// Figures of a track of sound, since it came.
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
/// use metered_realtime::media::AudioStats;
/// let mut packets = audio.packets();
/// packets.next().await;
/// let AudioStats { packets_received, packets_lost, jitter_ms, .. } = audio.stats();
/// assert!(packets_received > 0);
/// println!("{packets_lost} packets lost, {jitter_ms:.1} ms of jitter");
/// # singing.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
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

/// Sound from a remote. Handles are cheap clones of one track.
///
/// ```
/// use metered_realtime::media::RemoteAudioTrack;
/// use metered_realtime::media::audio::PcmFormat;
/// use metered_realtime::peer::RemoteEvent;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # use metered_realtime::media::LocalAudioTrack;
/// # use metered_realtime::peer::{MeteredPeer, PeerEvent, PeerOptions};
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let peer = |id: &str| -> Result<MeteredPeer, Box<dyn std::error::Error>> {
/// #     let mut options = PeerOptions::with_token(server.token(id)?)?;
/// #     options.signalling.url = server.url();
/// #     Ok(MeteredPeer::new(options)?)
/// # };
/// # let (alice, bob) = (peer("alice")?, peer("bob")?);
/// # let mut events = alice.events();
/// # let microphone = LocalAudioTrack::default();
/// # bob.add_track(&microphone, None, None)?;
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// # let to_bob = loop {
/// #     if let PeerEvent::PeerJoined(remote) = events.next().await.ok_or("gone")? { break remote }
/// # };
/// # let singing = tokio::spawn(async move {
/// #     loop {
/// #         microphone.write_pcm_i16(PcmFormat::OPUS_MONO, &[8_192; 480]).unwrap();
/// #         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// #     }
/// # });
/// # let mut remote_events = to_bob.events();
/// let track = loop {
///     if let RemoteEvent::Track(track) = remote_events.next().await.ok_or("bob left")? { break track }
/// };
/// let audio: &RemoteAudioTrack = track.audio().ok_or("pictures")?;
/// let mut output = audio.playout(PcmFormat::OPUS_MONO)?; // decodes when it is asked
/// let mut chunk = [0.0; 480];
/// while audio.stats().packets_received == 0 {
///     output.pull(&mut chunk); // at the pace of the loudspeaker
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// }
/// # singing.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RemoteAudioTrack {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    epoch: Instant,
    hub: Hub<PacketEvent>,
    ended: AtomicBool,
    heard: Mutex<Heard>,
    /// The number of the output that is heard, and what it played last.
    played: Mutex<Option<(u64, Played)>>,
}

#[derive(Debug, Default)]
struct Heard {
    counter: PacketCounter,
    /// Whose packets came last, and the last report of their sender.
    stream: Option<(u32, Option<Report>)>,
    outputs_made: u64,
    outputs: Vec<Weak<Mutex<Output>>>,
    /// Before the first output: when they came, and what.
    early: VecDeque<(Duration, Arc<AudioPacket>)>,
}

#[derive(Debug)]
struct Output {
    playout: AudioPlayout,
    level: LevelWindow,
    pulled: Duration,
}

impl RemoteAudioTrack {
    /// Times count from the epoch.
    pub(super) fn new(epoch: Instant) -> Self {
        let shared = Shared {
            epoch,
            hub: Hub::default(),
            ended: AtomicBool::new(false),
            heard: Mutex::default(),
            played: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// The Opus packets from now on, as they come.
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
    /// use metered_realtime::media::PacketEvent;
    /// let mut packets = audio.packets();
    /// let mut recorded = Vec::new();
    /// while recorded.len() < 5 {
    ///     match packets.next().await {
    ///         Some(PacketEvent::Packet(packet)) => recorded.push(packet),
    ///         Some(_) => {}
    ///         None => break, // the track has ended
    ///     }
    /// }
    /// assert_eq!(recorded.len(), 5);
    /// # singing.abort();
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn packets(&self) -> AudioPackets {
        self.shared.hub.subscribe()
    }

    /// A sink of PCM in a format, with a jitter buffer of its own. It begins with what came in the last half
    /// second if it is the first.
    ///
    /// # Errors
    /// [`AudioError::NotBuilt`] without the feature `opus`; [`AudioError::Codec`] if the codec refuses, which it
    /// does not.
    pub fn playout(&self, format: PcmFormat) -> Result<AudioOutput, AudioError> {
        self.playout_with(format, JitterOptions::default())
    }

    /// As [`playout`](Self::playout), with bounds of the delay.
    ///
    /// # Errors
    /// [`AudioError::Delay`] for bounds that cannot be.
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
    /// use metered_realtime::media::audio::{JitterOptions, PcmFormat};
    /// use std::time::Duration;
    /// // For a choir: never more than 80 ms behind, even if more is concealed then.
    /// let bounds = JitterOptions { max_delay: Duration::from_millis(80), ..JitterOptions::default() };
    /// let output = audio.playout_with(PcmFormat::OPUS_MONO, bounds)?;
    /// # let _ = output;
    /// let wrong = JitterOptions { max_delay: Duration::ZERO, ..bounds };
    /// assert_eq!(audio.playout_with(PcmFormat::OPUS_MONO, wrong).unwrap_err().code(), "audio_delay");
    /// # singing.abort();
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn playout_with(
        &self,
        format: PcmFormat,
        options: JitterOptions,
    ) -> Result<AudioOutput, AudioError> {
        let mut output = Output {
            playout: AudioPlayout::new(format, options)?,
            level: LevelWindow::default(),
            pulled: self.shared.now(),
        };
        let mut heard = lock(&self.shared.heard);
        for (at, packet) in heard.early.drain(..) {
            output.handle(at, &packet);
        }
        let output = Arc::new(Mutex::new(output));
        heard.outputs.push(Arc::downgrade(&output));
        heard.outputs_made += 1;
        let number = heard.outputs_made;
        drop(heard);
        Ok(AudioOutput { shared: Arc::clone(&self.shared), output, number, format })
    }

    /// How loud the last 100 ms were, as its outputs heard them; silence if nobody plays it.
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
    /// use metered_realtime::media::audio::Level;
    /// // Nobody plays it yet, so nothing was decoded.
    /// assert_eq!(audio.level(), Level::SILENCE);
    /// # singing.abort();
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn level(&self) -> Level {
        let now = self.shared.now();
        let outputs = self.shared.outputs();
        let levels = outputs.iter().map(|output| lock(output).level(now));
        levels.max_by(|one, two| one.rms_dbfs.total_cmp(&two.rms_dbfs)).unwrap_or(Level::SILENCE)
    }

    /// Figures since the track came.
    pub fn stats(&self) -> AudioStats {
        let counted = lock(&self.shared.heard).counter;
        let last = self.shared.outputs().last().map(|output| lock(output).playout.stats());
        let played = last.unwrap_or_default().jitter;
        AudioStats {
            packets_received: counted.packets(),
            bytes_received: counted.bytes(),
            packets_lost: counted.lost(),
            jitter_ms: counted.jitter().as_secs_f64() * 1_000.0,
            concealed_samples: played.concealed_samples,
            concealments: played.concealments,
            delay_ms: played.delay.as_secs_f64() * 1_000.0,
        }
    }

    /// Whether the remote sends it no more.
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
    /// assert!(!audio.is_ended());
    /// bob.remove_track(microphone.id())?;
    /// let mut packets = audio.packets();
    /// while packets.next().await.is_some() {} // ends with the track
    /// assert!(audio.is_ended());
    /// # singing.abort();
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn is_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed)
    }

    /// The track's task: ends with its receiver.
    pub(super) fn read(
        &self,
        receiver: Arc<dyn TrackReceiver>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            let ending = Ending(Arc::clone(&shared));
            while let Some(packet) = receiver.next().await {
                if packet.payload.is_empty() || !packet.codec.eq_ignore_ascii_case("audio/opus") {
                    continue;
                }
                let report = receiver.sender_report(packet.ssrc);
                shared.heard(packet, report);
            }
            drop(ending);
        }
    }
}

/// Ends the track however its task ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
        self.0.hub.end();
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn outputs(&self) -> Vec<Arc<Mutex<Output>>> {
        lock(&self.heard).outputs.iter().filter_map(Weak::upgrade).collect()
    }

    /// For the pictures beside it.
    pub(super) fn sound(&self) -> Option<Sound> {
        let (ssrc, report) = lock(&self.heard).stream?;
        let heard = lock(&self.played).map(|(_, played)| played);
        Some(Sound { ssrc, report, heard })
    }

    /// An output played. Of several the one that was made last is heard, as long as it is.
    fn played(&self, number: u64, now: Duration, heard: Option<(Duration, u32)>) {
        let Some((at, rtp)) = heard else { return };
        let mut played = lock(&self.played);
        if played.is_none_or(|(known, played)| {
            known <= number || now.saturating_sub(played.at) > UNHEARD
        }) {
            *played = Some((number, Played { at, rtp }));
        }
    }

    fn heard(&self, packet: IncomingPacket, report: Option<SenderReport>) {
        let now = self.now();
        let IncomingPacket { ssrc, sequence, timestamp, marker, payload, .. } = packet;
        let report = report.map(|report| report_since(self.epoch, report));
        let packet = Arc::new(AudioPacket { sequence, timestamp, marker, payload });
        let outputs = {
            let mut heard = lock(&self.heard);
            heard.counter.note(now, sequence, timestamp, packet.payload.len());
            heard.stream = Some((ssrc, report));
            let known = heard.outputs.len();
            heard.outputs.retain(|output| output.strong_count() > 0);
            if known == 0 {
                if heard.early.len() >= MAX_EARLY {
                    heard.early.pop_front();
                }
                heard.early.push_back((now, Arc::clone(&packet)));
            }
            heard.outputs.iter().filter_map(Weak::upgrade).collect::<Vec<_>>()
        };
        for output in outputs {
            lock(&output).handle(now, &packet);
        }
        self.hub.publish(&PacketEvent::Packet(packet));
    }
}

impl Output {
    fn handle(&mut self, now: Duration, packet: &AudioPacket) {
        let AudioPacket { sequence, timestamp, payload, .. } = packet;
        if let Err(error) = self.playout.handle(now, *sequence, *timestamp, payload.clone()) {
            // Counted by the playout, and its time is concealed.
            tracing::debug!(%error, "a packet is not played");
        }
    }

    fn level(&self, now: Duration) -> Level {
        let heard = now.saturating_sub(self.pulled) <= UNHEARD;
        if heard { self.level.level() } else { Level::SILENCE }
    }

    fn pull(&mut self, now: Duration, pcm: &mut [f32]) {
        self.playout.pull(now, pcm);
        self.pulled = now;
        self.level.push(self.playout.format(), pcm);
    }
}

/// A sink of a track's PCM. Pull from it at the pace of what plays it; what is lost or late on the way is
/// concealed. Detached when dropped.
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
/// use metered_realtime::media::AudioOutput;
/// use metered_realtime::media::audio::PcmFormat;
/// let mut output: AudioOutput = audio.playout(PcmFormat::new(16_000, 1)?)?; // for a recogniser of speech
/// assert_eq!(output.format().rate(), 16_000);
/// let mut chunk = [0.0; 160]; // 10 ms
/// while output.level().peak_dbfs < -30.0 {
///     output.pull(&mut chunk);
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// }
/// assert!(audio.level().peak_dbfs > -40.0); // what a picture of who speaks goes by
/// assert!(output.stats().jitter.played_samples > 0);
/// assert!(!output.is_ended());
/// # singing.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct AudioOutput {
    shared: Arc<Shared>,
    output: Arc<Mutex<Output>>,
    number: u64,
    format: PcmFormat,
}

impl AudioOutput {
    /// What PCM it gives.
    pub const fn format(&self) -> PcmFormat {
        self.format
    }

    /// Fills a chunk of any size with interleaved PCM whose first moment is heard now. Never waits; after the
    /// track's end it fills in silence.
    pub fn pull(&mut self, pcm: &mut [f32]) {
        let now = self.shared.now();
        let heard = {
            let mut output = lock(&self.output);
            output.pull(now, pcm);
            output.playout.heard()
        };
        self.shared.played(self.number, now, heard);
    }

    /// How loud the last 100 ms were; silence if nothing was pulled for half a second.
    pub fn level(&self) -> Level {
        lock(&self.output).level(self.shared.now())
    }

    /// What was counted and measured so far.
    pub fn stats(&self) -> PlayoutStats {
        lock(&self.output).playout.stats()
    }

    /// Whether the remote sends the track no more. What is on its way to the ear is still to be pulled.
    pub fn is_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::{OpusOptions, Tone, tone_share};
    use crate::media::{AudioMix, LocalAudioTrack, LocalTrack};
    use crate::rtc::engine::{MediaKind, RemoteTrackInfo};
    use async_trait::async_trait;
    use tokio::sync::mpsc;

    const MONO: PcmFormat = PcmFormat::OPUS_MONO;
    const CHUNK: Duration = Duration::from_millis(10);

    /// What a connection would hand over.
    #[derive(Debug)]
    struct Line {
        info: RemoteTrackInfo,
        packets: tokio::sync::Mutex<mpsc::UnboundedReceiver<IncomingPacket>>,
    }

    #[async_trait]
    impl TrackReceiver for Line {
        fn info(&self) -> &RemoteTrackInfo {
            &self.info
        }
        async fn next(&self) -> Option<IncomingPacket> {
            self.packets.lock().await.recv().await
        }
        fn sender_report(&self, _: u32) -> Option<SenderReport> {
            None
        }
        async fn request_key_frame(&self) {}
    }

    /// A remote's track and where its packets go in.
    fn line() -> (RemoteAudioTrack, mpsc::UnboundedSender<IncomingPacket>) {
        let (sender, packets) = mpsc::unbounded_channel();
        let info = RemoteTrackInfo {
            mid: "0".into(),
            track_id: "voice".into(),
            stream_ids: Vec::new(),
            kind: MediaKind::Audio,
            codec: "audio/opus".into(),
        };
        let track = RemoteAudioTrack::new(Instant::now());
        let line = Line { info, packets: tokio::sync::Mutex::new(packets) };
        tokio::spawn(track.read(Arc::new(line)));
        (track, sender)
    }

    /// A microphone that hears a tone and a network to one remote, without delay if not told otherwise.
    struct Call {
        local: LocalAudioTrack,
        remote: RemoteAudioTrack,
        tone: Tone,
        written: usize,
    }

    impl Call {
        fn new(hz: f32) -> Self {
            Self::over(hz, 0.0, Duration::ZERO)
        }

        /// A network that loses a share of the packets and holds each for up to `jitter`.
        fn over(hz: f32, loss: f64, jitter: Duration) -> Self {
            let local = LocalAudioTrack::default();
            local.set_encoding(OpusOptions { dtx: false, ..OpusOptions::default() }).unwrap();
            let mut attachment = LocalTrack::from(&local).shared().attach();
            let (remote, sender) = line();
            let mut chance = fastrand::Rng::with_seed(hz as u64);
            tokio::spawn(async move {
                for sequence in 65_500_u64.. {
                    let parcel = attachment.next().await;
                    let packet = IncomingPacket {
                        codec: "audio/opus".into(),
                        ssrc: 7,
                        sequence: sequence as u16,
                        timestamp: (parcel.timestamp_us * 48 / 1_000) as u32,
                        marker: parcel.marker,
                        payload: parcel.payloads[0].clone(),
                        orientation: None,
                    };
                    let (held, lost) = (jitter.mul_f64(chance.f64()), chance.f64() < loss);
                    let sender = sender.clone();
                    if lost || sender.is_closed() {
                        continue;
                    }
                    if held.is_zero() {
                        sender.send(packet).unwrap();
                        continue;
                    }
                    tokio::spawn(async move {
                        tokio::time::sleep(held).await;
                        drop(sender.send(packet));
                    });
                }
            });
            Self { local, remote, tone: Tone::new(hz, 48_000, 1), written: 0 }
        }

        /// The microphone hears 10 ms.
        fn speak(&mut self) -> [f32; 480] {
            let mut pcm = [0.0; 480];
            self.tone.fill(&mut pcm);
            self.local.write_pcm(MONO, &pcm).unwrap();
            self.written += pcm.len();
            pcm
        }

        /// 10 ms pass: the microphone first, then whoever plays.
        async fn tick(&mut self, mut play: impl FnMut(&mut [f32])) -> [f32; 480] {
            let mut pcm = self.speak();
            // Whoever has something to hand on does it in no time.
            tokio::time::sleep(CHUNK).await;
            play(&mut pcm);
            pcm
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tone_comes_out_as_it_went_in_and_is_measured_on_both_ends() {
        let mut call = Call::new(440.0);
        let mut output = call.remote.playout(MONO).unwrap();
        let mut heard = Vec::new();
        for _ in 0..300 {
            heard.extend(call.tick(|pcm| output.pull(pcm)).await);
        }
        assert!(tone_share(440.0, 48_000, &heard[96_000..]) > 0.95);
        for level in [call.local.level(), call.remote.level(), output.level()] {
            assert!((level.rms_dbfs + 15.0).abs() < 1.0, "{level:?}");
        }
        let stats = call.remote.stats();
        assert!(stats.packets_received >= 148, "{stats:?}");
        assert_eq!((stats.packets_lost, stats.concealed_samples), (0, 0));
        // Nothing jitters here: packets of 20 ms wait for two chunks at most.
        let first = heard.iter().position(|sample| sample.abs() > 0.05).unwrap();
        assert!(first < 48 * 60, "heard after {} ms", first / 48);
        assert!(stats.delay_ms <= 30.0, "{stats:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        for level in [call.local.level(), call.remote.level(), output.level()] {
            assert_eq!(level, Level::SILENCE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn mute_is_silence_that_ends_on_time() {
        let mut call = Call::new(440.0);
        let mut output = call.remote.playout(MONO).unwrap();
        for _ in 0..100 {
            call.tick(|pcm| output.pull(pcm)).await;
        }
        let before = output.stats().jitter;
        call.local.set_muted(true);
        assert_eq!(call.local.level(), Level::SILENCE);
        let mut muted = Vec::new();
        for _ in 0..500 {
            muted.extend(call.tick(|pcm| output.pull(pcm)).await);
        }
        assert!(muted[48_000..].iter().all(|sample| sample.abs() < 1e-3));
        call.local.set_muted(false);
        let mut heard = Vec::new();
        for _ in 0..200 {
            heard.extend(call.tick(|pcm| output.pull(pcm)).await);
        }
        let first = heard.iter().position(|sample| sample.abs() > 0.05).unwrap();
        assert!(first < 48 * 80, "heard after {} ms", first / 48);
        assert!(tone_share(440.0, 48_000, &heard[48_000..]) > 0.95);
        let after = output.stats().jitter;
        assert_eq!((after.restarts, after.late), (before.restarts, before.late));
        assert!(after.delay <= before.delay + Duration::from_millis(30), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_mix_holds_every_remote_at_its_gain_and_lets_go_of_who_left() {
        for (loss, jitter, least) in [(0.0, 0, 0.95), (0.05, 60, 0.8)] {
            let jitter = Duration::from_millis(jitter);
            let mut low = Call::over(300.0, loss, jitter);
            let mut high = Call::over(1_700.0, loss, jitter);
            let mix = AudioMix::new(MONO);
            let inputs = [mix.add(&low.remote).unwrap(), mix.add(&high.remote).unwrap()];
            let mut heard = Vec::new();
            for round in 0..600 {
                low.speak();
                heard.extend(high.tick(|pcm| mix.pull(pcm)).await);
                let shares = [300.0, 1_700.0].map(|hz| {
                    let end = &heard[heard.len().saturating_sub(48_000)..];
                    tone_share(hz, 48_000, end)
                });
                match round {
                    // Each is as loud as the other.
                    199 => {
                        assert!(
                            shares.iter().all(|share| *share > least / 2.0 - 0.05),
                            "{shares:?}"
                        );
                        mix.set_gain(inputs[0], 0.0);
                    }
                    399 => {
                        assert!(shares[1] > least, "the other has no gain: {shares:?}");
                        mix.set_gain(inputs[0], 1.0);
                        mix.remove(inputs[1]);
                    }
                    599 => assert!(shares[0] > least, "the other has left: {shares:?}"),
                    _ => {}
                }
            }
            assert!(mix.level().rms_dbfs > -20.0);
            assert_eq!(mix.inputs(), 1);
            for call in [&low, &high] {
                let stats = call.remote.stats();
                let share = stats.packets_lost as f64 / (stats.packets_received as f64);
                assert!((share - loss).abs() < 0.04, "{stats:?}");
                assert!(stats.packets_received > 250, "{stats:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_track_is_played_to_its_end_and_then_silent() {
        let (track, sender) = line();
        let (mix, mut packets) = (AudioMix::new(MONO), track.packets());
        mix.add(&track).unwrap();
        drop(sender);
        assert!(packets.next().await.is_none());
        assert!(track.is_ended());
        let mut pcm = [1.0; 480];
        for _ in 0..100 {
            mix.pull(&mut pcm);
            assert_eq!(pcm, [0.0; 480]);
        }
        assert_eq!(mix.inputs(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_output_begins_with_what_just_came() {
        let mut call = Call::new(440.0);
        for _ in 0..40 {
            call.tick(|_| ()).await;
        }
        let mut output = call.remote.playout(MONO).unwrap();
        let mut first = [0.0; 480];
        for _ in 0..3 {
            first = call.tick(|pcm| output.pull(pcm)).await;
        }
        assert!(first.iter().any(|sample| sample.abs() > 0.05));
        assert_eq!(call.remote.stats().packets_lost, 0);
    }
}
