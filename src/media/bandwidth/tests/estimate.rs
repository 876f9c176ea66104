//! A model of a path between a source that follows the target and a remote that reports: exact and quick.

use std::collections::VecDeque;
use std::time::Duration;

use crate::media::bandwidth::estimator::{Estimator, Fate, LEAST, START};

#[derive(Clone, Copy)]
struct Path {
    /// Bits per second.
    rate: f64,
    /// Milliseconds of its queue; what comes then is lost.
    queue: f64,
    loss: f64,
    jitter: f64,
    /// Whether jitter keeps packets in order.
    in_order: bool,
    /// Milliseconds each way.
    delay: f64,
}

const WIDE: Path =
    Path { rate: 2e6, queue: 500.0, loss: 0.0, jitter: 0.0, in_order: false, delay: 25.0 };

/// A call: a picture in 33 ms that follows the target, and 50 packets of sound a second.
struct Call {
    estimator: Estimator,
    path: Path,
    chance: fastrand::Rng,
    now: f64,
    busy: f64,
    /// When the last packet arrives.
    last: f64,
    /// When the report is here: what it says.
    reports: VecDeque<(f64, Vec<Fate>)>,
    /// When it arrives there, when it left, its bytes.
    under_way: Vec<(f64, f64, usize)>,
    lost: Vec<(f64, usize)>,
    /// Source's own limit, bits per second.
    most: f64,
    /// The longest queue, in milliseconds, and the rate that arrived, since it was last asked.
    longest: f64,
    arrived: f64,
    since: f64,
}

fn ms(time: f64) -> Duration {
    Duration::from_secs_f64(time / 1_000.0)
}

impl Call {
    fn over(path: Path, seed: u64) -> Self {
        Self {
            estimator: Estimator::default(),
            path,
            chance: fastrand::Rng::with_seed(seed),
            now: 0.0,
            busy: 0.0,
            last: 0.0,
            reports: VecDeque::new(),
            under_way: Vec::new(),
            lost: Vec::new(),
            most: f64::INFINITY,
            longest: 0.0,
            arrived: 0.0,
            since: 0.0,
        }
    }

    fn target(&self) -> f64 {
        self.estimator.target() as f64
    }

    fn send(&mut self, bytes: usize) {
        let waits = (self.busy - self.now).max(0.0);
        self.longest = self.longest.max(waits);
        if self.chance.f64() < self.path.loss || waits > self.path.queue {
            self.lost.push((self.now, bytes));
            return;
        }
        self.busy = self.now.max(self.busy) + bytes as f64 * 8_000.0 / self.path.rate;
        let mut arrives = self.busy + self.path.delay + self.chance.f64() * self.path.jitter;
        if self.path.in_order {
            arrives = arrives.max(self.last);
            self.last = arrives;
        }
        self.under_way.push((arrives, self.now, bytes));
        self.arrived += bytes as f64;
    }

    /// A millisecond.
    fn step(&mut self) {
        let n = self.now as u64;
        if n.is_multiple_of(20) {
            self.send(120);
        }
        if n.is_multiple_of(33) {
            let bytes =
                ((self.target() - 48_000.0).max(10_000.0).min(self.most) * 0.033 / 8.0) as usize;
            for _ in 0..bytes / 1_200 {
                self.send(1_200);
            }
            self.send(bytes % 1_200 + 1);
        }
        if n.is_multiple_of(100) {
            let now = self.now;
            let (come, wait): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.under_way).into_iter().partition(|it| it.0 <= now);
            self.under_way = wait;
            let came = come.iter().map(|(at, sent, bytes)| Fate {
                sent: ms(*sent),
                bytes: *bytes,
                // Another clock.
                arrival_us: Some((*at * 1_000.0) as i64 - 5_000_000),
            });
            let mut fates: Vec<_> = came.collect();
            // As long as the engine waits.
            let known = now - 250.0 - self.path.jitter;
            let (lost, wait): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.lost).into_iter().partition(|it| it.0 <= known);
            self.lost = wait;
            fates.extend(lost.iter().map(|(at, bytes)| Fate {
                sent: ms(*at),
                bytes: *bytes,
                arrival_us: None,
            }));
            self.reports.push_back((now + self.path.delay, fates));
        }
        while self.reports.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, fates)) = self.reports.pop_front() else { break };
            self.estimator.packets(ms(self.now), &fates);
        }
        self.now += 1.0;
    }

    fn run(&mut self, seconds: f64) {
        let end = self.now + seconds * 1_000.0;
        while self.now < end {
            self.step();
        }
    }

    /// Seconds until it is so.
    fn until(&mut self, is: impl Fn(&Self) -> bool) -> f64 {
        let begun = self.now;
        while !is(self) {
            self.step();
            assert!(self.now - begun < 60_000.0, "never at {}", self.target());
        }
        (self.now - begun) / 1_000.0
    }

    /// What arrived in a second, and the longest queue, since the last time.
    fn figures(&mut self) -> (f64, f64) {
        let rate = self.arrived * 8_000.0 / (self.now - self.since);
        let longest = self.longest;
        (self.arrived, self.longest, self.since) = (0.0, 0.0, self.now);
        (rate, longest)
    }
}

#[test]
fn it_fills_a_path_within_five_seconds_and_keeps_its_queue_short() {
    for rate in [3e5, 1e6, 2e6, 5e6] {
        for delay in [1.0, 25.0, 100.0] {
            let mut call = Call::over(Path { rate, delay, ..WIDE }, 1);
            let took = call.until(|call| call.target() > rate * 0.8);
            assert!(took < 5.0, "{took} s to {rate} at {delay} ms");
            call.run(10.0);
            call.figures();
            call.run(60.0);
            let (arrived, longest) = call.figures();
            assert!(arrived > rate * 0.75, "{arrived} of {rate} at {delay} ms");
            assert!(longest < 350.0, "a queue of {longest} ms at {rate} and {delay} ms");
        }
    }
}

#[test]
fn it_follows_a_path_down_and_up_within_five_seconds() {
    for delay in [1.0, 25.0, 100.0] {
        for calm in (0..40).map(|n| 10.0 + f64::from(n) * 1.37) {
            let mut call = Call::over(Path { delay, ..WIDE }, 1);
            call.run(20.0);
            call.path.rate = 3e5;
            let down = call.until(|call| call.target() <= 3e5);
            assert!(down < 2.0, "{down} s down at {delay} ms");
            let drained = call.until(|call| call.busy <= call.now);
            assert!(down + drained < 5.0, "{drained} s of queue at {delay} ms");
            call.run(calm);
            call.path.rate = 2e6;
            let up = call.until(|call| call.target() > 1.6e6);
            assert!(up < 5.0, "{up} s up at {delay} ms after {calm} s");
        }
    }
}

#[test]
fn a_far_fall_is_seen_before_the_queue_is_long_and_the_queue_is_emptied() {
    for delay in [1.0, 25.0, 100.0] {
        for seed in 1..20 {
            // A queue that would hold 1.7 s.
            let mut call = Call::over(Path { delay, queue: 1_700.0, jitter: 5.0, ..WIDE }, seed);
            call.run(20.0 + seed as f64 * 0.013);
            call.figures();
            let before = call.target();
            call.path.rate = 3e5;
            let down = call.until(|call| call.target() <= 3e5);
            assert!(down < 0.6 + 2.0 * delay / 1_000.0, "{down} s down at {delay} ms");
            let drained = call.until(|call| call.busy <= call.now);
            let (_, longest) = call.figures();
            assert!(
                down + drained < 5.0,
                "{drained} s of queue at {delay} ms, {longest} ms, down {down} from {before}"
            );
            call.run(4.0);
            call.figures();
            call.run(10.0);
            let (arrived, longest) = call.figures();
            assert!(arrived > 1.8e5 && longest < 400.0, "{arrived}, {longest} ms at {delay} ms");
            call.path.rate = 2e6;
            let up = call.until(|call| call.target() > 1e6);
            assert!(up < 4.5, "{up} s up at {delay} ms");
        }
    }
}

#[test]
fn losses_of_the_path_itself_are_no_reason_to_send_less() {
    for loss in [0.0, 0.01, 0.02, 0.05, 0.1, 0.2] {
        for seed in 1..6 {
            let mut call = Call::over(Path { loss, rate: 1e7, ..WIDE }, seed);
            call.most = 1e6;
            call.run(15.0);
            let mut least = f64::INFINITY;
            for _ in 0..60_000 {
                call.step();
                least = least.min(call.target());
            }
            if loss <= 0.02 {
                assert!(!call.estimator.limit_seen(), "a step down at {loss}");
            }
            assert!(least > 8e5, "{least} at {loss}");
        }
    }
}

#[test]
fn chance_at_the_beginning_of_a_lossy_path_is_no_reason_to_send_less() {
    for seed in 1..300 {
        let mut call = Call::over(Path { loss: 0.05, rate: 1e7, ..WIDE }, seed);
        let mut least = f64::INFINITY;
        for _ in 0..2_200 {
            call.step();
            least = least.min(call.target());
        }
        assert!(least >= START as f64, "{least} at seed {seed}");
    }
}

#[test]
fn what_a_policer_drops_is_a_reason() {
    // No queue to see, only losses.
    let mut call = Call::over(Path { rate: 1e6, queue: 5.0, ..WIDE }, 1);
    call.run(20.0);
    call.run(30.0);
    assert!(call.target() < 1.5e6 && call.target() > 3e5, "{}", call.target());
}

#[test]
fn jitter_is_no_queue() {
    for jitter in [20.0, 50.0, 100.0, 200.0] {
        for seed in 1..10 {
            for in_order in [false, true] {
                let path = Path { jitter, in_order, rate: 1e7, ..WIDE };
                let mut call = Call::over(path, seed);
                call.most = 1e6;
                call.run(60.0);
                assert!(call.target() > 1.5e6, "{} at {jitter} ms, {in_order}", call.target());
            }
        }
    }
}

#[test]
fn a_path_that_halts_for_a_moment_is_no_narrower() {
    // A radio that sleeps, a thread that is held up: then all arrives at once.
    for halt in [60.0, 120.0, 180.0] {
        let mut call = Call::over(Path { rate: 1e7, ..WIDE }, 1);
        call.most = 1e6;
        call.run(20.0);
        let before = call.target();
        for _ in 0..20 {
            call.busy = call.now + halt;
            call.run(0.9);
        }
        assert!(call.target() > before * 0.9, "{} of {before} at {halt} ms", call.target());
    }
}

#[test]
fn a_long_halt_does_not_hide_the_queue_that_follows() {
    let mut call = Call::over(Path { queue: 10_000.0, ..WIDE }, 1);
    call.run(20.0);
    call.busy = call.now + 5_000.0;
    call.run(20.0);
    assert!(call.target() > 1.2e6, "{}", call.target());
    call.figures();
    call.path.rate = 1e6;
    let down = call.until(|call| call.target() <= 1e6);
    let (_, longest) = call.figures();
    assert!(down < 2.0 && longest < 800.0, "{down} s, {longest} ms");
}

#[test]
fn a_longer_way_is_taken_for_what_it_is() {
    let mut call = Call::over(Path { rate: 1e7, ..WIDE }, 1);
    call.most = 1e6;
    call.run(20.0);
    // Another network: 150 ms more, and just as wide.
    call.path.delay += 150.0;
    call.run(10.0);
    assert!(call.target() > 1e6, "{}", call.target());
}

#[test]
fn what_is_not_used_is_not_believed_in() {
    let mut call = Call::over(Path { rate: 1e8, ..WIDE }, 1);
    call.most = 2e5;
    call.run(60.0);
    assert!(call.target() < 7e5 && call.target() >= START as f64, "{}", call.target());
}

#[test]
fn without_reports_on_packets_the_remote_decides() {
    let mut estimator = Estimator::default();
    let at = Duration::from_secs;
    estimator.remote_estimate(at(0), 200_000);
    assert_eq!(estimator.target(), 200_000);
    let mut sent = 0;
    for n in 0..20 {
        sent += estimator.target() / 8;
        estimator.sent(sent);
        estimator.remote_estimate(at(n), 900_000);
        estimator.reported(at(n), 0.01, None);
    }
    assert_eq!(estimator.target(), 900_000);
    // As receiver reports have it: nothing up to a tenth, half of the loss beyond.
    estimator.reported(at(20), 0.05, None);
    assert_eq!(estimator.target(), 900_000);
    estimator.reported(at(21), 0.2, None);
    assert_eq!(estimator.target(), 810_000);
    // One step a second, whatever is said of however many streams.
    for _ in 0..100 {
        estimator.reported(at(21), 0.9, None);
    }
    assert_eq!(estimator.target(), 810_000);
    for n in 22..200 {
        estimator.reported(at(n), 1.0, None);
    }
    assert_eq!(estimator.target(), LEAST);
}

#[test]
fn any_reports_leave_it_within_its_bounds() {
    let mut chance = fastrand::Rng::with_seed(1);
    for _ in 0..200 {
        let mut estimator = Estimator::default();
        for _ in 0..200 {
            let now = Duration::from_micros(chance.u64(..1_000_000_000_000));
            match chance.u8(..5) {
                0 => estimator.remote_estimate(now, chance.u64(..)),
                1 => estimator.reported(
                    now,
                    chance.f64(),
                    Some(Duration::from_micros(chance.u64(..))),
                ),
                2 => estimator.silence(now),
                3 => estimator.sent(chance.u64(..)),
                _ => {
                    let fates = (0..chance.usize(..50)).map(|_| Fate {
                        sent: Duration::from_micros(chance.u64(..1_000_000_000_000)),
                        bytes: chance.usize(..100_000),
                        arrival_us: chance.bool().then(|| chance.i64(..)),
                    });
                    let fates: Vec<_> = fates.collect();
                    estimator.packets(now, &fates);
                }
            }
            assert!((LEAST..=20_000_000).contains(&estimator.target()));
        }
    }
}

#[test]
fn jitter_that_begins_is_taken_for_a_queue_for_seconds_at_most() {
    for (jitter, in_order, seeds) in
        [(50.0, true, 1..3), (100.0, true, 1..8), (200.0, true, 1..20), (200.0, false, 1..3)]
    {
        for seed in seeds {
            let mut call = Call::over(Path { rate: 1e7, ..WIDE }, seed);
            call.most = 2e6;
            call.run(20.0);
            (call.path.jitter, call.path.in_order) = (jitter, in_order);
            let mut used = 0.0;
            for _ in 0..200 {
                call.run(0.1);
                used += call.target().min(call.most) / 200.0;
            }
            let about = format!("{jitter} ms, in order: {in_order}, seed {seed}");
            assert!(call.target() > call.most, "{} after 20 s, {about}", call.target());
            assert!(used > call.most * 0.45, "{used} on average, {about}");
        }
    }
}
