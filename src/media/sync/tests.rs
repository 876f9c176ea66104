//! Pictures, sounds and reports in virtual time.

use proptest::prelude::*;

use super::*;

const FRAME_US: u64 = 33_333;
/// Ticks of 90 kHz, there and back.
const ROUNDED: u64 = 30;

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Both streams of a sender. All that counts begins close to where it wraps.
struct Scene {
    sync: LipSync,
    n: u64,
    /// What the sender's clock is set by.
    ntp: u64,
    /// Reports of sound and of pictures.
    reports: [Option<Report>; 2],
    /// From recording to hearing.
    sound: Duration,
    heard: bool,
    /// Who does not report.
    silent: Option<usize>,
    /// When each picture came, and when it is due.
    shown: Vec<(Duration, Duration)>,
}

impl Scene {
    fn new(sound: Duration) -> Self {
        Self {
            sync: LipSync::new(),
            n: 0,
            ntp: u64::MAX - (5 << 32),
            reports: [None; 2],
            sound,
            heard: true,
            silent: None,
            shown: Vec::new(),
        }
    }

    /// A stream's time at one of ours.
    fn rtp(rate: u64, at: Duration) -> u32 {
        (u32::MAX - 9_000).wrapping_add((at.as_micros() as u64 * rate / 1_000) as u32)
    }

    fn report(&self, rate: u64, at: Duration) -> Report {
        let fraction = (u64::from(at.subsec_nanos()) << 32) / 1_000_000_000;
        let ntp = self.ntp.wrapping_add((at.as_secs() << 32) | fraction);
        Report { received: at, ntp, rtp: Self::rtp(rate, at) }
    }

    /// Pictures with a time on their way.
    fn pass(&mut self, pictures: u64, way: impl Fn(u64) -> Duration) {
        for _ in 0..pictures {
            self.n += 1;
            let taken = us(1_000_000 + self.n * FRAME_US);
            let now = taken + way(self.n);
            // Each second; of sound half a second after that of pictures.
            for (which, turn, rate) in [(0, 15, 48), (1, 0, 90)] {
                if self.n % 30 == turn && self.silent != Some(which) {
                    self.reports[which] = Some(self.report(rate, now));
                }
            }
            if let Some(report) = self.reports[1] {
                self.sync.reported(report);
            }
            let heard = Duration::from_millis(now.as_millis() as u64 / 20 * 20);
            let rtp = Self::rtp(48, heard + us(LOOK_AHEAD_US as u64) - self.sound);
            let heard = self.heard.then_some(Heard { at: heard, rtp });
            let sound = Sound { ssrc: 1, report: self.reports[0], heard };
            let due = self.sync.due(now, Self::rtp(90, taken), Some(sound));
            self.shown.push((now, due));
        }
    }

    /// From recording to showing, of the last picture.
    fn last(&self) -> Duration {
        let (_, due) = *self.shown.last().unwrap();
        due - us(1_000_000 + self.n * FRAME_US)
    }

    fn is_held(&self) -> bool {
        self.shown.last().is_some_and(|(came, due)| due > came)
    }
}

#[test]
fn pictures_wait_until_they_are_only_a_little_ahead_of_the_sound() {
    for (sound, way, wanted) in [(150, 20, 113), (80, 20, 43), (500, 60, 463), (900, 20, 520)] {
        let mut scene = Scene::new(ms(sound));
        scene.pass(300, |_| ms(way));
        let off = scene.last().abs_diff(ms(wanted));
        assert!(off <= ms(1), "{sound} ms: {:?}", scene.last());
    }
}

#[test]
fn pictures_are_left_alone_where_sound_is_hardly_behind_or_ahead() {
    for sound in [0, 10, 30, 54] {
        let mut scene = Scene::new(ms(sound));
        scene.pass(300, |n| ms(20 + n % 3 * 15));
        assert!(scene.shown.iter().all(|(came, due)| came == due), "{sound} ms");
    }
}

#[test]
fn what_is_held_changes_by_a_tenth_of_the_time_that_passes() {
    let mut scene = Scene::new(ms(60));
    scene.pass(120, |_| ms(20));
    for sound in [300, 90] {
        scene.sound = ms(sound);
        scene.pass(150, |_| ms(20));
        assert!(scene.last().abs_diff(ms(sound - 37)) <= ms(1));
    }
    for pair in scene.shown.windows(2) {
        let apart = (pair[1].1 - pair[0].1).as_micros() as i64;
        let off = (apart - FRAME_US as i64).abs();
        assert!(off <= FRAME_US as i64 / 10 + ROUNDED as i64, "{apart} us between two pictures");
    }
}

#[test]
fn a_late_picture_is_shown_at_once_and_those_behind_it_as_before() {
    let mut scene = Scene::new(ms(120));
    scene.pass(200, |_| ms(20));
    scene.pass(1, |_| ms(300));
    assert!(!scene.is_held());
    // What was whole already waits for it alone.
    scene.pass(30, |_| ms(20));
    assert!(scene.last().abs_diff(ms(83)) <= ms(1), "{:?}", scene.last());
}

#[test]
fn nothing_is_held_for_a_sound_that_nobody_hears() {
    // No sound at all; one that is not played; one without a report; pictures without one.
    let mut scene = Scene::new(ms(200));
    scene.heard = false;
    scene.pass(300, |_| ms(20));
    assert!(scene.shown.iter().all(|(came, due)| came == due));
    for missing in 0..2 {
        let mut scene = Scene::new(ms(200));
        scene.silent = Some(missing);
        scene.pass(100, |_| ms(20));
        let waited = scene.shown.iter().filter(|(came, due)| due > came);
        assert_eq!(waited.count(), 0, "without report {missing}");
    }
    // A pause.
    let mut scene = Scene::new(ms(200));
    scene.pass(300, |_| ms(20));
    assert!(scene.is_held());
    scene.heard = false;
    scene.pass(60, |_| ms(20));
    assert!(!scene.is_held(), "{:?}", scene.last());
}

#[test]
fn pictures_and_sound_that_are_let_go_of_come_as_they_come() {
    let mut scene = Scene::new(ms(200));
    scene.pass(300, |_| ms(20));
    scene.sync.let_go();
    let now = us(20_000_000);
    assert_eq!(scene.sync.due(now, 7, None), now);
}

#[test]
fn a_clock_that_is_set_moves_no_picture_by_itself() {
    for step in [1_u64 << 32, 3_600 << 32, (1_u64 << 32).wrapping_neg(), 1 << 63] {
        let mut scene = Scene::new(ms(150));
        scene.pass(299, |_| ms(20));
        scene.ntp = scene.ntp.wrapping_add(step);
        let before = scene.shown.len() - 1;
        scene.pass(60, |_| ms(20));
        for pair in scene.shown[before..].windows(2) {
            let apart = (pair[1].1 - pair[0].1).as_micros() as u64;
            let off = apart.abs_diff(FRAME_US);
            assert!(off <= FRAME_US / 10 + ROUNDED, "{apart} us at {step:x}");
        }
        scene.pass(90, |_| ms(20));
        assert!(scene.last().abs_diff(ms(113)) <= ms(1), "{step:x}: {:?}", scene.last());
    }
}

#[test]
fn clocks_that_drift_are_followed() {
    // The sound's clock is 200 ppm off for ten minutes: 120 ms, and the reports tell.
    let mut sync = LipSync::new();
    let mut due = ms(0);
    for n in 0..18_000_u64 {
        let now = us(n * FRAME_US);
        let samples = |at: Duration| (at.as_micros() as u64 * 48 / 1_000 * 10_002 / 10_000) as u32;
        let report = Scene::new(ms(0)).report(90, now);
        sync.reported(Report { rtp: (now.as_micros() as u64 * 90 / 1_000) as u32, ..report });
        let heard = now + us(LOOK_AHEAD_US as u64);
        let heard = Heard { at: now + ms(100), rtp: samples(heard) };
        let report = Some(Report { rtp: samples(now), ..report });
        let sound = Sound { ssrc: 1, report, heard: Some(heard) };
        due = sync.due(now, (now.as_micros() as u64 * 90 / 1_000) as u32, Some(sound)) - now;
    }
    assert!(due.abs_diff(ms(63)) <= ms(1), "{due:?}");
}

proptest! {
    #[test]
    fn whatever_is_said_pictures_keep_their_order_and_wait_half_a_second_at_most(
        turns in prop::collection::vec(
            (0_u64..200_000, any::<u32>(), any::<[(u64, u32); 2]>(), 0_u8..64, any::<u32>(), 0_u64..3_000),
            1..60,
        ),
    ) {
        let (mut sync, mut now, mut last) = (LipSync::new(), ms(0), ms(0));
        let mut reports = [None; 2];
        for (passed, rtp, said, flags, heard, ago) in turns {
            now += us(passed);
            for (n, (ntp, rtp)) in said.into_iter().enumerate() {
                if flags & (1 << n) == 0 {
                    reports[n] = Some(Report { received: now, ntp, rtp });
                }
            }
            if let Some(report) = reports[0] {
                sync.reported(report);
            }
            if flags & 0b1100 == 0b1100 {
                sync.stream_changed();
            }
            let heard = Some(Heard { at: now.saturating_sub(ms(ago)), rtp: heard });
            let sound = Sound { ssrc: u32::from(flags >> 4 == 3), report: reports[1], heard };
            let due = sync.due(now, rtp, (flags & 16 == 0).then_some(sound));
            prop_assert!(due >= now && due >= last && due <= now + MOST_HELD);
            last = due;
        }
    }

    #[test]
    fn a_capture_clock_takes_any_time(turns in prop::collection::vec((any::<i64>(), any::<u64>()), 1..60)) {
        let mut clock = CaptureClock::default();
        for (at, media) in turns {
            // Neither panics nor invents a time long after what came, unless the time itself wraps.
            clock.captured_us(at, media);
        }
    }
}

#[test]
fn what_a_source_gives_late_or_in_heaps_was_recorded_evenly() {
    let mut clock = CaptureClock::default();
    let mut off = 0;
    for n in 0..3_000_u64 {
        // A clock of its own, 100 ppm slow; packets in threes, and up to 15 ms late.
        let recorded = n * 20_000;
        let came = recorded / 60_000 * 60_000 + 40_000 + n * 7 % 16 * 1_000;
        let captured = clock.captured_us(came as i64, 77_000_000 + recorded - recorded / 10_000);
        if n > 200 {
            off = off.max(captured.abs_diff(recorded as i64));
        }
    }
    assert!(off <= 1_500, "{off} us");
    // It began anew, and went on after a pause that its time does not know.
    assert_eq!(clock.captured_us(70_000_000, 5), 70_000_000);
    assert_eq!(clock.captured_us(70_020_000, 20_005), 70_020_000);
    assert_eq!(clock.captured_us(79_000_000, 40_005), 79_000_000);
}

#[test]
fn what_is_held_leaves_in_order_on_time_and_early_if_it_is_too_much() {
    let mut held = Held::default();
    for n in 0..3 {
        held.push(ms(n * 10), 100, n);
    }
    let leaves =
        |held: &mut Held<u64>, now| std::iter::from_fn(|| held.pop(now)).collect::<Vec<_>>();
    assert_eq!(held.next_deadline(), Some(ms(0)));
    assert_eq!(leaves(&mut held, ms(15)), [0, 1]);
    assert_eq!((held.next_deadline(), held.bytes()), (Some(ms(20)), 100));
    // Too many, and too large.
    for n in 3..100 {
        held.push(ms(1_000), 10, n);
    }
    let left = leaves(&mut held, ms(0));
    assert_eq!((left.len(), left[0]), (98 - 64, 2));
    held.push(ms(1_000), 3 << 20, 100);
    assert_eq!(leaves(&mut held, ms(0)).len(), 65);
    assert_eq!((held.bytes(), held.next_deadline()), (0, None));
    held.push(ms(1_000), 1, 7);
    assert_eq!(held.drain().collect::<Vec<_>>(), [7]);
    assert_eq!(held.bytes(), 0);
}
