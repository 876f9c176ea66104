//! Whether a remote that the service lost is still the one that it was, pure.
//!
//! Invariant: for each departure there is at most one verdict. While the remote is missing, the end of its
//! connection speaks against it, and so does silence that begins then: an app that ended looks so. Silence that
//! came first is a network that broke, and took the socket later: the remote may be back with it. Once it is
//! listed again it stays; if it is not heard soon, it may be another one under the same id, and its answer to
//! a restart tells.

use std::time::Duration;

/// A remote is heard or signals within this after its return, or it is asked: a path is checked every second.
pub(crate) const SAME_WITHIN: Duration = Duration::from_millis(1_500);

/// What is known of the remote: both only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignsOfLife {
    /// Datagrams received.
    pub(crate) received: u64,
    /// Signals taken.
    pub(crate) signals: u64,
}

/// What became of a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the one that it was.
    Same,
    /// It is back and silent: a restart tells whether it is the same.
    Silent,
    /// It is gone.
    Gone,
}

/// The departure of one remote, if any.
#[derive(Debug, Default)]
pub(crate) struct Departure {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Present,
    /// The service lists it no more. `silent`: nothing was heard of it even before. `lost`: it is gone.
    Missing { silent: bool, lost: bool },
    /// It is listed again.
    Returned { before: SignsOfLife, due: Duration },
}

impl Departure {
    /// The service lists the remote no more. `connected`: there is a connection to it. `silent`: nothing is
    /// heard on that.
    pub(crate) fn missing(&mut self, connected: bool, silent: bool) {
        self.state = State::Missing { silent, lost: !connected };
    }

    /// It is listed again.
    pub(crate) fn returned(&mut self, now: Duration, before: SignsOfLife) {
        self.state = State::Returned { before, due: now + SAME_WITHIN };
    }

    /// Nothing is heard of it any more.
    pub(crate) fn unheard(&mut self) {
        if let State::Missing { silent: false, lost } = &mut self.state {
            *lost = true;
        }
    }

    /// Its connection ended.
    pub(crate) fn ended(&mut self) {
        if let State::Missing { lost, .. } = &mut self.state {
            *lost = true;
        }
    }

    /// What became of it; `None` while that is open.
    pub(crate) fn verdict(&mut self, now: Duration, signs: SignsOfLife) -> Option<Verdict> {
        let verdict = match &self.state {
            State::Missing { lost: true, .. } => Verdict::Gone,
            State::Returned { before, .. } if signs != *before => Verdict::Same,
            State::Returned { due, .. } if now >= *due => Verdict::Silent,
            _ => return None,
        };
        self.state = State::Present;
        Some(verdict)
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match self.state {
            State::Returned { due, .. } => Some(due),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(9);
    const BEFORE: SignsOfLife = SignsOfLife { received: 7, signals: 3 };

    #[test]
    fn while_it_is_heard_it_is_only_missing() {
        let mut departure = Departure::default();
        assert_eq!(departure.verdict(NOW, BEFORE), None);
        departure.unheard();
        departure.missing(true, false);
        assert_eq!((departure.verdict(NOW, BEFORE), departure.next_deadline()), (None, None));
        departure.unheard();
        assert_eq!(departure.verdict(NOW, BEFORE), Some(Verdict::Gone));
        assert_eq!(departure.verdict(NOW, BEFORE), None, "one verdict");
        departure.missing(false, false);
        assert_eq!(departure.verdict(NOW, BEFORE), Some(Verdict::Gone), "gone at once");
    }

    #[test]
    fn silence_that_came_first_is_the_networks() {
        let mut departure = Departure::default();
        departure.missing(true, true);
        departure.unheard();
        assert_eq!(departure.verdict(NOW, BEFORE), None);
        departure.ended();
        assert_eq!(departure.verdict(NOW, BEFORE), Some(Verdict::Gone));
    }

    #[test]
    fn after_its_return_a_sign_of_life_decides() {
        for sign in [SignsOfLife { received: 8, ..BEFORE }, SignsOfLife { signals: 4, ..BEFORE }] {
            let mut departure = Departure::default();
            departure.missing(true, false);
            departure.returned(NOW, BEFORE);
            assert_eq!(departure.verdict(NOW, BEFORE), None);
            departure.unheard();
            assert_eq!(departure.verdict(NOW, sign), Some(Verdict::Same));
        }
        let mut departure = Departure::default();
        departure.returned(NOW, BEFORE);
        let due = departure.next_deadline().unwrap();
        assert_eq!(due, NOW + SAME_WITHIN);
        assert_eq!(departure.verdict(due, BEFORE), Some(Verdict::Silent));
        assert_eq!(departure.next_deadline(), None);
    }
}
