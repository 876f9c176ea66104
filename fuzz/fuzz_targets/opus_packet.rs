//! Packets of a stranger, decoded, used as the copy of a lost one, and concealed: never a panic (libFuzzer
//! also stops at one that the decoder catches), and always the time that was promised.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metered_realtime::media::audio::{OpusDecoder, OpusPacketInfo, PcmFormat};

fuzz_target!(|packets: Vec<(u8, Vec<u8>)>| {
    let mut decoder = OpusDecoder::new(PcmFormat::OPUS_STEREO).expect("a decoder");
    let mut pcm = Vec::new();
    for (what, packet) in packets.iter().take(32) {
        pcm.clear();
        match what % 3 {
            0 => {
                if decoder.decode(packet, &mut pcm).is_ok() {
                    let info = OpusPacketInfo::of(packet).expect("what is decoded was read");
                    assert_eq!(pcm.len(), 2 * info.samples as usize);
                }
            }
            1 => drop(decoder.decode_fec(packet, 960, &mut pcm)),
            _ => decoder.conceal(u32::from(*what) * 20, &mut pcm).expect("concealment"),
        }
        assert!(pcm.iter().all(|sample| sample.is_finite()));
    }
});
