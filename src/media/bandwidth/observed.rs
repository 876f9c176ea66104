//! The path as the arrivals show it: the queue on it and the rate behind it. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::estimator::Fate;

/// The fastest packet of so much time tells the queue.
const WINDOW: Duration = Duration::from_millis(200);
/// Fewer packets, or packets of less time, tell nothing.
const FEWEST: usize = 5;
const SHORTEST: Duration = Duration::from_millis(100);
/// The rate is that of so much time on the remote's clock.
const RATE_WINDOW_US: i64 = 500_000;
/// A path that fell is seen in the latest packets: so many, that arrived in so much time, which are not more than
/// those of the window.
const FALL_FEWEST: usize = 4;
const FALL_SHORTEST_US: i64 = 80_000;
const FALL_WINDOW_US: i64 = 250_000;
/// The queue grew by this part of that time at least: more was sent than arrived.
const FALL_SLOPE: f64 = 0.4;
/// Seconds in which packets leave that are looked at, at least: some leave at once.
const SHORTEST_SENT: f64 = 0.01;
/// The fastest way is that of one to two such times: clocks drift, and ways change.
const FASTEST_WINDOW: Duration = Duration::from_secs(10);
/// Packets that are kept, whatever comes.
const MOST: usize = 4_096;

/// A packet that took so many milliseconds longer than the one before it has met more than a queue that grows:
/// on a path of 320 kbit/s a full packet adds as much.
const LEAP_MS: f64 = 30.0;
/// A longer leap is a path that halted, not jitter; and nobody's clock shall hide a queue.
const MOST_LEAP_MS: f64 = 200.0;
/// What is remembered of a leap after a second.
const LEAP_DECAY: f64 = 0.95;

#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// In microseconds on the remote's clock.
    at: i64,
    bytes: usize,
    sent: Duration,
    /// How long it took, with the clocks' difference: in milliseconds.
    transit: f64,
}

#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Of the last half second.
    arrivals: VecDeque<Arrival>,
    /// Those of them that left within the window.
    latest: VecDeque<Arrival>,
    /// The fastest: of the window before, and of this one with its beginning.
    fastest: (Option<f64>, Option<(Duration, f64)>),
    /// Variation of the transit time from packet to packet (as RFC 3550 section 6.4.1 has it), in milliseconds.
    jitter: f64,
    transit: Option<f64>,
    /// The largest leap of the transit time from packet to packet beyond [`LEAP_MS`], which fades, in milliseconds,
    /// and when the packet after it left.
    leap: (f64, Duration),
    /// When packets were last told of.
    told: Duration,
}

/// A path that carries less than before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fall {
    /// Bits per second that arrive.
    pub(super) rate: f64,
    /// Milliseconds that what leaves now will wait, if what left since went as what arrived.
    pub(super) queue_ms: f64,
}

impl Observed {
    pub(super) fn add(&mut self, now: Duration, fates: &[Fate]) {
        for fate in fates {
            let Some(at) = fate.arrival_us else { continue };
            let transit = at as f64 / 1_000.0 - fate.sent.as_secs_f64() * 1_000.0;
            if let Some(before) = self.transit.replace(transit) {
                self.jitter += ((transit - before).abs() - self.jitter) / 16.0;
                self.leap(fate.sent, transit - before - LEAP_MS);
            }
            let arrival = Arrival { at, bytes: fate.bytes, sent: fate.sent, transit };
            self.arrivals.push_back(arrival);
            self.latest.push_back(arrival);
            self.fastest.1 = match self.fastest.1 {
                Some((since, _)) if now.saturating_sub(since) > FASTEST_WINDOW => {
                    self.fastest.0 = self.fastest.1.map(|(_, fastest)| fastest);
                    Some((now, transit))
                }
                Some((since, fastest)) => Some((since, fastest.min(transit))),
                None => Some((now, transit)),
            };
        }
        if !fates.is_empty() {
            self.told = now;
        }
        let last = self.latest.iter().map(|arrival| arrival.sent).max().unwrap_or_default();
        self.latest.retain(|arrival| arrival.sent + WINDOW >= last);
        let last = self.arrivals.iter().map(|arrival| arrival.at).max().unwrap_or_default();
        self.arrivals.retain(|arrival| arrival.at.saturating_add(RATE_WINDOW_US) > last);
        while self.latest.len() > MOST {
            self.latest.pop_front();
        }
        while self.arrivals.len() > MOST {
            self.arrivals.pop_front();
        }
    }

    fn leap(&mut self, sent: Duration, leap: f64) {
        let (before, at) = self.leap;
        let faded = before * LEAP_DECAY.powf(sent.saturating_sub(at).as_secs_f64());
        self.leap = (faded.max(leap.min(MOST_LEAP_MS)), at.max(sent));
    }

    /// By how much a path that keeps its packets in order holds them up now and then, in milliseconds: whoever is
    /// held up holds up all behind him, so that for a while none is spared, as in a queue. But a queue grows
    /// bit by bit, and this comes at one bound.
    pub(super) const fn leap_ms(&self) -> f64 {
        self.leap.0
    }

    fn fastest(&self) -> f64 {
        let this = self.fastest.1.map_or(f64::INFINITY, |(_, fastest)| fastest);
        self.fastest.0.unwrap_or(f64::INFINITY).min(this)
    }

    /// Variation of the transit time, in milliseconds.
    pub(super) const fn jitter_ms(&self) -> f64 {
        self.jitter
    }

    /// Milliseconds of waiting that no recent packet was spared; `None` if there are too few.
    pub(super) fn queue_ms(&self) -> Option<f64> {
        let sent = || self.latest.iter().map(|arrival| arrival.sent);
        let span = sent().max()?.saturating_sub(sent().min()?);
        if self.latest.len() < FEWEST || span < SHORTEST {
            return None;
        }
        let transits = self.latest.iter().map(|arrival| arrival.transit);
        Some((transits.fold(f64::INFINITY, f64::min) - self.fastest()).max(0.0))
    }

    /// Whether all that tells the queue left later.
    pub(super) fn is_since(&self, time: Duration) -> bool {
        self.latest.len() >= FEWEST && self.latest.iter().all(|arrival| arrival.sent >= time)
    }

    /// Whether the latest packets all waited longer than so many milliseconds, and ever longer. A queue that
    /// stands is seen when all that left in some time has waited; behind a path that fell far, that is long
    /// after, for what leaves in a moment takes many to arrive.
    pub(super) fn fall(&self, now: Duration, longer_than_ms: f64) -> Option<Fall> {
        let last = self.arrivals.iter().map(|arrival| arrival.at).max()?;
        let recent = self.arrivals.iter().filter(|a| a.at.saturating_add(FALL_WINDOW_US) > last);
        let mut recent: Vec<_> = recent.copied().collect();
        recent.sort_unstable_by_key(|arrival| arrival.at);
        let fastest = self.fastest();
        let waited = |arrival: &&Arrival| arrival.transit - fastest > longer_than_ms;
        let count = recent.iter().rev().take_while(waited).count();
        // As few of them as tell something: what came before may have come faster.
        let enough = |few: &&[Arrival]| match few {
            [first, .., latest] => latest.at.saturating_sub(first.at) >= FALL_SHORTEST_US,
            _ => false,
        };
        let waited = (FALL_FEWEST..=count).map(|n| &recent[recent.len() - n..]).find(enough)?;
        let (first, latest) = (waited.first()?, waited.last()?);
        let span = latest.at.saturating_sub(first.at);
        let grown = latest.transit - first.transit;
        if grown < FALL_SLOPE * span as f64 / 1_000.0 {
            return None;
        }
        let bytes: usize = waited.iter().skip(1).map(|arrival| arrival.bytes).sum();
        let rate = bytes as f64 * 8_000_000.0 / span as f64;
        // Of a second of sending, what did not arrive in one.
        let took = latest.sent.saturating_sub(first.sent).as_secs_f64().max(SHORTEST_SENT);
        let since = now.saturating_sub(latest.sent).as_secs_f64();
        let queue_ms = latest.transit - fastest + grown / took * since;
        Some(Fall { rate, queue_ms })
    }

    /// Bits per second that arrive; `None` if nothing does.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        if self.arrivals.is_empty() || now.saturating_sub(self.told) > Duration::from_secs(1) {
            return None;
        }
        let bytes: usize = self.arrivals.iter().map(|arrival| arrival.bytes).sum();
        Some(bytes as f64 * 8_000_000.0 / RATE_WINDOW_US as f64)
    }

    /// The queue is none: the way itself takes so much longer than before.
    pub(super) fn longer_way(&mut self, queue_ms: f64) {
        self.fastest.0 = self.fastest.0.map(|fastest| fastest + queue_ms);
        if let Some((_, fastest)) = &mut self.fastest.1 {
            *fastest += queue_ms;
        }
    }
}
