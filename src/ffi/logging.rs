//! The SDK's log, for apps: kept in a bounded ring and pulled. Credentials are never in it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::error::SdkError;
use super::remote_peer::unix_ms;

/// Records that wait; beyond that the oldest are dropped and counted.
const MAX_RECORDS: usize = 4_096;
/// What other crates say stays out.
const OURS: &str = "metered_realtime";

static SINK: Sink = Sink { ring: Mutex::new(Ring::new()), news: Notify::const_new() };

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// What the app must know of.
    Error,
    /// What may become a problem.
    Warn,
    /// Connections and their ends.
    Info,
    /// Decisions.
    Debug,
    /// Everything.
    Trace,
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

impl From<log::Level> for LogLevel {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Error => Self::Error,
            log::Level::Warn => Self::Warn,
            log::Level::Info => Self::Info,
            log::Level::Debug => Self::Debug,
            log::Level::Trace => Self::Trace,
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct LogRecord {
    /// When, by the device's clock, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// How much it matters.
    pub level: LogLevel,
    /// The module that says it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Records dropped before this one, because they were not taken fast enough.
    pub missed_before: u64,
}

struct Ring {
    records: VecDeque<LogRecord>,
    missed: u64,
}

impl Ring {
    const fn new() -> Self {
        Self { records: VecDeque::new(), missed: 0 }
    }

    fn push(&mut self, mut record: LogRecord) {
        if self.records.len() >= MAX_RECORDS
            && let Some(oldest) = self.records.pop_front()
        {
            self.missed += oldest.missed_before + 1;
        }
        match self.records.front_mut() {
            Some(first) => first.missed_before += std::mem::take(&mut self.missed),
            None => record.missed_before += std::mem::take(&mut self.missed),
        }
        self.records.push_back(record);
    }
}

struct Sink {
    ring: Mutex<Ring>,
    news: Notify,
}

impl Sink {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl log::Log for Sink {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with(OURS)
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        self.ring().push(LogRecord {
            at_unix_ms: unix_ms(SystemTime::now()),
            level: record.level().into(),
            target: record.target().to_owned(),
            message: record.args().to_string(),
            missed_before: 0,
        });
        self.news.notify_one();
    }

    fn flush(&self) {}
}

/// Keeps the SDK's log from now on, for [`next_log_records`]; called again, it changes the level. An error
/// if the process has a logger of its own for Rust.
#[uniffi::export]
pub fn start_logging(level: LogLevel) -> Result<(), SdkError> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*started {
        if log::set_logger(&SINK).is_err() {
            return Err(SdkError::invalid_state("logging elsewhere", "start_logging"));
        }
        *started = true;
    }
    log::set_max_level(level.into());
    Ok(())
}

/// Up to `max` lines of the log, at least one.
#[uniffi::export]
pub async fn next_log_records(max: u32) -> Result<Vec<LogRecord>, SdkError> {
    loop {
        let news = SINK.news.notified();
        {
            let mut ring = SINK.ring();
            if !ring.records.is_empty() {
                let count = ring.records.len().min(max.max(1) as usize);
                return Ok(ring.records.drain(..count).collect());
            }
        }
        news.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_counted_by_the_next_record() {
        let mut ring = Ring::new();
        let record = |at_unix_ms| LogRecord {
            at_unix_ms,
            level: LogLevel::Info,
            target: OURS.to_owned(),
            message: String::new(),
            missed_before: 0,
        };
        for n in 0..MAX_RECORDS as u64 + 3 {
            ring.push(record(n));
        }
        assert_eq!(ring.records.len(), MAX_RECORDS);
        assert_eq!((ring.records[0].at_unix_ms, ring.records[0].missed_before), (3, 3));
        assert!(ring.records.iter().skip(1).all(|record| record.missed_before == 0));
    }
}
