//! When to look for a path anew, pure.
//!
//! Invariant: from the loss of a path to its return there are at most nine restarts on a fixed schedule,
//! and then one [`Output::Exhausted`]. A path that returns, and a network that changed, start the count anew.
//!
//! A restart ends the path that there is, and its offer has to leave by the service. So while a path runs, a
//! network that changed leads to a restart only when the service was heard since.
//!
//! A path that falls silent soon after we came back to the service is taken for lost at once: whoever saw us leave has
//! ended its side, as official SDKs do, and waits for our offer. If it has something to offer itself it does so on its
//! own, and an offer of ours for what it has ended would take that one's place: then it is waited for.

use std::time::Duration;

/// Pause before each restart, from the one before (JavaScript SDK 1.2.0): together 121 s.
pub(crate) const LADDER: [Duration; 9] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(30),
    Duration::from_secs(30),
    Duration::from_secs(30),
];
/// How long a restart may take before the ladder goes on: an answer to come (JavaScript SDK 1.2.0), or an
/// agreed path to be found.
pub(crate) const ATTEMPT_WAIT: Duration = Duration::from_secs(15);
/// The polite side lets the other one begin, or both offers collide each time a path is lost.
pub(crate) const POLITE_DELAY: Duration = Duration::from_millis(250);
/// After so long the service was heard or is known to be out of reach: longer than it is probed for.
const HEARD_WAIT: Duration = Duration::from_secs(5);
/// After a return it takes so long at most until a path that the remote has ended is known to be silent.
const RETURNED: Duration = Duration::from_secs(10);
/// A remote that knows of our return has offered by then what it has.
pub(crate) const OFFER_WAIT: Duration = Duration::from_secs(2);

/// What the owner shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Negotiate a restart.
    Restart,
    /// Nothing more will be tried by itself.
    Exhausted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is a path, or nothing was ever negotiated.
    Resting,
    /// The network changed while there was a path, which goes on until the service is heard, or until then.
    Held {
        until: Duration,
    },
    /// No path. `rung` restarts were made or skipped; the next is due at `due`.
    Climbing {
        rung: usize,
        due: Duration,
    },
    /// All were made; the last one has until then.
    Last {
        until: Duration,
    },
    Exhausted,
}

/// The ladder of one remote.
#[derive(Debug)]
pub(crate) struct IceRestart {
    polite: bool,
    state: State,
    /// Since when a restart waits for its answer or its path.
    attempt: Option<Duration>,
    /// Whether signals reach the service: restarts are of no use otherwise.
    signalling: bool,
    /// When we came back to the service.
    returned: Option<Duration>,
    /// Whether nothing is heard on the path.
    silent: bool,
    output: Option<Output>,
}

impl IceRestart {
    pub(crate) fn new(polite: bool) -> Self {
        let (state, attempt) = (State::Resting, None);
        let (signalling, returned, silent) = (true, None, false);
        Self { polite, state, attempt, signalling, returned, silent, output: None }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.output.take()
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match self.state {
            State::Climbing { due, .. } | State::Held { until: due } if self.signalling => {
                Some(due)
            }
            State::Last { until } => Some(until),
            _ => None,
        }
    }

    /// Whether a path is being looked for.
    pub(crate) fn is_climbing(&self) -> bool {
        matches!(self.state, State::Climbing { .. } | State::Last { .. })
    }

    /// The path is lost, or a connection could not be made.
    pub(crate) fn lost(&mut self, now: Duration) {
        if matches!(self.state, State::Resting | State::Held { .. }) {
            let due = if self.polite { now + POLITE_DELAY } else { now };
            self.state = State::Climbing { rung: 0, due };
            self.attempt = None;
        } else {
            // The attempt under way has failed: the next one need not wait for it.
            self.attempt = None;
        }
        self.timeout(now);
    }

    /// Nothing was heard on the path for some seconds; it may come back.
    pub(crate) fn silent(&mut self, now: Duration) {
        self.silent = true;
        self.judge(now);
    }

    /// We were away from the service, and are known to the remote again.
    pub(crate) fn returned(&mut self, now: Duration) {
        self.returned = Some(now);
        self.judge(now);
    }

    /// There is no path, and the remote may be about to offer one: it is looked for anew if it does not.
    pub(crate) fn expects_offer(&mut self, now: Duration) {
        if self.state == State::Resting {
            self.state = State::Climbing { rung: 0, due: now + OFFER_WAIT };
            self.attempt = None;
        }
    }

    fn judge(&mut self, now: Duration) {
        let returned = self.returned.is_some_and(|at| now < at + RETURNED);
        if self.silent && returned && self.state == State::Resting {
            self.lost(now);
        }
    }

    /// An offer of either side was answered: its path has some time.
    pub(crate) fn negotiated(&mut self, now: Duration) {
        if self.is_climbing() {
            self.attempt = Some(now);
        }
    }

    /// A connection is made anew, with what is under way: that has some time.
    pub(crate) fn rebuilt(&mut self, now: Duration) {
        self.negotiated(now);
    }

    /// Nothing needs a path.
    pub(crate) fn rest(&mut self) {
        self.state = State::Resting;
        (self.attempt, self.output, self.silent) = (None, None, false);
    }

    /// There is a path.
    pub(crate) fn found(&mut self) {
        if !matches!(self.state, State::Held { .. }) {
            self.state = State::Resting;
        }
        self.attempt = None;
        self.output = None;
        self.silent = false;
    }

    /// The device is on another network: with a fresh count, and at once if there is no path to lose.
    pub(crate) fn network_changed(&mut self, now: Duration) {
        self.state = match self.state {
            State::Resting => State::Held { until: now + HEARD_WAIT },
            held @ State::Held { .. } => held,
            _ => State::Climbing { rung: 0, due: now },
        };
        self.attempt = None;
        self.timeout(now);
    }

    /// The service answered a probe: an offer can leave.
    pub(crate) fn heard(&mut self, now: Duration) {
        if matches!(self.state, State::Held { .. }) {
            self.state = State::Climbing { rung: 0, due: now };
            self.timeout(now);
        }
    }

    /// Signals reach the service, or no longer do.
    pub(crate) fn signalling(&mut self, now: Duration, up: bool) {
        self.signalling = up;
        if up {
            self.heard(now);
        }
        if up && let State::Climbing { rung, due } = self.state {
            // Time without signalling is not held against the ladder.
            self.state = State::Climbing { rung, due: due.max(now) };
        }
        self.timeout(now);
    }

    /// Time passed.
    pub(crate) fn timeout(&mut self, now: Duration) {
        if let State::Held { until } = self.state
            && self.signalling
            && now >= until
        {
            self.state = State::Climbing { rung: 0, due: now };
        }
        match self.state {
            State::Climbing { rung, due } if self.signalling && now >= due => {
                let busy = self.attempt.is_some_and(|since| now < since + ATTEMPT_WAIT);
                if !busy {
                    self.attempt = Some(now);
                    self.output = Some(Output::Restart);
                }
                self.state = match LADDER.get(rung + 1) {
                    Some(pause) => State::Climbing { rung: rung + 1, due: now + *pause },
                    None => State::Last { until: now + ATTEMPT_WAIT },
                };
            }
            State::Last { until } if now >= until => {
                self.state = State::Exhausted;
                self.output = Some(Output::Exhausted);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs to the end; `fails_after` is how long an attempt takes to fail.
    fn climb(mut ladder: IceRestart, fails_after: Option<Duration>) -> (Vec<u64>, Duration) {
        let (mut restarts, mut now) = (Vec::new(), Duration::ZERO);
        let mut failure = None;
        loop {
            match ladder.poll_output() {
                Some(Output::Restart) => {
                    restarts.push(u64::try_from(now.as_millis()).unwrap());
                    failure = fails_after.map(|after| now + after);
                }
                Some(Output::Exhausted) => return (restarts, now),
                None => {
                    let due = ladder.next_deadline().unwrap();
                    match failure.filter(|failure| *failure <= due) {
                        Some(at) => {
                            now = at;
                            failure = None;
                            ladder.lost(now);
                        }
                        None => {
                            now = due;
                            ladder.timeout(now);
                        }
                    }
                }
            }
        }
    }

    fn lost(polite: bool) -> IceRestart {
        let mut ladder = IceRestart::new(polite);
        ladder.lost(Duration::ZERO);
        ladder
    }

    #[test]
    fn nine_restarts_over_121_seconds_and_one_end() {
        let (restarts, end) = climb(lost(false), Some(Duration::from_millis(500)));
        assert_eq!(restarts, [0, 1_000, 3_000, 7_000, 15_000, 31_000, 61_000, 91_000, 121_000]);
        assert_eq!(end, 136 * SECOND);
    }

    #[test]
    fn an_unanswered_restart_is_waited_for_and_the_end_is_the_same() {
        let (restarts, end) = climb(lost(false), None);
        assert_eq!(restarts, [0, 15_000, 31_000, 61_000, 91_000, 121_000]);
        assert_eq!(end, 136 * SECOND);
    }

    #[test]
    fn the_polite_side_lets_the_other_begin() {
        let mut ladder = lost(true);
        assert_eq!(ladder.poll_output(), None);
        assert_eq!(ladder.next_deadline(), Some(POLITE_DELAY));
        ladder.negotiated(POLITE_DELAY / 2);
        ladder.timeout(POLITE_DELAY);
        assert_eq!(ladder.poll_output(), None, "the other's restart is under way");
        ladder.found();
        assert_eq!(ladder.next_deadline(), None);
    }

    #[test]
    fn a_path_that_is_silent_around_our_return_is_lost() {
        let mut ladder = IceRestart::new(false);
        ladder.returned(SECOND);
        assert_eq!(ladder.poll_output(), None, "it is not silent");
        ladder.silent(4 * SECOND);
        assert_eq!(ladder.poll_output(), Some(Output::Restart));
        let mut ladder = IceRestart::new(true);
        ladder.silent(SECOND);
        assert_eq!(ladder.next_deadline(), None, "it may come back");
        ladder.returned(2 * SECOND);
        assert_eq!(ladder.next_deadline(), Some(2 * SECOND + POLITE_DELAY));
    }

    #[test]
    fn a_path_that_is_silent_long_after_our_return_or_no_more_is_not() {
        let mut ladder = IceRestart::new(false);
        ladder.returned(Duration::ZERO);
        ladder.silent(RETURNED);
        assert_eq!(ladder.poll_output(), None);
        ladder.found();
        ladder.returned(RETURNED + SECOND);
        assert_eq!((ladder.poll_output(), ladder.is_climbing()), (None, false));
        // What is under way is not begun again.
        ladder.lost(20 * SECOND);
        assert_eq!(ladder.poll_output(), Some(Output::Restart));
        ladder.silent(20 * SECOND);
        ladder.returned(20 * SECOND);
        assert_eq!(ladder.poll_output(), None);
    }

    #[test]
    fn a_connection_that_was_just_made_anew_is_given_time() {
        let mut ladder = lost(false);
        assert_eq!(ladder.poll_output(), Some(Output::Restart));
        // The old one's path fails, too, and the remote's answer is of another connection.
        ladder.lost(SECOND / 2);
        ladder.rebuilt(SECOND / 2);
        ladder.timeout(SECOND);
        assert_eq!(ladder.poll_output(), None);
        ladder.lost(2 * SECOND);
        ladder.timeout(3 * SECOND);
        assert_eq!(ladder.poll_output(), Some(Output::Restart), "it failed as well");
    }

    #[test]
    fn a_remote_that_needs_no_path_is_left_alone() {
        let mut ladder = lost(true);
        ladder.rest();
        assert_eq!((ladder.poll_output(), ladder.next_deadline()), (None, None));
        let mut ladder = lost(false);
        ladder.rest();
        ladder.timeout(200 * SECOND);
        assert_eq!((ladder.poll_output(), ladder.is_climbing()), (None, false));
    }

    #[test]
    fn an_offer_to_come_is_waited_for_and_then_not() {
        let mut ladder = IceRestart::new(false);
        ladder.expects_offer(SECOND);
        ladder.timeout(SECOND);
        assert_eq!(
            (ladder.poll_output(), ladder.next_deadline()),
            (None, Some(SECOND + OFFER_WAIT))
        );
        ladder.timeout(SECOND + OFFER_WAIT);
        assert_eq!(ladder.poll_output(), Some(Output::Restart));
        let mut ladder = IceRestart::new(true);
        ladder.expects_offer(SECOND);
        ladder.negotiated(2 * SECOND);
        ladder.timeout(SECOND + OFFER_WAIT);
        assert_eq!(ladder.poll_output(), None, "it came");
    }

    #[test]
    fn a_path_that_returns_gives_a_fresh_budget() {
        let mut ladder = lost(false);
        for _ in 0..6 {
            assert_eq!(ladder.poll_output(), Some(Output::Restart));
            let due = ladder.next_deadline().unwrap();
            ladder.lost(due);
        }
        ladder.found();
        ladder.lost(200 * SECOND);
        assert_eq!(ladder.poll_output(), Some(Output::Restart));
        assert_eq!(ladder.next_deadline(), Some(201 * SECOND));
    }

    #[test]
    fn another_network_restarts_at_once_even_after_the_end() {
        let mut ladder = lost(false);
        ladder.state = State::Exhausted;
        ladder.network_changed(9 * SECOND);
        assert_eq!(ladder.poll_output(), Some(Output::Restart));
    }

    #[test]
    fn a_path_that_runs_is_left_when_the_service_was_heard() {
        let mut healthy = IceRestart::new(true);
        healthy.network_changed(SECOND);
        assert_eq!(healthy.poll_output(), None);
        // A path that was silent for a moment is no other one.
        healthy.found();
        healthy.heard(2 * SECOND);
        assert_eq!(healthy.poll_output(), Some(Output::Restart));
        assert_eq!(healthy.next_deadline(), Some(3 * SECOND));
        healthy.found();
        healthy.heard(4 * SECOND);
        assert_eq!(healthy.poll_output(), None, "nothing changed since");
        // Lost meanwhile: there is nothing to keep.
        let mut impolite = IceRestart::new(false);
        impolite.network_changed(SECOND);
        impolite.lost(2 * SECOND);
        assert_eq!(impolite.poll_output(), Some(Output::Restart));
    }

    #[test]
    fn a_path_that_runs_goes_on_while_the_service_is_out_of_reach() {
        let mut ladder = IceRestart::new(false);
        ladder.network_changed(SECOND);
        ladder.network_changed(2 * SECOND);
        assert_eq!(ladder.next_deadline(), Some(SECOND + HEARD_WAIT));
        ladder.signalling(3 * SECOND, false);
        ladder.timeout(60 * SECOND);
        assert_eq!((ladder.poll_output(), ladder.next_deadline()), (None, None));
        ladder.signalling(61 * SECOND, true);
        assert_eq!(ladder.poll_output(), Some(Output::Restart));
        // Neither heard nor known to be out of reach: that does not last.
        let mut unheard = IceRestart::new(false);
        unheard.network_changed(SECOND);
        unheard.timeout(SECOND + HEARD_WAIT);
        assert_eq!(unheard.poll_output(), Some(Output::Restart));
    }

    #[test]
    fn without_signalling_the_ladder_waits() {
        let mut ladder = IceRestart::new(false);
        ladder.signalling(Duration::ZERO, false);
        ladder.lost(SECOND);
        assert_eq!((ladder.poll_output(), ladder.next_deadline()), (None, None));
        ladder.signalling(60 * SECOND, true);
        assert_eq!(ladder.poll_output(), Some(Output::Restart));
        assert_eq!(ladder.next_deadline(), Some(61 * SECOND));
    }
}
