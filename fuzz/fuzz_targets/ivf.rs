//! Any file read as IVF: without a panic, and what was read means the same after being written.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use metered_realtime::media::files::{IvfReader, IvfWriter, MediaReader};

fuzz_target!(|file: &[u8]| {
    if let Ok(mut reader) = IvfReader::new(file) {
        let header = reader.header();
        let mut writer =
            IvfWriter::new(Cursor::new(Vec::new()), header).expect("a header that was read");
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = reader.next_item() {
            writer.write(frame.timestamp_us, &frame.data).expect("writing to memory");
            frames.push(frame.data);
        }
        let again = writer.finish().expect("writing to memory").into_inner();
        let mut reader = IvfReader::new(&again[..]).expect("what we write, we read");
        for frame in frames {
            assert_eq!(reader.next_item().expect("a frame").expect("a frame").data, frame);
        }
    }
});
