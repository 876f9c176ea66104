//! What became of a remote, and of its channels, by its signs of life.

use super::{RemoteActor, Verdict};
use crate::peer::data_channel::Life;
use crate::peer::departure::{self, SignsOfLife};

impl RemoteActor {
    pub(super) fn signs_of_life(&self) -> SignsOfLife {
        let received = self.link.as_ref().map_or(0, |link| link.connection.received());
        SignsOfLife { received, signals: self.signals_taken }
    }

    /// Tells the room what became of a remote that the service lost, as soon as that is known.
    pub(super) fn judge(&mut self) {
        let (now, signs) = (self.now(), self.signs_of_life());
        let Some(verdict) = self.departure.verdict(now, signs) else { return };
        if verdict == departure::Verdict::Silent {
            self.restart(now);
        }
        let same = verdict != departure::Verdict::Gone;
        let id = self.shared.id.clone();
        let (verdicts, serial) = (&self.verdicts.0, self.verdicts.1);
        // Without the room the remote is let go anyway.
        drop(verdicts.send(Verdict { id, serial, same, signals: signs.signals }));
    }

    /// Tells channels that the remote's app closed from those that its connection took along.
    pub(super) fn judge_channels(&mut self) {
        let received = self.signs_of_life().received;
        let has_path = self.link.as_ref().is_some_and(|link| link.has_path);
        let certain = has_path && !self.negotiation.expects_answer();
        let now = self.now();
        if self.channels.judge(now, Life { received, certain }) {
            self.restart(now);
        }
    }
}
