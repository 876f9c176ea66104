//! Sequence numbers and timestamps that wrap, made to ones that do not, and which came already. Pure.

use std::marker::PhantomData;

/// A counter of the wire: 16 or 32 bits.
pub(super) trait Wraps: Copy {
    /// The distance from the low bits of a count to this one, the shorter way round.
    fn distance(self, from: i64) -> i64;
    fn value(self) -> i64;
}

impl Wraps for u16 {
    fn distance(self, from: i64) -> i64 {
        i64::from(self.wrapping_sub(from as Self).cast_signed())
    }
    fn value(self) -> i64 {
        i64::from(self)
    }
}

impl Wraps for u32 {
    fn distance(self, from: i64) -> i64 {
        i64::from(self.wrapping_sub(from as Self).cast_signed())
    }
    fn value(self) -> i64 {
        i64::from(self)
    }
}

/// Follows a counter of the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwrapper<T> {
    last: Option<i64>,
    wire: PhantomData<T>,
}

impl<T> Default for Unwrapper<T> {
    fn default() -> Self {
        Self { last: None, wire: PhantomData }
    }
}

impl<T: Wraps> Unwrapper<T> {
    /// The count that a value stands for: the one nearest to the last.
    pub(super) fn peek(&self, value: T) -> i64 {
        self.last.map_or_else(|| value.value(), |last| last + value.distance(last))
    }

    /// Goes on from a count if it is the highest.
    pub(super) fn advance(&mut self, count: i64) {
        self.last = Some(self.last.map_or(count, |last| last.max(count)));
    }

    pub(super) fn last(&self) -> i64 {
        self.last.unwrap_or(0)
    }
}

/// Which of the last 128 sequence numbers came; older ones pass as new and are late anyway.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    highest: Option<i64>,
    /// Bit n: the highest less n came.
    came: u128,
}

impl Received {
    pub(super) const fn highest(&self) -> Option<i64> {
        self.highest
    }

    /// Whether it is the first time.
    pub(super) fn insert(&mut self, sequence: i64) -> bool {
        let ahead = self.highest.map_or(i64::MAX, |highest| sequence - highest);
        if ahead > 0 {
            self.came =
                u32::try_from(ahead).ok().and_then(|n| self.came.checked_shl(n)).unwrap_or(0);
            self.came |= 1;
            self.highest = Some(sequence);
            return true;
        }
        let Some(bit) = u32::try_from(-ahead).ok().and_then(|n| 1_u128.checked_shl(n)) else {
            return true;
        };
        let first = self.came & bit == 0;
        self.came |= bit;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counters_go_on_over_the_wrap_both_ways() {
        let mut sequence = Unwrapper::<u16>::default();
        for (value, count) in [(65_534, 65_534), (65_535, 65_535), (1, 65_537), (0, 65_536)] {
            assert_eq!(sequence.peek(value), count);
            sequence.advance(count);
        }
        assert_eq!(sequence.peek(65_535), 65_535);
        let mut timestamp = Unwrapper::<u32>::default();
        timestamp.advance(timestamp.peek(u32::MAX - 10));
        assert_eq!(timestamp.peek(949), i64::from(u32::MAX) + 950);
    }

    proptest! {
        #[test]
        fn each_number_is_new_once(numbers in proptest::collection::vec(0_i64..100, 0..200)) {
            let (mut received, mut model) = (Received::default(), std::collections::HashSet::new());
            for number in numbers {
                prop_assert_eq!(received.insert(number), model.insert(number));
            }
        }
    }
}
