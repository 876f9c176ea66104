//! Any file read as WAV: without a panic, and what was read means the same after being written.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use metered_realtime::media::files::{MediaReader, WavReader, WavWriter};

fuzz_target!(|file: &[u8]| {
    if let Ok(mut reader) = WavReader::new(file) {
        let mut writer = WavWriter::new(Cursor::new(Vec::new()), reader.format())
            .expect("a format that was read");
        let mut samples = 0;
        while let Ok(Some(chunk)) = reader.next_item() {
            assert!(chunk.pcm.iter().all(|sample| sample.is_finite()));
            writer.write(&chunk.pcm).expect("writing to memory");
            samples += chunk.pcm.len();
        }
        let again = writer.finish().expect("writing to memory").into_inner();
        assert_eq!(again.len(), 44 + 2 * samples);
        WavReader::new(&again[..]).expect("what we write, we read");
    }
});
