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
    /// The offer that waits for its answer is one.
    pub(super) restart_offered: bool,
}

impl Wants {
    pub(super) fn anything(&self) -> bool {
        self.restart || self.tracks || (self.data && !self.has_data)
    }

    /// What an offer carries from now on.
    pub(super) fn offer(&mut self) {
        self.tracks_offered |= std::mem::take(&mut self.tracks);
        self.restart_offered = std::mem::take(&mut self.restart);
    }

    /// It was taken back: nothing of it was agreed on.
    pub(super) fn take_back(&mut self) {
        self.tracks |= std::mem::take(&mut self.tracks_offered);
        self.restart |= std::mem::take(&mut self.restart_offered);
    }

    /// It was answered. What changed since is not agreed on.
    pub(super) fn agreed(&mut self) {
        (self.tracks_offered, self.restart_offered) = (false, false);
    }
}
