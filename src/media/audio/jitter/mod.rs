//! Packets as they arrive, frames as they are due. Pure: told the time, and ignorant of the codec.
//!
//! One clock decides: the *delay* of a frame is the time of its playout less the time at which its packet
//! would have come on the fastest way of the last seconds. The buffer steers the delay of what it hands
//! out to a target, which is the delay that all but 2 % of the packets keep. A missing frame is replaced
//! and the playout goes on; if everything is missing, the playout waits, and what then comes is played at
//! once where that adds less delay than the most allowed, or skipped to where it is due. So the delay is
//! bounded whatever arrives.

mod counter;
mod delay;
mod sequence;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::counter::PacketCounter;
use self::delay::DelayEstimator;
use self::sequence::{Received, Unwrapper};
use super::error::AudioError;
use super::opus::{OPUS_CLOCK_HZ, OpusPacketInfo};

/// Packets that may wait; at 2.5 ms each, more than the longest delay.
const MAX_PACKETS: usize = 512;
/// A sequence number or a time that jumps so far is another stream's (RFC 3550 appendix A.1).
const MOST_DROPOUT: i64 = 3_000;
const MOST_TIME_JUMP: i64 = 60 * OPUS_CLOCK_HZ as i64;
/// A delay that is longer than its target by less is left alone.
const TOLERANCE: Duration = Duration::from_millis(15);
/// A delay that is shorter by less is left alone.
const TOLERANCE_BELOW: Duration = Duration::from_millis(5);
/// A stream that repeats each packet in the next is played so much after that next one's time.
const FEC_MARGIN: Duration = Duration::from_millis(5);
/// So long after the last packet with a copy.
const FEC_FOR: Duration = Duration::from_secs(10);
/// A delay that is off by so much is corrected with every frame.
const URGENT: Duration = Duration::from_millis(80);
/// Otherwise there is one correction in so many frames: a period in 100 ms is not heard.
const FRAMES_PER_CORRECTION: u32 = 5;
/// What is concealed where no packet said how long packets are.
const USUAL_SAMPLES: u32 = OPUS_CLOCK_HZ / 50;

/// Bounds of the delay.
///
/// ```
/// use std::time::Duration;
/// use metered_realtime::media::audio::JitterOptions;
/// let options = JitterOptions { max_delay: Duration::from_millis(300), ..JitterOptions::default() };
/// assert!(options.min_delay < options.max_delay);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterOptions {
    /// The target is never below.
    pub min_delay: Duration,
    /// The target is never above, and what waits longer is skipped.
    pub max_delay: Duration,
    /// The target before anything was measured.
    pub start_delay: Duration,
}

impl Default for JitterOptions {
    fn default() -> Self {
        Self {
            min_delay: Duration::from_millis(10),
            max_delay: Duration::from_millis(500),
            start_delay: Duration::from_millis(40),
        }
    }
}

/// A packet from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedPacket {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, in samples at 48 kHz.
    pub timestamp: u32,
    /// Samples at 48 kHz that it holds.
    pub samples: u32,
    /// It holds a coarse copy of the packet before it.
    pub fec: bool,
    /// The sender pauses after it.
    pub dtx: bool,
    /// The packet itself.
    pub payload: Bytes,
}

impl ArrivedPacket {
    /// An Opus packet with what its first bytes tell.
    ///
    /// # Errors
    /// [`AudioError::Packet`] if it is not Opus.
    ///
    /// ```
    /// use metered_realtime::media::audio::ArrivedPacket;
    /// let packet = ArrivedPacket::opus(7, 6_720, vec![0x78, 1, 2, 3].into())?;
    /// assert_eq!(packet.samples, 960);
    /// # Ok::<(), metered_realtime::media::audio::AudioError>(())
    /// ```
    pub fn opus(sequence: u16, timestamp: u32, payload: Bytes) -> Result<Self, AudioError> {
        let OpusPacketInfo { samples, fec, dtx, .. } = OpusPacketInfo::of(&payload)?;
        Ok(Self { sequence, timestamp, samples, fec, dtx, payload })
    }
}

/// How a frame should be played to bring the delay nearer to its target.
///
/// ```
/// use metered_realtime::media::audio::Tempo;
/// /// For a sink with a stretcher of its own: by what factor a frame is to be lengthened.
/// fn stretch(tempo: Tempo) -> f32 {
///     match tempo {
///         Tempo::Keep => 1.0,
///         Tempo::Hurry => 0.8,
///         Tempo::Wait => 1.25,
///     }
/// }
/// assert!(stretch(Tempo::Hurry) < stretch(Tempo::Wait));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tempo {
    /// As it is.
    Keep,
    /// A little shorter: the delay is too long.
    Hurry,
    /// A little longer: the delay is too short.
    Wait,
}

/// What to play next.
///
/// ```
/// use metered_realtime::media::audio::{AudioError, Frame, OpusDecoder};
/// /// What a decoder does with each; `AudioPlayout` does that and stretches too.
/// fn play(decoder: &mut OpusDecoder, frame: &Frame, pcm: &mut Vec<f32>) -> Result<(), AudioError> {
///     match frame {
///         Frame::Packet { payload, .. } => decoder.decode(payload, pcm),
///         Frame::Fec { payload, samples } => decoder.decode_fec(payload, *samples, pcm),
///         Frame::Conceal { samples } | Frame::Comfort { samples } => decoder.conceal(*samples, pcm),
///         Frame::Silence { samples } => {
///             pcm.resize(pcm.len() + *samples as usize, 0.0);
///             Ok(())
///         }
///     }
/// }
/// # use metered_realtime::media::audio::PcmFormat;
/// let (mut decoder, mut pcm) = (OpusDecoder::new(PcmFormat::OPUS_MONO)?, Vec::new());
/// let frame = Frame::Silence { samples: 480 };
/// play(&mut decoder, &frame, &mut pcm)?;
/// assert_eq!(pcm.len(), frame.samples() as usize);
/// # Ok::<(), AudioError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A packet.
    Packet {
        /// The packet.
        payload: Bytes,
        /// RTP timestamp of its first sample.
        timestamp: u32,
        /// Samples at 48 kHz.
        samples: u32,
        /// How to play it.
        tempo: Tempo,
    },
    /// The lost packet before this one, from the copy that this one holds. The packet itself follows.
    Fec {
        /// The packet with the copy.
        payload: Bytes,
        /// Samples at 48 kHz that were lost.
        samples: u32,
    },
    /// Nothing came in time: the codec conceals it.
    Conceal {
        /// Samples at 48 kHz.
        samples: u32,
    },
    /// The sender pauses: the codec's comfort noise.
    Comfort {
        /// Samples at 48 kHz.
        samples: u32,
    },
    /// There is nothing to play yet.
    Silence {
        /// Samples at 48 kHz.
        samples: u32,
    },
}

impl Frame {
    /// Samples at 48 kHz before any change of tempo.
    pub const fn samples(&self) -> u32 {
        match self {
            Self::Packet { samples, .. }
            | Self::Fec { samples, .. }
            | Self::Conceal { samples }
            | Self::Comfort { samples }
            | Self::Silence { samples } => *samples,
        }
    }
}

/// Counted since the start; samples are at 48 kHz.
///
/// ```
/// use metered_realtime::media::audio::{ArrivedPacket, JitterBuffer, JitterOptions, JitterStats};
/// use std::time::Duration;
/// let mut buffer = JitterBuffer::new(JitterOptions::default());
/// assert!(buffer.is_empty());
/// let packet = ArrivedPacket::opus(1, 960, vec![0x78, 1, 2, 3].into())?;
/// buffer.handle(Duration::ZERO, packet.clone());
/// buffer.handle(Duration::from_millis(5), packet); // the network said it twice
/// assert_eq!(buffer.len(), 1);
/// let JitterStats { received, duplicates, .. } = buffer.stats();
/// assert_eq!((received, duplicates), (2, 1));
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets that arrived, whatever became of them.
    pub received: u64,
    /// Packets that came after their time, or were skipped to bound the delay.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Samples played from packets.
    pub played_samples: u64,
    /// Samples that the copy in a later packet stood in for.
    pub fec_samples: u64,
    /// Samples that were concealed.
    pub concealed_samples: u64,
    /// Stretches of concealment.
    pub concealments: u64,
    /// Samples of comfort noise.
    pub comfort_samples: u64,
    /// Streams that ended in a jump of sequence or time.
    pub restarts: u64,
    /// Interarrival jitter (RFC 3550 section 6.4.1).
    pub jitter: Duration,
    /// What the delay is steered to.
    pub target_delay: Duration,
    /// The delay of the last packet that was played.
    pub delay: Duration,
}

#[derive(Clone, Debug)]
struct Held {
    sequence: i64,
    packet: ArrivedPacket,
}

/// The playout between two packets.
#[derive(Clone, Copy, Debug)]
struct Playout {
    /// Where the last packet ended.
    end: i64,
    /// Its sequence number.
    sequence: i64,
    /// Samples that were made up since.
    made_up: i64,
    /// Of these, samples that are no comfort noise.
    concealed: i64,
    /// The last packet began a pause.
    pausing: bool,
    samples: u32,
}

/// Puts packets in order and in time.
///
/// ```
/// use std::time::Duration;
/// use metered_realtime::media::audio::{ArrivedPacket, Frame, JitterBuffer, JitterOptions};
/// let mut buffer = JitterBuffer::new(JitterOptions::default());
/// let packet = ArrivedPacket::opus(1, 960, vec![0x78, 1, 2, 3].into())?;
/// buffer.handle(Duration::ZERO, packet);
/// assert_eq!(buffer.next(Duration::ZERO), Frame::Silence { samples: 960 }); // it waits for more
/// let next = buffer.next(Duration::from_millis(40));
/// assert!(matches!(next, Frame::Packet { timestamp: 960, .. }));
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
#[derive(Debug)]
pub struct JitterBuffer {
    options: JitterOptions,
    /// By timestamp.
    packets: BTreeMap<i64, Held>,
    sequences: Unwrapper<u16>,
    timestamps: Unwrapper<u32>,
    received: Received,
    estimator: DelayEstimator,
    playout: Option<Playout>,
    since_correction: u32,
    /// The delay to keep.
    target: Duration,
    /// When a packet with a copy of another last came.
    fec_at: Option<Duration>,
    stats: JitterStats,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(options: JitterOptions) -> Self {
        Self {
            options,
            packets: BTreeMap::new(),
            sequences: Unwrapper::default(),
            timestamps: Unwrapper::default(),
            received: Received::default(),
            estimator: DelayEstimator::new(options),
            playout: None,
            since_correction: 0,
            target: options.start_delay.clamp(options.min_delay, options.max_delay),
            fec_at: None,
            stats: JitterStats::default(),
        }
    }

    /// What was counted and measured so far.
    pub fn stats(&self) -> JitterStats {
        JitterStats { jitter: self.estimator.jitter(), target_delay: self.target, ..self.stats }
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Takes a packet that arrived now. `now` never goes back.
    pub fn handle(&mut self, now: Duration, packet: ArrivedPacket) {
        self.stats.received += 1;
        let mut sequence = self.sequences.peek(packet.sequence);
        let mut timestamp = self.timestamps.peek(packet.timestamp);
        if self.received.highest().is_some_and(|highest| {
            (sequence - highest).abs() > MOST_DROPOUT
                || (timestamp - self.timestamps.last()).abs() > MOST_TIME_JUMP
        }) {
            self.restart();
            sequence = self.sequences.peek(packet.sequence);
            timestamp = self.timestamps.peek(packet.timestamp);
        }
        if !self.received.insert(sequence) {
            self.stats.duplicates += 1;
            return;
        }
        self.sequences.advance(sequence);
        self.timestamps.advance(timestamp);
        self.estimator.arrived(now, timestamp);
        if packet.fec {
            self.fec_at = Some(now);
        }
        self.target = self.target_after(now, packet.samples);
        if self.playout.is_some_and(|playout| timestamp < playout.end) {
            self.stats.late += 1;
            return;
        }
        self.packets.insert(timestamp, Held { sequence, packet });
        if self.packets.len() > MAX_PACKETS {
            self.packets.pop_first();
            self.stats.late += 1;
        }
    }

    /// What to play from now on. It is asked for whenever the last frame has been played; that may be
    /// somewhat early or late.
    pub fn next(&mut self, now: Duration) -> Frame {
        self.skip(now);
        let Some(playout) = self.playout else { return self.first(now) };
        let Some((&timestamp, held)) = self.packets.first_key_value() else {
            return self.make_up(playout, None);
        };
        let gap = timestamp - playout.end;
        let missing = gap - playout.made_up;
        let paused = held.sequence == playout.sequence + 1;
        if missing > 0 && !self.worth_a_jump(now, timestamp, playout) {
            let samples = u32::try_from(missing).unwrap_or(u32::MAX).min(playout.samples);
            if !paused && held.packet.fec && missing <= i64::from(playout.samples) {
                let payload = held.packet.payload.clone();
                self.note(playout, samples, false);
                self.stats.fec_samples += u64::from(samples);
                return Frame::Fec { payload, samples };
            }
            return self.make_up(Playout { pausing: paused, ..playout }, Some(samples));
        }
        // After a pause nothing joins on, so that the delay can be set right at no cost.
        if paused && playout.pausing && self.delay(now, timestamp) + TOLERANCE < self.target {
            return self.make_up(playout, None);
        }
        self.play(now, timestamp)
    }

    /// The first packet waits until the delay is as it should be.
    fn first(&mut self, now: Duration) -> Frame {
        match self.packets.first_key_value() {
            Some((&timestamp, _)) if self.delay(now, timestamp) >= self.target => {
                self.play(now, timestamp)
            }
            _ => Frame::Silence { samples: USUAL_SAMPLES },
        }
    }

    fn play(&mut self, now: Duration, timestamp: i64) -> Frame {
        let Some(Held { sequence, packet }) = self.packets.remove(&timestamp) else {
            return Frame::Silence { samples: USUAL_SAMPLES };
        };
        let tempo = self.tempo(now, timestamp);
        self.stats.delay = self.delay(now, timestamp);
        self.stats.played_samples += u64::from(packet.samples);
        self.playout = Some(Playout {
            end: timestamp + i64::from(packet.samples),
            sequence,
            made_up: 0,
            concealed: 0,
            pausing: packet.dtx,
            samples: packet.samples,
        });
        Frame::Packet {
            payload: packet.payload,
            timestamp: packet.timestamp,
            samples: packet.samples,
            tempo,
        }
    }

    fn tempo(&mut self, now: Duration, timestamp: i64) -> Tempo {
        self.since_correction += 1;
        let (delay, target) = (self.delay(now, timestamp), self.target);
        if delay <= target + TOLERANCE && delay + TOLERANCE_BELOW >= target {
            return Tempo::Keep;
        }
        if delay.abs_diff(target) < URGENT && self.since_correction < FRAMES_PER_CORRECTION {
            return Tempo::Keep;
        }
        if delay < target {
            self.since_correction = 0;
            return Tempo::Wait;
        }
        // Hurrying with nothing behind would end in concealment.
        if self.packets.is_empty() {
            return Tempo::Keep;
        }
        self.since_correction = 0;
        Tempo::Hurry
    }

    fn make_up(&mut self, playout: Playout, samples: Option<u32>) -> Frame {
        let samples = samples.unwrap_or(playout.samples);
        self.note(playout, samples, !playout.pausing);
        if playout.pausing {
            self.stats.comfort_samples += u64::from(samples);
            Frame::Comfort { samples }
        } else {
            self.stats.concealed_samples += u64::from(samples);
            Frame::Conceal { samples }
        }
    }

    fn note(&mut self, playout: Playout, samples: u32, concealed: bool) {
        if concealed && playout.concealed == 0 {
            self.stats.concealments += 1;
        }
        let samples = i64::from(samples);
        self.playout = Some(Playout {
            made_up: playout.made_up + samples,
            concealed: playout.concealed + if concealed { samples } else { 0 },
            ..playout
        });
    }

    /// Whether to leave out what is missing before a packet: it waits too long already.
    fn worth_a_jump(&self, now: Duration, timestamp: i64, playout: Playout) -> bool {
        let delay = self.delay(now, timestamp);
        let target = self.target;
        let deep = playout.made_up > i64::from(OPUS_CLOCK_HZ / 10);
        delay > self.options.max_delay || delay > target + if deep { TOLERANCE } else { URGENT }
    }

    /// Leaves out packets that others have overtaken in time, as far as others are there.
    fn skip(&mut self, now: Duration) {
        while let Some((&first, _)) = self.packets.first_key_value() {
            let Some((&second, _)) = self.packets.range(first + 1..).next() else { return };
            let Some((&last, _)) = self.packets.last_key_value() else { return };
            let delay = self.delay(now, first);
            let target = self.target;
            let overtaken = delay > target + TOLERANCE
                && self.playout.is_some_and(|playout| {
                    playout.made_up > 0 && second <= playout.end + playout.made_up
                });
            let too_long = delay > self.options.max_delay && span(first, last) > target;
            if !overtaken && !too_long {
                return;
            }
            self.packets.remove(&first);
            self.stats.late += 1;
        }
    }

    fn delay(&self, now: Duration, timestamp: i64) -> Duration {
        self.estimator.delay(now, timestamp)
    }

    /// What the arrivals ask for; and where packets hold copies, that the next is there when one is missed.
    fn target_after(&self, now: Duration, samples: u32) -> Duration {
        let measured = self.estimator.target();
        let recent = self.fec_at.is_some_and(|at| now.saturating_sub(at) < FEC_FOR);
        let next = if recent { span(0, i64::from(samples)) + FEC_MARGIN } else { Duration::ZERO };
        measured.max(next).min(self.options.max_delay)
    }

    /// Another stream begins.
    fn restart(&mut self) {
        let stats = self.stats;
        *self = Self::new(self.options);
        self.stats = stats;
        self.stats.restarts += 1;
    }
}

fn span(from: i64, to: i64) -> Duration {
    Duration::from_secs_f64((to - from).max(0) as f64 / f64::from(OPUS_CLOCK_HZ))
}
