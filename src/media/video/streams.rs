//! Which of a track's streams of packets (SSRCs) is followed: the newest.

use std::time::Duration;

/// So long after a change, packets of the stream before are late and no return to it.
const LATE: Duration = Duration::from_secs(1);

/// The stream of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The one that is followed, or the first.
    Current,
    /// Another than before; from now on it is followed.
    New,
    /// The one before.
    Late,
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    current: Option<u32>,
    /// The one before, and when it was left.
    before: Option<(u32, Duration)>,
}

impl Streams {
    pub(crate) const fn current(&self) -> Option<u32> {
        self.current
    }

    /// Judges a packet of video; others have streams of their own.
    pub(crate) fn of(&mut self, now: Duration, ssrc: u32) -> Stream {
        let Some(current) = self.current.filter(|current| *current != ssrc) else {
            self.current = Some(ssrc);
            return Stream::Current;
        };
        if self.before.is_some_and(|(before, left)| before == ssrc && now < left + LATE) {
            return Stream::Late;
        }
        self.before = Some((current, now));
        self.current = Some(ssrc);
        Stream::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_before_is_late_for_a_second_and_then_new() {
        let mut streams = Streams::default();
        let at = Duration::from_millis;
        assert_eq!(streams.current(), None);
        let packets =
            [(0, 1), (10, 1), (20, 2), (30, 1), (40, 2), (1_019, 1), (1_020, 1), (1_030, 2)];
        let judged = packets.map(|(now, ssrc)| streams.of(at(now), ssrc));
        use Stream::{Current, Late, New};
        assert_eq!(judged, [Current, Current, New, Late, Current, Late, New, Late]);
        assert_eq!(streams.current(), Some(1));
        assert_eq!(streams.of(at(1_040), 3), New, "a third one is no late packet");
        assert_eq!(streams.of(at(1_050), 1), Late);
    }
}
