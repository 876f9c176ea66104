//! Sound and pictures of one stream, in time with each other. Pure: told the time.
//!
//! Sound waits in its jitter buffer and is heard late; pictures are whole sooner, so they are held until they are
//! ahead of the sound by no more than [`MOST_AHEAD`]. Sender reports say when either was recorded. Sound never
//! waits for pictures.
//!
//! A picture is held for [`MOST_HELD`] at most; without sound that is heard, without reports, or with reports
//! that make no sense, it is not held at all. What comes out of this is a time and never an order: decode order
//! stays.

mod clock;
mod held;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use clock::{CaptureClock, Report};
use clock::{StreamClock, agree};
pub(crate) use held::Held;

/// So far ahead of the sound a picture may be shown: nobody sees it (ITU-R BT.1359 has 125 ms), and on a calm path
/// it leaves pictures nearly alone.
pub(crate) const MOST_AHEAD: Duration = Duration::from_millis(37);
/// No picture is held for longer.
const MOST_HELD: Duration = Duration::from_millis(500);
/// Sound that is so far behind its pictures is another recording's, or the reports are no reports.
const NONSENSE_US: i64 = 1_000_000;
/// Without a packet that was played for so long, nothing is heard: a mute, a pause, or nobody who listens.
const UNHEARD: Duration = Duration::from_secs(1);
/// What Opus' encoders look ahead: what is heard at a time of the stream was recorded so much before it.
const LOOK_AHEAD_US: i64 = 6_500;
/// While the hold changes, pictures are slower or faster by one part of so many.
const SLEW: i64 = 10;
/// A gap between pictures counts as so much.
const LONGEST_GAP_US: i64 = 200_000;
/// A new measure of the sound counts as one part of so many.
const SMOOTH: i64 = 8;

const SOUND_RATE: u32 = 48_000;
const PICTURE_RATE: u32 = 90_000;

/// A packet's first sample was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Duration,
    pub(crate) rtp: u32,
}

/// What is known of the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) ssrc: u32,
    pub(crate) report: Option<Report>,
    pub(crate) heard: Option<Heard>,
}

/// Says when pictures of one track are shown.
#[derive(Debug)]
pub(crate) struct LipSync {
    /// What times of NTP are counted from.
    zero: Option<u64>,
    sound: StreamClock,
    picture: StreamClock,
    ssrc: Option<u32>,
    heard: Option<Heard>,
    /// From recording to hearing.
    sound_us: Option<i64>,
    /// From recording to showing, of what is held.
    held_us: Option<i64>,
    /// The last picture's time, and from its recording until it came.
    last: Option<(u32, i64)>,
    due: Duration,
}

impl LipSync {
    pub(crate) const fn new() -> Self {
        Self {
            zero: None,
            sound: StreamClock::new(SOUND_RATE),
            picture: StreamClock::new(PICTURE_RATE),
            ssrc: None,
            heard: None,
            sound_us: None,
            held_us: None,
            last: None,
            due: Duration::ZERO,
        }
    }

    /// The pictures' sender reported, or this is still its last report.
    pub(crate) fn reported(&mut self, report: Report) {
        let zero = *self.zero.get_or_insert(report.ntp);
        let before = self.picture.captured_us(zero, report.rtp);
        self.picture.reported(report);
        let after = self.picture.captured_us(zero, report.rtp);
        // A clock that is set, or found more exactly, moves no picture by itself.
        let shift = before.zip(after).map_or(0, |(before, after)| before - after);
        self.held_us = self.held_us.map(|held| held + shift);
        self.last = self.last.map(|(rtp, came)| (rtp, came + shift));
    }

    /// What follows is another stream of pictures.
    pub(crate) const fn stream_changed(&mut self) {
        self.picture.forget();
        self.last = None;
        self.held_us = None;
    }

    /// Pictures are shown as they come, until the next call of [`due`](Self::due).
    pub(crate) const fn let_go(&mut self) {
        self.held_us = None;
    }

    /// When to show a picture that is there now. Never before now, nor before an earlier one.
    pub(crate) fn due(&mut self, now: Duration, rtp: u32, sound: Option<Sound>) -> Duration {
        let lateness = self.sound_late(now, sound);
        let held = self.zero.and_then(|zero| self.picture.captured_us(zero, rtp));
        let due = held.map_or(now, |captured| {
            let came = micros(now) - captured;
            let wanted = lateness.map(|late| late - micros(MOST_AHEAD));
            let wanted = wanted.filter(|wanted| wanted - came <= NONSENSE_US);
            self.steer(rtp, came, wanted);
            let waits = self.held_us.map_or(0, |held| (held - came).max(0)).unsigned_abs();
            now + Duration::from_micros(waits).min(MOST_HELD)
        });
        self.due = due.max(self.due).max(now);
        self.due
    }

    /// From recording to hearing, if that is known.
    fn sound_late(&mut self, now: Duration, sound: Option<Sound>) -> Option<i64> {
        let known = self.measure(now, sound);
        if known.is_none() {
            self.sound_us = None;
        }
        known
    }

    fn measure(&mut self, now: Duration, sound: Option<Sound>) -> Option<i64> {
        let Sound { ssrc, report, heard } = sound?;
        if self.ssrc.replace(ssrc) != Some(ssrc) {
            self.sound.forget();
        }
        self.sound.reported(report?);
        let heard = heard.filter(|heard| now.saturating_sub(heard.at) <= UNHEARD)?;
        if !agree(now, [&self.sound, &self.picture]) {
            return None;
        }
        if self.heard.replace(heard) == Some(heard)
            && let Some(known) = self.sound_us
        {
            return Some(known);
        }
        let captured = self.sound.captured_us(self.zero?, heard.rtp)? - LOOK_AHEAD_US;
        let measured = micros(heard.at) - captured;
        let known = self.sound_us.unwrap_or(measured);
        self.sound_us = Some(known + (measured - known) / SMOOTH);
        self.sound_us
    }

    /// Moves what is held towards what is wanted.
    fn steer(&mut self, rtp: u32, came: i64, wanted: Option<i64>) {
        let last = self.last.replace((rtp, came));
        let passed = last.map_or(0, |(before, _)| self.picture.ticks_us(before, rtp));
        let step = passed.clamp(0, LONGEST_GAP_US) / SLEW;
        self.held_us = match (self.held_us, wanted) {
            // Whatever was held has come later by itself.
            (Some(held), None) if held > came => Some(held - step),
            (_, None) => None,
            (held, Some(wanted)) => {
                let held = held.unwrap_or(came.min(wanted));
                if held > wanted {
                    Some((held - step).max(wanted))
                } else {
                    // Up to when they come by themselves nobody sees a change.
                    let by_itself = last.map_or(came, |(_, before)| before.min(came));
                    Some((held.max(by_itself) + step).min(wanted))
                }
            }
        };
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}
