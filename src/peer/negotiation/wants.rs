//! What the remote must be told of in an offer.

#[derive(Debug, Default)]
pub(super) struct Wants {
    /// A data channel was opened, and no description has an m-line for it.
    pub(super) data: bool,
    pub(super) has_data: bool,
    /// Tracks changed since the last offer was made.
    pub(super) tracks: bool,
    /// They had changed when the offer was made that waits for its answer.
    pub(super) tracks_offered: bool,
    pub(super) restart: bool,
}

impl Wants {
    pub(super) fn anything(&self) -> bool {
        self.restart || self.tracks || (self.data && !self.has_data)
    }
}
