//! What people and scripts see of a transfer: a bar on a terminal, plain lines elsewhere, JSON if asked.

use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::output::{self, Failure};

/// Between two lines of JSON.
const JSON_PACE: Duration = Duration::from_millis(250);
/// Between two lines for people.
const LINE_PACE: Duration = Duration::from_secs(1);
const BAR: &str =
    "{bar:32} {percent:>3} %  {bytes} of {total_bytes}  {binary_bytes_per_sec}  {eta} left";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Json,
    Bar,
    Lines,
}

/// Tells how a transfer goes.
pub(super) struct Report {
    manner: Manner,
    moving: Mutex<Option<Moving>>,
}

struct Moving {
    bar: ProgressBar,
    began: Instant,
    shown: Option<Instant>,
    from: u64,
    total: u64,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        let manner = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Manner::Json,
            (_, true) => Manner::Bar,
            _ => Manner::Lines,
        };
        Self { manner, moving: Mutex::new(None) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<Moving>) -> T) -> T {
        work(&mut self.moving.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something happened: a line of JSON, or one in words.
    pub(super) fn tell(
        &self,
        kind: &str,
        payload: Value,
        words: impl Display,
    ) -> Result<(), Failure> {
        if self.manner == Manner::Json {
            let mut line = json!({ "type": kind });
            if let (Some(line), Value::Object(payload)) = (line.as_object_mut(), payload) {
                line.extend(payload);
            }
            return output::say_json(&line);
        }
        self.with(|moving| match moving {
            Some(moving) => moving.bar.suspend(|| output::say(words)),
            None => output::say(words),
        })
    }

    /// Bytes begin to move, from an offset on.
    pub(super) fn begin(&self, from: u64, total: u64) {
        let target = match self.manner {
            Manner::Bar => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_position(from);
        // The template is a constant that its test draws.
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        bar.reset_eta();
        self.with(|moving| {
            *moving = Some(Moving { bar, began: Instant::now(), shown: None, from, total });
        });
    }

    /// So many bytes are there now.
    pub(super) fn at(&self, bytes: u64) -> Result<(), Failure> {
        self.with(|moving| match moving {
            Some(moving) => moving.show(self.manner, bytes),
            None => Ok(()),
        })
    }

    /// Nothing moves any more.
    pub(super) fn end(&self) {
        if let Some(moving) = self.with(Option::take) {
            moving.bar.finish_and_clear();
        }
    }
}

impl Moving {
    fn show(&mut self, manner: Manner, bytes: u64) -> Result<(), Failure> {
        let pace = match manner {
            Manner::Bar => {
                self.bar.set_position(bytes);
                return Ok(());
            }
            Manner::Json => JSON_PACE,
            Manner::Lines => LINE_PACE,
        };
        let now = Instant::now();
        let due = self.shown.is_none_or(|shown| now.duration_since(shown) >= pace);
        if !due && bytes < self.total {
            return Ok(());
        }
        self.shown = Some(now);
        let (percent, rate, eta) = self.figures(bytes, now.duration_since(self.began));
        if manner == Manner::Json {
            return output::say_json(&json!({
                "type": "progress",
                "bytes": bytes,
                "total": self.total,
                "percent": percent,
                "bytesPerSecond": rate,
                "etaSeconds": eta,
            }));
        }
        let left = eta.map(|eta| format!(", {eta} s left")).unwrap_or_default();
        let (bytes, total) = (Size(bytes), Size(self.total));
        output::say(format_args!(
            "{percent} %: {bytes} of {total}, {} per second{left}",
            Size(rate)
        ))
    }

    /// Percent, bytes per second of this attempt, and seconds left if that can be said.
    fn figures(&self, bytes: u64, elapsed: Duration) -> (u64, u64, Option<u64>) {
        let percent = (bytes.saturating_mul(100)).checked_div(self.total).unwrap_or(100);
        let micros = elapsed.as_micros().max(1);
        let moved = u128::from(bytes.saturating_sub(self.from));
        let rate = u64::try_from(moved * 1_000_000 / micros).unwrap_or(u64::MAX);
        let left = self.total.saturating_sub(bytes);
        (percent, rate, if left == 0 { Some(0) } else { left.checked_div(rate) })
    }
}

/// Bytes for people.
pub(super) struct Size(pub(super) u64);

impl Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        indicatif::BinaryBytes(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_template_is_one() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }

    #[test]
    fn figures_are_those_of_this_attempt() {
        let report = Report { manner: Manner::Bar, moving: Mutex::new(None) };
        report.begin(500, 1_500);
        let figures = |bytes| {
            report.with(|moving| moving.as_ref().unwrap().figures(bytes, Duration::from_secs(2)))
        };
        assert_eq!(figures(500), (33, 0, None));
        assert_eq!(figures(700), (46, 100, Some(8)));
        assert_eq!(figures(1_500), (100, 500, Some(0)));
        report.begin(0, 0);
        assert_eq!(figures(0), (100, 0, Some(0)));
    }
}
