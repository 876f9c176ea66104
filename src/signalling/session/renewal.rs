//! The next token, ahead of the end of the present one.
//!
//! The provider is asked 30 s before `expiresAt` by the server's clock, or at half of a shorter life. With
//! the token in hand the session lets requests that left be answered, holds the others, and connects anew
//! at once: nothing is lost, and no back-off is due.

use std::time::Duration;

use super::{CredentialKind, Link, Output, Session, TokenOutcome};
use crate::signalling::error::ConnectError;
use crate::wire::Welcome;

/// Ahead of the token's end by this much, if its life is long enough.
const AHEAD: Duration = Duration::from_secs(30);
/// Requests that left have so long to be answered before the connection is replaced.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two calls of a provider that failed or gave the same token again.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Longest life that is scheduled; longer ones are as good as endless.
const LONGEST: f64 = 10.0 * 365.0 * 86_400.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// No provider, or no end.
    Never,
    /// The provider is asked then.
    At(Duration),
    /// The provider is at work, until then at most.
    Asking { until: Duration },
    /// The token is there; requests under way are answered first, until then at most.
    Draining { until: Duration },
}

impl Renewal {
    pub(super) const fn holds_requests(&self) -> bool {
        matches!(self, Self::Draining { .. })
    }

    pub(super) const fn deadline(&self) -> Option<Duration> {
        match self {
            Self::At(at) => Some(*at),
            Self::Asking { until } | Self::Draining { until } => Some(*until),
            Self::Never => None,
        }
    }
}

impl Session {
    pub(super) fn schedule_renewal(&self, now: Duration, welcome: &Welcome) -> Renewal {
        let life = match (welcome.expires_at, welcome.server_time) {
            (Some(end), Some(start)) => (end.0 - start.0).min(LONGEST),
            _ => return Renewal::Never,
        };
        let possible =
            self.config.credential == CredentialKind::Provider && self.config.reconnect.is_some();
        if !possible || life.is_nan() || life <= 0.0 {
            return Renewal::Never;
        }
        let life = Duration::from_secs_f64(life);
        Renewal::At(now + life.saturating_sub(AHEAD).max(life / 2))
    }

    fn set_renewal(&mut self, renewal: Renewal) {
        if let Link::Live(live) = &mut self.link {
            live.renewal = renewal;
        }
    }

    fn renewal(&self) -> Renewal {
        match &self.link {
            Link::Live(live) => live.renewal,
            _ => Renewal::Never,
        }
    }

    pub(super) fn renewal_due(&mut self, now: Duration) {
        match self.renewal() {
            Renewal::At(at) if now >= at => {
                self.ticket += 1;
                self.set_renewal(Renewal::Asking { until: now + self.config.token_timeout });
                self.outputs.push_back(Output::FetchToken { ticket: self.ticket });
            }
            Renewal::Asking { until } if now >= until => {
                self.outputs.push_back(Output::CancelToken);
                let limit = self.config.token_timeout;
                let error = crate::credential::TokenProviderError::timed_out(limit);
                self.renewal_token(now, TokenOutcome::Failed(error.into()));
            }
            Renewal::Draining { until } if now >= until => self.renew(now),
            _ => {}
        }
    }

    pub(super) fn renewal_token(&mut self, now: Duration, outcome: TokenOutcome) {
        if !matches!(self.renewal(), Renewal::Asking { .. }) {
            return;
        }
        self.ticket += 1;
        let again = Renewal::At(now + ASK_AGAIN);
        match outcome {
            TokenOutcome::Ready { fresh: true } => {
                self.token_failures = 0;
                self.token_in_hand = true;
                self.set_renewal(Renewal::Draining { until: now + DRAIN_TIMEOUT });
                self.renewal_drained(now);
            }
            // The provider still caches the present token: it may do better closer to the end.
            TokenOutcome::Ready { fresh: false } | TokenOutcome::Unfit { fresh: false, .. } => {
                self.set_renewal(again);
            }
            TokenOutcome::Unfit { fresh: true, .. } => {
                self.count_token_failure(None);
                self.set_renewal(again);
            }
            TokenOutcome::Failed(error) => {
                self.count_token_failure(Some(&error));
                self.set_renewal(again);
            }
        }
    }

    /// Replaces the connection if nothing under way is waited for any more.
    pub(super) fn renewal_drained(&mut self, now: Duration) {
        if matches!(self.renewal(), Renewal::Draining { .. }) && self.requests.len() == 0 {
            self.renew(now);
        }
    }

    fn renew(&mut self, now: Duration) {
        self.abandon(now, ConnectError::Renewal);
    }
}
