use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::packetise::MAX_PAYLOAD_BYTES;
use super::*;
use crate::media::traces::Arrival;

const CODECS: [VideoCodec; 4] =
    [VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::H264, VideoCodec::Av1];
/// 30 pictures a second.
const FRAME: Duration = Duration::from_micros(33_333);

/// A picture of about so many bytes: its headers are its codec's, the rest is noise without start codes.
fn picture(codec: VideoCodec, n: u64, size: usize, key: bool) -> AccessUnit {
    let noise: Vec<u8> = (0..size).map(|at| (at as u64 * 31 + n * 7) as u8 | 2).collect();
    let data = match codec {
        VideoCodec::Vp8 => [&[u8::from(!key), 0, 0, 0x9d][..], &noise].concat(),
        VideoCodec::Vp9 => [&[if key { 0x80 } else { 0x84 }][..], &noise].concat(),
        VideoCodec::H264 if key => {
            let sets = [0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80];
            [&sets[..], &[0, 0, 0, 1, 0x65], &noise].concat()
        }
        VideoCodec::H264 => [&[0, 0, 0, 1, 0x41][..], &noise].concat(),
        VideoCodec::Av1 => {
            let mut data = if key { vec![0x0a, 2, 0xaa, 0xbb] } else { Vec::new() };
            data.push(0x32);
            bits::put_leb128(&mut data, noise.len());
            [data, noise].concat()
        }
    };
    let unit = AccessUnit::new(codec, data.into(), n * 33_333);
    assert_eq!(unit.key_frame, key);
    unit
}

/// The packets of pictures, every twelfth a key frame, numbered from `first`.
fn packets(codec: VideoCodec, count: u64, size: usize, first: u16) -> Vec<RtpVideoPacket> {
    let mut packetiser = Packetiser::default();
    let mut packets = Vec::new();
    let mut sequence = first;
    for n in 0..count {
        let unit = picture(codec, n, size, n % 12 == 0);
        let payloads = packetiser.packetise(&unit).unwrap();
        let last = payloads.len() - 1;
        for (at, payload) in payloads.into_iter().enumerate() {
            packets.push(RtpVideoPacket {
                codec,
                sequence,
                timestamp: 0xffff_f000_u32.wrapping_add(n as u32 * 3_000),
                marker: at == last,
                payload,
                rotation: (n == 5).then_some(Rotation::Quarter),
            });
            sequence = sequence.wrapping_add(1);
        }
    }
    packets
}

#[derive(Default)]
struct Heard {
    frames: Vec<AccessUnit>,
    asked: Vec<Duration>,
    frozen: Vec<Duration>,
}

fn drain(buffer: &mut VideoJitterBuffer, now: Duration, heard: &mut Heard) {
    while let Some(output) = buffer.poll_output() {
        match output {
            Output::Frame(unit, _) => heard.frames.push(unit),
            Output::KeyFrameWanted => heard.asked.push(now),
            Output::Frozen => heard.frozen.push(now),
            Output::Resumed => {}
        }
    }
}

/// Runs packets with their times of arrival, and every deadline in between.
fn run(buffer: &mut VideoJitterBuffer, arrivals: Vec<(Duration, RtpVideoPacket)>) -> Heard {
    let mut heard = Heard::default();
    for (at, packet) in arrivals {
        while let Some(due) = buffer.next_deadline().filter(|due| *due <= at) {
            buffer.timeout(due);
            drain(buffer, due, &mut heard);
            assert!(buffer.next_deadline() != Some(due), "a deadline that does not pass");
        }
        buffer.packet(at, packet);
        drain(buffer, at, &mut heard);
    }
    heard
}

fn on_time(packets: Vec<RtpVideoPacket>) -> Vec<(Duration, RtpVideoPacket)> {
    let first = packets[0].timestamp;
    let at = |packet: &RtpVideoPacket| FRAME * (packet.timestamp.wrapping_sub(first) / 3_000);
    packets.into_iter().map(|packet| (at(&packet), packet)).collect()
}

/// What a remote gets of a picture: H.264 without delimiters, everything else as it was.
#[test]
fn every_codec_comes_out_as_it_went_in_across_the_wraps() {
    for codec in CODECS {
        let mut buffer = VideoJitterBuffer::new();
        let heard = run(&mut buffer, on_time(packets(codec, 40, 4_000, 65_500)));
        assert_eq!(heard.frames.len(), 40, "{codec:?}");
        for (n, frame) in heard.frames.iter().enumerate() {
            let sent = picture(codec, n as u64, 4_000, n % 12 == 0);
            assert_eq!(frame.data, sent.data, "{codec:?} {n}");
            assert_eq!(frame.key_frame, sent.key_frame);
            assert!(frame.timestamp_us.abs_diff(n as u64 * 33_333) < 100);
            let rotation = if n < 5 { Rotation::None } else { Rotation::Quarter };
            assert_eq!(frame.rotation, rotation);
        }
        assert_eq!((buffer.waiting_bytes(), heard.asked.len()), (0, 0));
    }
}

#[test]
fn disorder_duplicates_and_probes_cost_nothing() {
    for codec in CODECS {
        let mut arrivals = Vec::new();
        let mut probes = 0_u16;
        for (at, mut packet) in on_time(packets(codec, 30, 3_000, 100)) {
            packet.sequence += probes;
            let probe = packet.marker && packet.timestamp % 4 == 0;
            arrivals.push((at, packet.clone()));
            if probe {
                probes += 1;
                let sequence = packet.sequence + 1;
                let padding =
                    RtpVideoPacket { sequence, payload: Bytes::new(), marker: false, ..packet };
                arrivals.push((at, padding));
            }
        }
        for pair in arrivals[1..].chunks_exact_mut(2) {
            let times = (pair[0].0, pair[1].0);
            pair.swap(0, 1);
            (pair[0].0, pair[1].0) = times;
        }
        let again = arrivals.clone();
        let doubled = arrivals.into_iter().zip(again).flat_map(|(a, b)| [a, b]).collect();
        let mut buffer = VideoJitterBuffer::new();
        let heard = run(&mut buffer, doubled);
        assert_eq!(heard.frames.len(), 30, "{codec:?}");
        assert!(probes > 5);
        let stats = buffer.stats();
        assert_eq!((stats.lost, stats.malformed), (0, 0));
        assert!(
            heard.asked.len() <= 1,
            "the first packet may be no key frame's: {:?}",
            heard.asked
        );
    }
}

#[test]
fn a_late_joiner_asks_and_begins_with_a_key_frame() {
    for codec in CODECS {
        let arrivals: Vec<_> = on_time(packets(codec, 30, 2_500, 7)).split_off(20);
        let begun = arrivals[0].0;
        let mut buffer = VideoJitterBuffer::new();
        let heard = run(&mut buffer, arrivals);
        assert_eq!(heard.asked[0], begun, "at once");
        assert!(heard.asked.windows(2).all(|two| two[1] - two[0] >= Duration::from_millis(500)));
        assert!(heard.frames[0].key_frame, "{codec:?}");
        assert_eq!(heard.frames[0].data, picture(codec, 12, 2_500, true).data);
    }
}

#[test]
fn a_retransmission_closes_a_gap_and_its_absence_waits_for_a_key_frame() {
    for codec in CODECS {
        let mut arrivals = on_time(packets(codec, 60, 3_000, 9));
        let lost = arrivals.iter().position(|(at, _)| *at >= FRAME * 4).unwrap() + 1;
        let (at, packet) = arrivals.remove(lost);
        let mut back = arrivals.clone();
        let again = at + Duration::from_millis(140);
        let place = back.partition_point(|(at, _)| *at <= again);
        back.insert(place, (again, packet));
        let mut buffer = VideoJitterBuffer::new();
        let heard = run(&mut buffer, back);
        assert_eq!((heard.frames.len(), heard.asked.len()), (60, 0), "{codec:?}");

        let mut buffer = VideoJitterBuffer::new();
        let heard = run(&mut buffer, arrivals);
        let after = &heard.frames[4];
        assert!(after.key_frame, "nothing without a gap but from a key frame on");
        assert_eq!(after.data, picture(codec, 12, 3_000, true).data);
        assert_eq!(buffer.stats().lost, 1);
    }
}

#[test]
fn frozen_video_is_told_within_a_second_and_a_dead_gap_asks() {
    let mut buffer = VideoJitterBuffer::new();
    let mut arrivals = on_time(packets(VideoCodec::Vp8, 90, 3_000, 9));
    // The second picture's beginning is lost, and no key frame comes.
    arrivals.retain(|(at, packet)| !(*at == FRAME && packet.payload[0] & 0x10 != 0));
    arrivals.retain(|(at, packet)| {
        !is_key_frame_start(packet.codec, &packet.payload, true) || at.is_zero()
    });
    let heard = run(&mut buffer, arrivals);
    assert_eq!(heard.frames.len(), 1);
    assert_eq!(heard.frozen, [Duration::from_secs(1)]);
    assert_eq!(buffer.stats().freezes, 1);
    assert_eq!(heard.asked[0], FRAME + Duration::from_millis(600), "the gap's limit");
    assert!(heard.asked.len() >= 3);
    assert!(buffer.waiting_bytes() < 300 * MAX_PAYLOAD_BYTES, "{}", buffer.waiting_bytes());
}

#[test]
fn a_sender_that_begins_anew_is_followed() {
    let mut buffer = VideoJitterBuffer::new();
    let mut all = packets(VideoCodec::H264, 24, 2_000, 100);
    for packet in &mut all[36..] {
        packet.sequence = packet.sequence.wrapping_add(30_000);
    }
    let heard = run(&mut buffer, on_time(all));
    assert!(heard.frames.iter().filter(|frame| frame.key_frame).count() == 2);
}

#[test]
fn avcc_and_annex_b_are_one_bitstream() {
    let nals: [&[u8]; 3] = [&[0x67, 0x42, 0xe0], &[0x68, 0xce], &[0x65; 300]];
    let mut annex_b = Vec::new();
    let mut avcc = Vec::new();
    for nal in nals {
        annex_b.extend([&[0, 0, 0, 1], nal].concat());
        avcc.extend([&(nal.len() as u32).to_be_bytes(), nal].concat());
    }
    assert_eq!(h264::nal_units(&annex_b).collect::<Vec<_>>(), nals);
    assert_eq!(h264::nal_units(&avcc).collect::<Vec<_>>(), nals);
    // 300 is 0x12c: the length looks like a start code.
    let only = [&300_u32.to_be_bytes()[..], &[0x65; 300]].concat();
    assert_eq!(h264::nal_units(&only).collect::<Vec<_>>(), [&[0x65_u8; 300][..]]);
    let short = [0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0];
    assert_eq!(h264::nal_units(&short).collect::<Vec<_>>(), [&[0x67_u8, 1][..], &[0x68, 2]]);
}

#[test]
fn what_is_no_picture_is_refused() {
    let mut packetiser = Packetiser::default();
    let mut refused = |codec, data: &[u8]| {
        let unit = AccessUnit::new(codec, Bytes::copy_from_slice(data), 0);
        packetiser.packetise(&unit).unwrap_err().code()
    };
    assert_eq!(refused(VideoCodec::Vp8, &[]), "access_unit_empty");
    assert_eq!(refused(VideoCodec::Vp8, &vec![1; 5 << 20]), "access_unit_too_large");
    assert_eq!(refused(VideoCodec::H264, &[1, 2, 3]), "access_unit_malformed");
    assert_eq!(refused(VideoCodec::Av1, &[0x0a, 200, 1]), "access_unit_malformed");
}

/// `tests/traces` says what these calls are. All their descriptors have four bytes.
#[test]
fn pictures_of_recorded_calls_come_whole_and_in_order() {
    // Nothing is lost in the first one; of the other, 3 % is, and key frames come every two seconds.
    for (name, least_percent) in [("chromium-video.txt", 100), ("lab-video.txt", 95)] {
        let trace = crate::media::traces::arrivals(name);
        let first = trace[0].timestamp;
        let mut sizes = BTreeMap::<u32, BTreeMap<u16, usize>>::new();
        for packet in &trace {
            let packets = sizes.entry(packet.timestamp.wrapping_sub(first)).or_default();
            packets.insert(packet.sequence, packet.payload.len() - 4);
        }
        let sent: Vec<(u64, usize)> = sizes
            .into_iter()
            .map(|(ticks, packets)| (u64::from(ticks) * 100 / 9, packets.into_values().sum()))
            .collect();
        let packet = |it: Arrival| {
            let Arrival { at, sequence, timestamp, marker, payload } = it;
            let (codec, rotation) = (VideoCodec::Vp8, None);
            (at, RtpVideoPacket { codec, sequence, timestamp, marker, payload, rotation })
        };
        let mut buffer = VideoJitterBuffer::new();
        let heard = run(&mut buffer, trace.into_iter().map(packet).collect());
        let mut last = None;
        for frame in &heard.frames {
            let n = sent.iter().position(|sent| *sent == (frame.timestamp_us, frame.data.len()));
            assert!(n.is_some(), "{name}: a torn frame at {}", frame.timestamp_us);
            let follows = last.is_some_and(|last: usize| Some(last + 1) == n);
            assert!(follows || (frame.key_frame && last < n), "{name}: {last:?} {n:?}");
            last = n;
        }
        let stats = buffer.stats();
        let came = heard.frames.len();
        assert!(came > 200 && came * 100 >= sent.len() * least_percent, "{name}: {stats:?}");
        assert_eq!((heard.asked.len(), heard.frozen.len(), stats.malformed), (0, 0, 0), "{name}");
        assert!(least_percent < 100 || stats.lost == 0, "{name}: {stats:?}");
        assert_eq!(buffer.waiting_bytes(), 0, "{name}");
    }
}

fn codecs() -> impl Strategy<Value = VideoCodec> {
    prop::sample::select(CODECS.to_vec())
}

proptest! {
    #[test]
    fn any_size_is_cut_and_put_together(codec in codecs(), size in 8_usize..20_000, key: bool) {
        let unit = picture(codec, 3, size, key);
        let payloads = Packetiser::default().packetise(&unit).unwrap();
        prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
        prop_assert!(starts_frame(codec, &payloads[0]));
        prop_assert_eq!(is_key_frame_start(codec, &payloads[0], true), key);
        prop_assert_eq!(reassemble(codec, payloads.iter()).unwrap(), unit.data);
    }

    /// Lengths from 256 to 511 among them, which look like start codes.
    #[test]
    fn avcc_of_any_size_comes_out_as_annex_b(
        sizes in prop::collection::vec(prop_oneof![2_usize..600, 600_usize..4_000], 1..6),
        delimiter: bool,
        key: bool,
    ) {
        // High, 640 wide.
        let sps = [0x67, 0x64, 0x0, 0x1e, 0xac, 0xb4, 0x5, 0x1, 0x7c, 0x80];
        let mut nals = if key { vec![sps.to_vec(), vec![0x68, 0xce, 0x3c, 0x80]] } else { Vec::new() };
        let head = if key { 0x65 } else { 0x41 };
        nals.extend(sizes.iter().map(|size| [&[head][..], &vec![0x83; size - 1]].concat()));
        let lengths = nals.iter().map(|nal| [&(nal.len() as u32).to_be_bytes(), &nal[..]].concat());
        let lengths = lengths.collect::<Vec<_>>().concat();
        let delimited = if delimiter { vec![0, 0, 0, 2, 0x09, 0xf0] } else { Vec::new() };
        let avcc = AccessUnit::new(VideoCodec::H264, [delimited, lengths].concat().into(), 0);
        let codes = nals.iter().map(|nal| [&[0, 0, 0, 1], &nal[..]].concat());
        let annex_b = codes.collect::<Vec<_>>().concat();

        let payloads = Packetiser::default().packetise(&avcc).unwrap();
        prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
        let remote = reassemble(VideoCodec::H264, payloads.iter()).unwrap();
        prop_assert_eq!(&remote[..], &annex_b[..]);
        let remote = AccessUnit::new(VideoCodec::H264, remote, 0);
        prop_assert_eq!([avcc.key_frame, remote.key_frame], [key; 2]);
        prop_assert_eq!(avcc.size(), remote.size());
        prop_assert_eq!(avcc.size().is_some_and(|size| size.0 == 640), key);
        prop_assert_eq!(h264_profile(&avcc), h264_profile(&remote));
        prop_assert_eq!(h264_profile(&avcc).is_some(), key);
    }

    #[test]
    fn several_nal_units_of_any_size_stay_apart(sizes in prop::collection::vec(2_usize..3_000, 1..12)) {
        let nals = sizes.iter().map(|size| [&[0, 0, 0, 1, 0x41][..], &vec![3; size - 1]].concat());
        let data: Bytes = nals.collect::<Vec<_>>().concat().into();
        let payloads = h264::packetise(&data, MAX_PAYLOAD_BYTES);
        prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
        prop_assert_eq!(reassemble(VideoCodec::H264, payloads.iter()).unwrap(), data);
    }

    #[test]
    fn several_obus_of_any_size_stay_apart(sizes in prop::collection::vec(1_usize..3_000, 1..12)) {
        let mut data = Vec::new();
        for size in &sizes {
            data.push(0x32);
            bits::put_leb128(&mut data, *size);
            data.extend(vec![5; *size]);
        }
        let payloads = av1::packetise(&data, false, MAX_PAYLOAD_BYTES).unwrap();
        prop_assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
        prop_assert_eq!(reassemble(VideoCodec::Av1, payloads.iter()).unwrap(), data);
    }

    #[test]
    fn whatever_is_lost_or_late_no_frame_is_torn(
        codec in codecs(),
        fates in prop::collection::vec((0_u8..20, 0_u64..60), 600),
    ) {
        let sent = packets(codec, 150, 2_200, 65_000);
        let pictures: Vec<_> =
            (0..150).map(|n| picture(codec, n, 2_200, n % 12 == 0).data).collect();
        let mut arrivals: Vec<_> = on_time(sent)
            .into_iter()
            .zip(fates)
            .filter(|(_, (fate, _))| *fate != 0)
            .map(|((at, packet), (_, delay))| (at + Duration::from_millis(delay), packet))
            .collect();
        arrivals.sort_by_key(|(at, _)| *at);
        let mut buffer = VideoJitterBuffer::new();
        let heard = run(&mut buffer, arrivals);
        let mut last = None;
        for frame in &heard.frames {
            let n = pictures.iter().position(|data| *data == frame.data);
            prop_assert!(n.is_some(), "a torn frame");
            let follows = last.is_some_and(|last: usize| Some(last + 1) == n);
            prop_assert!(follows || (frame.key_frame && last < n), "{last:?} {n:?}");
            last = n;
        }
    }

    #[test]
    fn nonsense_is_no_frame_and_holds_no_memory(
        codec in codecs(),
        payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), any::<u16>(), any::<bool>()), 0..300),
    ) {
        let mut buffer = VideoJitterBuffer::new();
        let mut now = Duration::ZERO;
        for (payload, sequence, marker) in payloads {
            now += Duration::from_millis(5);
            let payload = Bytes::from(payload);
            let timestamp = u32::from(sequence) * 77;
            buffer.packet(now, RtpVideoPacket { codec, sequence, timestamp, marker, payload, rotation: None });
            buffer.timeout(now);
            while buffer.poll_output().is_some() {}
        }
        prop_assert!(buffer.waiting_bytes() <= 40 * 300);
    }

    #[test]
    fn nonsense_is_packetised_or_refused(codec in codecs(), data in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let unit = AccessUnit::new(codec, data.into(), 0);
        drop(Packetiser::default().packetise(&unit));
    }
}
