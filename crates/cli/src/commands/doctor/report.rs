//! What the checks found: a line for people the moment a check is done, or one JSON document at the end.
//!
//! `docs/doctor.md` describes the document; its fields are a promise.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anstyle::Style;
use metered_realtime::diagnosis::Diagnosis;
use metered_realtime::peer::{IceCandidateError, NegotiationError};
use serde_json::{Map, Value, json};

use crate::output::{self, BAD, BOLD, DIM, Failure, GOOD, NOTE, printable};

/// Of the JSON document's shape; changes when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// The checks, in the order in which a connection is made.
pub(super) mod id {
    pub(in super::super) const CREDENTIAL: &str = "credential";
    pub(in super::super) const OPTIONS: &str = "options";
    pub(in super::super) const NAME: &str = "name";
    pub(in super::super) const REACH: &str = "reach";
    pub(in super::super) const PROXY: &str = "proxy";
    pub(in super::super) const TLS: &str = "tls";
    pub(in super::super) const UPGRADE: &str = "upgrade";
    pub(in super::super) const WELCOME: &str = "welcome";
    pub(in super::super) const CLOCK: &str = "clock";
    pub(in super::super) const ROUND_TRIP: &str = "round-trip";
    pub(in super::super) const ROOM: &str = "room";
    pub(in super::super) const PUBLISH: &str = "publish";
    pub(in super::super) const SEND: &str = "send";
    pub(in super::super) const ICE_SERVERS: &str = "ice-servers";
    pub(in super::super) const ICE_SERVER: &str = "ice-server";
    pub(in super::super) const UDP: &str = "udp";
    pub(in super::super) const RELAY: &str = "relay";
    pub(in super::super) const DIRECT: &str = "direct";
    pub(in super::super) const PICTURE: &str = "picture";
    pub(in super::super) const PEERS: &str = "peers";
    pub(in super::super) const PEER: &str = "peer";
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok,
    Warning,
    Failed,
    Skipped,
}

impl Status {
    const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::Failed, Self::Skipped];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    const fn mark(self) -> (Style, char) {
        match self {
            Self::Ok => (GOOD, '✓'),
            Self::Warning => (NOTE, '!'),
            Self::Failed => (BAD, '✗'),
            Self::Skipped => (DIM, '–'),
        }
    }
}

/// What is wrong, why, and what mends it.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) cause: String,
    pub(super) fix: String,
}

impl Problem {
    pub(super) fn new(code: &str, message: &str, cause: &str, fix: &str) -> Self {
        let text = str::to_owned;
        Self { code: text(code), message: text(message), cause: text(cause), fix: text(fix) }
    }

    /// Of a STUN or TURN server.
    pub(super) fn of_ice(error: &IceCandidateError) -> Self {
        Self::diagnosed(error.code, error.reason.clone(), error.diagnosis.clone())
    }

    pub(super) fn of_negotiation(error: &NegotiationError) -> Self {
        Self::diagnosed(&error.code, error.message.clone(), error.diagnosis.clone())
    }

    /// A check that took longer than the user allowed.
    pub(super) fn timed_out(limit: Duration) -> Self {
        Self::new(
            "doctor_timeout",
            &format!("not done within {:.0} s", limit.as_secs_f64()),
            "The check took longer than --timeout allows; what it waited for did not come.",
            "Give a larger --timeout if the network is slow; otherwise mend what failed before.",
        )
    }

    pub(super) fn diagnosed(code: &str, message: String, diagnosis: Diagnosis) -> Self {
        let Diagnosis { cause, fix } = diagnosis;
        Self { code: code.to_owned(), message, cause: cause.into(), fix: fix.into() }
    }
}

impl<E: Into<Failure>> From<E> for Problem {
    fn from(error: E) -> Self {
        let Failure { code, message, cause, fix } = error.into();
        Self { code, message, cause, fix }
    }
}

/// A check that is done.
struct Check {
    id: &'static str,
    target: Option<String>,
    status: Status,
    took: Option<Duration>,
    detail: String,
    problem: Option<Problem>,
    because: Option<&'static str>,
    data: Map<String, Value>,
}

/// A check that is about to be told.
#[derive(Default)]
pub(super) struct Told {
    target: Option<String>,
    took: Option<Duration>,
    data: Map<String, Value>,
}

impl Told {
    pub(super) fn took(time: Duration) -> Self {
        Self { took: Some(time), ..Self::default() }
    }

    /// Which server or peer it is about.
    pub(super) fn of(mut self, target: &str) -> Self {
        self.target = Some(printable(target));
        self
    }

    /// A fact for scripts.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

/// All checks so far.
pub(super) struct Report {
    json: bool,
    began: Instant,
    started_at: SystemTime,
    checks: Vec<Check>,
    url: Option<String>,
    room: Option<String>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        let (began, started_at) = (Instant::now(), SystemTime::now());
        Self { json, began, started_at, checks: Vec::new(), url: None, room: None }
    }

    /// The URL in use, once it is known to hold nothing secret.
    pub(super) fn at(&mut self, url: &str) {
        self.url = Some(printable(url));
    }

    pub(super) fn room(&mut self, room: &str) {
        self.room = Some(printable(room));
    }

    pub(super) fn ok(&mut self, id: &'static str, told: Told, detail: &str) -> Result<(), Failure> {
        self.add(id, told, Status::Ok, detail, None, None)
    }

    pub(super) fn warn(
        &mut self,
        id: &'static str,
        told: Told,
        problem: Problem,
    ) -> Result<(), Failure> {
        self.wrong(id, told, Status::Warning, problem)
    }

    pub(super) fn fail(
        &mut self,
        id: &'static str,
        told: Told,
        problem: Problem,
    ) -> Result<(), Failure> {
        self.wrong(id, told, Status::Failed, problem)
    }

    fn wrong(
        &mut self,
        id: &'static str,
        told: Told,
        status: Status,
        problem: Problem,
    ) -> Result<(), Failure> {
        let detail = problem.message.clone();
        self.add(id, told, status, &detail, Some(problem), None)
    }

    /// Cannot be run because of what `because` found.
    pub(super) fn skip(&mut self, id: &'static str, because: &'static str) -> Result<(), Failure> {
        let detail = format!("skipped because of {because}");
        self.add(id, Told::default(), Status::Skipped, &detail, None, Some(because))
    }

    /// Does not apply.
    pub(super) fn needless(&mut self, id: &'static str, why: &str) -> Result<(), Failure> {
        self.add(id, Told::default(), Status::Skipped, why, None, None)
    }

    fn add(
        &mut self,
        id: &'static str,
        told: Told,
        status: Status,
        detail: &str,
        problem: Option<Problem>,
        because: Option<&'static str>,
    ) -> Result<(), Failure> {
        let Told { target, took, data } = told;
        let detail = printable(detail);
        let check = Check { id, target, status, took, detail, problem, because, data };
        if !self.json {
            check.print()?;
        }
        self.checks.push(check);
        Ok(())
    }

    pub(super) fn has_failed(&self) -> bool {
        self.count(Status::Failed) > 0
    }

    fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// The end: a summary, or the document.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        if self.json { output::say_json(&self.document()) } else { self.summary() }
    }

    fn summary(&self) -> Result<(), Failure> {
        let counts = Status::ALL.map(|status| (self.count(status), status.as_str()));
        let counts: Vec<_> = counts.iter().map(|(count, word)| format!("{count} {word}")).collect();
        let seconds = self.began.elapsed().as_secs_f64();
        output::say("")?;
        output::say(format_args!("{BOLD}{}{BOLD:#} in {seconds:.1} s", counts.join(", ")))?;
        let worst = |wanted| self.checks.iter().find(|check| check.status == wanted);
        let first = worst(Status::Failed).or_else(|| worst(Status::Warning));
        match first.and_then(|check| Some((check, check.problem.as_ref()?))) {
            None => output::say(format_args!("{GOOD}All is well.{GOOD:#}")),
            Some((check, problem)) => {
                let (name, code, fix) = (check.name(), &problem.code, printable(&problem.fix));
                output::say(format_args!("Begin with {BOLD}{name}{BOLD:#} [{code}]: {fix}"))
            }
        }
    }

    fn document(&self) -> Value {
        let started = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        json!({
            "version": VERSION,
            "ok": !self.has_failed(),
            "sdkVersion": env!("CARGO_PKG_VERSION"),
            "startedAtMs": u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
            "tookMs": milliseconds(self.began.elapsed()),
            "url": self.url,
            "room": self.room,
            "summary": {
                "ok": self.count(Status::Ok),
                "warning": self.count(Status::Warning),
                "failed": self.count(Status::Failed),
                "skipped": self.count(Status::Skipped),
            },
            "checks": self.checks.iter().map(Check::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Check {
    fn name(&self) -> String {
        match &self.target {
            Some(target) => format!("{} {target}", self.id),
            None => self.id.to_owned(),
        }
    }

    fn print(&self) -> Result<(), Failure> {
        let (style, mark) = self.status.mark();
        let took = self.took.map(ms).map_or_else(String::new, |took| match took {
            short if short < 10.0 => format!("{short:.1} ms"),
            long => format!("{long:.0} ms"),
        });
        let code = self.problem.as_ref().map(|problem| format!(" [{}]", problem.code));
        let code = printable(&code.unwrap_or_default());
        let (name, detail) = (self.id, &self.detail);
        let target = self.target.as_ref().map(|target| format!("{target}: ")).unwrap_or_default();
        let detail = match self.status {
            Status::Skipped => format!("{DIM}{detail}{DIM:#}"),
            _ => format!("{target}{detail}{code}"),
        };
        output::say(format_args!(
            "{style}{mark} {name:<11}{style:#} {DIM}{took:>8}{DIM:#}  {detail}"
        ))?;
        if let Some(problem) = &self.problem {
            for (label, text) in [("cause:", &problem.cause), ("fix:  ", &problem.fix)] {
                if !text.is_empty() {
                    output::say(format_args!("    {BOLD}{label}{BOLD:#} {}", printable(text)))?;
                }
            }
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let mut check =
            json!({ "id": self.id, "status": self.status.as_str(), "detail": self.detail });
        if let Some(target) = &self.target {
            check["target"] = target.as_str().into();
        }
        if let Some(took) = self.took {
            check["tookMs"] = milliseconds(took);
        }
        if let Some(problem) = &self.problem {
            check["code"] = printable(&problem.code).into();
            check["cause"] = printable(&problem.cause).into();
            check["fix"] = printable(&problem.fix).into();
        }
        if let Some(because) = self.because {
            check["because"] = because.into();
        }
        if !self.data.is_empty() {
            check["data"] = Value::Object(self.data.clone());
        }
        check
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// To a tenth.
pub(super) fn milliseconds(time: Duration) -> Value {
    ((ms(time) * 10.0).round() / 10.0).into()
}
