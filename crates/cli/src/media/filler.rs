//! Pictures as large as an encoder would make them that follows its target.
//!
//! What is encoded cannot be encoded anew, but H.264 may carry data that no decoder looks at: each picture gets
//! as much of it as its share of the bitrate leaves. Filler data proper (NAL type 12) is left out on the wire, so
//! it is supplemental information (type 6, ITU-T H.264 annex D: unregistered user data). Pure.

use bytes::Bytes;

/// The message and its NAL unit around the data: start code, NAL type, payload type, stop bit.
const FRAME_BYTES: u64 = 4 + 1 + 1 + 1;
/// Names the data as ours: nobody has to know it.
const UUID: [u8; 16] = *b"metered-filler\x01\x01";
/// No zeros, which a parser could take for a start code.
const DATA: u8 = 0xaa;
/// Types of NAL units that a message must precede: slices.
const SLICES: std::ops::RangeInclusive<u8> = 1..=5;
/// What one picture may owe to those after it, in time at the bitrate.
const MAX_DEBT_US: u64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Filler {
    most: u64,
    /// What earlier pictures left; below zero after a large one.
    bytes_left: i64,
}

impl Filler {
    pub(super) const fn up_to(bits_per_second: u64) -> Self {
        Self { most: bits_per_second, bytes_left: 0 }
    }

    /// The picture, which is shown for so long, at the target.
    pub(super) fn fill(&mut self, picture: &Bytes, target: Option<u64>, duration_us: u64) -> Bytes {
        let bits_per_second = target.unwrap_or(self.most).min(self.most);
        let bytes = |us: u64| {
            i64::try_from(bits_per_second.saturating_mul(us) / 8_000_000).unwrap_or(i64::MAX)
        };
        self.bytes_left = self.bytes_left.saturating_add(bytes(duration_us));
        let size = i64::try_from(picture.len()).unwrap_or(i64::MAX);
        let free = u64::try_from(self.bytes_left.saturating_sub(size)).unwrap_or(0);
        let filled = match message(free).zip(first_slice(picture)) {
            Some((message, at)) => [&picture[..at], &message, &picture[at..]].concat().into(),
            None => picture.clone(),
        };
        let size = i64::try_from(filled.len()).unwrap_or(i64::MAX);
        self.bytes_left = self.bytes_left.saturating_sub(size).max(-bytes(MAX_DEBT_US));
        filled
    }
}

/// A NAL unit of about so many bytes; `None` if it would be larger.
fn message(bytes: u64) -> Option<Vec<u8>> {
    // The size is coded in bytes of 255.
    let payload = bytes.checked_sub(FRAME_BYTES + bytes / 255 + 1)?;
    let data = usize::try_from(payload).ok()?.checked_sub(UUID.len())?;
    let mut nal = vec![0, 0, 0, 1, 6, 5];
    nal.extend((0..payload / 255).map(|_| 0xff));
    nal.push((payload % 255) as u8);
    nal.extend(UUID);
    nal.resize(nal.len() + data, DATA);
    nal.push(0x80);
    Some(nal)
}

/// Where the start code of the first slice begins, in Annex B.
fn first_slice(picture: &[u8]) -> Option<usize> {
    let slice = |four: &[u8]| four[..3] == [0, 0, 1] && SLICES.contains(&(four[3] & 0x1f));
    let at = picture.windows(4).position(slice)?;
    let long = at > 0 && picture[at - 1] == 0;
    Some(if long { at - 1 } else { at })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: &[u8] = &[0, 0, 0, 1, 0x67, 9, 0, 0, 0, 1, 0x65, 1, 2, 3];

    #[test]
    fn a_picture_has_its_share_of_the_bitrate_and_its_slice_last() {
        let mut filler = Filler::up_to(2_000_000);
        for (target, share) in [(None, 10_000), (Some(9_000_000), 10_000), (Some(300_000), 1_500)] {
            let sizes: Vec<_> = (0..25)
                .map(|_| filler.fill(&Bytes::from_static(PICTURE), target, 40_000))
                .collect();
            let all = sizes.iter().map(Bytes::len).sum::<usize>();
            assert!((share * 24..=share * 25 + 1).contains(&all), "{all} of {share}");
            assert!(sizes.iter().all(|filled| filled.starts_with(&PICTURE[..6])));
            assert!(sizes.iter().all(|filled| filled.ends_with(&PICTURE[6..])));
        }
    }

    #[test]
    fn what_a_large_picture_took_the_next_ones_lack() {
        let mut filler = Filler::up_to(1_000_000);
        let large = Bytes::from([PICTURE, &[7; 20_000]].concat());
        assert_eq!(filler.fill(&large, None, 40_000).len(), large.len());
        let small = Bytes::from_static(PICTURE);
        let filled: usize = (0..9).map(|_| filler.fill(&small, None, 40_000).len()).sum();
        assert!((29_000..=30_000).contains(&filled), "{filled}");
    }

    #[test]
    fn what_has_no_slice_or_no_room_stays_as_it_is() {
        let mut filler = Filler::up_to(1_000_000);
        let headers = Bytes::from_static(&PICTURE[..6]);
        assert_eq!(filler.fill(&headers, None, 40_000), headers);
        let small = Bytes::from_static(PICTURE);
        let mut filler = Filler::up_to(1_000_000);
        assert_eq!(filler.fill(&small, Some(0), 40_000), small);
    }
}
