//! Files of ours, files of ffmpeg, and files that are damaged.

use std::io::{Cursor, Read};

use super::*;
use crate::media::audio::PcmFormat;
use crate::media::video::VideoCodec;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

fn clip(name: &str) -> Vec<u8> {
    let path = format!("{}/crates/cli/assets/clips/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// Hands out a file in small pieces, as a pipe does.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.0.len().min(self.1).min(into.len());
        into[..bytes].copy_from_slice(&self.0[..bytes]);
        self.0 = &self.0[bytes..];
        Ok(bytes)
    }
}

fn all<R: MediaReader>(mut reader: R) -> Result<Vec<R::Item>, FileError> {
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }
    Ok(items)
}

const HEADER: IvfHeader =
    IvfHeader { codec: VideoCodec::Vp8, width: 320, height: 180, rate: 25, scale: 1 };

fn ivf(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut writer = IvfWriter::new(Cursor::new(Vec::new()), HEADER).unwrap();
    for (tick, frame) in frames {
        writer.write(tick * 40_000, frame).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn ogg(packets: &[Vec<u8>]) -> Vec<u8> {
    let head = OggOpusHead { channels: 2, pre_skip: 312, input_rate: 44_100 };
    let mut writer = OggOpusWriter::new(Vec::new(), head).unwrap();
    for packet in packets {
        writer.write(packet).unwrap();
    }
    writer.finish().unwrap()
}

fn wav(samples: &[f32], channels: u8) -> Vec<u8> {
    let format = PcmFormat::new(8_000, channels).unwrap();
    let mut writer = WavWriter::new(Cursor::new(Vec::new()), format).unwrap();
    writer.write(samples).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn the_clips_have_a_hundred_frames_each_with_two_key_frames() {
    for (name, codec) in [
        ("counter_vp8.ivf", VideoCodec::Vp8),
        ("counter_vp9.ivf", VideoCodec::Vp9),
        ("counter_av1.ivf", VideoCodec::Av1),
    ] {
        let file = clip(name);
        let reader = IvfReader::new(&file[..]).unwrap();
        let header = reader.header();
        assert_eq!((header.codec, header.width, header.height), (codec, 320, 180));
        let frames = all(reader).unwrap();
        let times: Vec<_> = frames.iter().map(|frame| frame.timestamp_us).collect();
        assert_eq!(times, (0..100).map(|n| n * 40_000).collect::<Vec<_>>(), "{name}");
        let keys: Vec<_> = (0..100).filter(|n| frames[*n].key_frame).collect();
        assert_eq!(keys, [0, 50], "{name}");
    }
    let file = clip("counter_h264.h264");
    let units = all(AnnexBReader::new(&file[..], 25, 1).unwrap()).unwrap();
    assert_eq!(units.len(), 100);
    assert_eq!((0..100).filter(|n| units[*n].key_frame).collect::<Vec<_>>(), [0, 50]);
    assert_eq!(units[99].timestamp_us, 3_960_000);
}

#[test]
fn what_was_read_is_written_again_as_it_was() {
    let file = clip("counter_vp9.ivf");
    let reader = IvfReader::new(&file[..]).unwrap();
    let mut writer = IvfWriter::new(Cursor::new(Vec::new()), reader.header()).unwrap();
    for frame in all(reader).unwrap() {
        writer.write(frame.timestamp_us, &frame.data).unwrap();
    }
    let again = writer.finish().unwrap().into_inner();
    assert_eq!((&again[24..28], &again[32..]), (&file[24..28], &file[32..]));
    let file = clip("counter_h264.h264");
    let mut writer = AnnexBWriter::new(Vec::new());
    for unit in all(AnnexBReader::new(&file[..], 25, 1).unwrap()).unwrap() {
        writer.write(&unit.data).unwrap();
    }
    let again = writer.finish().unwrap();
    let units = |file: &[u8]| all(AnnexBReader::new(file, 25, 1).unwrap()).unwrap();
    assert_eq!(units(&again), units(&file));
}

#[test]
fn pieces_of_any_size_give_the_same() {
    let (h264, vp8) = (clip("counter_h264.h264"), clip("counter_vp8.ivf"));
    let units = all(AnnexBReader::new(&h264[..], 25, 1).unwrap()).unwrap();
    let frames = all(IvfReader::new(&vp8[..]).unwrap()).unwrap();
    for size in [1, 3, 1_000, 16_383] {
        assert_eq!(all(AnnexBReader::new(Pieces(&h264, size), 25, 1).unwrap()).unwrap(), units);
        assert_eq!(all(IvfReader::new(Pieces(&vp8, size)).unwrap()).unwrap(), frames);
    }
}

#[test]
fn a_loop_goes_on_in_time() {
    let mut looped = Looped::new(IvfReader::new(Cursor::new(clip("counter_vp8.ivf"))).unwrap());
    for n in 0..250 {
        let frame = looped.next_item().unwrap();
        assert_eq!((frame.timestamp_us, frame.key_frame), (n * 40_000, n % 50 == 0), "{n}");
    }
    assert_eq!(looped.rounds(), 2);
    let h264 = AnnexBReader::new(Cursor::new(clip("counter_h264.h264")), 25, 1).unwrap();
    let mut looped = Looped::new(h264);
    let times: Vec<_> = (0..201).map(|_| looped.next_item().unwrap().timestamp_us).collect();
    assert_eq!(times[200], 8_000_000);
    let packets = vec![vec![0x78, 1, 2]; 3];
    let mut looped = Looped::new(OggOpusReader::new(Cursor::new(ogg(&packets))).unwrap());
    let times: Vec<_> = (0..7).map(|_| looped.next_item().unwrap().timestamp_us).collect();
    assert_eq!(times[6], 120_000);
    let mut looped = Looped::new(WavReader::new(Cursor::new(wav(&[0.5; 120], 1))).unwrap());
    let times: Vec<_> = (0..4).map(|_| looped.next_item().unwrap().timestamp_us).collect();
    assert_eq!(times, [0, 10_000, 15_000, 25_000]);
    let empty = IvfReader::new(Cursor::new(ivf(&[]))).unwrap();
    assert_eq!(Looped::new(empty).next_item().unwrap_err().code(), "file_cut_short");
}

#[test]
fn a_picture_of_several_slices_is_one_access_unit() {
    let nal = |bytes: &[u8]| [&[0, 0, 0, 1], bytes].concat();
    let file = [
        nal(&[9, 0xf0]),
        nal(&[0x67, 1]),
        nal(&[0x68, 2]),
        nal(&[6, 5]),
        nal(&[0x65, 0x88]),
        nal(&[0x65, 0x44]), // the second slice begins at a later macroblock
        nal(&[0x41, 0x9a]),
        nal(&[0x41, 0x5a]),
        nal(&[9, 0xf0]),
        nal(&[0x41, 0x9b]),
        nal(&[10]),
    ];
    let units = all(AnnexBReader::new(&file.concat()[..], 30, 1).unwrap()).unwrap();
    let data: Vec<_> = units.iter().map(|unit| unit.data.to_vec()).collect();
    assert_eq!(data, [file[..6].concat(), file[6..8].concat(), file[8..].concat()]);
    assert_eq!(units.iter().map(|unit| unit.key_frame).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn a_b_picture_is_refused_with_the_fix_and_nothing_after_it_is_read() {
    let file = [0, 0, 1, 0x65, 0x88, 0, 0, 1, 0x41, 0x9a, 0, 0, 1, 1, 0x9e, 9, 0, 0, 1, 0x41, 0x9a];
    let mut reader = AnnexBReader::new(&file[..], 25, 1).unwrap();
    assert!(reader.next_item().unwrap().unwrap().key_frame);
    let error = reader.next_item().unwrap_err();
    assert_eq!(error.code(), "file_unsupported");
    assert!(error.to_string().contains("B pictures"), "{error}");
    assert!(error.diagnosis().fix.contains("-bf 0"));
    assert!(reader.next_item().unwrap().is_none(), "an end stays an end");
    let p = [&file[..13], &[0x41, 0x9a], &file[15..]].concat();
    assert_eq!(all(AnnexBReader::new(&p[..], 25, 1).unwrap()).unwrap().len(), 4);
}

#[test]
fn other_formats_are_told_apart() {
    let text = b"a text that is long enough to be a header of some kind".as_slice();
    assert_eq!(IvfReader::new(text).unwrap_err().code(), "file_format");
    assert_eq!(OggOpusReader::new(text).unwrap_err().code(), "file_format");
    assert_eq!(WavReader::new(text).unwrap_err().code(), "file_format");
    let code = all(AnnexBReader::new(text, 25, 1).unwrap()).unwrap_err().code();
    assert_eq!(code, "file_format");
    let mut h264 = clip("counter_vp8.ivf");
    h264[8..12].copy_from_slice(b"H264");
    assert_eq!(IvfReader::new(&h264[..]).unwrap_err().code(), "file_unsupported");
}

#[test]
fn a_file_that_is_cut_gives_what_is_whole_and_then_says_so() {
    let file = ivf(&[(0, vec![0; 100]), (1, vec![1; 100])]);
    for cut in 32..file.len() {
        let mut reader = IvfReader::new(&file[..cut]).unwrap();
        let whole = (cut - 32) / 112;
        for _ in 0..whole {
            assert!(reader.next_item().unwrap().is_some());
        }
        match reader.next_item() {
            Ok(None) => assert_eq!((cut - 32) % 112, 0),
            Ok(Some(_)) => panic!("more than there is"),
            Err(error) => assert_eq!(error.code(), "file_cut_short"),
        }
        assert!(reader.next_item().unwrap().is_none(), "an end stays an end");
    }
}

#[test]
fn a_length_that_is_a_lie_costs_no_memory() {
    let mut file = ivf(&[]);
    file.extend_from_slice(&u32::MAX.to_le_bytes());
    file.extend_from_slice(&[0; 8]);
    assert_eq!(all(IvfReader::new(&file[..]).unwrap()).unwrap_err().code(), "file_too_big");
    let zeros = AnnexBReader::new(std::io::repeat(0), 25, 1).unwrap();
    assert_eq!(all(zeros).unwrap_err().code(), "file_damaged");
    let endless = (&[0, 0, 0, 1, 0x65][..]).chain(std::io::repeat(7));
    let endless = AnnexBReader::new(endless, 25, 1).unwrap();
    assert_eq!(all(endless).unwrap_err().code(), "file_too_big");
}

#[test]
fn a_flipped_bit_in_ogg_is_noticed() {
    let file = ogg(&vec![vec![0x78, 1, 2, 3]; 120]);
    let packets = all(OggOpusReader::new(&file[..]).unwrap()).unwrap();
    assert_eq!((packets.len(), packets[119].timestamp_us), (120, 119 * 20_000));
    for at in (0..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        assert!(OggOpusReader::new(&damaged[..]).and_then(all).is_err(), "{at}");
    }
}

#[test]
fn wav_of_every_kind_is_the_same_sound() {
    let with = |tag: u16, bits: u16, data: &[u8]| {
        let mut file = b"RIFF\0\0\0\0WAVEjunk\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        file.extend_from_slice(&tag.to_le_bytes());
        file.extend_from_slice(&[1, 0, 0x40, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend_from_slice(&bits.to_le_bytes());
        file.extend_from_slice(b"data");
        file.extend_from_slice(&(data.len() as u32).to_le_bytes());
        file.extend_from_slice(data);
        WavReader::new(&file[..]).and_then(all).map(|chunks| chunks[0].pcm.clone())
    };
    assert_eq!(with(1, 16, &[0, 0x40, 0, 0xc0]).unwrap(), [0.5, -0.5]);
    assert_eq!(with(1, 24, &[0, 0, 0x40, 0, 0, 0xc0]).unwrap(), [0.5, -0.5]);
    assert_eq!(with(1, 32, &[0, 0, 0, 0x40, 0, 0, 0, 0xc0]).unwrap(), [0.5, -0.5]);
    let floats = [0.5_f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
    assert_eq!(with(3, 32, &floats).unwrap(), [0.5, 0.0]);
    assert_eq!(with(7, 8, &[1, 2]).unwrap_err().code(), "file_unsupported");
}

#[test]
fn an_unfinished_recording_can_be_read() {
    let format = PcmFormat::new(8_000, 2).unwrap();
    let mut file = Vec::new();
    let mut writer = WavWriter::new(&mut file, format).unwrap();
    writer.write(&[0.25; 200]).unwrap();
    let chunks = all(WavReader::new(&file[..]).unwrap()).unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.pcm.len()).sum::<usize>(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn ivf_goes_round(frames in vec((0_u64..1_000_000, vec(any::<u8>(), 0..300)), 0..20)) {
        let file = ivf(&frames);
        let read = all(IvfReader::new(&file[..]).unwrap()).unwrap();
        let read: Vec<_> = read.iter().map(|f| (f.timestamp_us / 40_000, f.data.to_vec())).collect();
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn ogg_goes_round(packets in vec(vec(any::<u8>(), 0..1_200), 0..60)) {
        // One frame in any packet, so that each is Opus.
        let packets: Vec<Vec<u8>> =
            packets.into_iter().map(|rest| [&[0x78][..], &rest].concat()).collect();
        let file = ogg(&packets);
        let read = all(OggOpusReader::new(&file[..]).unwrap()).unwrap();
        prop_assert_eq!(read.iter().map(|p| p.data.to_vec()).collect::<Vec<_>>(), packets);
    }

    #[test]
    fn wav_goes_round(samples in vec(any::<i16>(), 0..2_000)) {
        let pcm: Vec<f32> = samples.iter().map(|s| f32::from(*s) / 32_768.0).collect();
        let file = wav(&pcm, 1);
        let read = all(WavReader::new(&file[..]).unwrap()).unwrap();
        prop_assert_eq!(read.into_iter().flat_map(|chunk| chunk.pcm).collect::<Vec<_>>(), pcm);
    }

    #[test]
    fn annex_b_keeps_every_nal_unit(nals in vec((1_u8..24, vec(1_u8..255, 1..60), any::<bool>()), 1..40)) {
        let mut file = Vec::new();
        let mut slices = 0;
        for (kind, rest, long) in &nals {
            file.extend_from_slice(if *long { &[0, 0, 0, 1] } else { &[0, 0, 1] });
            file.push(*kind);
            // Of type P, first of its picture or not: B pictures are refused.
            let header = if rest[0] & 0x80 != 0 { 0xc0 } else { 0x50 };
            file.push(header | rest[0] & 0x0f);
            file.extend_from_slice(&rest[1..]);
            slices += usize::from((1..=5).contains(kind));
        }
        let units = all(AnnexBReader::new(&file[..], 25, 1).unwrap()).unwrap();
        let read: Vec<u8> = units.iter().flat_map(|unit| unit.data.to_vec()).collect();
        let kept = all(AnnexBReader::new(&read[..], 25, 1).unwrap()).unwrap();
        prop_assert_eq!(&units, &kept);
        prop_assert!(units.len() <= slices);
        prop_assert_eq!(units.is_empty(), slices == 0);
    }

}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..500), kind in 0_usize..4) {
        let start: &[&[u8]] = &[
            b"DKIF\0\0\x20\0VP80\x40\x01\xb4\0\x19\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0",
            b"OggS\0\x02",
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0",
            b"\0\0\0\x01",
        ];
        let file = Bytes::from([start[kind], &bytes].concat());
        let _ = IvfReader::new(&file[..]).and_then(all);
        let _ = OggOpusReader::new(&file[..]).and_then(all);
        let _ = WavReader::new(&file[..]).and_then(all);
        let _ = AnnexBReader::new(&file[..], 25, 1).and_then(all);
    }
}
