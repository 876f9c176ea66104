//! Any file read as H.264 in Annex B: without a panic, and what was read means the same after being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metered_realtime::media::files::{AnnexBReader, MediaReader};

fuzz_target!(|file: &[u8]| {
    let mut reader = AnnexBReader::new(file, 25, 1).expect("a rate");
    let (mut again, mut units) = (Vec::new(), 0);
    while let Ok(Some(unit)) = reader.next_item() {
        again.extend_from_slice(&unit.data);
        units += 1;
    }
    let mut reader = AnnexBReader::new(&again[..], 25, 1).expect("a rate");
    let mut second = Vec::new();
    while let Some(unit) = reader.next_item().expect("what we write, we read") {
        second.extend_from_slice(&unit.data);
        units -= 1;
    }
    assert_eq!((second, units), (again, 0));
});
