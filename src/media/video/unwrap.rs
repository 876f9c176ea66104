//! Counters that wrap on the wire and do not here.

/// A counter of `BITS` bits, followed over its wraps: the value nearest to the last one is meant.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unwrapper<const BITS: u32> {
    last: Option<i64>,
}

impl<const BITS: u32> Unwrapper<BITS> {
    pub(super) fn unwrap(&mut self, value: u32) -> i64 {
        let span = 1_i64 << BITS;
        let value = i64::from(value);
        let unwrapped = match self.last {
            // Room below for what was sent before and comes later.
            None => value + span,
            Some(last) => {
                let step = (value - last).rem_euclid(span);
                last + if step >= span / 2 { step - span } else { step }
            }
        };
        self.last = Some(unwrapped);
        unwrapped
    }
}
