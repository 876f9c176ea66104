//! Who looks at pictures without decoding them, and who listens as a player would.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metered_realtime::media::audio::{
    AudioError, AudioPlayout, JitterOptions, Level, LevelMeter, PcmFormat, tone_share,
};
use metered_realtime::media::{
    AudioPackets, FrameEvent, PacketEvent, RemoteAudioTrack, RemoteVideoTrack, VideoCodec,
};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// How often sound is taken, as a sound card does.
const CHUNK: Duration = Duration::from_millis(10);
/// What of it is kept.
const MEMORY: Duration = Duration::from_secs(1);
const FORMAT: PcmFormat = PcmFormat::OPUS_MONO;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was seen of a track of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) codec: Option<VideoCodec>,
    /// Of the last key frame, upright.
    pub(crate) size: Option<(u32, u32)>,
    /// No picture has come for a second.
    pub(crate) frozen: bool,
}

/// Looks at a remote's pictures until dropped.
pub(crate) struct Viewer {
    pub(crate) track: RemoteVideoTrack,
    seen: Arc<Mutex<Seen>>,
    task: AbortHandle,
}

impl Viewer {
    pub(crate) fn start(track: &RemoteVideoTrack) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (mut frames, shared) = (track.frames(), Arc::clone(&seen));
        let watching = async move {
            while let Some(event) = frames.next().await {
                let mut seen = lock(&shared);
                match event {
                    FrameEvent::Frame(unit) => {
                        seen.frames += 1;
                        seen.bytes += unit.data.len() as u64;
                        seen.codec = Some(unit.codec);
                        let turned = unit.rotation.degrees() % 180 != 0;
                        let upright = |(w, h)| if turned { (h, w) } else { (w, h) };
                        seen.size = unit.size().map(upright).or(seen.size);
                    }
                    FrameEvent::Frozen => seen.frozen = true,
                    FrameEvent::Resumed => seen.frozen = false,
                    _ => {}
                }
            }
        };
        let task = tokio::spawn(watching).abort_handle();
        Self { track: track.clone(), seen, task }
    }

    pub(crate) fn seen(&self) -> Seen {
        *lock(&self.seen)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What was heard of a track of sound.
#[derive(Default)]
struct Heard {
    packets: u64,
    bytes: u64,
    meter: LevelMeter,
    memory: VecDeque<f32>,
}

/// Listens to a remote's sound until dropped.
pub(crate) struct Listener {
    heard: Arc<Mutex<Heard>>,
    task: AbortHandle,
}

impl Listener {
    pub(crate) fn start(track: &RemoteAudioTrack) -> Result<Self, AudioError> {
        let playout = AudioPlayout::new(FORMAT, JitterOptions::default())?;
        let heard = Arc::<Mutex<Heard>>::default();
        let listening = listen(track.packets(), playout, Arc::clone(&heard));
        let task = tokio::spawn(listening).abort_handle();
        Ok(Self { heard, task })
    }

    /// Packets and bytes so far.
    pub(crate) fn received(&self) -> (u64, u64) {
        let heard = lock(&self.heard);
        (heard.packets, heard.bytes)
    }

    /// How loud it was since the last call.
    pub(crate) fn take_level(&self) -> Level {
        lock(&self.heard).meter.take()
    }

    /// How much of the last second's energy is at a frequency, from 0.0 to 1.0.
    pub(crate) fn tone_share(&self, hz: f32) -> f32 {
        let mut heard = lock(&self.heard);
        tone_share(hz, FORMAT.rate(), heard.memory.make_contiguous())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(mut packets: AudioPackets, mut playout: AudioPlayout, heard: Arc<Mutex<Heard>>) {
    let began = Instant::now();
    let mut clock = tokio::time::interval(CHUNK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut pcm = vec![0.0; FORMAT.samples_in(CHUNK.as_micros() as u64)];
    let most = FORMAT.samples_in(MEMORY.as_micros() as u64);
    loop {
        tokio::select! {
            event = packets.next() => match event {
                None => return,
                Some(PacketEvent::Packet(packet)) => {
                    let (sequence, timestamp) = (packet.sequence, packet.timestamp);
                    let payload = packet.payload.clone();
                    let bytes = payload.len() as u64;
                    // What is no Opus is concealed, and counts for nothing.
                    if playout.handle(began.elapsed(), sequence, timestamp, payload).is_ok() {
                        let mut heard = lock(&heard);
                        heard.packets += 1;
                        heard.bytes += bytes;
                    }
                }
                Some(_) => {}
            },
            _ = clock.tick() => {
                playout.pull(began.elapsed(), &mut pcm);
                let mut heard = lock(&heard);
                heard.meter.push(&pcm);
                heard.memory.extend(pcm.iter());
                let surplus = heard.memory.len().saturating_sub(most);
                heard.memory.drain(..surplus);
            }
        }
    }
}
