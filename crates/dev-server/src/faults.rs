//! Everything that can be made to go wrong.
//!
//! A fault is data, so that tests, the command line and HTTP (`POST /_dev/NAME` with its fields as JSON) use
//! the same ones.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Which connections a fault meets; without either field, all.
///
/// ```
/// use metered_dev_server::Target;
/// assert_eq!(Target::all(), Target::default());
/// let phone = Target { connection: Some(2), ..Target::peer("alice") }; // one of alice's connections
/// assert_eq!(phone.peer_id.as_deref(), Some("alice"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Target {
    /// All connections of this peer.
    pub peer_id: Option<String>,
    /// The connection with this number, as in `GET /_dev/state`.
    pub connection: Option<u64>,
}

impl Target {
    /// Every connection.
    pub fn all() -> Self {
        Self::default()
    }

    /// Every connection of a peer.
    pub fn peer(peer_id: impl Into<String>) -> Self {
        Self { peer_id: Some(peer_id.into()), connection: None }
    }

    pub(crate) fn meets(&self, connection: u64, peer_id: &str) -> bool {
        self.connection.is_none_or(|wanted| wanted == connection)
            && self.peer_id.as_deref().is_none_or(|wanted| wanted == peer_id)
    }
}

/// How a snapshot and its ack reach the subscriber.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Service { server }| {
/// use metered_dev_server::SnapshotMode;
/// use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions};
/// use std::time::Duration;
/// server.snapshots(SnapshotMode::BeforeAck, Duration::ZERO);
/// let mut options = SignallingOptions::with_token(server.token("alice")?)?;
/// options.url = server.url();
/// let client = SignallingClient::new(options)?;
/// let mut events = client.events();
/// client.connect().await?;
/// client.subscribe("room").await?;
/// // A snapshot is taken for one whichever way it comes.
/// let snapshot = loop {
///     if let Some(Event::Presence { snapshot, .. }) = events.next().await {
///         break snapshot;
///     }
/// };
/// assert!(snapshot);
/// client.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotMode {
    /// Ack first, then the snapshot as a frame of its own.
    #[default]
    Normal,
    /// No snapshot.
    Omit,
    /// Snapshot first.
    BeforeAck,
    /// Ack and snapshot in one write.
    Merged,
}

/// What goes wrong. Counts are of the next so many; a duration of 0 ms switches a delay off.
///
/// ```
/// use metered_dev_server::{Fault, Target};
/// let fault: Fault = serde_json::from_str(r#"{"fault":"close","code":4001,"peerId":"alice"}"#)?;
/// assert_eq!(fault, Fault::Close { code: 4001, reason: String::new(), to: Target::peer("alice") });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    tag = "fault",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Fault {
    /// Cuts connections without a close frame.
    Drop {
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Closes connections with a code.
    Close {
        /// The code.
        code: u16,
        /// The reason.
        #[serde(default)]
        reason: String,
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Answers upgrades with an HTTP status.
    RefuseUpgrades {
        /// How many.
        count: u32,
        /// The status.
        status: u16,
        /// The body: a text as it is, other JSON serialized.
        #[serde(default)]
        body: Option<Value>,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_seconds: Option<u64>,
    },
    /// Accepts TCP connections and never answers on them.
    IgnoreConnects {
        /// How many.
        count: u32,
    },
    /// Lets welcomes wait.
    DelayWelcome {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Sends no welcome at all.
    WithholdWelcome {
        /// How many.
        count: u32,
    },
    /// Sends another text in place of welcomes.
    ReplaceWelcome {
        /// How many.
        count: u32,
        /// The text.
        text: String,
    },
    /// Does what is asked and sends no ack.
    LoseAcks {
        /// How many.
        count: u32,
        /// Requests of this type only.
        #[serde(default)]
        of: Option<String>,
    },
    /// Lets acks wait; later frames overtake them.
    DelayAcks {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Answers requests with an error.
    FailRequests {
        /// How many.
        count: u32,
        /// The error's code.
        code: String,
        /// Requests of this type only.
        #[serde(default)]
        of: Option<String>,
    },
    /// Changes how snapshots come.
    Snapshot {
        /// In which way.
        #[serde(default)]
        mode: SnapshotMode,
        /// How long they wait, in milliseconds.
        #[serde(default)]
        delay_ms: u64,
    },
    /// Lists a peer that is not there.
    Ghost {
        /// On which channel.
        channel: String,
        /// Its id.
        peer_id: String,
        /// Its metadata.
        #[serde(default)]
        metadata: Option<Value>,
        /// For how many milliseconds; the service needs about 40 s to notice that a connection is gone.
        ms: u64,
    },
    /// Announces an end, and closes with 1001.
    GoingAway {
        /// Milliseconds after which it wants to see clients again.
        retry_after_ms: u64,
        /// Milliseconds until it closes; never if absent.
        #[serde(default)]
        close_after_ms: Option<u64>,
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Goes silent: takes frames and does nothing, while TCP stays.
    Mute {
        /// Whether WebSocket pings go on.
        #[serde(default)]
        pings: bool,
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Reads no more, so that what the client writes gets stuck.
    StopReading {
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Uses the plan's messages up, or not.
    Quota {
        /// Whether they are.
        exhausted: bool,
    },
    /// Suspends the account, or not: connections are closed with 4012, and new ones too.
    Suspend {
        /// Whether it is.
        suspended: bool,
    },
    /// Changes how many connections the plan has; 0 for any number.
    ConcurrentLimit {
        /// How many.
        limit: usize,
    },
    /// Ends tokens now, with 4002.
    ExpireTokens {
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Sends a text frame as it is.
    SendText {
        /// The text.
        text: String,
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Sends a binary frame.
    SendBinary {
        /// Its bytes.
        size: usize,
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Sends a message frame of so many bytes.
    SendOversized {
        /// Its bytes.
        size: usize,
        /// Which.
        #[serde(flatten)]
        to: Target,
    },
    /// Lets every frame wait, order kept.
    DelayFrames {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Sets the server's clock ahead, or behind: what it says of the time, in welcomes and in
    /// the `Date` of every answer, and when tokens end.
    Clock {
        /// By so many seconds; negative for behind.
        ahead_seconds: f64,
    },
    /// Ends every fault that lasts.
    Reset,
}

/// An answer in place of an upgrade.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) retry_after_seconds: Option<u64>,
}

/// So many requests of a type.
#[derive(Debug)]
struct Rule {
    left: u32,
    of: Option<String>,
    code: Option<String>,
}

/// The faults that last.
#[derive(Debug, Default)]
pub(crate) struct Lasting {
    refusals: VecDeque<(u32, Refusal)>,
    ignored_connects: u32,
    withheld_welcomes: u32,
    replaced_welcomes: VecDeque<(u32, String)>,
    pub(crate) welcome_delay: Duration,
    rules: Vec<Rule>,
    pub(crate) ack_delay: Duration,
    pub(crate) snapshot: SnapshotMode,
    pub(crate) snapshot_delay: Duration,
    pub(crate) frame_delay: Duration,
    pub(crate) quota_exhausted: bool,
    pub(crate) suspended: bool,
    pub(crate) concurrent_limit: Option<usize>,
    pub(crate) clock_ahead: f64,
}

/// What becomes of a welcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WelcomeFault {
    None,
    Withhold,
    Replace(String),
}

/// Takes one of a queue of counted things.
fn take_one<T: Clone>(queue: &mut VecDeque<(u32, T)>) -> Option<T> {
    let (left, thing) = queue.front_mut()?;
    let taken = thing.clone();
    *left -= 1;
    if *left == 0 {
        queue.pop_front();
    }
    Some(taken)
}

impl Lasting {
    /// Takes a fault that lasts; gives back one that happens to connections.
    pub(crate) fn note(&mut self, fault: Fault) -> Option<Fault> {
        match fault {
            Fault::RefuseUpgrades { count, status, body, retry_after_seconds } => {
                let body = match body {
                    None => String::new(),
                    Some(Value::String(text)) => text,
                    Some(json) => json.to_string(),
                };
                if count > 0 {
                    self.refusals.push_back((count, Refusal { status, body, retry_after_seconds }));
                }
            }
            Fault::IgnoreConnects { count } => self.ignored_connects = count,
            Fault::DelayWelcome { ms } => self.welcome_delay = Duration::from_millis(ms),
            Fault::WithholdWelcome { count } => self.withheld_welcomes = count,
            Fault::ReplaceWelcome { count, text } => {
                if count > 0 {
                    self.replaced_welcomes.push_back((count, text));
                }
            }
            Fault::LoseAcks { count, of } => self.rules.push(Rule { left: count, of, code: None }),
            Fault::FailRequests { count, code, of } => {
                self.rules.push(Rule { left: count, of, code: Some(code) });
            }
            Fault::DelayAcks { ms } => self.ack_delay = Duration::from_millis(ms),
            Fault::Snapshot { mode, delay_ms } => {
                self.snapshot = mode;
                self.snapshot_delay = Duration::from_millis(delay_ms);
            }
            Fault::Quota { exhausted } => self.quota_exhausted = exhausted,
            Fault::ConcurrentLimit { limit } => self.concurrent_limit = Some(limit),
            Fault::DelayFrames { ms } => self.frame_delay = Duration::from_millis(ms),
            Fault::Clock { ahead_seconds } => self.clock_ahead = ahead_seconds,
            Fault::Reset => *self = Self::default(),
            Fault::Suspend { suspended } => {
                self.suspended = suspended;
                return Some(fault);
            }
            other => return Some(other),
        }
        None
    }

    pub(crate) fn refusal(&mut self) -> Option<Refusal> {
        take_one(&mut self.refusals)
    }

    pub(crate) fn ignores_connect(&mut self) -> bool {
        let ignores = self.ignored_connects > 0;
        self.ignored_connects = self.ignored_connects.saturating_sub(1);
        ignores
    }

    pub(crate) fn welcome(&mut self) -> WelcomeFault {
        if self.withheld_welcomes > 0 {
            self.withheld_welcomes -= 1;
            return WelcomeFault::Withhold;
        }
        take_one(&mut self.replaced_welcomes).map_or(WelcomeFault::None, WelcomeFault::Replace)
    }

    /// Whether a request of this type fails, and with which code.
    pub(crate) fn failure(&mut self, kind: &str) -> Option<String> {
        self.rule(kind, true)?.code
    }

    /// Whether the ack of a request of this type is lost.
    pub(crate) fn loses_ack(&mut self, kind: &str) -> bool {
        self.rule(kind, false).is_some()
    }

    fn rule(&mut self, kind: &str, fails: bool) -> Option<Rule> {
        self.rules.retain(|rule| rule.left > 0);
        let rule = self.rules.iter_mut().find(|rule| {
            rule.code.is_some() == fails && rule.of.as_deref().is_none_or(|of| of == kind)
        })?;
        rule.left -= 1;
        Some(Rule { left: 1, of: None, code: rule.code.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_faults_run_out() {
        let mut lasting = Lasting::default();
        lasting.note(Fault::LoseAcks { count: 1, of: Some("publish".into()) });
        assert!(!lasting.loses_ack("send"));
        assert!(lasting.loses_ack("publish"));
        assert!(!lasting.loses_ack("publish"));
        lasting.note(Fault::FailRequests { count: 1, code: "x".into(), of: None });
        assert_eq!(lasting.failure("send").as_deref(), Some("x"));
        assert_eq!(lasting.failure("send"), None);
        lasting.note(Fault::WithholdWelcome { count: 1 });
        assert_eq!(lasting.welcome(), WelcomeFault::Withhold);
        assert_eq!(lasting.welcome(), WelcomeFault::None);
        lasting.note(Fault::RefuseUpgrades {
            count: 2,
            status: 503,
            body: Some(serde_json::json!({ "error": "x" })),
            retry_after_seconds: None,
        });
        assert_eq!(lasting.refusal().unwrap().body, r#"{"error":"x"}"#);
        assert!(lasting.refusal().is_some() && lasting.refusal().is_none());
    }
}
