//! What the app wants to be subscribed to, kept across connections. Pure.
//!
//! A channel is tracked from the call of `subscribe` (not from its ack: a drop in between must not lose
//! it) to the call of `unsubscribe`. On a new connection every tracked channel is replayed, in the order
//! of the first calls; a replay that fails is repeated a few times.

use std::time::Duration;

/// Replays of one channel on one connection after the first has failed.
///
/// ```
/// use metered_realtime::signalling::{REPLAY_RETRIES, REPLAY_RETRY_DELAY};
/// // When `ResubscribeFailed` comes at the earliest, counted from the first refusal.
/// assert_eq!((REPLAY_RETRY_DELAY * REPLAY_RETRIES).as_secs(), 6);
/// ```
pub const REPLAY_RETRIES: u32 = 3;

/// Pause before each of them.
///
/// ```
/// use metered_realtime::signalling::{REPLAY_RETRIES, REPLAY_RETRY_DELAY};
/// // Seconds after the first refusal at which it is tried again at the earliest.
/// let times: Vec<_> = (1..=REPLAY_RETRIES).map(|n| (REPLAY_RETRY_DELAY * n).as_secs()).collect();
/// assert_eq!(times, [2, 4, 6]);
/// ```
pub const REPLAY_RETRY_DELAY: Duration = Duration::from_secs(2);

/// What the next presence frame of a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A change.
    Delta,
    /// The snapshot, whenever it comes: nothing else can precede it on a fresh subscription.
    Snapshot,
    /// The snapshot, once the ack was here: changes may precede it on a repeated subscription.
    SnapshotAfterAck,
}

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) channel: Box<str>,
    pub(crate) include_sender_metadata: bool,
    retries: u32,
    retry_at: Option<Duration>,
    /// Acknowledged at least once since it is tracked.
    established: bool,
    on_this_connection: bool,
    /// The app's requests for it that are not answered yet.
    pending: u32,
    /// Tells it from an earlier subscription to the same channel.
    generation: u64,
    expected: Expected,
}

/// All tracked channels of a client.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    all: Vec<Subscription>,
    generations: u64,
}

impl Subscriptions {
    fn find(&mut self, channel: &str) -> Option<&mut Subscription> {
        self.all.iter_mut().find(|subscription| &*subscription.channel == channel)
    }

    /// Tracks a channel for a call of the app; the last call's flag counts. Answers the generation.
    pub(crate) fn track(&mut self, channel: &str, include_sender_metadata: bool) -> u64 {
        if let Some(subscription) = self.find(channel) {
            subscription.include_sender_metadata = include_sender_metadata;
            subscription.pending += 1;
            return subscription.generation;
        }
        self.generations += 1;
        self.all.push(Subscription {
            channel: channel.into(),
            include_sender_metadata,
            retries: 0,
            retry_at: None,
            established: false,
            on_this_connection: false,
            pending: 1,
            generation: self.generations,
            expected: Expected::Delta,
        });
        self.generations
    }

    /// A call of the app for the channel was refused: by the server, or before it left. A channel that no
    /// other call asked for and no connection ever had is tracked no more.
    pub(crate) fn refused(&mut self, channel: &str, generation: u64) {
        self.all.retain_mut(|subscription| {
            if subscription.generation == generation && &*subscription.channel == channel {
                subscription.pending = subscription.pending.saturating_sub(1);
                return subscription.established || subscription.pending > 0;
            }
            true
        });
    }

    /// A call of the app for the channel ended without telling whether it was done.
    pub(crate) fn unanswered(&mut self, channel: &str, generation: u64) {
        if let Some(subscription) = self.find(channel).filter(|s| s.generation == generation) {
            // It stays tracked: the app could not know, and a replay settles it.
            subscription.established = true;
            subscription.pending = subscription.pending.saturating_sub(1);
        }
    }

    pub(crate) fn untrack(&mut self, channel: &str) {
        self.all.retain(|subscription| &*subscription.channel != channel);
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Subscription> {
        self.all.iter()
    }

    /// What a new connection has to be told. A channel whose very first request still waits for its turn is
    /// not among them: that request tells it.
    pub(crate) fn to_replay(&self) -> impl Iterator<Item = &Subscription> {
        self.all.iter().filter(|subscription| subscription.established)
    }

    /// A connection ended: every retry and every expectation goes with it.
    pub(crate) fn connection_lost(&mut self) {
        for subscription in &mut self.all {
            subscription.retries = 0;
            subscription.retry_at = None;
            subscription.on_this_connection = false;
            subscription.expected = Expected::Delta;
            // Every call under way ends with the connection, its outcome unknown.
            subscription.established |= subscription.pending > 0;
            subscription.pending = 0;
        }
    }

    /// A subscribe frame for the channel leaves.
    pub(crate) fn requested(&mut self, channel: &str) {
        if let Some(subscription) = self.find(channel) {
            subscription.expected = if subscription.on_this_connection {
                Expected::SnapshotAfterAck
            } else {
                Expected::Snapshot
            };
        }
    }

    /// The server acknowledged a subscribe frame: of the app's call with this generation, or of a replay.
    pub(crate) fn acknowledged(&mut self, channel: &str, generation: Option<u64>) {
        if let Some(subscription) =
            self.find(channel).filter(|s| generation.is_none_or(|g| g == s.generation))
        {
            if generation.is_some() {
                subscription.pending = subscription.pending.saturating_sub(1);
            }
            subscription.established = true;
            subscription.on_this_connection = true;
            subscription.retries = 0;
            subscription.retry_at = None;
            if subscription.expected == Expected::SnapshotAfterAck {
                subscription.expected = Expected::Snapshot;
            }
        }
    }

    /// Whether a presence frame that just came is the channel's snapshot.
    pub(crate) fn is_snapshot(&mut self, channel: &str) -> bool {
        match self.find(channel) {
            Some(subscription) if subscription.expected == Expected::Snapshot => {
                subscription.expected = Expected::Delta;
                true
            }
            _ => false,
        }
    }

    /// A replay failed: answers whether another one is due later.
    pub(crate) fn replay_failed(&mut self, channel: &str, now: Duration) -> bool {
        match self.find(channel) {
            Some(subscription) if subscription.retries < REPLAY_RETRIES => {
                subscription.retries += 1;
                subscription.retry_at = Some(now + REPLAY_RETRY_DELAY);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn next_retry(&self) -> Option<Duration> {
        self.all.iter().filter_map(|subscription| subscription.retry_at).min()
    }

    /// Takes a channel whose replay is due.
    pub(crate) fn retry_due(&mut self, now: Duration) -> Option<(Box<str>, bool)> {
        let due = self.all.iter_mut().find(|s| s.retry_at.is_some_and(|at| at <= now))?;
        due.retry_at = None;
        Some((due.channel.clone(), due.include_sender_metadata))
    }

    pub(crate) fn is_tracked(&self, channel: &str) -> bool {
        self.all.iter().any(|subscription| &*subscription.channel == channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_presence_of_a_fresh_subscription_is_its_snapshot_ack_or_no_ack() {
        let mut subscriptions = Subscriptions::default();
        let call = subscriptions.track("a", false);
        subscriptions.requested("a");
        assert!(subscriptions.is_snapshot("a"), "before the ack");
        subscriptions.acknowledged("a", Some(call));
        assert!(!subscriptions.is_snapshot("a"));
    }

    #[test]
    fn changes_before_the_ack_of_a_repeated_subscription_are_changes() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.track("a", false);
        subscriptions.requested("a");
        subscriptions.acknowledged("a", None);
        assert!(subscriptions.is_snapshot("a"));
        subscriptions.requested("a");
        assert!(!subscriptions.is_snapshot("a"));
        subscriptions.acknowledged("a", None);
        assert!(subscriptions.is_snapshot("a"));
    }

    #[test]
    fn a_refused_channel_is_forgotten_unless_something_else_holds_it() {
        let mut subscriptions = Subscriptions::default();
        let first = subscriptions.track("a", false);
        let second = subscriptions.track("a", false);
        subscriptions.refused("a", first);
        assert!(subscriptions.is_tracked("a"), "the second call is under way");
        subscriptions.refused("a", second);
        assert!(!subscriptions.is_tracked("a"));

        let old = subscriptions.track("a", false);
        subscriptions.untrack("a");
        let new = subscriptions.track("a", false);
        subscriptions.refused("a", old);
        assert!(subscriptions.is_tracked("a"), "a refusal of an earlier subscription");
        subscriptions.acknowledged("a", Some(new));
        let again = subscriptions.track("a", true);
        subscriptions.refused("a", again);
        assert!(subscriptions.is_tracked("a"), "it was acknowledged before");
    }

    #[test]
    fn a_connections_end_forgets_retries_but_not_channels() {
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscriptions.track("a", true), subscriptions.track("a", false));
        for n in 0..REPLAY_RETRIES {
            assert!(subscriptions.replay_failed("a", Duration::ZERO), "{n}");
        }
        assert!(!subscriptions.replay_failed("a", Duration::ZERO));
        assert_eq!(subscriptions.next_retry(), Some(REPLAY_RETRY_DELAY));
        subscriptions.connection_lost();
        assert_eq!(subscriptions.next_retry(), None);
        assert!(subscriptions.replay_failed("a", Duration::ZERO));
        assert_eq!(subscriptions.channels().count(), 1);
    }
}
