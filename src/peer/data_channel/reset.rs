//! Whether the remote's app closed a channel, or its connection is ending and the channel went first: pure.
//!
//! Both reset the channel, and nothing in that tells them apart. Browsers close the channels of a connection
//! before the connection itself, and what tells of that end may come seconds later, or get lost: then silence
//! tells. So a remote that is still heard on the same connection after what an ending one may send has closed
//! the channel alone.
//!
//! Invariant: a channel counts as closed by the remote's app only while there is a path to it, and nothing that
//! another connection of the remote could have sent is taken for a sign of life. Without such a sign nothing is
//! decided here: the connection comes back or is made anew.

use std::time::Duration;

/// What comes this soon after the reset may be the rest of a connection: Firefox sent its last datagram up to 70 ms
/// after the reset when nothing else told of the end.
const REST: Duration = Duration::from_millis(500);
/// A remote that lives is heard within this, or it is asked: a path is checked every second.
const HEARD_WITHIN: Duration = Duration::from_millis(1_500);
/// Pause between looks at what was heard.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What is known of the remote on the channel's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Datagrams received; only grows.
    pub(crate) received: u64,
    /// Whether those of now can only be from the connection that carried the channel: there is a path, and no
    /// offer of ours is under way, which a new connection of the remote might take up.
    pub(crate) certain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The remote's app closed the channel.
    Closed,
    /// Nothing was heard since: a restart of the path asks whether the remote's connection is there. Once.
    Silent,
}

/// The reset of one channel.
#[derive(Debug)]
pub(crate) struct Reset {
    state: State,
    was_asked: bool,
}

#[derive(Debug)]
enum State {
    /// What comes now is the rest of a connection.
    Rest { until: Duration },
    /// Who is heard now may still be ending: a browser that is short of time takes its transports down some turns
    /// later, and a channel that is closed in error is closed for good. Who is not heard is silent.
    Ending { before: Option<u64>, until: Duration },
    /// What comes now is no sign.
    Uncertain,
    /// Whoever is heard now lives.
    Listening { before: u64, until: Duration, look: Duration },
}

impl Reset {
    pub(crate) fn new(now: Duration) -> Self {
        Self { state: State::Rest { until: now + REST }, was_asked: false }
    }

    /// What the reset meant; `None` while that is open.
    pub(crate) fn verdict(&mut self, now: Duration, life: Life) -> Option<Verdict> {
        let heard = life.certain.then_some(life.received);
        let silent = match &mut self.state {
            State::Rest { until } | State::Ending { until, .. } if now < *until => return None,
            State::Rest { .. } => {
                self.state = State::Ending { before: heard, until: now + HEARD_WITHIN };
                return None;
            }
            State::Ending { before, .. } => heard.is_some() && heard == *before,
            State::Listening { before, .. } if heard.is_some_and(|heard| heard != *before) => {
                return Some(Verdict::Closed);
            }
            State::Listening { until, look, .. } if life.certain => {
                *look = now + LOOK_AGAIN;
                let silent = now >= *until && !self.was_asked;
                self.was_asked |= silent;
                return silent.then_some(Verdict::Silent);
            }
            State::Uncertain | State::Listening { .. } => false,
        };
        self.state = match heard {
            Some(before) => {
                State::Listening { before, until: now + HEARD_WITHIN, look: now + LOOK_AGAIN }
            }
            None => State::Uncertain,
        };
        self.was_asked |= silent;
        silent.then_some(Verdict::Silent)
    }

    /// When to ask for the verdict again; `None` if something else must happen first.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match self.state {
            State::Rest { until } | State::Ending { until, .. } => Some(until),
            State::Uncertain => None,
            State::Listening { look, .. } => Some(look),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(9);
    const SECOND: Duration = Duration::from_secs(1);
    const ENDING: Duration = REST.saturating_add(HEARD_WITHIN);

    /// Asks whenever asked to, until a verdict or the end; `received` says what was heard by then, and `certain`
    /// whether that is a sign.
    fn judged(
        until: Duration,
        received: impl Fn(Duration) -> u64,
        certain: impl Fn(Duration) -> bool,
    ) -> Vec<(Duration, Verdict)> {
        let (mut reset, mut now, mut all) = (Reset::new(NOW), NOW, Vec::new());
        while now < NOW + until {
            let life = Life { received: received(now - NOW), certain: certain(now - NOW) };
            if let Some(verdict) = reset.verdict(now, life) {
                all.push((now - NOW, verdict));
                if verdict == Verdict::Closed {
                    break;
                }
            }
            // Something else wakes the owner at least once a second.
            now = reset.next_deadline().map_or(now + SECOND, |due| due.max(now)).min(now + SECOND);
        }
        all
    }

    fn seconds(passed: Duration) -> u64 {
        passed.as_secs()
    }

    #[test]
    fn a_remote_that_goes_on_has_closed_the_channel_within_a_few_seconds() {
        for phase in 0..20 {
            let checks = |passed: Duration| seconds(passed + SECOND * phase / 20);
            let all = judged(SECOND * 60, checks, |_| true);
            let [(after, Verdict::Closed)] = all[..] else { panic!("{all:?}") };
            assert!((ENDING..=ENDING + SECOND + LOOK_AGAIN).contains(&after), "{after:?}");
        }
    }

    #[test]
    fn what_an_ending_connection_still_sends_is_no_sign() {
        for (last, asked) in [(REST, ENDING), (ENDING, ENDING + HEARD_WITHIN)] {
            let rest = |passed: Duration| passed.min(last).as_millis() as u64;
            let all = judged(SECOND * 60, rest, |_| true);
            assert_eq!(all, [(asked, Verdict::Silent)], "asked once, and never closed");
        }
    }

    #[test]
    fn what_comes_without_a_path_or_while_an_offer_is_under_way_is_no_sign() {
        // Another connection of the remote answers that offer later, and sends much at once.
        let all = judged(SECOND * 60, |passed| passed.as_millis() as u64, |_| false);
        assert_eq!(all, []);
        // The path is back, and so is the remote: what came before that does not count.
        let back = ENDING * 5;
        let all = judged(SECOND * 60, seconds, |passed| passed >= back);
        let [(after, Verdict::Closed)] = all[..] else { panic!("{all:?}") };
        assert!(after > back && after <= back + SECOND * 2, "{after:?}");
        // It is lost again before anything is heard.
        let all = judged(SECOND * 60, |passed| u64::from(passed >= back), |passed| passed < back);
        assert_eq!(all, [(ENDING, Verdict::Silent)]);
    }

    #[test]
    fn who_must_wait_for_something_else_has_no_deadline() {
        let mut reset = Reset::new(NOW);
        assert_eq!(reset.next_deadline(), Some(NOW + REST));
        let life = Life { received: 7, certain: true };
        assert_eq!(reset.verdict(NOW + REST, life), None);
        assert_eq!(reset.verdict(NOW + REST, life), None);
        assert_eq!(reset.next_deadline(), Some(NOW + ENDING));
        let lost = Life { certain: false, ..life };
        assert_eq!(reset.verdict(NOW + ENDING, lost), None);
        assert_eq!(reset.next_deadline(), None);
        assert_eq!(reset.verdict(NOW + ENDING * 9, life), None);
        assert_eq!(reset.next_deadline(), Some(NOW + ENDING * 9 + LOOK_AGAIN));
    }
}
