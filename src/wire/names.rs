//! What the service accepts as a channel, a peer id and a request id.

use super::{MAX_CHANNEL_BYTES, MAX_PEER_ID_BYTES, MAX_REQUEST_ID_CHARS};

/// A name that the service would refuse, found before anything is sent.
///
/// ```
/// use metered_realtime::wire::{NameError, validate_channel};
/// let said = match validate_channel("rooms/1\n") {
///     Ok(()) => "fine".to_owned(),
///     Err(NameError::BadCharacter { at, .. }) => format!("the character at byte {at} cannot be"),
///     Err(error) => format!("{}: {error}", error.code()),
/// };
/// assert_eq!(said, "the character at byte 7 cannot be");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No characters at all.
    #[error("the {what} is empty")]
    Empty {
        /// Which name.
        what: &'static str,
    },
    /// More than the service's limit.
    #[error("the {what} has {size} bytes, and {cap} are allowed")]
    TooLong {
        /// Which name.
        what: &'static str,
        /// Bytes (UTF-8) that it has.
        size: usize,
        /// Bytes that it may have.
        cap: usize,
    },
    /// A control character (U+0000 to U+001F, U+007F to U+009F) or, in a peer id, anything but printable ASCII.
    #[error("the {what} has a character at byte {at} that is not allowed")]
    BadCharacter {
        /// Which name.
        what: &'static str,
        /// Byte offset of the character.
        at: usize,
    },
    /// The prefix belongs to the service: `_metered/`, `_internal/`, `_system/`, in any case.
    #[error("the channel begins with a prefix that is reserved for the service")]
    Reserved,
}

impl NameError {
    /// Stable code, the server's own word where it has one.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Reserved => "channel_reserved",
            Self::Empty { what } | Self::TooLong { what, .. } | Self::BadCharacter { what, .. } => {
                match what.as_bytes() {
                    b"channel" => "invalid_channel",
                    b"peer id" => "invalid_peer_id",
                    _ => "invalid_request_id",
                }
            }
        }
    }
}

fn check(
    what: &'static str,
    name: &str,
    cap: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > cap {
        return Err(NameError::TooLong { what, size: name.len(), cap });
    }
    match name.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((at, _)) => Err(NameError::BadCharacter { what, at }),
        None => Ok(()),
    }
}

/// Checks a channel's name: 1 to 256 bytes of UTF-8 without control characters, no reserved prefix.
///
/// # Errors
/// [`NameError`].
///
/// ```
/// use metered_realtime::wire::validate_channel;
/// assert!(validate_channel("rooms/42").is_ok());
/// assert_eq!(validate_channel("_System/x").unwrap_err().code(), "channel_reserved");
/// ```
pub fn validate_channel(name: &str) -> Result<(), NameError> {
    check("channel", name, MAX_CHANNEL_BYTES, |c| !c.is_control())?;
    if is_reserved_channel(name) { Err(NameError::Reserved) } else { Ok(()) }
}

/// Whether a channel's prefix belongs to the service: `_metered/`, `_internal/`, `_system/`, in any case.
///
/// ```
/// assert!(metered_realtime::wire::is_reserved_channel("_METERED/x"));
/// ```
pub fn is_reserved_channel(name: &str) -> bool {
    ["_metered/", "_internal/", "_system/"].iter().any(|prefix| {
        name.as_bytes()
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    })
}

/// Checks a peer id: 1 to 128 bytes of printable ASCII.
///
/// # Errors
/// [`NameError`].
///
/// ```
/// use metered_realtime::wire::validate_peer_id;
/// assert!(validate_peer_id("alice").is_ok());
/// assert_eq!(validate_peer_id("").unwrap_err().code(), "invalid_peer_id");
/// ```
pub fn validate_peer_id(id: &str) -> Result<(), NameError> {
    check("peer id", id, MAX_PEER_ID_BYTES, |c| c.is_ascii_graphic() || c == ' ')
}

/// Checks a request id: 1 to 128 characters.
///
/// # Errors
/// [`NameError`].
///
/// ```
/// assert!(metered_realtime::wire::validate_request_id("7").is_ok());
/// ```
pub fn validate_request_id(id: &str) -> Result<(), NameError> {
    if id.chars().count() <= MAX_REQUEST_ID_CHARS {
        check("request id", id, usize::MAX, |_| true)
    } else {
        Err(NameError::TooLong { what: "request id", size: id.len(), cap: MAX_REQUEST_ID_CHARS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_measured_in_bytes() {
        assert!(validate_channel(&"é".repeat(128)).is_ok());
        assert_eq!(
            validate_channel(&"é".repeat(129)),
            Err(NameError::TooLong { what: "channel", size: 258, cap: 256 })
        );
    }

    #[test]
    fn control_characters_of_both_blocks_are_refused() {
        for bad in ['\0', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
            let name = format!("a{bad}");
            assert_eq!(
                validate_channel(&name),
                Err(NameError::BadCharacter { what: "channel", at: 1 }),
                "{bad:?}"
            );
        }
        assert!(validate_channel("a b/ü/\u{a0}").is_ok());
    }

    #[test]
    fn a_peer_id_is_printable_ascii() {
        assert!(validate_peer_id("user 1 ~!").is_ok());
        assert!(validate_peer_id("é").is_err());
        assert!(validate_peer_id("a\n").is_err());
        assert!(validate_peer_id(&"x".repeat(129)).is_err());
    }
}
