//! Losses without a queue: whether less to send would help. Pure.
//!
//! A policer or a short buffer loses what is too much; a radio loses its share of whatever is sent. One look
//! does not tell them apart, but a trial does: less is sent for a while, and losses that stay are the path's own.

use std::collections::VecDeque;
use std::time::Duration;

/// The share is that of so much time.
const WINDOW: Duration = Duration::from_millis(2_000);
/// Fewer packets tell nothing.
const FEWEST: usize = 40;
/// Above the path's own share: no reason for anything up to the first, with a margin for chance of so many
/// standard deviations; reason to send less at once from the second on, and between them after a while.
const HARMLESS: f64 = 0.02;
const MARGIN: f64 = 2.5;
const TOO_MUCH: f64 = 0.12;
const A_WHILE: Duration = Duration::from_secs(2);
/// A trial's losses count from a round trip and so much after it began: until then a loss is not known as one.
const KNOWN_AFTER: Duration = Duration::from_millis(300);
/// Losses that fell below this part were helped by sending less.
const HELPED: f64 = 0.6;
/// Losses next to a queue are its own, known so much later.
const EXPLAINED: Duration = Duration::from_millis(1_500);
/// The path's own share is forgotten in about so many seconds.
const FORGETS: f64 = 5.0;

#[derive(Debug, Default)]
pub(super) struct Loss {
    /// When, how many of how many.
    told: VecDeque<(Duration, usize, usize)>,
    /// The path's own share.
    own: f64,
    /// Since when there is more than is harmless.
    since: Option<Duration>,
    /// When the present trial's losses begin to count, and the share before.
    trial: Option<(Duration, f64)>,
    explained: Option<Duration>,
    last: Option<Duration>,
}

impl Loss {
    pub(super) fn add(&mut self, now: Duration, lost: usize, of: usize) {
        if self.explained.is_some_and(|at| now.saturating_sub(at) < EXPLAINED) {
            return;
        }
        self.told.push_back((now, lost, of));
        while self.told.front().is_some_and(|(at, ..)| *at + WINDOW < now) {
            self.told.pop_front();
        }
    }

    /// A queue stands: it is what loses.
    pub(super) fn explained(&mut self, now: Duration) {
        self.explained = Some(now);
        self.told.clear();
        (self.since, self.trial) = (None, None);
    }

    /// The share since then, and of how many packets.
    fn share(&self, from: Duration) -> Option<(f64, f64)> {
        let recent = self.told.iter().filter(|(at, ..)| *at >= from);
        let (lost, of) = recent.fold((0, 0), |(a, b), (_, lost, of)| (a + lost, b + of));
        (of >= FEWEST).then(|| (lost as f64 / of as f64, of as f64))
    }

    /// The share to send less by, when a trial begins.
    pub(super) fn too_much(&mut self, now: Duration, round_trip: Duration) -> Option<f64> {
        if let Some((from, before)) = self.trial {
            let (after, _) = self.share(from)?;
            if now < from + WINDOW {
                return None;
            }
            if after >= before * HELPED {
                self.own = self.own.max(after);
            }
            self.trial = None;
        }
        let (share, of) = self.share(Duration::ZERO)?;
        let passed =
            self.last.replace(now).map_or(0.0, |last| now.saturating_sub(last).as_secs_f64());
        if share < self.own {
            self.own -= (self.own - share) * (passed / FORGETS).min(1.0);
        }
        let excess = share - self.own;
        let likely = (self.own + HARMLESS).min(1.0);
        if excess <= HARMLESS + MARGIN * (likely * (1.0 - likely) / of).sqrt() {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        // Of few packets a share says little: chance alone makes an eighth of a twentieth now and then.
        let much = (self.own + TOO_MUCH).min(1.0);
        let at_once = excess >= TOO_MUCH + MARGIN * (much * (1.0 - much) / of).sqrt();
        if !at_once && now.saturating_sub(since) < A_WHILE {
            return None;
        }
        self.since = None;
        self.trial = Some((now + round_trip + KNOWN_AFTER, share));
        Some(share.min(0.5))
    }

    /// Whether nothing shall grow for now.
    pub(super) const fn holds(&self) -> bool {
        self.since.is_some() || self.trial.is_some()
    }
}
