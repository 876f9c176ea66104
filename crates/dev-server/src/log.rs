//! What the server saw, as lines: for tests to assert on, and for people to read.
//!
//! Frames hold no credentials; queries, which do, never come here.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tokio::sync::Notify;

/// Entries that are kept.
const KEPT: usize = 10_000;

/// One thing that happened.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_dev_server::{DevServer, LogEntry};
/// let server = DevServer::builder().record().start().await?;
/// server.quota_exhausted(true);
/// let LogEntry { t, event, connection, .. } = server.log()[0].clone();
/// assert_eq!((event, connection), ("fault", None));
/// println!("{t:.1} ms after the start");
/// server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Milliseconds since the server started.
    pub t: f64,
    /// `refused`, `open`, `in`, `out`, `close`, `cut` (no close frame), `fault`.
    pub event: &'static str,
    /// The connection's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// Its peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// The frame, or what there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// Keeps and writes entries, when asked to.
pub(crate) struct WireLog {
    started: Instant,
    keeps: AtomicBool,
    kept: Mutex<VecDeque<LogEntry>>,
    writer: Mutex<Option<Box<dyn Write + Send>>>,
    writes: AtomicBool,
    news: Notify,
}

impl std::fmt::Debug for WireLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireLog").finish_non_exhaustive()
    }
}

impl WireLog {
    pub(crate) fn new(keeps: bool, writer: Option<Box<dyn Write + Send>>) -> Self {
        Self {
            started: Instant::now(),
            keeps: AtomicBool::new(keeps),
            kept: Mutex::default(),
            writes: AtomicBool::new(writer.is_some()),
            writer: Mutex::new(writer),
            news: Notify::new(),
        }
    }

    /// Whether anybody wants to know; saves making texts that nobody reads.
    pub(crate) fn is_on(&self) -> bool {
        self.keeps.load(Ordering::Relaxed) || self.writes.load(Ordering::Relaxed)
    }

    pub(crate) fn add(
        &self,
        event: &'static str,
        connection: Option<u64>,
        peer_id: Option<&str>,
        text: &str,
    ) {
        if !self.is_on() {
            return;
        }
        let entry = LogEntry {
            t: (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3,
            event,
            connection,
            peer_id: peer_id.map(str::to_owned),
            text: text.to_owned(),
        };
        if self.writes.load(Ordering::Relaxed) {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Some(writer), Ok(line)) = (writer.as_mut(), serde_json::to_string(&entry))
                && let Err(error) = writeln!(writer, "{line}").and_then(|()| writer.flush())
            {
                tracing::warn!(%error, "the wire log cannot be written");
                self.writes.store(false, Ordering::Relaxed);
            }
        }
        if self.keeps.load(Ordering::Relaxed) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT {
                kept.pop_front();
            }
            kept.push_back(entry);
        }
        self.news.notify_waiters();
    }

    pub(crate) fn entries(&self) -> Vec<LogEntry> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The first kept entry that fits, now or later.
    pub(crate) async fn wait_for(&self, fits: impl Fn(&LogEntry) -> bool) -> LogEntry {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            let found = self
                .kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .find(|entry| fits(entry))
                .cloned();
            if let Some(entry) = found {
                return entry;
            }
            news.await;
        }
    }
}
