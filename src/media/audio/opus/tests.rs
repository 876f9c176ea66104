//! The codec as the wrapper uses it.

use super::*;
use crate::media::audio::{AudioError, LevelMeter, PcmFormat, Tone, tone_share};
use proptest::prelude::*;

/// Syllables of a voiced sound: harmonics of a moving pitch, three times a second.
pub(in crate::media::audio) fn speech(seconds: usize, rate: u32) -> Vec<f32> {
    let mut phase = 0.0_f32;
    (0..seconds * rate as usize)
        .map(|n| {
            let t = n as f32 / rate as f32;
            phase = (phase + (130.0 + 25.0 * (2.0 * t).sin()) / rate as f32).fract();
            let syllable = (std::f32::consts::PI * (3.0 * t).fract()).sin().powi(2);
            let voice: f32 = (1..12)
                .map(|h| (std::f32::consts::TAU * (phase * h as f32).fract()).sin() / h as f32)
                .sum();
            0.2 * syllable * voice
        })
        .collect()
}

/// Noise that does not change, from -1 to 1.
pub(super) fn noise() -> impl Iterator<Item = f32> {
    let mut state = 1_u32;
    std::iter::repeat_with(move || {
        // Numerical Recipes' generator, and the bits of it that are random.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16 as i16) / 32_768.0
    })
}

fn encoder(rate: u32, channels: u8, options: OpusOptions) -> OpusEncoder {
    OpusEncoder::new(PcmFormat::new(rate, channels).unwrap(), options).unwrap()
}

fn rms(pcm: &[f32]) -> f32 {
    let mut meter = LevelMeter::default();
    meter.push(pcm);
    meter.take().rms_dbfs
}

#[test]
fn a_tone_crosses_at_every_rate_and_number_of_channels() {
    for (rate, channels) in [(8_000, 1), (16_000, 2), (22_050, 1), (44_100, 2), (48_000, 1)] {
        let mut pcm = vec![0.0; rate as usize * usize::from(channels)];
        Tone::new(440.0, rate, channels).fill(&mut pcm);
        let packets = encoder(rate, channels, OpusOptions::default()).push(&pcm).unwrap();
        assert!((49..=50).contains(&packets.len()), "{rate}");
        for out in [8_000, 44_100, 48_000] {
            let mut decoder = OpusDecoder::new(PcmFormat::new(out, 1).unwrap()).unwrap();
            let mut heard = Vec::new();
            for packet in &packets {
                assert_eq!(OpusPacketInfo::of(packet).unwrap().samples, 960);
                decoder.decode(packet, &mut heard).unwrap();
            }
            let settled = &heard[out as usize / 5..];
            assert!(tone_share(440.0, out, settled) > 0.95, "{rate} x{channels} to {out}");
            assert!((rms(settled) + 15.0).abs() < 1.0, "{rate} x{channels} to {out}");
        }
    }
}

#[test]
fn chunks_of_any_size_give_the_same_packets() {
    let pcm = speech(1, 44_100);
    let whole = encoder(44_100, 1, OpusOptions::default()).push(&pcm).unwrap();
    for size in [1, 441, 1_000] {
        let mut encoder = encoder(44_100, 1, OpusOptions::default());
        let parts: Vec<_> = pcm.chunks(size).flat_map(|part| encoder.push(part).unwrap()).collect();
        assert_eq!(parts, whole, "{size}");
    }
}

#[test]
fn the_bitrate_is_kept() {
    for bps in [8_000, 24_000, 64_000, 128_000] {
        let options =
            OpusOptions { bitrate_bps: bps, dtx: false, application: OpusApplication::Music };
        let packets = encoder(48_000, 1, options).push(&speech(2, 48_000)).unwrap();
        let sent = packets.iter().map(|packet| packet.len() as u32 * 8).sum::<u32>() / 2;
        assert!(sent < bps * 12 / 10 && sent > bps * 6 / 10, "{bps}: {sent}");
    }
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let mut encoder = encoder(48_000, 2, OpusOptions::default());
    assert_eq!(encoder.push(&[0.0; 3]), Err(AudioError::Uneven { samples: 3, channels: 2 }));
    assert_eq!(encoder.set_bitrate(5_999), Err(AudioError::Bitrate { bps: 5_999 }));
    assert_eq!(encoder.set_bitrate(128_001), Err(AudioError::Bitrate { bps: 128_001 }));
    let nonsense: Vec<f32> = [f32::NAN, f32::INFINITY, -1e30, 7.0].repeat(2_000);
    assert_eq!(encoder.push(&nonsense).unwrap().len(), 4);
}

#[test]
fn silence_is_a_packet_of_a_byte_and_sound_follows_at_once() {
    let mut encoder = encoder(48_000, 1, OpusOptions::default());
    encoder.push(&speech(1, 48_000)).unwrap();
    let silence = encoder.push(&vec![0.0; 48_000]).unwrap();
    let dtx = |packets: &[bytes::Bytes]| {
        packets.iter().filter(|packet| OpusPacketInfo::of(packet).unwrap().dtx).count()
    };
    assert!(dtx(&silence[25..]) >= 22, "{}", dtx(&silence[25..]));
    let speech = encoder.push(&speech(1, 48_000)[4_800..]).unwrap();
    assert_eq!(dtx(&speech[..5]), 0);
    encoder.set_dtx(false).unwrap();
    assert_eq!(dtx(&encoder.push(&vec![0.0; 48_000]).unwrap()), 0);
}

#[test]
fn talk_is_coded_by_its_spectrum_and_a_fan_behind_it_is_left_out() {
    let mut encoder = encoder(48_000, 1, OpusOptions::default());
    let mut noise = noise();
    let mut with_fan = |pcm: Vec<f32>| -> Vec<f32> {
        pcm.iter().zip(&mut noise).map(|(sample, noise)| sample + 0.002 * noise).collect()
    };
    let spectrum = |packet: &bytes::Bytes| packet[0] >= 0x80;
    let talk = encoder.push(&with_fan(speech(3, 48_000))).unwrap();
    assert!(talk[50..].iter().all(spectrum), "{talk:?}");
    let pause = encoder.push(&with_fan(vec![0.0; 5 * 48_000])).unwrap();
    // One every 400 ms, and a few where the detector is not sure.
    let sent = pause[50..].iter().filter(|packet| packet.len() > 2).count();
    assert!(sent <= 40, "{sent} of 200");
    let talk = encoder.push(&with_fan(speech(1, 48_000))).unwrap();
    assert!(talk[25..].iter().all(spectrum), "{talk:?}");
    encoder.set_expected_loss(10).unwrap();
    let talk = encoder.push(&with_fan(speech(1, 48_000))).unwrap();
    let copies = talk.iter().filter(|packet| OpusPacketInfo::of(packet).unwrap().fec).count();
    assert!(copies > 40, "{copies}");
    assert!(!talk[5..].iter().any(spectrum));
}

/// Every tenth packet lost: how far what is heard in its place is from what was sent, in dB of the sound.
fn heard_instead(fec: bool) -> f32 {
    let pcm = speech(8, 48_000);
    let mut encoder = encoder(48_000, 1, OpusOptions::default());
    encoder.set_expected_loss(if fec { 10 } else { 0 }).unwrap();
    let packets = encoder.push(&pcm).unwrap();
    let (mut whole, mut lossy) = (
        OpusDecoder::new(PcmFormat::OPUS_MONO).unwrap(),
        OpusDecoder::new(PcmFormat::OPUS_MONO).unwrap(),
    );
    let (mut sound, mut noise) = (0.0, 0.0);
    for (n, packet) in packets.iter().enumerate().take(packets.len() - 1) {
        let (mut sent, mut heard) = (Vec::new(), Vec::new());
        whole.decode(packet, &mut sent).unwrap();
        if n % 10 != 5 {
            lossy.decode(packet, &mut heard).unwrap();
            continue;
        }
        if OpusPacketInfo::of(&packets[n + 1]).unwrap().fec {
            lossy.decode_fec(&packets[n + 1], 960, &mut heard).unwrap();
        } else {
            lossy.conceal(960, &mut heard).unwrap();
        }
        assert_eq!(heard.len(), 960);
        sound += sent.iter().map(|x| x * x).sum::<f32>();
        noise += sent.iter().zip(&heard).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    }
    10.0 * (sound / noise).log10()
}

#[test]
fn the_copy_in_the_next_packet_is_nearer_than_concealment() {
    let (with, without) = (heard_instead(true), heard_instead(false));
    assert!(with > without + 3.0, "{with} dB with FEC, {without} dB without");
    assert!(with > 8.0, "{with}");
}

#[test]
fn concealment_fades_to_silence() {
    let mut encoder = encoder(48_000, 1, OpusOptions::default());
    let mut decoder = OpusDecoder::new(PcmFormat::OPUS_MONO).unwrap();
    let mut pcm = Vec::new();
    for packet in encoder.push(&speech(1, 48_000)[..40_000]).unwrap() {
        decoder.decode(&packet, &mut pcm).unwrap();
    }
    let loud = rms(&pcm[pcm.len() - 4_800..]);
    pcm.clear();
    decoder.conceal(48_000, &mut pcm).unwrap();
    assert_eq!(pcm.len(), 48_000);
    assert!(rms(&pcm[..960]) > loud - 12.0 && rms(&pcm[24_000..]) < -60.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_bytes_are_decoded_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        samples in 1_u32..6_000,
    ) {
        let mut decoder = OpusDecoder::new(PcmFormat::OPUS_STEREO).unwrap();
        let mut pcm = Vec::new();
        for _ in 0..2 {
            if let Ok(info) = OpusPacketInfo::of(&bytes) {
                let before = pcm.len();
                if decoder.decode(&bytes, &mut pcm).is_ok() {
                    prop_assert_eq!(pcm.len() - before, 2 * info.samples as usize);
                }
            }
            let _ = decoder.decode_fec(&bytes, samples, &mut pcm);
        }
        decoder.conceal(samples, &mut pcm).unwrap();
        prop_assert!(pcm.iter().all(|sample| sample.is_finite()));
    }
}
