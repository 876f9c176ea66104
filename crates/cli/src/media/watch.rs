//! Who looks at pictures without decoding them, and who listens as a player would.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metered_realtime::media::audio::{AudioError, Level, LevelMeter, PcmFormat, tone_share};
use metered_realtime::media::{
    AudioOutput, FrameEvent, RemoteAudioTrack, RemoteVideoTrack, VideoCodec,
};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

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

/// Listens to a remote's sound until dropped, as a player would.
pub(crate) struct Listener {
    pub(crate) track: RemoteAudioTrack,
    heard: Arc<Mutex<Heard>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Heard {
    /// The last second.
    memory: VecDeque<f32>,
    meter: LevelMeter,
}

impl Listener {
    pub(crate) fn start(track: &RemoteAudioTrack) -> Result<Self, AudioError> {
        let heard = Arc::<Mutex<Heard>>::default();
        let listening = listen(track.playout(FORMAT)?, Arc::clone(&heard));
        let task = tokio::spawn(listening).abort_handle();
        Ok(Self { track: track.clone(), heard, task })
    }

    /// How loud it was since the last call: the track's own level is of a tenth of a second, and what sounds
    /// once a second could always be beside it.
    pub(crate) fn take_level(&self) -> Level {
        lock(&self.heard).meter.take()
    }

    /// How much of the last second's energy is at a frequency, from 0.0 to 1.0.
    pub(crate) fn tone_share(&self, hz: f32) -> f32 {
        tone_share(hz, FORMAT.rate(), lock(&self.heard).memory.make_contiguous())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(mut output: AudioOutput, heard: Arc<Mutex<Heard>>) {
    let mut clock = tokio::time::interval(CHUNK);
    // A sound card takes what it has missed.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut pcm = vec![0.0; FORMAT.samples_in(CHUNK.as_micros() as u64)];
    let most = FORMAT.samples_in(MEMORY.as_micros() as u64);
    while !output.is_ended() {
        clock.tick().await;
        output.pull(&mut pcm);
        let mut heard = lock(&heard);
        heard.meter.push(&pcm);
        heard.memory.extend(pcm.iter());
        let surplus = heard.memory.len().saturating_sub(most);
        heard.memory.drain(..surplus);
    }
}
