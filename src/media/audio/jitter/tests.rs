//! Traces of arrivals in virtual time: what is played, what is made up, and how long it waits.

use super::*;
use crate::media::traces::Arrival;
use proptest::prelude::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A sender, a network and a sink with clocks of their own. Times are in microseconds.
struct Trace {
    seed: u64,
    loss_percent: u64,
    jitter: u64,
    /// The sender's clock is faster by so many millionths.
    drift_ppm: i64,
    /// Nothing arrives between these; `held` is delivered at the end instead of lost.
    blackout: Option<(u64, u64)>,
    held: bool,
    /// A packet in so many is overtaken by the next two.
    reordered: u64,
    /// Speech and pauses of a second each.
    pauses: bool,
    seconds: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            seed: 1,
            loss_percent: 0,
            jitter: 0,
            drift_ppm: 0,
            blackout: None,
            held: false,
            reordered: 0,
            pauses: false,
            seconds: 60,
        }
    }
}

#[derive(Debug, Default)]
struct Heard {
    stats: JitterStats,
    /// Delay of each packet played, against the time it was sent: sink's time, delay.
    delays: Vec<(u64, i64)>,
    /// The time of each frame that was made up.
    concealed_at: Vec<u64>,
    corrections: usize,
    most_held: usize,
    timestamps: Vec<u32>,
}

impl Trace {
    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % below.max(1)
    }

    /// Arrival in microseconds, packet; in the order of arrival.
    fn arrivals(&mut self) -> Vec<(u64, ArrivedPacket)> {
        let mut arrivals = Vec::new();
        let mut sequence = 65_500_u16;
        for n in 0..self.seconds * 50 {
            let pausing = self.pauses && n / 50 % 2 == 1;
            if pausing && n % 20 != 10 {
                continue;
            }
            let sent = (n * 20_000) as i64 - (n * 20_000) as i64 * self.drift_ppm / 1_000_000;
            sequence = sequence.wrapping_add(1);
            let packet = ArrivedPacket {
                sequence,
                timestamp: (u32::MAX - 96_000).wrapping_add(n as u32 * 960),
                samples: 960,
                fec: self.loss_percent > 0,
                dtx: pausing,
                payload: Bytes::new(),
            };
            if self.random(100) < self.loss_percent {
                continue;
            }
            let mut at = 50_000 + sent as u64 + self.random(self.jitter + 1);
            if self.reordered > 0 && n % self.reordered == 0 {
                at += 45_000;
            }
            if let Some((from, to)) = self.blackout
                && (from..to).contains(&at)
            {
                if !self.held {
                    continue;
                }
                at = to;
            }
            arrivals.push((at, packet));
        }
        arrivals.sort_by_key(|(at, _)| *at);
        arrivals
    }

    fn run(mut self) -> Heard {
        let arrivals = self.arrivals();
        play(arrivals, self.seconds * 1_000_000, |timestamp| {
            let n = timestamp.wrapping_sub(u32::MAX - 96_000) / 960;
            let sent = i64::from(n) * 20_000;
            50_000 + sent - sent * self.drift_ppm / 1_000_000
        })
    }
}

/// Plays arrivals until a time; `soonest` says when a packet would have come on the fastest way.
fn play(arrivals: Vec<(u64, ArrivedPacket)>, until: u64, soonest: impl Fn(u32) -> i64) -> Heard {
    let mut arrivals = arrivals.into_iter().peekable();
    let mut buffer = JitterBuffer::new(JitterOptions::default());
    let mut heard = Heard::default();
    let mut now = 0_u64;
    while now < until {
        while let Some((at, packet)) = arrivals.next_if(|(at, _)| *at <= now) {
            buffer.handle(Duration::from_micros(at), packet);
        }
        heard.most_held = heard.most_held.max(buffer.len());
        let frame = buffer.next(Duration::from_micros(now));
        let mut samples = i64::from(frame.samples());
        match frame {
            Frame::Packet { tempo, timestamp, .. } => {
                heard.delays.push((now, now as i64 - soonest(timestamp)));
                heard.timestamps.push(timestamp);
                heard.corrections += usize::from(tempo != Tempo::Keep);
                samples += match tempo {
                    Tempo::Keep => 0,
                    Tempo::Hurry => -240,
                    Tempo::Wait => 240,
                };
            }
            Frame::Conceal { .. } => heard.concealed_at.push(now),
            _ => {}
        }
        now += (samples * 1_000_000 / 48_000) as u64;
    }
    heard.stats = buffer.stats();
    assert!(
        heard.timestamps.windows(2).all(|two| two[1].wrapping_sub(two[0]).cast_signed() > 0),
        "out of order"
    );
    heard
}

impl Heard {
    fn concealed_percent(&self) -> f64 {
        let stats = &self.stats;
        let all = stats.played_samples + stats.fec_samples + stats.concealed_samples;
        stats.concealed_samples as f64 * 100.0 / all as f64
    }

    /// The longest delay after a time, in milliseconds.
    fn longest_after(&self, seconds: u64) -> i64 {
        let after = |(at, _): &&(u64, i64)| *at >= seconds * 1_000_000;
        self.delays.iter().filter(after).map(|(_, delay)| *delay).max().unwrap_or(0) / 1_000
    }

    fn concealed_after(&self, seconds: u64) -> usize {
        self.concealed_at.iter().filter(|at| **at >= seconds * 1_000_000).count()
    }
}

#[test]
fn an_even_stream_is_played_whole_with_little_delay() {
    let heard = Trace::default().run();
    assert_eq!(heard.stats.concealed_samples + heard.stats.late, 0);
    assert!(heard.longest_after(3) <= 30, "{}", heard.longest_after(3));
    assert_eq!(heard.stats.target_delay, ms(10));
}

#[test]
fn single_losses_are_filled_from_the_next_packet() {
    for (percent, most) in [(2, 0.3), (5, 0.7), (10, 2.0)] {
        let heard = Trace { loss_percent: percent, ..Trace::default() }.run();
        let lost = 3_000 - heard.stats.received;
        let filled = heard.stats.fec_samples / 960;
        assert!(filled * 100 >= lost * 85, "{percent} %: {filled} of {lost}");
        assert!(heard.concealed_percent() < most, "{percent} %: {}", heard.concealed_percent());
        assert!(heard.longest_after(3) <= 45, "{percent} %");
    }
}

#[test]
fn the_delay_grows_to_the_jitter_and_no_further() {
    for jitter in [20, 60, 200] {
        let heard = Trace { jitter: jitter * 1_000, ..Trace::default() }.run();
        assert!(
            heard.longest_after(5) <= jitter as i64 + 45,
            "{jitter}: {}",
            heard.longest_after(5)
        );
        assert!(heard.concealed_percent() < 4.0, "{jitter}: {}", heard.concealed_percent());
        assert!(heard.stats.target_delay.as_millis() as u64 + 25 >= jitter);
    }
}

#[test]
fn jitter_and_loss_together_stay_bounded() {
    let heard = Trace { jitter: 200_000, loss_percent: 10, ..Trace::default() }.run();
    assert!(heard.longest_after(5) <= 250, "{}", heard.longest_after(5));
    assert!(heard.concealed_percent() < 7.0, "{}", heard.concealed_percent());
}

#[test]
fn overtaken_packets_find_their_place_once_the_delay_covers_them() {
    let heard = Trace { reordered: 20, ..Trace::default() }.run();
    assert_eq!(heard.concealed_after(10), 0, "{:?}", heard.stats);
    assert!(heard.stats.late <= 20, "{:?}", heard.stats);
    assert!(heard.longest_after(10) <= 75);
}

#[test]
fn clocks_that_drift_are_followed_both_ways() {
    for drift_ppm in [200, -200] {
        let heard = Trace { drift_ppm, seconds: 600, ..Trace::default() }.run();
        // 120 ms in ten minutes: at a quarter of 20 ms each, at least 20 corrections.
        assert!((15..200).contains(&heard.corrections), "{}", heard.corrections);
        // The faster sender is done before the sink is.
        let end = 599_000_000;
        assert!(heard.concealed_at.iter().all(|at| *at < 1_000_000 || *at > end), "{drift_ppm}");
        assert!(heard.longest_after(3) <= 45, "{drift_ppm}: {}", heard.longest_after(3));
    }
}

#[test]
fn a_blackout_ends_where_the_stream_is_then() {
    for held in [false, true] {
        let blackout = Some((20_000_000, 25_000_000));
        let heard = Trace { blackout, held, ..Trace::default() }.run();
        assert!(
            (245..=256).contains(&heard.concealed_at.len()),
            "{held}: {}",
            heard.concealed_at.len()
        );
        assert_eq!(heard.concealed_after(26), 0, "{held}");
        assert!(heard.longest_after(25) <= 520, "{held}: {}", heard.longest_after(25));
        assert!(heard.longest_after(40) <= 60, "{held}: {}", heard.longest_after(40));
        assert!(heard.most_held <= 260, "{held}");
    }
}

#[test]
fn pauses_are_no_loss() {
    for jitter in [0, 40_000] {
        let heard = Trace { pauses: true, jitter, ..Trace::default() }.run();
        assert!(heard.stats.comfort_samples > 25 * 48_000, "{:?}", heard.stats);
        assert!(heard.concealed_percent() < 3.0, "{jitter}: {}", heard.concealed_percent());
        assert!(heard.longest_after(5) <= 100, "{jitter}: {}", heard.longest_after(5));
    }
}

#[test]
fn a_sender_that_stood_still_goes_on_at_once() {
    let mut buffer = JitterBuffer::new(JitterOptions::default());
    let packet = |n: u32| ArrivedPacket {
        sequence: n as u16,
        timestamp: n * 960,
        samples: 960,
        fec: false,
        dtx: false,
        payload: Bytes::new(),
    };
    let mut played = Vec::new();
    for n in 0..400_u32 {
        let now = ms(20) * n;
        // Packets 100 to 350 do not exist: the stream stands still for 5 s and goes on where it was.
        if n < 100 {
            buffer.handle(now, packet(n));
        } else if n >= 350 {
            buffer.handle(now, packet(n - 250));
        }
        if let Frame::Packet { timestamp, .. } = buffer.next(now) {
            played.push(timestamp / 960);
        }
    }
    assert!(played.len() >= 145, "{}", played.len());
    assert!(played.windows(2).all(|two| two[1] == two[0] + 1));
}

#[test]
fn what_comes_twice_is_played_once() {
    let mut buffer = JitterBuffer::new(JitterOptions::default());
    let packet = ArrivedPacket::opus(9, 960, vec![0x78, 1, 2].into()).unwrap();
    for _ in 0..3 {
        buffer.handle(ms(0), packet.clone());
    }
    assert_eq!((buffer.len(), buffer.stats().duplicates), (1, 2));
    assert!(matches!(buffer.next(ms(60)), Frame::Packet { .. }));
    buffer.handle(ms(61), packet);
    assert_eq!((buffer.len(), buffer.stats().duplicates), (0, 3));
}

#[test]
fn another_stream_starts_anew() {
    let mut buffer = JitterBuffer::new(JitterOptions::default());
    for n in 0..50_u16 {
        let packet = ArrivedPacket::opus(n, u32::from(n) * 960, vec![0x78, 1, 2].into());
        buffer.handle(ms(20) * n.into(), packet.unwrap());
        buffer.next(ms(20) * n.into());
    }
    let other = ArrivedPacket::opus(30_000, 7, vec![0x78, 3, 4].into()).unwrap();
    buffer.handle(ms(1_000), other);
    assert_eq!(buffer.stats().restarts, 1);
    assert!(matches!(buffer.next(ms(1_100)), Frame::Packet { timestamp: 7, .. }));
}

/// What a trace of a real call says of its way: when a packet would have come on the fastest one, the delay that all
/// but so many in a hundred keep, and the share that never came.
struct Recorded {
    arrivals: Vec<(u64, ArrivedPacket)>,
    first: u32,
    fastest: i64,
    ways: Vec<i64>,
    lost_percent: f64,
}

impl Recorded {
    fn read(name: &str) -> Self {
        let trace = crate::media::traces::arrivals(name);
        let first = trace[0].timestamp;
        let at = |arrival: &Arrival| arrival.at.as_micros() as i64;
        let said =
            |timestamp: u32| i64::from(timestamp.wrapping_sub(first).cast_signed()) * 125 / 6;
        let mut ways: Vec<_> = trace.iter().map(|it| at(it) - said(it.timestamp)).collect();
        ways.sort_unstable();
        let fastest = ways[0];
        ways.iter_mut().for_each(|way| *way -= fastest);
        let sequence = |it: &Arrival| it.sequence.wrapping_sub(trace[0].sequence).cast_signed();
        let numbers: std::collections::BTreeSet<_> = trace.iter().map(sequence).collect();
        let span = numbers.last().unwrap() - numbers.first().unwrap() + 1;
        let lost_percent = 100.0 - numbers.len() as f64 * 100.0 / f64::from(span);
        let packet = |it: &Arrival| {
            let packet = ArrivedPacket::opus(it.sequence, it.timestamp, it.payload.clone());
            (it.at.as_micros() as u64, packet.unwrap())
        };
        let arrivals = trace.iter().map(packet).collect();
        Self { arrivals, first, fastest, ways, lost_percent }
    }

    /// In milliseconds.
    fn way_of(&self, percent: usize) -> i64 {
        self.ways[(self.ways.len() - 1) * percent / 100] / 1_000
    }

    fn play(&self) -> Heard {
        let until = self.arrivals.last().unwrap().0;
        play(self.arrivals.clone(), until, |timestamp| {
            let said = timestamp.wrapping_sub(self.first).cast_signed();
            i64::from(said) * 125 / 6 + self.fastest
        })
    }
}

/// `tests/traces` says what these calls are.
#[test]
fn a_recorded_call_of_a_browser_is_played_as_an_even_stream_is() {
    let trace = Recorded::read("chromium-audio.txt");
    assert!(trace.arrivals.len() > 550 && trace.lost_percent == 0.0 && trace.way_of(98) < 10);
    let heard = trace.play();
    assert_eq!(heard.stats.concealed_samples + heard.stats.late, 0, "{:?}", heard.stats);
    assert!(heard.longest_after(3) <= 30, "{}", heard.longest_after(3));
    assert_eq!(heard.stats.target_delay, ms(10));
}

#[test]
fn a_recorded_call_with_jitter_and_loss_is_played_within_its_bounds() {
    let trace = Recorded::read("lab-audio.txt");
    assert!(trace.arrivals.len() > 500 && trace.lost_percent > 1.0 && trace.way_of(90) > 45);
    let heard = trace.play();
    // A tone has no copies: what is lost is made up.
    assert!(heard.concealed_percent() < trace.lost_percent + 0.3, "{:?}", heard.stats);
    assert!(heard.concealed_percent() < 4.0, "{}", heard.concealed_percent());
    assert!(heard.longest_after(5) <= 60 + 45, "{}", heard.longest_after(5));
    assert!(heard.stats.target_delay.as_millis() + 25 >= 60);
}

proptest! {
    #[test]
    fn nothing_that_arrives_breaks_order_or_bounds(
        packets in proptest::collection::vec(
            (0_u64..60, any::<u16>(), any::<u32>(), 1_usize..49, any::<bool>(), any::<bool>()), 0..300),
        near in any::<bool>(),
    ) {
        let mut buffer = JitterBuffer::new(JitterOptions::default());
        let mut now = Duration::ZERO;
        for (after, sequence, timestamp, samples, fec, dtx) in packets {
            now += ms(after);
            let (sequence, timestamp) =
                if near { (sequence % 300, timestamp % 300 * 480) } else { (sequence, timestamp) };
            let samples = samples as u32 * 120;
            buffer.handle(now, ArrivedPacket {
                sequence, timestamp, samples, fec, dtx, payload: Bytes::new(),
            });
            prop_assert!(buffer.len() <= MAX_PACKETS);
            let frame = buffer.next(now);
            prop_assert!(frame.samples() > 0 && frame.samples() <= 5_760);
            let stats = buffer.stats();
            prop_assert!(stats.target_delay >= ms(10) && stats.target_delay <= ms(500));
        }
    }
}
