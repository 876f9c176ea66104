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
/// # metered_scenes::play(async |metered_scenes::Met { bob, to_bob, .. }| {
/// # let mut remote_events = to_bob.events();
/// # metered_scenes::sing(bob)?;
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
/// # Ok(())
/// # });
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
    /// # metered_scenes::play(async |metered_scenes::Heard { audio, .. }| {
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
    /// # Ok(())
    /// # });
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
    /// # metered_scenes::play(async |metered_scenes::Heard { bob, microphone, audio, .. }| {
    /// assert!(!audio.is_ended());
    /// bob.remove_track(microphone.id())?;
    /// let mut packets = audio.packets();
    /// while packets.next().await.is_some() {} // ends with the track
    /// assert!(audio.is_ended());
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_ended(&self) -> bool {
        self.shared.is_ended()
    }
}
