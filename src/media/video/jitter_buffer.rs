//! From packets as they come to access units in decode order.
//!
//! Invariant: what comes out begins with a key frame and goes on without a gap until the next key frame. A gap
//! waits for its retransmission; then the next key frame is waited for, and asked for. Memory is what the
//! packets hold that are not out yet.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::unwrap::Unwrapper;
use super::{
    AccessUnit, Rotation, VideoCodec, is_key_frame, is_key_frame_start, reassemble, starts_frame,
};

/// How long a gap waits for its retransmission: two round trips of a bad path and the pauses between NACKs.
const GAP_LIMIT: Duration = Duration::from_millis(600);
/// After so long a whole key frame beyond the gap is taken instead.
const GAP_PATIENCE: Duration = Duration::from_millis(150);
/// Between two requests for a key frame.
const REQUEST_PAUSE: Duration = Duration::from_millis(500);
/// Without a picture for so long the video is frozen.
const FROZEN_AFTER: Duration = Duration::from_secs(1);
/// Packets that wait; the largest access unit has less than half of them.
const MAX_PACKETS: usize = 8_192;
/// Bytes that wait.
const MAX_BYTES: usize = 6 * 1024 * 1024;
/// Packets that are kept while no key frame is in sight: its beginning may be late.
const KEPT_WITHOUT_KEY: i64 = 256;
/// Beginnings of key frames that are followed at once.
const MAX_CANDIDATES: usize = 4;
/// A step of the sequence numbers beyond this is a sender that began anew.
const MAX_STEP: i64 = 4_096;

/// A packet of video.
#[derive(Clone, Debug)]
pub(crate) struct RtpVideoPacket {
    pub(crate) codec: VideoCodec,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Empty in packets that only probe the path.
    pub(crate) payload: Bytes,
    pub(crate) rotation: Option<Rotation>,
}

/// What the buffer wants or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// A picture and its RTP timestamp.
    Frame(AccessUnit, u32),
    /// Ask the sender for a key frame.
    KeyFrameWanted,
    /// No picture came for a second.
    Frozen,
    /// Pictures come again.
    Resumed,
}

/// Counts since the buffer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct JitterStats {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    pub(crate) key_frames: u64,
    /// Packets that never came in time.
    pub(crate) lost: u64,
    /// Packets that came twice or too late.
    pub(crate) late: u64,
    /// Frames that were no bitstream.
    pub(crate) malformed: u64,
    pub(crate) key_frames_asked: u64,
    pub(crate) freezes: u64,
    /// Variation of the transit time (RFC 3550 section 6.4.1).
    pub(crate) jitter_ms: f64,
}

#[derive(Debug)]
struct Stored {
    codec: VideoCodec,
    timestamp: i64,
    marker: bool,
    payload: Bytes,
    rotation: Option<Rotation>,
}

/// A frame that is being looked for from its first packet on.
#[derive(Clone, Copy, Debug)]
struct Scan {
    start: i64,
    /// The first packet that is not there yet.
    at: i64,
    timestamp: Option<i64>,
    /// The end, exclusive, once all of it is there.
    end: Option<i64>,
    since: Duration,
}

impl Scan {
    const fn new(start: i64, since: Duration) -> Self {
        Self { start, at: start, timestamp: None, end: None, since }
    }

    fn advance(&mut self, packets: &BTreeMap<i64, Stored>) -> Option<i64> {
        while self.end.is_none() {
            let packet = packets.get(&self.at)?;
            if !packet.payload.is_empty() {
                if self.timestamp.is_some_and(|timestamp| timestamp != packet.timestamp) {
                    self.end = Some(self.at);
                    break;
                }
                self.timestamp = Some(packet.timestamp);
                if packet.marker {
                    self.end = Some(self.at + 1);
                    break;
                }
            }
            self.at += 1;
        }
        self.end
    }
}

#[derive(Debug)]
pub(crate) struct VideoJitterBuffer {
    sequence: Unwrapper<16>,
    timestamp: Unwrapper<32>,
    packets: BTreeMap<i64, Stored>,
    bytes: usize,
    /// The frame that comes next; `None` while a key frame is waited for.
    next: Option<Scan>,
    /// Everything below is out or given up.
    floor: Option<i64>,
    highest: i64,
    /// Beginnings of key frames, the oldest first.
    candidates: Vec<Scan>,
    /// Since when the frame that comes next has a gap, and where.
    gap: Option<(i64, Duration)>,
    asked: Option<Duration>,
    heard_since_asked: bool,
    rotation: Rotation,
    first_timestamp: Option<i64>,
    /// The first picture's time, and the last one's.
    base_us: u64,
    last_us: u64,
    last_frame: Option<Duration>,
    frozen: bool,
    transit: Option<f64>,
    outputs: VecDeque<Output>,
    stats: JitterStats,
}

impl VideoJitterBuffer {
    pub(crate) fn new() -> Self {
        Self {
            sequence: Unwrapper::default(),
            timestamp: Unwrapper::default(),
            packets: BTreeMap::new(),
            bytes: 0,
            next: None,
            floor: None,
            highest: 0,
            candidates: Vec::new(),
            gap: None,
            asked: None,
            heard_since_asked: false,
            rotation: Rotation::None,
            first_timestamp: None,
            base_us: 0,
            last_us: 0,
            last_frame: None,
            frozen: false,
            transit: None,
            outputs: VecDeque::new(),
            stats: JitterStats::default(),
        }
    }

    pub(crate) const fn stats(&self) -> JitterStats {
        self.stats
    }

    /// Bytes of payload that wait.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let whole = self.candidates.iter().any(|candidate| candidate.end.is_some());
        let patience = if whole { GAP_PATIENCE } else { GAP_LIMIT };
        let gap = self.gap.map(|(_, since)| since + patience);
        let frozen = self.last_frame.filter(|_| !self.frozen).map(|last| last + FROZEN_AFTER);
        [gap, self.ask_due(), frozen].into_iter().flatten().min()
    }

    /// When a key frame is asked for. One that has begun to come gets some time first.
    fn ask_due(&self) -> Option<Duration> {
        if self.next.is_some() || !self.heard_since_asked {
            return None;
        }
        let pause = self.asked.map_or(Duration::ZERO, |asked| asked + REQUEST_PAUSE);
        let coming = self.candidates.first().map_or(Duration::ZERO, |c| c.since + GAP_PATIENCE);
        Some(pause.max(coming))
    }

    /// Time passed.
    pub(crate) fn timeout(&mut self, now: Duration) {
        if !self.frozen && self.last_frame.is_some_and(|last| now >= last + FROZEN_AFTER) {
            self.frozen = true;
            self.stats.freezes += 1;
            self.outputs.push_back(Output::Frozen);
        }
        self.advance(now);
    }

    /// What follows is another stream of packets (another SSRC); its pictures go on behind these.
    pub(crate) fn stream_changed(&mut self) {
        self.give_up();
        (self.sequence, self.timestamp) = Default::default();
        (self.floor, self.transit, self.asked) = (None, None, None);
        // Its numbers may be lower than any before: below all of them, whatever comes first is the highest.
        self.highest = 0;
        self.heard_since_asked = false;
        if self.first_timestamp.take().is_some() {
            self.base_us = self.last_us + 1;
        }
    }

    /// Takes a packet as it came.
    pub(crate) fn packet(&mut self, now: Duration, packet: RtpVideoPacket) {
        self.stats.packets += 1;
        self.stats.bytes += packet.payload.len() as u64;
        self.heard_since_asked = true;
        let at = self.sequence.unwrap(u32::from(packet.sequence));
        let timestamp = self.timestamp.unwrap(packet.timestamp);
        if self.floor.is_some() && (at - self.highest).abs() > MAX_STEP {
            self.give_up();
            self.floor = Some(at - KEPT_WITHOUT_KEY);
            self.highest = at;
        }
        let floor = *self.floor.get_or_insert(at - KEPT_WITHOUT_KEY);
        if at < floor || self.packets.contains_key(&at) {
            self.stats.late += 1;
            return;
        }
        if at > self.highest {
            // What comes again, or late, says nothing of the path.
            self.highest = at;
            self.measure(now, timestamp);
        }
        self.store(now, at, timestamp, packet);
        if self.packets.len() > MAX_PACKETS || self.bytes > MAX_BYTES {
            self.give_up();
        }
        self.advance(now);
    }

    fn store(&mut self, now: Duration, at: i64, timestamp: i64, packet: RtpVideoPacket) {
        let RtpVideoPacket { codec, marker, payload, rotation, .. } = packet;
        self.bytes += payload.len();
        let before = self.packets.get(&(at - 1));
        let first = before.is_some_and(|before| before.timestamp != timestamp || before.marker);
        if is_key_frame_start(codec, &payload, first) {
            let place = self.candidates.partition_point(|known| known.start < at);
            self.candidates.insert(place, Scan::new(at, now));
            if self.candidates.len() > MAX_CANDIDATES {
                self.candidates.remove(0);
            }
        }
        self.packets.insert(at, Stored { codec, timestamp, marker, payload, rotation });
    }

    fn measure(&mut self, now: Duration, timestamp: i64) {
        let transit = now.as_secs_f64() * 1_000.0 - timestamp as f64 / 90.0;
        if let Some(before) = self.transit.replace(transit) {
            let jitter = &mut self.stats.jitter_ms;
            *jitter += ((transit - before).abs() - *jitter) / 16.0;
        }
    }

    /// Nothing that waits is of use.
    fn give_up(&mut self) {
        self.stats.lost += self.missing(self.highest + 1);
        self.packets.clear();
        self.bytes = 0;
        self.candidates.clear();
        self.next = None;
        self.gap = None;
        self.floor = Some(self.highest + 1);
    }

    /// Packets from the floor to `end` that are not there.
    fn missing(&self, end: i64) -> u64 {
        let Some(floor) = self.floor.filter(|_| self.next.is_some()) else { return 0 };
        let there = self.packets.range(floor..end.max(floor)).count() as u64;
        (end - floor).max(0).unsigned_abs().saturating_sub(there)
    }

    fn advance(&mut self, now: Duration) {
        loop {
            let whole = match &mut self.next {
                Some(next) => next.advance(&self.packets).map(|end| (next.start, end)),
                None => self.whole_key_frame(),
            };
            if let Some((start, end)) = whole {
                self.deliver(now, start, end);
            } else if self.next.is_none() || !self.gap_is_over(now) {
                break;
            }
        }
        if self.next.is_none() {
            self.trim();
            self.ask(now);
        }
    }

    fn whole_key_frame(&mut self) -> Option<(i64, i64)> {
        let packets = &self.packets;
        self.candidates
            .iter_mut()
            .find_map(|candidate| candidate.advance(packets).map(|end| (candidate.start, end)))
    }

    /// Whether something was done about a gap before the next frame.
    fn gap_is_over(&mut self, now: Duration) -> bool {
        let Some(next) = self.next.filter(|next| next.at < self.highest) else {
            self.gap = None;
            return false;
        };
        let since = match self.gap {
            Some((at, since)) if at == next.at => since,
            _ => now,
        };
        self.gap = Some((next.at, since));
        let waited = now.saturating_sub(since);
        let whole = self.whole_key_frame();
        if let Some((start, end)) = whole.filter(|_| waited >= GAP_PATIENCE) {
            self.stats.lost += self.missing(start);
            self.deliver(now, start, end);
            return true;
        }
        if waited < GAP_LIMIT {
            return false;
        }
        let end = self.candidates.first().map_or(next.at + 1, |candidate| candidate.start);
        self.stats.lost += self.missing(end);
        self.next = None;
        self.gap = None;
        true
    }

    /// While no key frame is there, only what may belong to one is kept.
    fn trim(&mut self) {
        let recent = self.highest - KEPT_WITHOUT_KEY;
        let floor = self.candidates.first().map_or(recent, |first| first.start.min(recent));
        if self.floor.is_none_or(|known| known < floor) {
            self.drop_below(floor);
        }
    }

    fn drop_below(&mut self, floor: i64) {
        let kept = self.packets.split_off(&floor);
        let dropped = std::mem::replace(&mut self.packets, kept);
        self.bytes -= dropped.values().map(|packet| packet.payload.len()).sum::<usize>();
        self.candidates.retain(|candidate| candidate.start >= floor);
        self.floor = Some(floor);
    }

    fn ask(&mut self, now: Duration) {
        if self.ask_due().is_some_and(|due| now >= due) {
            self.asked = Some(now);
            self.heard_since_asked = false;
            self.stats.key_frames_asked += 1;
            self.outputs.push_back(Output::KeyFrameWanted);
        }
    }

    fn deliver(&mut self, now: Duration, start: i64, end: i64) {
        let taken = self.take(start, end);
        self.gap = None;
        self.drop_below(end);
        let Some((unit, timestamp)) = taken else {
            self.stats.malformed += 1;
            self.next = None;
            return;
        };
        self.next = Some(Scan::new(end, now));
        self.stats.frames += 1;
        self.stats.key_frames += u64::from(unit.key_frame);
        self.last_frame = Some(now);
        if std::mem::take(&mut self.frozen) {
            self.outputs.push_back(Output::Resumed);
        }
        self.outputs.push_back(Output::Frame(unit, timestamp));
    }

    fn take(&mut self, start: i64, end: i64) -> Option<(AccessUnit, u32)> {
        let packets = || self.packets.range(start..end).map(|(_, packet)| packet);
        let mut filled = packets().filter(|packet| !packet.payload.is_empty());
        let first = filled.next()?;
        let (codec, timestamp) = (first.codec, first.timestamp);
        if !starts_frame(codec, &first.payload) || filled.any(|packet| packet.codec != codec) {
            return None;
        }
        let rotation = packets().filter_map(|packet| packet.rotation).last();
        let payloads = packets().map(|packet| &packet.payload).filter(|bytes| !bytes.is_empty());
        let data = reassemble(codec, payloads)?;
        self.rotation = rotation.unwrap_or(self.rotation);
        let elapsed = timestamp - *self.first_timestamp.get_or_insert(timestamp);
        let timestamp_us = self.base_us + elapsed.max(0).unsigned_abs() * 100 / 9;
        self.last_us = timestamp_us;
        let key_frame = is_key_frame(codec, &data);
        let unit = AccessUnit { codec, key_frame, data, timestamp_us, rotation: self.rotation };
        // Unwrapped it has the wire's bits at its end.
        Some((unit, timestamp as u32))
    }
}
