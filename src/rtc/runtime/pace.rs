//! How long the driver of a connection may sleep: briefly while it is being set up, long while it is idle.
//!
//! The crate's ICE agent (0.21.1) wants a turn every 200 ms, whatever is configured, and uses one in five to
//! check its path. An idle connection sleeps until such a check is due, and connections wake together. Who
//! controls the agents checks; for the other one these checks are sign enough that the path lives, and of its
//! own it sends what consent asks for (RFC 7675), not one with each of the remote's as the crate would.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::departures::MEDIA;
use super::watch::{Class, attributes, header, unwrapped};

/// The longest sleep while something is under way: DTLS and SCTP move on at the driver's next turn.
const BRISK: Duration = Duration::from_millis(2);
/// The longest sleep during set-up while nothing moves: the other side is being waited for.
const WAITING: Duration = Duration::from_millis(20);
/// Traffic so recent means that something is under way.
const RECENT: Duration = Duration::from_millis(50);
/// Set-up counts as over after this; a connection that needs longer needs patience, not hurry.
const BRISK_FOR: Duration = Duration::from_secs(10);
/// What is left to do once a connection is up: its first data channel.
const RELAX_AFTER: Duration = Duration::from_secs(1);

/// A connection without data for so long is idle: what DTLS, SCTP or RTCP would repeat after a longer pause may
/// come a little late.
const IDLE_AFTER: Duration = Duration::from_secs(10);
/// After media so recent more is about to come or to leave: it wakes the driver anyway.
const FLOWING: Duration = Duration::from_millis(50);
/// How late a timer may be while media flow: longer than the pause between two datagrams of most calls.
const SLACK: Duration = Duration::from_millis(15);
/// Pause between the checks of a path by its controlling agent: a third of the silence that counts as its
/// loss, so that one may get lost. A tenth less, because turns come a little late.
pub(crate) const KEEPALIVE: Duration = Duration::from_millis(900);
/// The controlled agent checks an idle path by itself when the other has not for so long.
const CONTROLLED_KEEPALIVE: Duration = Duration::from_millis(1_250);
/// A check of the remote so recent has shown that the path lives.
const JUST_HEARD: Duration = Duration::from_millis(500);
/// Checks of our own that the remote's do not replace (RFC 7675 section 5.1: every 5 s, give or take a fifth).
const CONSENT: Duration = Duration::from_secs(4);
/// Idle connections check their paths at multiples of this, all of a process at once.
const TOGETHER: Duration = Duration::from_millis(500);
/// A path that is silent for so long may be dead: the agent gets its turns again, to notice in time.
const SUSPECT_AFTER: Duration = Duration::from_secs(2);

const METHOD_AND_CLASS: u16 = 0x3fff;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const ATTRIBUTE_ICE_CONTROLLED: u16 = 0x8029;
const ATTRIBUTE_ICE_CONTROLLING: u16 = 0x802a;

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// A check of the path, and by which agent.
    Check { controlled: bool },
    /// The answer to one.
    Answer,
    /// All the rest.
    Data,
}

impl Purpose {
    fn of(datagram: &[u8]) -> Self {
        let inner = unwrapped(datagram);
        let Some((class, _)) = header(inner) else { return Self::Data };
        match (u16::from_be_bytes([inner[0], inner[1]]) & METHOD_AND_CLASS, class) {
            (BINDING_SUCCESS, Class::Success) => Self::Answer,
            (BINDING_REQUEST, Class::Request) => {
                let role = attributes(inner).map(|(kind, _)| kind).find(|kind| {
                    matches!(*kind, ATTRIBUTE_ICE_CONTROLLED | ATTRIBUTE_ICE_CONTROLLING)
                });
                // One to a STUN server has no role.
                role.map_or(Self::Data, |role| Self::Check {
                    controlled: role == ATTRIBUTE_ICE_CONTROLLED,
                })
            }
            _ => Self::Data,
        }
    }
}

/// The pace of one connection: brisk for a while, else economical.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    received: AtomicU64,
    /// Multiples of [`TOGETHER`] are counted from here.
    epoch: Instant,
}

#[derive(Debug)]
struct State {
    brisk_until: Instant,
    last_traffic: Instant,
    /// Datagrams with data, either way.
    last_data: Instant,
    /// Those among them that are media.
    last_media: Option<Instant>,
    last_heard: Instant,
    /// When the path is to be checked again.
    check_due: Instant,
    /// The last check that left, and where to.
    last_check: Option<(Instant, SocketAddr)>,
}

impl State {
    fn is_idle(&self, now: Instant) -> bool {
        now >= self.brisk_until && now >= self.last_data + IDLE_AFTER
    }

    /// A datagram with data comes or leaves.
    fn note_data(&mut self, now: Instant, datagram: &[u8]) {
        self.last_data = now;
        if unwrapped(datagram).first().is_some_and(|first| MEDIA.contains(first)) {
            self.last_media = Some(now);
        }
    }

    /// Whether the remote's checks make this one of the controlled agent superfluous.
    fn is_superfluous(&self, now: Instant, to: SocketAddr) -> bool {
        let recent = self.last_check.is_some_and(|(at, path)| path == to && now < at + CONSENT);
        recent && self.is_idle(now) && now < self.last_heard + JUST_HEARD
    }
}

impl Default for Pace {
    fn default() -> Self {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        Self::since(*EPOCH.get_or_init(Instant::now))
    }
}

impl Pace {
    fn since(epoch: Instant) -> Self {
        let now = Instant::now();
        let state = Mutex::new(State {
            brisk_until: now,
            last_traffic: now,
            last_data: now,
            last_media: None,
            last_heard: now,
            check_due: now,
            last_check: None,
        });
        Self { state, received: AtomicU64::new(0), epoch }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A set-up or a restart begins.
    pub(crate) fn brisk(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        state.brisk_until = now + BRISK_FOR;
        state.last_traffic = now;
    }

    /// The connection is up.
    pub(crate) fn economical(&self) {
        let mut state = self.lock();
        state.brisk_until = state.brisk_until.min(Instant::now() + RELAX_AFTER);
    }

    /// A datagram is about to leave, of a train of them the first. Whether it shall.
    pub(super) fn sends(&self, datagram: &[u8], to: SocketAddr) -> bool {
        let (now, purpose) = (Instant::now(), Purpose::of(datagram));
        let mut state = self.lock();
        let mut leaves = true;
        match purpose {
            Purpose::Check { controlled } => {
                let pause = if controlled { CONTROLLED_KEEPALIVE } else { KEEPALIVE };
                state.check_due = now + pause;
                leaves = !(controlled && state.is_superfluous(now, to));
                if leaves {
                    state.last_check = Some((now, to));
                }
            }
            Purpose::Answer => {}
            Purpose::Data => state.note_data(now, datagram),
        }
        if leaves {
            state.last_traffic = now;
        }
        leaves
    }

    /// Datagrams came, this one the first of them. Whether it is the remote's, not a relay's own.
    pub(super) fn arrived(&self, datagrams: usize, datagram: &[u8]) -> bool {
        let (now, purpose) = (Instant::now(), Purpose::of(datagram));
        let remotes = purpose != Purpose::Data || header(unwrapped(datagram)).is_none();
        if remotes {
            self.received.fetch_add(datagrams as u64, Ordering::Relaxed);
        }
        let mut state = self.lock();
        (state.last_traffic, state.last_heard) = (now, now);
        if purpose == Purpose::Data {
            state.note_data(now, datagram);
        }
        remotes
    }

    /// How many of the remote's came so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How long the driver sleeps that wants a turn in so long. Without a selected pair every turn counts; while
    /// media flow, a timer waits for the turn that the next datagram makes.
    pub(super) fn sleep(&self, now: Instant, wanted: Duration, selected: bool) -> Duration {
        let state = self.lock();
        if now < state.brisk_until {
            let longest = match now.duration_since(state.last_traffic) < RECENT {
                true => BRISK,
                false => WAITING,
            };
            return wanted.min(longest);
        }
        if !selected {
            return wanted;
        }
        if state.last_media.is_some_and(|last| now < last + FLOWING) {
            return wanted + SLACK;
        }
        if !state.is_idle(now) {
            return wanted;
        }
        let until = self.together(state.check_due).min(state.last_heard + SUSPECT_AFTER);
        wanted.max(until.saturating_duration_since(now))
    }

    /// The next multiple of [`TOGETHER`].
    fn together(&self, at: Instant) -> Instant {
        let since = at.saturating_duration_since(self.epoch);
        let past = since.as_nanos() % TOGETHER.as_nanos();
        let left = (TOGETHER.as_nanos() - past) % TOGETHER.as_nanos();
        at + Duration::from_nanos(left as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::watch::tests::message;

    const TICK: Duration = Duration::from_millis(200);
    const DATA: &[u8] = &[23, 0xfe, 0xfd];

    fn check(role: u16) -> Vec<u8> {
        message(BINDING_REQUEST, 1, &[(role, &[0; 8])])
    }

    fn peer() -> SocketAddr {
        ([192, 0, 2, 1], 1).into()
    }

    fn sleeps(pace: &Pace) -> Duration {
        pace.sleep(Instant::now(), TICK, true)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_brisk_while_something_moves_and_ends_by_itself() {
        let pace = Pace::default();
        assert_eq!(sleeps(&pace), TICK);
        pace.brisk();
        assert_eq!(sleeps(&pace), BRISK);
        tokio::time::advance(RECENT).await;
        assert_eq!(sleeps(&pace), WAITING);
        pace.sends(DATA, peer());
        assert_eq!(sleeps(&pace), BRISK);
        tokio::time::advance(BRISK_FOR).await;
        assert_eq!(sleeps(&pace), TICK);
        pace.arrived(1, DATA);
        assert_eq!(sleeps(&pace), TICK, "traffic of a call is no set-up");
    }

    #[tokio::test(start_paused = true)]
    async fn while_media_flow_a_timer_waits_for_the_next_datagram() {
        let relayed: &[u8] = &[0x40, 0x01, 0, 4, 0x80, 96, 0, 1];
        for media in [&[0x80, 96, 0, 1][..], relayed] {
            let pace = Pace::default();
            pace.arrived(1, media);
            assert_eq!(sleeps(&pace), TICK + SLACK);
            assert_eq!(pace.sleep(Instant::now(), TICK, false), TICK, "a pair is looked for");
            tokio::time::advance(FLOWING).await;
            assert_eq!(sleeps(&pace), TICK);
            pace.sends(media, peer());
            assert_eq!(sleeps(&pace), TICK + SLACK);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_up_relaxes_soon() {
        let pace = Pace::default();
        pace.brisk();
        pace.economical();
        assert_eq!(sleeps(&pace), BRISK);
        tokio::time::advance(RELAX_AFTER).await;
        assert_eq!(sleeps(&pace), TICK);
    }

    /// A connection that is idle, with a turn of its agent at the epoch.
    async fn idle(role: u16) -> Pace {
        let pace = Pace::since(Instant::now() + IDLE_AFTER);
        tokio::time::advance(IDLE_AFTER).await;
        pace.arrived(1, &message(BINDING_SUCCESS, 1, &[]));
        assert_eq!(sleeps(&pace), TICK, "a check is due");
        assert!(pace.sends(&check(role), peer()));
        pace
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_sleeps_until_its_next_check() {
        for (role, pause) in [(ATTRIBUTE_ICE_CONTROLLING, 1_000), (ATTRIBUTE_ICE_CONTROLLED, 1_500)]
        {
            let (pace, pause) = (idle(role).await, Duration::from_millis(pause));
            assert_eq!(sleeps(&pace), pause);
            assert_eq!(pace.sleep(Instant::now(), TICK, false), TICK, "a pair is looked for");
            tokio::time::advance(TICK).await;
            assert_eq!(sleeps(&pace), pause - TICK);
            pace.sends(DATA, peer());
            assert_eq!(sleeps(&pace), TICK, "it is in use");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn checks_of_different_times_become_due_together() {
        let pace = idle(ATTRIBUTE_ICE_CONTROLLING).await;
        for late in [1, 99] {
            tokio::time::advance(Duration::from_millis(late)).await;
            pace.sends(&check(ATTRIBUTE_ICE_CONTROLLING), peer());
            assert_eq!(Instant::now() + sleeps(&pace), pace.epoch + TOGETHER * 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_path_is_looked_at_as_often_as_the_agent_wants() {
        let pace = idle(ATTRIBUTE_ICE_CONTROLLED).await;
        let pause = Duration::from_millis(1_500);
        assert_eq!(sleeps(&pace), pause);
        tokio::time::advance(pause).await;
        assert!(pace.sends(&check(ATTRIBUTE_ICE_CONTROLLED), peer()), "nothing was heard");
        assert_eq!(sleeps(&pace), SUSPECT_AFTER - pause);
        tokio::time::advance(SUSPECT_AFTER - pause).await;
        assert_eq!(sleeps(&pace), TICK);
    }

    #[tokio::test(start_paused = true)]
    async fn checks_of_the_remote_replace_most_of_the_controlled_agents() {
        let pace = idle(ATTRIBUTE_ICE_CONTROLLED).await;
        let mut left = Vec::new();
        for second in 1..=8 {
            tokio::time::advance(Duration::from_secs(1)).await;
            pace.arrived(1, &check(ATTRIBUTE_ICE_CONTROLLING));
            if pace.sends(&check(ATTRIBUTE_ICE_CONTROLLED), peer()) {
                left.push(second);
            }
            assert_eq!(sleeps(&pace), Duration::from_millis(1_500), "it counts all the same");
        }
        assert_eq!(left, [4, 8], "consent is asked for");
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 2));
        assert!(pace.sends(&check(ATTRIBUTE_ICE_CONTROLLED), elsewhere), "another path");
        assert!(pace.sends(&check(ATTRIBUTE_ICE_CONTROLLING), peer()), "it has become controlling");
        pace.sends(DATA, peer());
        for _ in 0..2 {
            assert!(pace.sends(&check(ATTRIBUTE_ICE_CONTROLLED), peer()), "it is in use");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_relay_answers_for_itself_is_no_sign_of_the_remote() {
        let pace = Pace::default();
        assert!(!pace.arrived(1, &message(0x0104, 1, &[])), "a refreshed allocation");
        assert_eq!(pace.received(), 0);
        assert!(pace.arrived(3, DATA) && pace.arrived(1, &message(BINDING_SUCCESS, 1, &[])));
        assert_eq!(pace.received(), 4);
    }

    #[test]
    fn checks_are_told_from_data_also_behind_a_relay() {
        let check = check(ATTRIBUTE_ICE_CONTROLLED);
        let mut relayed = vec![0x40, 0x01, 0, u8::try_from(check.len()).unwrap()];
        relayed.extend_from_slice(&check);
        for datagram in [&check, &relayed] {
            assert_eq!(Purpose::of(datagram), Purpose::Check { controlled: true });
        }
        assert_eq!(Purpose::of(&message(BINDING_SUCCESS, 1, &[])), Purpose::Answer);
        let to_a_server = message(BINDING_REQUEST, 1, &[]);
        let refresh = message(0x0004, 1, &[]);
        for datagram in [&to_a_server[..], &refresh, DATA, &[0x80, 96], &[], &[0x40, 1]] {
            assert_eq!(Purpose::of(datagram), Purpose::Data);
        }
    }
}
