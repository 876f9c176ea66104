//! Why the engine refused something.

use std::fmt;
use std::io;

/// A refusal of the engine. Holds no text of the remote: neither SDP nor candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RtcError {
    /// What was asked of the engine, such as `set_remote_description`.
    pub(crate) operation: &'static str,
    /// The engine's name of its reason, such as `ErrNoRemoteDescription`, or the system's words.
    pub(crate) reason: String,
}

/// Characters of a reason.
const MAX_REASON: usize = 64;
/// Characters of what the system, or the app's socket binder, says.
const MAX_SYSTEM_REASON: usize = 200;

impl RtcError {
    /// The reason is the name of the error's variant: its text may quote what the remote wrote.
    pub(crate) fn new(operation: &'static str, error: &impl fmt::Debug) -> Self {
        let text = format!("{error:?}");
        let name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        Self { operation, reason: text.chars().take_while(name).take(MAX_REASON).collect() }
    }

    /// What the system refused: its words, none of which are the remote's.
    pub(crate) fn io(operation: &'static str, error: &io::Error) -> Self {
        let reason = error.to_string().chars().take(MAX_SYSTEM_REASON).collect();
        Self { operation, reason }
    }

    pub(crate) fn of(operation: &'static str, reason: &'static str) -> Self {
        Self { operation, reason: reason.to_owned() }
    }
}

impl fmt::Display for RtcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.operation, self.reason)
    }
}

impl std::error::Error for RtcError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_a_name_and_quotes_nobody() {
        #[derive(Debug)]
        #[allow(dead_code)]
        enum Foreign {
            Other(String),
        }
        let error = RtcError::new("parse", &Foreign::Other("a=ice-pwd:secret".into()));
        assert_eq!(error.to_string(), "parse failed: Other");
    }
}
