//! What people see: colour on a terminal only, errors with cause and fix.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use metered_realtime::diagnosis::Diagnosis;
use metered_realtime::peer::{PeerError, PeerOptionsError};
use metered_realtime::signalling::{ConnectError, OptionsError, RequestError};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) cause: String,
    pub(crate) fix: String,
}

impl Failure {
    pub(crate) fn new(
        code: impl Into<String>,
        message: impl Display,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let message = message.to_string();
        Self { code: code.into(), message, cause: cause.into(), fix: fix.into() }
    }

    fn diagnosed(code: &str, message: impl Display, diagnosis: Diagnosis) -> Self {
        Self::new(code, message, diagnosis.cause, diagnosis.fix)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::diagnosed(&error.code(), &error, error.diagnosis())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::diagnosed(error.code(), &error, error.diagnosis())
    }
}

impl From<OptionsError> for Failure {
    fn from(error: OptionsError) -> Self {
        Self::diagnosed(error.code(), &error, error.diagnosis())
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        Self::diagnosed(&error.code(), &error, error.diagnosis())
    }
}

impl From<PeerOptionsError> for Failure {
    fn from(error: PeerOptionsError) -> Self {
        Self::diagnosed(error.code(), &error, error.diagnosis())
    }
}

impl From<metered_realtime::credential::CredentialError> for Failure {
    fn from(error: metered_realtime::credential::CredentialError) -> Self {
        Self::diagnosed(error.code(), error, error.diagnosis())
    }
}

impl From<crate::media::SourceError> for Failure {
    fn from(error: crate::media::SourceError) -> Self {
        Self::diagnosed(error.code(), &error, error.diagnosis())
    }
}

impl From<metered_dev_server::StartError> for Failure {
    fn from(error: metered_dev_server::StartError) -> Self {
        let (cause, fix) = (error.cause(), error.fix());
        Self::new(error.code(), error, cause, fix)
    }
}

impl From<metered_dev_server::MintError> for Failure {
    fn from(error: metered_dev_server::MintError) -> Self {
        Self::new(error.code(), error, "", "Check the claims: every number must be finite.")
    }
}

/// Standard output takes nothing any more.
pub(crate) fn unwritable(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        let cause = "Whoever read the output of this command has gone.";
        return Failure::new("output_closed", error, cause, "Let the reader of the output stay.");
    }
    let cause = format!("The system answered: {error}.");
    let fix = "Make room on the disk that the output goes to, or send it elsewhere.";
    Failure::new("output_unwritable", "the output cannot be written", cause, fix)
}

/// Prints an error with cause and fix, and gives the exit code.
pub(crate) fn fail(failure: &Failure) -> ExitCode {
    let mut err = anstream::stderr().lock();
    let mut line = |style: Style, label: &str, text: &str| {
        if !text.is_empty() {
            // If standard error is closed there is nobody to tell.
            drop(writeln!(err, "{style}{label}{style:#} {text}"));
        }
    };
    line(BAD, "error:", &format!("{} [{}]", failure.message, failure.code));
    line(BOLD, "cause:", &failure.cause);
    line(BOLD, "  fix:", &failure.fix);
    ExitCode::FAILURE
}

/// A line for people on standard output.
pub(crate) fn say(text: impl Display) -> Result<(), Failure> {
    writeln!(anstream::stdout().lock(), "{text}").map_err(unwritable)
}

/// A line of JSON on standard output.
pub(crate) fn say_json(value: &serde_json::Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).map_err(unwritable)
}

/// Bytes on standard output.
pub(crate) fn raw(bytes: &[u8]) -> Result<ExitCode, Failure> {
    io::stdout().lock().write_all(bytes).map_err(unwritable)?;
    Ok(ExitCode::SUCCESS)
}

/// Text of others, without what could move a terminal's cursor or change its colours.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Sends traces to standard error. `METERED_LOG_FILTER` takes a filter per module.
pub(crate) fn trace(level: &str) {
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_env("METERED_LOG_FILTER").unwrap_or_else(|_| EnvFilter::new(level));
    let colour =
        io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(colour)
        // What a closed terminal does not take is lost; to complain of that there would end us.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    *RELOAD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(move |level| {
        // Fails only when the subscriber is gone, and then there is nothing to filter.
        drop(handle.reload(EnvFilter::new(level)));
    }));
    // Cannot fail: it is the first.
    drop(subscriber.try_init());
}

type Reload = Box<dyn Fn(&str) + Send>;

static RELOAD: Mutex<Option<Reload>> = Mutex::new(None);

/// Changes the level of the traces.
pub(crate) fn set_trace_level(level: &str) {
    if let Some(reload) = &*RELOAD.lock().unwrap_or_else(PoisonError::into_inner) {
        reload(level);
    }
}

/// A line for people on standard error.
pub(crate) fn note(style: Style, text: &str) -> Result<(), Failure> {
    writeln!(anstream::stderr().lock(), "{style}{text}{style:#}").map_err(unwritable)
}
