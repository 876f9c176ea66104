//! Any file read as Ogg Opus: without a panic, and what was read means the same after being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metered_realtime::media::files::{MediaReader, OggOpusReader, OggOpusWriter};

fuzz_target!(|file: &[u8]| {
    if let Ok(mut reader) = OggOpusReader::new(file) {
        let mut writer =
            OggOpusWriter::new(Vec::new(), reader.head()).expect("a header that was read");
        let mut packets = Vec::new();
        while let Ok(Some(packet)) = reader.next_item() {
            if packet.data.len() < 60_000 {
                writer.write(&packet.data).expect("a packet that was read");
                packets.push(packet.data);
            }
        }
        let again = writer.finish().expect("writing to memory");
        let mut reader = OggOpusReader::new(&again[..]).expect("what we write, we read");
        for packet in packets {
            assert_eq!(reader.next_item().expect("a packet").expect("a packet").data, packet);
        }
    }
});
