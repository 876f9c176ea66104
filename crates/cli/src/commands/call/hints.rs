//! What is said where nothing fails, so that there is no error to show: while a call does not come about, and of
//! what it does not send.

use metered_realtime::media::MediaKind;

use crate::media::Cut;
use crate::output::printable;

/// Seconds in the room after which nobody is likely to be on the way.
const LONELY_AFTER: u32 = 10;

/// Seconds of connecting after which a path is not likely to be found. Relays over TCP take a few.
const SLOW_AFTER: u32 = 15;

/// Counts the seconds until somebody comes.
#[derive(Debug, Default)]
pub(super) struct Alone {
    seconds: u32,
    met: bool,
}

impl Alone {
    pub(super) const fn met(&mut self) {
        self.met = true;
    }

    /// A second has passed; answers whether it is to be told, once, that nobody came.
    pub(super) const fn second(&mut self) -> bool {
        self.seconds = self.seconds.saturating_add(1);
        !self.met && self.seconds == LONELY_AFTER
    }
}

/// What a call that meets nobody usually has wrong.
pub(super) fn words(room: &str, peer_id: Option<&str>) -> String {
    let (room, me) = (printable(room), printable(peer_id.unwrap_or_default()));
    format!(
        "nobody else is in {room} yet. The other side gives the same room, the same service and a credential of the same app, and has another id than {me}: two with one token are one peer"
    )
}

/// What is said, once, of a remote that has been connecting for so many seconds.
pub(super) fn slow(room: &str, peer_id: &str, seconds: u32) -> Option<String> {
    let (room, peer) = (printable(room), printable(peer_id));
    (seconds == SLOW_AFTER).then(|| {
        format!(
            "{peer} has not been reached for {seconds} s, over any path. metered doctor --room {room}, on both sides at once, says what is in the way"
        )
    })
}

/// What is said of a file whose end is missing.
pub(super) fn cut(kind: MediaKind, cut: &Cut) -> String {
    format!("--{}: {cut}", kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stays_alone_is_told_so_once() {
        let mut alone = Alone::default();
        let told: Vec<u32> = (1..60).filter(|_| alone.second()).collect();
        assert_eq!(told, [LONELY_AFTER]);
        let words = words("lob\u{1b}by", Some("alice"));
        assert!(
            words.contains("same room") && words.contains("alice") && !words.contains('\u{1b}')
        );
    }

    #[test]
    fn who_connects_for_long_is_sent_to_the_doctor_once() {
        let told: Vec<String> = (0..60).filter_map(|at| slow("lobby", "bob", at)).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("bob") && told[0].contains("doctor --room lobby"), "{told:?}");
    }

    #[test]
    fn who_met_somebody_is_not() {
        let mut alone = Alone::default();
        alone.met();
        assert!((1..60).all(|_| !alone.second()));
    }
}
