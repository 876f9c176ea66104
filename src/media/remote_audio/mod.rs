//! Sound from a remote: PCM in time for whoever plays it, and ready Opus packets.
//!
//! A track has one task (`shared.rs`), which hands each packet to every sink of packets and to every output's jitter
//! buffer (`output.rs`).

mod output;
mod packets;
mod shared;
mod stats;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use tokio::time::Instant;

pub use self::output::AudioOutput;
pub use self::packets::{AudioPacket, AudioPackets, PacketEvent};
pub(super) use self::shared::Shared;
pub use self::stats::AudioStats;
use super::local::lock;
use crate::rtc::engine::TrackReceiver;

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

impl RemoteAudioTrack {
    /// Times count from the epoch.
    pub(super) fn new(epoch: Instant) -> Self {
        Self { shared: Shared::new(epoch) }
    }

    pub(super) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// The track's task: ends with its receiver.
    pub(super) fn read(
        &self,
        receiver: Arc<dyn TrackReceiver>,
    ) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.shared).read(receiver)
    }

    /// The Opus packets from now on, as they come. Who is the first to ask gets those of the last half second too: an app
    /// learns of a track a little after its first packet.
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
        self.shared.packets()
    }

    /// Figures since the track came.
    pub fn stats(&self) -> AudioStats {
        let counted = self.shared.counted();
        let last = self.shared.outputs().last().map(|output| lock(output).stats());
        AudioStats::of(&counted, &last.unwrap_or_default().jitter)
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
        self.shared.is_ended()
    }
}
