//! Who offers first when two meet, pure.
//!
//! Chromium, when its first offer is taken back within some milliseconds, now and then never gathers a candidate
//! again, whatever is negotiated later. The remote that would have to take its offer back is therefore let
//! offer first.

use std::time::Duration;

/// How long our first offer waits for one of a remote that would have to take its own back: what a browser near
/// by takes to make one, on a bad day.
pub(super) const FIRST_OFFER_WAIT: Duration = Duration::from_millis(150);
/// The same for a remote that has said something of its tracks, so that an offer will follow.
pub(super) const ANNOUNCED_OFFER_WAIT: Duration = Duration::from_secs(1);
/// How long an app may take to open something on a remote that it has just been told of, before the remote is
/// told that we have nothing to offer.
pub(super) const YIELD_WAIT: Duration = Duration::from_millis(20);

/// The first moments with a remote.
#[derive(Debug, Default)]
pub(super) struct Meeting {
    began: Duration,
    held_until: Duration,
    yields_at: Option<Duration>,
}

impl Meeting {
    pub(super) fn new(now: Duration, polite: bool) -> Self {
        let (held_until, yields_at) = match polite {
            true => (Duration::ZERO, Some(now + YIELD_WAIT)),
            false => (now + FIRST_OFFER_WAIT, None),
        };
        Self { began: now, held_until, yields_at }
    }

    /// The remote let us know whether it has something to offer.
    pub(super) fn announced(&mut self, now: Duration, offers: bool) {
        if now < self.held_until {
            self.held_until = if offers { self.began + ANNOUNCED_OFFER_WAIT } else { now };
        }
    }

    /// Something was agreed on.
    pub(super) fn over(&mut self) {
        *self = Self::default();
    }

    /// Before that our offer does not leave.
    pub(super) fn held_until(&self) -> Duration {
        self.held_until
    }

    pub(super) fn yields_at(&self) -> Option<Duration> {
        self.yields_at
    }

    /// Whether the remote is to be told now that we have nothing to offer: once, if it is so.
    pub(super) fn yields(&mut self, now: Duration, idle: bool) -> bool {
        let due = self.yields_at.is_some_and(|at| now >= at);
        if due {
            self.yields_at = None;
        }
        due && idle
    }
}
