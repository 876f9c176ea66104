//! Why a file did not arrive: code, cause and fix.

use std::io;

use metered_realtime::diagnosis::Diagnosis;

use super::protocol::{Broken, Refusal};
use crate::output::Failure;

/// Why a transfer, or the command, came to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("this is not a file")]
    NotAFile,
    #[error("the file changed while it was sent")]
    Changed,
    #[error("the file cannot be written: {0}")]
    Unwritable(io::Error),
    #[error("what arrived is not what was offered: the SHA-256 differs")]
    HashMismatch,
    #[error("the receiver could not write the file")]
    ReceiverFailed,
    #[error("the sender gave up")]
    SenderGaveUp,
    #[error("the receiver refuses the file: {0}")]
    Refused(Refusal),
    #[error("nothing moved for {0} s")]
    TimedOut(u64),
    #[error("the room is lost: {0}")]
    RoomLost(String),
    #[error("the other side does not keep to the protocol: {0}")]
    Broken(#[from] Broken),
}

impl FileError {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable_file",
            Self::NotAFile => "not_a_file",
            Self::Changed => "file_changed",
            Self::Unwritable(_) => "unwritable_file",
            Self::HashMismatch => "hash_mismatch",
            Self::ReceiverFailed => "receiver_failed",
            Self::SenderGaveUp => "sender_gave_up",
            Self::Refused(refusal) => refusal.as_str(),
            Self::TimedOut(_) => "timed_out",
            Self::RoomLost(_) => "room_lost",
            Self::Broken(_) => "protocol_violation",
        }
    }

    pub(super) fn diagnosis(&self) -> Diagnosis {
        let (cause, fix) = match self {
            Self::Unreadable(_) => {
                ("The system refuses to read it.", "Check the path and its permissions.")
            }
            Self::NotAFile => (
                "A folder, a device or a pipe has no size and hash to offer.",
                "Give a regular file; pack a folder first.",
            ),
            Self::Changed => (
                "Its size, its time or its content is not what was hashed before the offer.",
                "Send it again when nobody writes to it.",
            ),
            Self::Unwritable(_) => (
                "The system refuses to write in the folder, or the disk is full. What has arrived is kept.",
                "Make room or choose another folder, and run both commands again: the transfer goes on.",
            ),
            Self::HashMismatch => (
                "The file was changed while it was sent, or the sender offered a wrong hash. Nothing was kept.",
                "Send it again: it begins anew.",
            ),
            Self::ReceiverFailed => (
                "Its folder is not writable, or its disk is full.",
                "Read what the receiver printed; then run both commands again: the transfer goes on.",
            ),
            Self::SenderGaveUp => (
                "The sender's file changed while it was sent. What had arrived was not kept.",
                "Send it again when nobody writes to it: it begins anew.",
            ),
            Self::Refused(Refusal::TooLarge) => (
                "The file is larger than the receiver takes.",
                "Start the receiver with a larger --max-size.",
            ),
            Self::Refused(_) => (
                "Nobody in the room takes this file.",
                "Start metered receive in the room, or name another peer with --to.",
            ),
            Self::TimedOut(_) => (
                "No receiver took the file, or none went on with it.",
                "Start metered receive in the same room with the same service; with --to, give the id that it prints. --timeout sets how long to wait.",
            ),
            Self::RoomLost(_) => (
                "The connection to the service ended for good.",
                "Correct the credential or the address, and run the command again: the transfer goes on.",
            ),
            Self::Broken(_) => (
                "It is another version, or no metered command at all.",
                "Use the same version of metered on both sides.",
            ),
        };
        Diagnosis::new(cause, fix)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let diagnosis = error.diagnosis();
        Self::new(error.code(), &error, diagnosis.cause, diagnosis.fix)
    }
}
