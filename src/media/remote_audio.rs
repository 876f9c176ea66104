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
use crate::events::{Event, Events, Hub};
use crate::rtc::engine::{IncomingPacket, TrackReceiver};

/// After so long without a pull nobody listens.
const UNHEARD: Duration = Duration::from_millis(500);
/// What comes before the first output is kept, so that it begins with sound: half a second.
const MAX_EARLY: usize = 25;

/// An Opus packet.
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
pub type AudioPackets = Events<PacketEvent>;

/// Figures of a track of sound, since it came.
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
    /// Sound that was made up for lost packets, of the output that was opened last.
    pub concealed_ms: u64,
    /// Times that this began, of that output.
    pub concealments: u64,
    /// From a packet's arrival on the fastest way to its sound, of that output.
    pub delay_ms: f64,
}

/// Sound from a remote. Handles are cheap clones of one track.
#[derive(Clone, Debug)]
pub struct RemoteAudioTrack {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    hub: Hub<PacketEvent>,
    ended: AtomicBool,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    counter: PacketCounter,
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
    pub(super) fn new() -> Self {
        let shared = Shared {
            epoch: Instant::now(),
            hub: Hub::default(),
            ended: AtomicBool::new(false),
            heard: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The Opus packets from now on, as they come.
    pub fn packets(&self) -> AudioPackets {
        self.shared.hub.subscribe()
    }

    /// A sink of PCM in a format, with a jitter buffer of its own. It begins with what came in the last half
    /// second if it is the first.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if the codec refuses, which it does not.
    pub fn playout(&self, format: PcmFormat) -> Result<AudioOutput, AudioError> {
        self.playout_with(format, JitterOptions::default())
    }

    /// As [`playout`](Self::playout), with bounds of the delay.
    ///
    /// # Errors
    /// As `playout`.
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
        drop(heard);
        Ok(AudioOutput { shared: Arc::clone(&self.shared), output, format })
    }

    /// How loud the last 100 ms were, as its outputs heard them; silence if nobody plays it.
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
            concealed_ms: played.concealed_samples / 48,
            concealments: played.concealments,
            delay_ms: played.delay.as_secs_f64() * 1_000.0,
        }
    }

    /// Whether the remote sends it no more.
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
                shared.heard(packet);
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

    fn heard(&self, packet: IncomingPacket) {
        let now = self.now();
        let IncomingPacket { sequence, timestamp, marker, payload, .. } = packet;
        let packet = Arc::new(AudioPacket { sequence, timestamp, marker, payload });
        let outputs = {
            let mut heard = lock(&self.heard);
            heard.counter.note(now, sequence, timestamp, packet.payload.len());
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
#[derive(Debug)]
pub struct AudioOutput {
    shared: Arc<Shared>,
    output: Arc<Mutex<Output>>,
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
        lock(&self.output).pull(self.shared.now(), pcm);
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
