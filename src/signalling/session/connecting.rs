//! From nothing to an open socket: attempts, tokens, and hints of the platform.

use std::sync::Arc;
use std::time::Duration;

use super::{CredentialKind, Link, Output, Session, TOKEN_FAILURE_THRESHOLD, TokenOutcome};
use crate::signalling::error::ConnectError;
use crate::signalling::event::{Event, State};
use crate::wire::CloseCode;

impl Session {
    pub(super) fn connect(&mut self, now: Duration) {
        if !matches!(self.state, State::Idle | State::Closed) || !matches!(self.link, Link::Down) {
            let state = self.state;
            let error = ConnectError::InvalidState { state };
            self.outputs.push_back(Output::ConnectDone(Err(error)));
            return;
        }
        self.connect_awaited = true;
        self.ever_connected = false;
        self.over = false;
        self.attempts = 0;
        self.enter(State::Connecting);
        self.begin_attempt(now);
    }

    /// Starts an attempt: a token first, unless there is a key or one in hand.
    pub(super) fn begin_attempt(&mut self, now: Duration) {
        let in_hand = std::mem::take(&mut self.token_in_hand);
        if in_hand || self.config.credential == CredentialKind::Key {
            self.dial(now);
        } else {
            self.ticket += 1;
            self.link = Link::Token { ticket: self.ticket, since: now };
            self.outputs.push_back(Output::FetchToken { ticket: self.ticket });
        }
    }

    fn dial(&mut self, now: Duration) {
        self.attempt += 1;
        self.phase = "starting";
        self.link = Link::Dialing { since: now };
        self.outputs.push_back(Output::Dial { attempt: self.attempt });
    }

    pub(super) fn token(&mut self, now: Duration, ticket: u64, outcome: TokenOutcome) {
        if ticket != self.ticket {
            return;
        }
        if matches!(self.link, Link::Live(_)) {
            self.renewal_token(now, outcome);
            return;
        }
        if !matches!(self.link, Link::Token { .. }) {
            return;
        }
        self.link = Link::Down;
        match outcome {
            TokenOutcome::Ready { fresh } => {
                self.token_failures = 0;
                match self.refused_token.take() {
                    // The very token that was refused: the server will not change its mind.
                    Some(error) if !fresh => self.end(error),
                    _ => self.dial(now),
                }
            }
            TokenOutcome::Unfit { fresh, error } => {
                let again = self.refused_token.is_some() && !fresh;
                let error = ConnectError::Preflight(error);
                if again {
                    self.end(error);
                } else {
                    self.count_token_failure(None);
                    self.lost(now, error);
                }
            }
            TokenOutcome::Failed(error) => {
                self.count_token_failure(Some(&error));
                self.lost(now, ConnectError::TokenProvider(error));
            }
        }
    }

    /// One more failure in a row; from the third on the app is told.
    pub(super) fn count_token_failure(
        &mut self,
        error: Option<&Arc<crate::credential::TokenProviderError>>,
    ) {
        self.token_failures += 1;
        if let Some(error) = error
            && self.token_failures >= TOKEN_FAILURE_THRESHOLD
        {
            let consecutive_failures = self.token_failures;
            self.emit(Event::TokenProviderError { consecutive_failures, error: Arc::clone(error) });
        }
    }

    pub(super) fn opened(&mut self) {
        if let Link::Dialing { since } = self.link {
            self.phase = "waiting for the welcome";
            self.link = Link::Opened { since };
        }
    }

    /// The network or the app's life cycle changed, or the app asks: whatever waits is tried now, whatever
    /// is connected is probed. Only an explicit wish (`forced`) overrides a wait that the server asked for.
    pub(super) fn hurry(&mut self, now: Duration, forced: bool) {
        self.attempts = self.attempts.min(1);
        match self.link {
            Link::Waiting { asked_by_server, .. } if forced || !asked_by_server => {
                self.begin_attempt(now);
            }
            Link::Dialing { .. } | Link::Opened { .. } => {
                // The dial may hang on a path that is gone.
                self.outputs.push_back(Output::DropSocket {
                    attempt: self.attempt,
                    code: CloseCode::NORMAL,
                    reason: "network changed",
                });
                self.dial(now);
            }
            Link::Live(_) => self.probe(now),
            Link::Waiting { .. } | Link::Down | Link::Token { .. } | Link::Closing { .. } => {}
        }
    }
}
