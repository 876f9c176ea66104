//! How many bits per second a path carries, from what the remote reports. Pure: told the time, as a duration
//! since any origin.
//!
//! A path that is too slow for what is sent shows it by a queue that never empties: even the fastest packet of
//! the last 200 ms took longer than the fastest one of the last seconds. Jitter alone does not do that. Then
//! the target falls below what arrives, the further the longer the queue is, and when the queue is gone what
//! arrived is sent again; otherwise it grows, the faster the longer nothing spoke against it. A path that fell
//! far is seen sooner: the latest packets took ever longer, and far less arrives than the target.
//! Losses without a queue are tried once with less: if they stay, they are the path's own, and no reason to
//! send less.
//!
//! Without reports on single packets the remote's own estimate (REMB) and its receiver reports decide.

use std::time::Duration;

use super::loss::Loss;
use super::observed::{Fall, Observed};

/// Before anything is known.
pub(crate) const START: u64 = 500_000;
/// Sound and a slow picture.
pub(crate) const LEAST: u64 = 50_000;
/// No picture of a call needs more.
pub(crate) const MOST: u64 = 20_000_000;
/// A queue that stays longer than this is one that grows.
const STANDING_MS: f64 = 40.0;
/// While a queue of this stays nothing grows.
const HOLDING_MS: f64 = 20.0;
/// Jitter shortens the choice of fast packets: so much of it is no queue that stands, or holds, or grows.
const STANDING_JITTER: f64 = 0.5;
const HOLDING_JITTER: f64 = 0.25;
const FALL_JITTER: f64 = 1.5;
/// Less than this part of the target arrives from a path that fell far.
const FALLEN: f64 = 0.7;
/// Of what arrives this is sent with a short queue, and that with a long one, to empty it in about a second.
const SHORT_QUEUE: (f64, f64) = (100.0, 0.85);
const LONG_QUEUE: (f64, f64) = (500.0, 0.25);
/// Of what arrived this is sent when the queue is gone, if it went in time.
const DRAINED: f64 = 0.85;
const DRAINS: Duration = Duration::from_secs(10);
/// The queue is not falling for so long, whatever is sent: the way itself became longer.
const LONGER_WAY: Duration = Duration::from_secs(3);
/// It may be within these parts of what it was; jitter in order lets it swing, so that its mean of so much time counts.
const AS_IT_WAS: (f64, f64) = (0.75, 1.33);
const MEAN_OF: f64 = 0.5;
/// Between two steps down: what one does must be seen before the next.
const STEP: Duration = Duration::from_millis(250);
/// Growth in a second before the path has shown a limit.
const START_GROWTH: f64 = 1.0;
/// Growth in a second right after a step down; it rises by so much with each second, up to the most.
const GROWTH: f64 = 0.08;
const GROWTH_RISE: f64 = 0.4;
const MOST_GROWTH: f64 = 0.9;
/// Growth in a second close to a rate that was too much twice.
const CAREFUL_GROWTH: f64 = 0.2;
/// Above such a rate for a round trip and so much, with a queue no longer than this: the path is another one,
/// and growth begins with so much.
const PASSED: Duration = Duration::from_millis(300);
const PASSED_MS: f64 = 10.0;
const PASSED_JITTER: f64 = 0.25;
const PASSED_GROWTH: f64 = 0.9;
/// For how long such a rate is remembered.
const MEMORY: Duration = Duration::from_secs(30);
/// Reports on single packets count for so long; after that the remote does without.
const PACKETS_COUNT: Duration = Duration::from_secs(3);
/// Between two steps by receiver reports, which come once a second.
const REPORT_STEP: Duration = Duration::from_millis(900);

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) sent: Duration,
    pub(crate) bytes: usize,
    /// In microseconds on the remote's clock; `None` if it was lost.
    pub(crate) arrival_us: Option<i64>,
}

/// A rate at which the path showed a queue.
#[derive(Clone, Copy, Debug)]
struct Ceiling {
    rate: f64,
    at: Duration,
    /// How often in a row.
    times: u32,
}

/// Less is sent than arrives, so that a queue gets shorter.
#[derive(Clone, Copy, Debug)]
struct Drain {
    since: Duration,
    /// What arrived at first and last, in bits per second: behind a queue the same, whatever is sent; the last
    /// follows what is sent if there is no queue, but a longer way.
    first: f64,
    last: f64,
}

/// A queue that does not fall.
#[derive(Clone, Copy, Debug)]
struct Stuck {
    since: Duration,
    /// How long it was then, in milliseconds.
    was: f64,
    /// Its mean, and when that was taken.
    mean: f64,
    at: Duration,
}

impl Stuck {
    const fn new(now: Duration, queue: f64) -> Self {
        Self { since: now, was: queue, mean: queue, at: now }
    }

    fn add(&mut self, now: Duration, queue: f64) {
        let since = now.saturating_sub(self.at).as_secs_f64();
        self.mean += (queue - self.mean) * (1.0 - (-since / MEAN_OF).exp());
        self.at = now;
        let (least, most) = AS_IT_WAS;
        if self.mean < self.was * least || self.mean > self.was * most {
            (self.since, self.was) = (now, self.mean);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Estimator {
    target: f64,
    observed: Observed,
    loss: Loss,
    ceiling: Option<Ceiling>,
    last_down: Option<Duration>,
    drain: Option<Drain>,
    /// When growth began to rise.
    calm_since: Option<Duration>,
    /// Since when the target is above the ceiling.
    above: Option<Duration>,
    /// Growth in a second since a known limit was passed.
    least_growth: f64,
    grown: Option<Duration>,
    stuck: Option<Stuck>,
    round_trip: Duration,
    last_packets: Option<Duration>,
    /// The remote's own estimate.
    remote: Option<f64>,
    /// Receiver reports since the last step by them: when it was, and the worst since.
    reported: (Option<Duration>, f64),
    /// Bytes that left: now and at the last step by receiver reports.
    sent: (u64, u64),
}

impl Default for Estimator {
    fn default() -> Self {
        Self {
            target: START as f64,
            observed: Observed::default(),
            loss: Loss::default(),
            ceiling: None,
            last_down: None,
            drain: None,
            calm_since: None,
            above: None,
            least_growth: 0.0,
            grown: None,
            stuck: None,
            round_trip: Duration::from_millis(100),
            last_packets: None,
            remote: None,
            reported: (None, 0.0),
            sent: (0, 0),
        }
    }
}

impl Estimator {
    /// Bits per second, RTP headers included.
    pub(crate) const fn target(&self) -> u64 {
        self.target as u64
    }

    /// Whether the path ever showed that something was too much for it.
    pub(crate) const fn limit_seen(&self) -> bool {
        self.last_down.is_some()
    }

    /// Bytes that left since the beginning.
    pub(crate) const fn sent(&mut self, bytes: u64) {
        self.sent.0 = bytes;
    }

    fn set(&mut self, target: f64) {
        self.target = target.clamp(LEAST as f64, MOST as f64);
    }

    /// What became of packets.
    pub(crate) fn packets(&mut self, now: Duration, fates: &[Fate]) {
        self.last_packets = Some(now);
        self.observed.add(now, fates);
        if let Some(sent) =
            fates.iter().filter(|fate| fate.arrival_us.is_some()).map(|f| f.sent).max()
        {
            let sample = now.saturating_sub(sent).min(Duration::from_secs(2));
            self.round_trip = (self.round_trip * 7 + sample) / 8;
        }
        let lost = fates.iter().filter(|fate| fate.arrival_us.is_none()).count();
        self.loss.add(now, lost, fates.len());
        let (queue, jitter) = (self.observed.queue_ms(), self.observed.jitter_ms());
        let held_up = self.observed.leap_ms();
        if self.is_longer(now, queue) {
            self.grown = Some(now);
            return;
        }
        let fall = self.observed.fall(now, STANDING_MS + held_up + FALL_JITTER * jitter);
        if let Some(fall) = fall.filter(|fall| fall.rate < self.target * FALLEN) {
            self.fallen(now, fall);
        } else if queue
            .is_some_and(|queue| queue > STANDING_MS + held_up + STANDING_JITTER * jitter)
        {
            self.queued(now, queue.unwrap_or_default());
        } else {
            let empty =
                queue.is_none_or(|queue| queue < HOLDING_MS + held_up + HOLDING_JITTER * jitter);
            let told = self.last_down.is_some_and(|last| self.observed.is_since(last));
            if empty
                && told
                && queue.is_some()
                && let Some(drain) = self.drain.take()
            {
                self.drained(now, drain, drain.last);
            }
            if !self.lossy(now) && empty {
                self.grow(now);
            }
        }
        self.grown = Some(now);
    }

    /// Something spoke against growth: it begins anew.
    const fn calm_down(&mut self) {
        self.calm_since = None;
        self.above = None;
        self.least_growth = 0.0;
    }

    /// Whether the way itself became longer, as it is if less is sent and the queue does not fall.
    fn is_longer(&mut self, now: Duration, queue: Option<f64>) -> bool {
        let Some(queue) = queue else { return false };
        if queue < HOLDING_MS {
            self.stuck = None;
            return false;
        }
        let stuck = self.stuck.get_or_insert(Stuck::new(now, queue));
        stuck.add(now, queue);
        let (since, longer) = (stuck.since, stuck.mean);
        let Some(drain) = self.drain.filter(|_| now.saturating_sub(since) >= LONGER_WAY) else {
            return false;
        };
        (self.stuck, self.drain) = (None, None);
        self.drained(now, drain, drain.first);
        self.observed.longer_way(longer);
        true
    }

    /// A queue stands.
    fn queued(&mut self, now: Duration, queue: f64) {
        self.calm_down();
        // What is lost now is lost to the queue.
        self.loss.explained(now);
        let step = self.round_trip.clamp(STEP, STEP * 4);
        if self.last_down.is_some_and(|last| now.saturating_sub(last) < step) {
            return;
        }
        let Some(arrives) = self.observed.rate(now) else { return };
        self.step_down(now, arrives, queue);
    }

    /// The path carries far less than before.
    fn fallen(&mut self, now: Duration, fall: Fall) {
        self.calm_down();
        self.loss.explained(now);
        if self.last_down.is_none_or(|last| now.saturating_sub(last) >= STEP) {
            self.step_down(now, fall.rate, fall.queue_ms);
        }
    }

    /// So much arrives behind a queue.
    fn step_down(&mut self, now: Duration, arrives: f64, queue_ms: f64) {
        let (from, to) = (SHORT_QUEUE, LONG_QUEUE);
        let along = ((queue_ms - from.0) / (to.0 - from.0)).clamp(0.0, 1.0);
        let part = from.1 + (to.1 - from.1) * along;
        self.note_ceiling(now, arrives);
        self.set(self.target.min(arrives * part));
        self.last_down = Some(now);
        let begun = Drain { since: now, first: arrives, last: arrives };
        self.drain = Some(Drain { last: arrives, ..self.drain.unwrap_or(begun) });
    }

    /// There is no queue any more: what arrived is sent again.
    fn drained(&mut self, now: Duration, drain: Drain, arrived: f64) {
        if now.saturating_sub(drain.since) < DRAINS {
            self.set(self.target.max(arrived * DRAINED));
        }
    }

    fn note_ceiling(&mut self, now: Duration, rate: f64) {
        let again = self.ceiling.filter(|ceiling| (ceiling.rate / rate - 1.0).abs() < 0.2);
        let fresh = self.last_down.is_none_or(|last| now.saturating_sub(last) > STEP * 4);
        let times = again.map_or(1, |ceiling| ceiling.times + u32::from(fresh));
        self.ceiling = Some(Ceiling { rate, at: now, times });
    }

    /// Whether losses speak against more; a step down if they speak for less.
    fn lossy(&mut self, now: Duration) -> bool {
        if let Some(share) = self.loss.too_much(now, self.round_trip) {
            self.set(self.target * (1.0 - share));
            self.last_down = Some(now);
            self.calm_down();
        }
        self.loss.holds()
    }

    fn grow(&mut self, now: Duration) {
        let pause = self.round_trip + STEP;
        if self.last_down.is_some_and(|last| now.saturating_sub(last) < pause) {
            return;
        }
        let Some(before) = self.grown else { return };
        let since = now.saturating_sub(before).min(STEP * 2).as_secs_f64();
        // What is not used tells nothing about more.
        let Some(arrives) = self.observed.rate(now) else { return };
        let most = arrives * 2.0 + 50_000.0;
        let calm = now.saturating_sub(*self.calm_since.get_or_insert(now)).as_secs_f64();
        self.pass(now);
        let careful = self.ceiling.filter(|ceiling| {
            let near = self.target > ceiling.rate * 0.8;
            ceiling.times > 1 && near && now.saturating_sub(ceiling.at) < MEMORY
        });
        let growth = if careful.is_some() {
            self.calm_since = Some(now);
            CAREFUL_GROWTH
        } else if self.limit_seen() {
            (GROWTH + GROWTH_RISE * calm).min(MOST_GROWTH).max(self.least_growth)
        } else {
            START_GROWTH
        };
        let grown = self.target * (1.0 + growth).powf(since);
        self.set(grown.min(most.max(self.target)));
    }

    /// Forgets a limit that is none any more.
    fn pass(&mut self, now: Duration) {
        let above = self.ceiling.is_some_and(|ceiling| self.target > ceiling.rate);
        if !above {
            self.above = None;
            return;
        }
        let since = *self.above.get_or_insert(now);
        let passed = PASSED_MS + PASSED_JITTER * self.observed.jitter_ms();
        let free = self.observed.queue_ms().is_some_and(|queue| queue < passed);
        if free && now.saturating_sub(since) > self.round_trip + PASSED {
            self.ceiling = None;
            self.least_growth = PASSED_GROWTH;
        }
    }

    fn has_packets(&self, now: Duration) -> bool {
        self.last_packets.is_some_and(|last| now.saturating_sub(last) < PACKETS_COUNT)
    }

    /// What the remote believes in.
    pub(crate) fn remote_estimate(&mut self, now: Duration, bits_per_second: u64) {
        self.remote = Some(bits_per_second as f64);
        if !self.has_packets(now) && self.target > bits_per_second as f64 {
            self.set(bits_per_second as f64);
        }
    }

    /// A receiver report on one of the streams.
    pub(crate) fn reported(&mut self, now: Duration, fraction_lost: f64, trip: Option<Duration>) {
        if let Some(trip) = trip {
            self.round_trip = (self.round_trip * 7 + trip.min(Duration::from_secs(2))) / 8;
        }
        self.reported.1 = self.reported.1.max(fraction_lost);
        if self.has_packets(now) {
            self.reported = (Some(now), 0.0);
            return;
        }
        let since = self.reported.0.map(|last| now.saturating_sub(last));
        if since.is_some_and(|since| since < REPORT_STEP) {
            return;
        }
        let lost = std::mem::replace(&mut self.reported, (Some(now), 0.0)).1;
        let bytes = self.sent.0.saturating_sub(std::mem::replace(&mut self.sent.1, self.sent.0));
        let Some(since) = since else { return };
        let used = bytes as f64 * 8.0 / since.as_secs_f64();
        // As draft-ietf-rmcat-gcc-02 section 6 has it.
        if lost > 0.1 {
            self.set(self.target * (1.0 - 0.5 * lost));
            self.last_down = Some(now);
        } else if lost <= 0.02 {
            // A remote that estimates warns before it is too much.
            let growth = if self.remote.is_some() { 1.25 } else { 1.08 };
            let most = self.remote.unwrap_or(f64::MAX).min(used * 2.0 + 50_000.0);
            self.set((self.target * growth).min(most.max(self.target)));
        }
    }

    /// Nothing was reported for a while, though packets left.
    pub(crate) fn silence(&mut self, now: Duration) {
        // Receiver reports alone may be seconds apart.
        if self.last_packets.is_some_and(|last| now.saturating_sub(last) < PACKETS_COUNT * 3) {
            self.set(self.target * 0.8);
            self.calm_down();
        }
    }
}
