//! The path to one remote: how much it carries, which track gets how much of it, and when packets leave.
//!
//! ```text
//!   rtc::engine::Connection::feedback ──▶ Bandwidth's task ──▶ Estimator ──▶ allocate ──▶ each track's Targets
//!                                                                  └──▶ Pacer ◀── Outbound (one per sender)
//! ```
//!
//! `estimator`, `allocation` and `pacer` decide and know no clock; the task here tells them the time. It ends
//! with the connection's feedback.

mod allocation;
mod estimator;
mod loss;
mod observed;
mod pacer;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use self::allocation::frame_rate;
use self::allocation::{Demand, allocate};
pub use self::allocation::{TrackBitrate, TrackPriority};
use self::estimator::{Estimator, Fate};
use self::pacer::Pacer;
use super::local::Shared;
use crate::rtc::engine::{Connection, MediaKind, TransportFeedback};

/// Without feedback for so long, while packets leave, something is wrong.
const SILENCE: Duration = Duration::from_secs(1);

/// What the senders of one connection share.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    peer_id: String,
    epoch: Instant,
    pacer: Mutex<Pacer>,
    members: Mutex<HashMap<u32, Member>>,
    changed: Notify,
    /// Bits per second; what it starts with before the first feedback.
    estimate: AtomicU64,
}

/// A sender that reaches the remote.
#[derive(Debug)]
struct Member {
    source: Arc<Shared>,
    /// In which order they came.
    number: u64,
    share: Arc<AtomicU64>,
}

/// A sender's place among the members; given back when dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    bandwidth: Arc<Bandwidth>,
    stream: u32,
    source: Arc<Shared>,
    share: Arc<AtomicU64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bandwidth {
    /// Of a connection, and its task.
    pub(crate) fn of(
        connection: Arc<dyn Connection>,
        peer_id: String,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let this = Arc::new(Self::new(peer_id));
        let task = Arc::clone(&this).run(connection);
        (this, task)
    }

    fn new(peer_id: String) -> Self {
        Self {
            peer_id,
            epoch: Instant::now(),
            pacer: Mutex::default(),
            members: Mutex::default(),
            changed: Notify::new(),
            estimate: AtomicU64::new(estimator::START),
        }
    }

    /// Of no connection: every sender has the share that is set.
    #[cfg(test)]
    pub(super) fn alone() -> Arc<Self> {
        Arc::new(Self::new("peer".into()))
    }

    #[cfg(test)]
    pub(super) fn set_share(&self, share: u64) {
        lock(&self.members)
            .values()
            .for_each(|member| member.share.store(share, Ordering::Relaxed));
    }

    /// Who is at its other end.
    pub(crate) fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// Bits per second that the path is believed to carry.
    pub(crate) fn estimate(&self) -> u64 {
        self.estimate.load(Ordering::Relaxed)
    }

    /// A sender reaches the remote from now on.
    pub(crate) fn join(self: &Arc<Self>, stream: u32, source: &Arc<Shared>) -> Membership {
        let share = Arc::new(AtomicU64::new(u64::MAX));
        {
            let mut members = lock(&self.members);
            let number = members.values().map(|member| member.number + 1).max().unwrap_or(0);
            let member = Member { source: Arc::clone(source), number, share: Arc::clone(&share) };
            members.insert(stream, member);
        }
        self.changed.notify_one();
        Membership { bandwidth: Arc::clone(self), stream, source: Arc::clone(source), share }
    }

    fn since(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.epoch)
    }

    async fn run(self: Arc<Self>, connection: Arc<dyn Connection>) {
        let mut estimator = Estimator::default();
        // When to look for silence; `None` while nothing leaves, so that nobody wakes up for it.
        let mut due = None;
        let mut sent = 0;
        loop {
            let silence = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                feedback = connection.feedback() => {
                    let Some(feedback) = feedback else { return };
                    self.hear(&mut estimator, feedback);
                    due = Some(Instant::now() + SILENCE);
                }
                () = self.changed.notified() => {}
                () = silence => {
                    let now = Instant::now();
                    let sending = lock(&self.pacer).sent() > sent;
                    if sending {
                        estimator.silence(self.since(now));
                    }
                    due = sending.then(|| now + SILENCE);
                }
            }
            sent = lock(&self.pacer).sent();
            self.share(&estimator);
        }
    }

    fn hear(&self, estimator: &mut Estimator, feedback: TransportFeedback) {
        let now = self.since(Instant::now());
        estimator.sent(lock(&self.pacer).sent());
        match feedback {
            TransportFeedback::Packets(fates) => {
                let fates = fates.into_iter().map(|fate| Fate {
                    sent: self.since(fate.sent),
                    bytes: fate.bytes,
                    arrival_us: fate.arrival_us,
                });
                estimator.packets(now, &fates.collect::<Vec<_>>());
            }
            TransportFeedback::Estimate(bits) => estimator.remote_estimate(now, bits),
            TransportFeedback::Report { stream, fraction_lost, round_trip } => {
                estimator.reported(now, fraction_lost, round_trip);
                if let Some(member) = lock(&self.members).get(&stream) {
                    member.source.reported_loss(&self.peer_id, fraction_lost);
                }
            }
        }
    }

    fn share(&self, estimator: &Estimator) {
        let (now, available) = (Instant::now(), estimator.target());
        self.estimate.store(available, Ordering::Relaxed);
        lock(&self.pacer).set(self.since(now), available, estimator.limit_seen());
        let mut told = Vec::new();
        {
            let members = lock(&self.members);
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(_, member)| member.number);
            let demands: Vec<_> =
                members.iter().map(|(_, member)| demand(&member.source)).collect();
            for ((stream, member), share) in members.iter().zip(allocate(available, &demands)) {
                let muted = member.source.is_muted();
                // What is muted begins again without waiting for a share.
                member.share.store(if muted { u64::MAX } else { share }, Ordering::Relaxed);
                if !muted {
                    told.push((**stream, Arc::clone(&member.source), share));
                }
            }
        }
        for (stream, source, share) in told {
            source.set_target(now, &self.peer_id, share);
            // Its sender may have gone meanwhile, on another thread, and would hold the source down for good.
            if !lock(&self.members).contains_key(&stream) {
                source.remote_gone(now, &self.peer_id);
            }
        }
    }
}

fn demand(source: &Shared) -> Demand {
    Demand { kind: source.kind(), bitrate: source.bitrate(), muted: source.is_muted() }
}

impl Membership {
    /// Bits per second for this sender; `None` before they are known.
    pub(crate) fn share(&self) -> Option<u64> {
        Some(self.share.load(Ordering::Relaxed)).filter(|share| *share != u64::MAX)
    }

    /// When the next packet may leave; `None` for now. Sound never waits.
    pub(crate) fn wait(&self) -> Option<Instant> {
        if self.source.kind() == MediaKind::Audio {
            return None;
        }
        let now = self.bandwidth.since(Instant::now());
        let due = lock(&self.bandwidth.pacer).wait(now)?;
        Some(self.bandwidth.epoch + due)
    }

    /// A packet left.
    pub(crate) fn spend(&self, bytes: usize) {
        let now = self.bandwidth.since(Instant::now());
        lock(&self.bandwidth.pacer).spend(now, bytes);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        lock(&self.bandwidth.members).remove(&self.stream);
        self.source.remote_gone(Instant::now(), &self.bandwidth.peer_id);
        self.bandwidth.changed.notify_one();
    }
}
