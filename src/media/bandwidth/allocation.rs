//! What each track gets of a path's bits. Pure.
//!
//! Sound comes first, then the least that each picture needs, by priority, then the rest by weight. A picture
//! whose least does not fit gets nothing: a few bits would only fill the path. But the most important one goes
//! on with what there is, or nobody would learn that the path carries more again.

use serde::{Deserialize, Serialize};

use crate::rtc::engine::MediaKind;

/// Which tracks get more when there is too little (W3C WebRTC Priority section 3).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TrackPriority {
    /// Half of low.
    VeryLow,
    /// What tracks have.
    #[default]
    Low,
    /// Twice low.
    Medium,
    /// Four times low.
    High,
}

impl TrackPriority {
    const fn weight(self) -> u64 {
        match self {
            Self::VeryLow => 1,
            Self::Low => 2,
            Self::Medium => 4,
            Self::High => 8,
        }
    }
}

/// What a track wants of the bits to each remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackBitrate {
    /// Who gets more when there is too little.
    pub priority: TrackPriority,
    /// Bits per second below which it is of no use. Sound gets them always; a picture gets them or nothing, but
    /// for the most important one, which goes on with what there is.
    pub minimum: u64,
    /// Bits per second beyond which it does not get better. Not below the minimum.
    pub maximum: u64,
}

impl TrackBitrate {
    /// What tracks have: sound 16 to 64 kbit/s, pictures 30 kbit/s to 2.5 Mbit/s.
    pub const fn of(kind: MediaKind) -> Self {
        let (minimum, maximum) = match kind {
            MediaKind::Audio => (16_000, 64_000),
            MediaKind::Video => (30_000, 2_500_000),
        };
        Self { priority: TrackPriority::Low, minimum, maximum }
    }
}

/// A track to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) kind: MediaKind,
    pub(crate) bitrate: TrackBitrate,
    /// What is muted gets nothing.
    pub(crate) muted: bool,
}

/// Of the path's bits sound gets this part at most, above its minimum.
const SOUND_PART: u64 = 4;

/// Bits per second for each, in their order.
pub(crate) fn allocate(available: u64, demands: &[Demand]) -> Vec<u64> {
    let mut shares = vec![0; demands.len()];
    let of = |kind: MediaKind| {
        let demands = demands.iter().enumerate();
        let fits = demands.filter(|(_, demand)| demand.kind == kind && !demand.muted);
        fits.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let (sound, mut pictures) = (of(MediaKind::Audio), of(MediaKind::Video));
    for &at in &sound {
        shares[at] = demands[at].bitrate.minimum;
    }
    let least = shares.iter().fold(0_u64, |sum, share| sum.saturating_add(*share));
    fill(
        available.min(least.max(available / SOUND_PART)).saturating_sub(least),
        &sound,
        demands,
        &mut shares,
    );
    let taken = shares.iter().fold(0_u64, |sum, share| sum.saturating_add(*share));
    let mut rest = available.saturating_sub(taken);
    // The more important first; among equals the one that was there first.
    pictures.sort_by_key(|at| std::cmp::Reverse(demands[*at].bitrate.priority));
    let first = pictures.first().copied();
    pictures.retain(|&at| {
        let minimum = match demands[at].bitrate.minimum {
            minimum if first == Some(at) => minimum.min(rest),
            minimum => minimum,
        };
        let fits = minimum <= rest;
        if fits {
            rest -= minimum;
            shares[at] = minimum;
        }
        fits
    });
    fill(rest, &pictures, demands, &mut shares);
    shares
}

/// Divides `rest` by weight, so that whoever has its maximum leaves what is over to the others.
fn fill(mut rest: u64, of: &[usize], demands: &[Demand], shares: &mut [u64]) {
    let room = |at: usize, share: u64| demands[at].bitrate.maximum.saturating_sub(share);
    let mut open: Vec<usize> = of.iter().copied().filter(|&at| room(at, shares[at]) > 0).collect();
    while rest > 0 && !open.is_empty() {
        let weight = |at: usize| demands[at].bitrate.priority.weight();
        let weights: u64 = open.iter().map(|&at| weight(at)).sum();
        let before = rest;
        for &at in &open {
            let part = (u128::from(before) * u128::from(weight(at)) / u128::from(weights)) as u64;
            let part = part.min(room(at, shares[at]));
            shares[at] += part;
            rest -= part;
        }
        open.retain(|&at| room(at, shares[at]) > 0);
        if rest < weights || rest == before {
            // What is over is less than a bit for each.
            break;
        }
    }
}

/// Pictures per second that look best at this bitrate.
pub(crate) const fn frame_rate(bits_per_second: u64) -> u32 {
    match bits_per_second {
        0 => 0,
        1..60_000 => 5,
        60_000..120_000 => 10,
        120_000..250_000 => 15,
        250_000..400_000 => 20,
        400_000..600_000 => 25,
        _ => 30,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(kind: MediaKind, priority: TrackPriority, bounds: (u64, u64)) -> Demand {
        let bitrate = TrackBitrate { priority, minimum: bounds.0, maximum: bounds.1 };
        Demand { kind, bitrate, muted: false }
    }

    fn usual(kind: MediaKind) -> Demand {
        Demand { kind, bitrate: TrackBitrate::of(kind), muted: false }
    }

    #[test]
    fn sound_comes_first_and_what_does_not_fit_gets_nothing() {
        use MediaKind::{Audio, Video};
        let call = [usual(Video), usual(Audio), usual(Video)];
        assert_eq!(allocate(1_064_000, &call), [500_000, 64_000, 500_000]);
        assert_eq!(allocate(120_000, &call), [45_000, 30_000, 45_000]);
        // One picture fits; the first one.
        assert_eq!(allocate(70_000, &call), [52_500, 17_500, 0]);
        // And goes on with little.
        assert_eq!(allocate(40_000, &call), [24_000, 16_000, 0]);
        assert_eq!(allocate(0, &call), [0, 16_000, 0]);
    }

    #[test]
    fn priorities_weigh_half_to_four_times_and_what_one_leaves_others_take() {
        use TrackPriority::*;
        let one = |priority| demand(MediaKind::Video, priority, (0, 10_000_000));
        let four = [one(VeryLow), one(Low), one(Medium), one(High)];
        assert_eq!(allocate(1_500_000, &four), [100_000, 200_000, 400_000, 800_000]);
        let small = demand(MediaKind::Video, High, (0, 300_000));
        assert_eq!(allocate(1_500_000, &[small, one(Low)]), [300_000, 1_200_000]);
        let muted = Demand { muted: true, ..one(High) };
        assert_eq!(allocate(1_500_000, &[muted, one(Low)]), [0, 1_500_000]);
    }

    #[test]
    fn fewer_bits_never_ask_for_more_pictures() {
        let rates: Vec<_> = (0..1_000_000).step_by(1_000).map(frame_rate).collect();
        assert!(rates.is_sorted() && rates[0] == 0 && rates[1] == 5);
        assert_eq!(rates.last(), Some(&30));
    }

    fn any_demand() -> impl Strategy<Value = Demand> {
        let priority = prop_oneof![
            Just(TrackPriority::VeryLow),
            Just(TrackPriority::Low),
            Just(TrackPriority::Medium),
            Just(TrackPriority::High)
        ];
        let bounds = prop_oneof![0..100_000_u64, Just(u64::MAX)];
        (any::<bool>(), priority, bounds, 0..5_000_000_u64, any::<bool>()).prop_map(
            |(sound, priority, minimum, more, muted)| {
                let kind = if sound { MediaKind::Audio } else { MediaKind::Video };
                let bounds = (minimum, minimum.saturating_add(more));
                Demand { muted, ..demand(kind, priority, bounds) }
            },
        )
    }

    proptest! {
        #[test]
        fn shares_are_within_their_bounds_and_the_path(
            available in 0..20_000_000_u64,
            demands in proptest::collection::vec(any_demand(), 0..8),
        ) {
            let shares = allocate(available, &demands);
            prop_assert_eq!(shares.len(), demands.len());
            let mut sound = 0_u64;
            let mut all = 0_u64;
            let mut below = 0;
            for (share, demand) in shares.iter().zip(&demands) {
                let bounds = demand.bitrate.minimum..=demand.bitrate.maximum;
                let video = demand.kind == MediaKind::Video;
                let first = video && !demand.muted && *share <= demand.bitrate.maximum;
                below += u32::from(first && *share > 0 && !bounds.contains(share));
                prop_assert!(first || bounds.contains(share) || (*share == 0 && demand.muted));
                prop_assert!(!demand.muted || *share == 0);
                if !video && !demand.muted {
                    sound = sound.saturating_add(demand.bitrate.minimum);
                }
                all = all.saturating_add(*share);
            }
            prop_assert!(below <= 1, "only the most important one goes on with less");
            prop_assert!(all <= available.max(sound));
        }

        #[test]
        fn more_to_divide_is_never_less_in_all(
            available in 0..20_000_000_u64,
            more in 0..1_000_000_u64,
            demands in proptest::collection::vec(any_demand(), 0..8),
        ) {
            let sum = |available| {
                allocate(available, &demands).iter().fold(0_u64, |sum, it| sum.saturating_add(*it))
            };
            // Less than a bit for each may be left over.
            prop_assert!(sum(available).saturating_sub(64) <= sum(available + more));
        }

        #[test]
        fn the_more_important_of_two_alike_gets_no_less(available in 0..20_000_000_u64) {
            let low = demand(MediaKind::Video, TrackPriority::Low, (50_000, 2_000_000));
            let high = demand(MediaKind::Video, TrackPriority::High, (50_000, 2_000_000));
            let shares = allocate(available, &[low, high]);
            prop_assert!(shares[1] >= shares[0]);
        }
    }
}
