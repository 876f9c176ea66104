//! The signalling session: decides everything and does nothing.
//!
//! A plain struct that is told the time and what happened ([`Input`]) and says what to do ([`Output`]) and
//! when it wants to be called again ([`Session::next_deadline`]). It reads no clock, no randomness and no
//! socket, and it never sees a credential: the actor beside it holds keys and tokens and answers
//! [`Output::FetchToken`] with whether there is one. So every schedule is tested to the millisecond.
//!
//! Invariants: states change along idle → connecting → connected ⇄ reconnecting → closed only; each
//! request is answered exactly once; what is tracked is replayed and what was dropped is not; nothing
//! that waits is unbounded.

mod connecting;
mod ending;
mod live;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;
mod outbox;
mod renewal;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::{Floor, ReconnectOptions};
use super::error::{ConnectError, RequestError};
use super::event::{Event, State};
use super::pacing::{Bucket, Lanes, PacingOptions, SendPriority};
use super::requests::Requests;
use super::subscriptions::Subscriptions;
use crate::credential::TokenProviderError;
use crate::wire::{CloseCode, DEFAULT_MAX_MESSAGE_SIZE};

/// From the start of an attempt to its welcome; name lookup, TCP and TLS included.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
/// use metered_realtime::signalling::{DEFAULT_TOKEN_TIMEOUT, WELCOME_TIMEOUT};
/// // `connect` ends by itself: here after a token's and an attempt's time at the latest.
/// let longest = DEFAULT_TOKEN_TIMEOUT + WELCOME_TIMEOUT;
/// tokio::time::timeout(longest, client.connect()).await??;
/// client.close().await;
/// # Ok(())
/// # });
/// ```
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// How long `close` waits for the server's close frame.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
/// use metered_realtime::signalling::CLOSE_TIMEOUT;
/// client.connect().await?;
/// // A platform that leaves the app three seconds to end leaves enough.
/// assert!(CLOSE_TIMEOUT.as_secs() < 3);
/// client.close().await;
/// # Ok(())
/// # });
/// ```
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the answer to a probe may take.
///
/// ```
/// use metered_realtime::signalling::{PROBE_TIMEOUT, WELCOME_TIMEOUT};
/// // After `network_changed`, with a key: the longest time until a dead connection is replaced, or the first
/// // attempt at that has failed.
/// assert_eq!((PROBE_TIMEOUT + WELCOME_TIMEOUT).as_secs(), 12);
/// ```
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A frame that the socket does not take for so long tells that the path is dead.
///
/// ```
/// use metered_realtime::signalling::{DEFAULT_INACTIVITY_TIMEOUT, WRITE_STALL_TIMEOUT};
/// // A frame that is stuck tells sooner than silence does.
/// assert!(WRITE_STALL_TIMEOUT < DEFAULT_INACTIVITY_TIMEOUT);
/// ```
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Failures of the token provider in a row from which on the app is told.
///
/// ```
/// use metered_realtime::credential::TokenProviderError;
/// use metered_realtime::signalling::{Event, TOKEN_FAILURE_THRESHOLD};
/// /// The backend gives no tokens for a while now: ask the user to sign in again.
/// fn shall_sign_in(event: &Event) -> bool {
///     matches!(event, Event::TokenProviderError { consecutive_failures, .. }
///         if *consecutive_failures >= 2 * TOKEN_FAILURE_THRESHOLD)
/// }
/// let error = std::sync::Arc::new(TokenProviderError::new("HTTP 401"));
/// assert!(shall_sign_in(&Event::TokenProviderError { consecutive_failures: 6, error }));
/// ```
pub const TOKEN_FAILURE_THRESHOLD: u32 = 3;

/// What a session needs to know of the client's options.
#[derive(Clone, Debug)]
pub(crate) struct SessionConfig {
    pub(crate) credential: CredentialKind,
    /// `None`: the first drop ends the client.
    pub(crate) reconnect: Option<ReconnectOptions>,
    /// `None`: no pings and no watchdog.
    pub(crate) inactivity_timeout: Option<Duration>,
    pub(crate) token_timeout: Duration,
    pub(crate) auto_resubscribe: bool,
    /// `None`: requests leave as they come.
    pub(crate) pacing: Option<PacingOptions>,
}

/// How a credential behaves, without what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    /// A key: no token is ever fetched.
    Key,
    /// One token for all attempts.
    FixedToken,
    /// A new token can be had.
    Provider,
}

/// A request of the app, encoded and checked.
#[derive(Debug)]
pub(crate) struct Request {
    /// Its id, which is also its `requestId` in decimal. Below 2^63.
    pub(crate) id: u64,
    pub(crate) kind: RequestKind,
    pub(crate) text: String,
    /// Bytes of the data in it, for the error of an oversized frame.
    pub(crate) data_size: usize,
    pub(crate) priority: SendPriority,
}

#[derive(Debug)]
pub(crate) enum RequestKind {
    /// The session itself sets the generation.
    Subscribe {
        channel: Box<str>,
        include_sender_metadata: bool,
        generation: u64,
    },
    Unsubscribe {
        channel: Box<str>,
    },
    Publish,
    Send,
}

/// What the provider, or the fixed token, came to.
#[derive(Debug)]
pub(crate) enum TokenOutcome {
    /// The actor holds a token that passed the preflight.
    Ready {
        /// Whether it differs from the one before.
        fresh: bool,
    },
    /// It cannot work.
    Unfit {
        /// Whether it differs from the one before.
        fresh: bool,
        error: Arc<crate::credential::PreflightError>,
    },
    /// There is none.
    Failed(Arc<TokenProviderError>),
}

/// What happened. `attempt` and `ticket` are those of the output that led to it; stale ones are ignored.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Connect,
    Close {
        code: CloseCode,
        reason: String,
    },
    Request(Request),
    Token {
        ticket: u64,
        outcome: TokenOutcome,
    },
    Opened {
        attempt: u64,
    },
    DialFailed {
        attempt: u64,
        error: ConnectError,
    },
    Text {
        attempt: u64,
        text: &'a str,
    },
    Binary {
        attempt: u64,
    },
    TooBig {
        attempt: u64,
    },
    /// So many frames have left since the socket opened.
    Flushed {
        attempt: u64,
        frames: u64,
    },
    SocketClosed {
        attempt: u64,
        code: CloseCode,
        reason: String,
    },
    NetworkChanged,
    EnteredBackground,
    EnteredForeground,
    ReconnectNow,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Output {
    FetchToken {
        ticket: u64,
    },
    CancelToken,
    /// Connect with the key, or with the last token.
    Dial {
        attempt: u64,
    },
    Write {
        attempt: u64,
        text: String,
    },
    /// Close politely and report [`Input::SocketClosed`].
    CloseSocket {
        attempt: u64,
        code: CloseCode,
        reason: String,
    },
    /// Leave the socket, or the dial, at once; a close frame is tried but not waited for.
    DropSocket {
        attempt: u64,
        code: CloseCode,
        reason: &'static str,
    },
    Event(Event),
    ConnectDone(Result<(), ConnectError>),
    RequestDone {
        id: u64,
        result: Result<(), RequestError>,
    },
    /// `close` is done. The session is over.
    CloseDone,
}

/// Frames and inputs that led to nothing, by reason. All start at 0.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
/// use metered_realtime::signalling::Counters;
/// client.connect().await?;
/// let Counters { malformed_frames, late_answers, .. } = client.counters();
/// assert_eq!((malformed_frames, late_answers), (0, 0)); // worth a line in a report if not
/// client.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that are not what the protocol says.
    pub malformed_frames: u64,
    /// Broken entries and fields inside frames that were otherwise good.
    pub dropped_entries: u64,
    /// Frames of a type that this version does not know.
    pub unknown_frames: u64,
    /// Binary frames; the protocol has none.
    pub binary_frames: u64,
    /// Answers to requests that nobody waits for any more.
    pub late_answers: u64,
    /// Frames of connections that were already given up.
    pub stale_frames: u64,
}

/// Where the connection stands; finer than [`State`].
#[derive(Debug)]
enum Link {
    Down,
    /// The provider, or the preflight, is at work.
    Token {
        ticket: u64,
        since: Duration,
    },
    /// The next attempt is due later.
    Waiting {
        until: Duration,
        asked_by_server: bool,
    },
    /// A dial is under way.
    Dialing {
        since: Duration,
    },
    /// The socket is open; the welcome is awaited.
    Opened {
        since: Duration,
    },
    Live(live::Live),
    /// `close` waits for the server's close frame.
    Closing {
        until: Duration,
        code: CloseCode,
        reason: String,
    },
}

/// The state machine. See the module's words.
pub(crate) struct Session {
    config: SessionConfig,
    chance: Box<dyn FnMut() -> f64 + Send>,
    state: State,
    link: Link,
    /// The id of the latest dial and its socket.
    attempt: u64,
    /// The id of the latest token fetch.
    ticket: u64,
    /// `connect` awaits its result.
    connect_awaited: bool,
    ever_connected: bool,
    /// Nothing more will come until `connect` is called.
    over: bool,
    /// Attempts since the last welcome.
    attempts: u32,
    /// A wait that the server asked for; holds for the next attempt.
    floor: Option<Floor>,
    token_failures: u32,
    /// HTTP 401 and 403 in a row.
    refusals: u32,
    /// Why the last token is known to be useless.
    refused_token: Option<ConnectError>,
    /// A token was fetched ahead and not used yet.
    token_in_hand: bool,
    /// The connection is being replaced by plan: waiting requests stay.
    renewing: bool,
    /// What a dial is doing, for the error when time runs out.
    phase: &'static str,
    max_message_size: usize,
    subscriptions: Subscriptions,
    requests: Requests<outbox::Pending>,
    lanes: Lanes<Request>,
    bucket: Bucket,
    next_replay: u64,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A session at rest, in state idle or closed. `chance` draws evenly from 0 to 1.
    pub(crate) fn new(
        config: SessionConfig,
        chance: Box<dyn FnMut() -> f64 + Send>,
        state: State,
        now: Duration,
    ) -> Self {
        let bucket = Bucket::new(config.pacing, now);
        Self {
            config,
            chance,
            state,
            link: Link::Down,
            attempt: 0,
            ticket: 0,
            connect_awaited: false,
            ever_connected: false,
            over: false,
            attempts: 0,
            floor: None,
            token_failures: 0,
            refusals: 0,
            refused_token: None,
            token_in_hand: false,
            renewing: false,
            phase: "starting",
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            subscriptions: Subscriptions::default(),
            requests: Requests::default(),
            lanes: Lanes::default(),
            bucket,
            next_replay: 0,
            counters: Counters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened at `now`, which never goes back.
    pub(crate) fn handle(&mut self, now: Duration, input: Input<'_>) {
        match input {
            Input::Connect => self.connect(now),
            Input::Close { code, reason } => self.close(now, code, reason),
            Input::Request(request) => self.request(now, request),
            Input::Token { ticket, outcome } => self.token(now, ticket, outcome),
            Input::NetworkChanged | Input::EnteredForeground => self.hurry(now, false),
            Input::EnteredBackground => self.probe(now),
            Input::ReconnectNow => self.hurry(now, true),
            Input::Opened { attempt } if self.is_current(attempt) => self.opened(),
            Input::DialFailed { attempt, error } if self.is_current(attempt) => {
                self.lost(now, error);
            }
            Input::Text { attempt, text } if self.is_current(attempt) => self.text(now, text),
            Input::Binary { attempt } if self.is_current(attempt) => {
                self.counters.binary_frames += 1;
            }
            Input::TooBig { attempt } if self.is_current(attempt) => {
                self.abandon(now, ConnectError::InboundTooBig);
            }
            Input::Flushed { attempt, frames } if self.is_current(attempt) => {
                self.flushed(now, frames);
            }
            Input::SocketClosed { attempt, code, reason } if self.is_current(attempt) => {
                self.socket_closed(now, code, reason);
            }
            Input::Text { .. } | Input::Binary { .. } | Input::TooBig { .. } => {
                self.counters.stale_frames += 1;
            }
            Input::Opened { .. }
            | Input::DialFailed { .. }
            | Input::Flushed { .. }
            | Input::SocketClosed { .. } => {}
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        match &self.link {
            Link::Down => {}
            Link::Token { ticket, since } => {
                if now >= *since + self.config.token_timeout {
                    let error = TokenProviderError::timed_out(self.config.token_timeout);
                    let ticket = *ticket;
                    self.outputs.push_back(Output::CancelToken);
                    self.token(now, ticket, TokenOutcome::Failed(Arc::new(error)));
                }
            }
            Link::Waiting { until, .. } => {
                if now >= *until {
                    self.begin_attempt(now);
                }
            }
            Link::Dialing { since } | Link::Opened { since } => {
                if now >= *since + WELCOME_TIMEOUT {
                    self.abandon(now, ConnectError::WelcomeTimeout { phase: self.phase });
                }
            }
            Link::Live(_) => self.live_timeout(now),
            Link::Closing { until, .. } => {
                if now >= *until {
                    self.closing_over(None);
                }
            }
        }
    }

    /// What to do next, in order; `None` when there is nothing.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match &self.link {
            Link::Down => None,
            Link::Token { since, .. } => Some(*since + self.config.token_timeout),
            Link::Waiting { until, .. } | Link::Closing { until, .. } => Some(*until),
            Link::Dialing { since } | Link::Opened { since } => Some(*since + WELCOME_TIMEOUT),
            Link::Live(live) => self.live_deadline(live),
        }
    }

    /// What the dial is doing now, for the error when time runs out.
    pub(crate) fn note_phase(&mut self, phase: &'static str) {
        self.phase = phase;
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Whether nothing more will come of this session.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Bytes that one frame may have now.
    pub(crate) fn max_message_size(&self) -> usize {
        self.max_message_size
    }

    /// Requests per lane that wait for their turn: signalling, app.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.lanes.waiting()
    }

    /// Requests that left, or are leaving, and are not answered yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    fn is_current(&self, attempt: u64) -> bool {
        attempt == self.attempt
            && !matches!(self.link, Link::Down | Link::Token { .. } | Link::Waiting { .. })
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn enter(&mut self, to: State) {
        if self.state != to {
            let from = std::mem::replace(&mut self.state, to);
            self.emit(Event::StateChange { from, to });
        }
    }
}
