//! Symptom, cause, fix: what every error of the SDK can say of itself.
//!
//! Knows nobody: the errors bring their own words, this module gives them their shape.

mod close_codes;
mod http;
mod peer;
mod server_errors;

use std::borrow::Cow;
use std::fmt;

pub use close_codes::of_close_code;
pub use http::of_http_refusal;
pub use peer::{of_ice_server_error, of_negotiation_error};
pub use server_errors::of_server_error;

/// Why something failed and what mends it, in words for the person who has to.
///
/// Never holds text of the server or of a credential.
///
/// ```
/// use metered_realtime::diagnosis::Diagnosis;
/// let diagnosis = Diagnosis::new("The key was revoked.", "Create a new key.");
/// assert_eq!(diagnosis.to_string(), "The key was revoked. Fix: Create a new key.");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What led to the symptom; one or two sentences.
    pub cause: Cow<'static, str>,
    /// What to do; one or two sentences.
    pub fix: Cow<'static, str>,
}

impl Diagnosis {
    /// Joins a cause and its fix.
    pub fn new(cause: impl Into<Cow<'static, str>>, fix: impl Into<Cow<'static, str>>) -> Self {
        Self { cause: cause.into(), fix: fix.into() }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Fix: {}", self.cause, self.fix)
    }
}
