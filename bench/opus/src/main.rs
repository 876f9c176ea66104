//! Sound through the codec, with packets lost on the way:
//! `bench-opus CODER BITS_PER_SECOND LOSS_PERCENT [unexpected] < IN > OUT`.
//!
//! The coder is `sdk`, as apps get it; or `voice` or `music` and a complexity, such as `voice5`: what the codec does
//! by itself when it is told so. A loss is expected, so that packets hold copies, unless it is said that it is not.
//! Both ends are mono PCM of 16 bits at 48 kHz. On standard error: milliseconds for a frame, the bitrate, the share
//! of packets that code the spectrum (CELT), and by how many samples what comes out is later. `run` judges what
//! comes out.
#![allow(clippy::print_stderr)] // its output is its purpose

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat};
use ropus::{Application, Bitrate, Channels, DecodeMode, Decoder, Encoder, InbandFec, Signal};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const RATE: u32 = 48_000;
const FRAME: usize = 960;
/// Expected at least once anything is lost, as `src/media/audio/capture.rs` has it.
const LEAST_EXPECTED: u8 = 10;
const LONGEST_PACKET: usize = 1_275;

type Encode = Box<dyn FnMut(&[i16]) -> Outcome<Vec<u8>>>;

/// An encoder, and by how many samples what it encodes is later.
fn encoder(coder: &str, bps: u32, expected: u8) -> Outcome<(Encode, u32)> {
    if coder == "sdk" {
        let options = OpusOptions { bitrate_bps: bps, ..OpusOptions::default() };
        let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, options)?;
        encoder.set_expected_loss(expected)?;
        let lookahead = encoder.lookahead();
        let encode = move |frame: &[i16]| {
            let packets = encoder.push_i16(frame)?;
            Ok(packets.first().ok_or("a frame is a packet")?.to_vec())
        };
        return Ok((Box::new(encode), lookahead));
    }
    let (kind, complexity) = coder.split_at(coder.len().min(5));
    let (application, signal) = match kind {
        "voice" => (Application::Voip, Signal::Voice),
        "music" => (Application::Audio, Signal::Music),
        _ => return Err(format!("no coder is named {coder}").into()),
    };
    let mut encoder = Encoder::builder(RATE, Channels::Mono, application)
        .bitrate(Bitrate::Bits(bps))
        .signal(signal)
        .complexity(complexity.parse()?)
        .dtx(true)
        .build()
        .map_err(|error| format!("{error:?}"))?;
    if expected > 0 {
        let set = encoder.set_inband_fec(InbandFec::Enabled);
        set.and_then(|()| encoder.set_packet_loss_perc(expected))
            .map_err(|error| format!("{error:?}"))?;
    }
    let lookahead = encoder.lookahead();
    let mut packet = [0; LONGEST_PACKET];
    let encode = move |frame: &[i16]| {
        let length = encoder.encode(frame, &mut packet).map_err(|error| format!("{error:?}"))?;
        Ok(packet[..length].to_vec())
    };
    Ok((Box::new(encode), lookahead))
}

/// Which packets are lost: the same ones for each setting. The first is not.
fn losses(packets: usize, percent: u8) -> Vec<bool> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let lost = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        n > 0 && state >> 32 < (u64::from(percent) << 32) / 100
    };
    (0..packets).map(lost).collect()
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [coder, bps, loss, rest @ ..] = &arguments[..] else {
        return Err(
            "usage: bench-opus CODER BITS_PER_SECOND LOSS_PERCENT [unexpected] < IN > OUT".into()
        );
    };
    let loss: u8 = loss.parse()?;
    let expected = if loss > 0 && rest.is_empty() { loss.max(LEAST_EXPECTED) } else { 0 };
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let (samples, _) = bytes.as_chunks::<2>();
    let pcm: Vec<i16> = samples.iter().map(|sample| i16::from_le_bytes(*sample)).collect();

    let (mut encode, lookahead) = encoder(coder, bps.parse()?, expected)?;
    let mut packets = Vec::new();
    let begun = Instant::now();
    for frame in pcm.chunks_exact(FRAME) {
        packets.push(encode(frame)?);
    }
    let encoding = begun.elapsed();

    let mut decoder = Decoder::new(RATE, Channels::Mono).map_err(|error| format!("{error:?}"))?;
    let (mut frame, mut heard) = ([0_i16; FRAME], Vec::new());
    let lost = losses(packets.len(), loss);
    let begun = Instant::now();
    for (n, packet) in packets.iter().enumerate() {
        // A lost one is made up from the copy that the next one holds, if that came.
        let next = packets.get(n + 1).filter(|_| !lost[n + 1]);
        let (packet, mode) = match (lost[n], next) {
            (false, _) => (&packet[..], DecodeMode::Normal),
            (true, Some(next)) => (&next[..], DecodeMode::Fec),
            (true, None) => (&[][..], DecodeMode::Normal),
        };
        decoder.decode(packet, &mut frame, mode).map_err(|error| format!("{error:?}"))?;
        heard.extend(frame.iter().flat_map(|sample| sample.to_le_bytes()));
    }
    let decoding = begun.elapsed();
    std::io::stdout().write_all(&heard)?;

    let frames = packets.len().max(1) as f64;
    let bits = packets.iter().map(Vec::len).sum::<usize>() as f64 * 8.0;
    let each = |time: Duration| time.as_secs_f64() * 1e3 / frames;
    // The upper half of a table of contents' configurations (RFC 6716 section 3.1).
    let spectrum = packets.iter().filter(|packet| packet.first() >= Some(&0x80)).count() as f64;
    eprintln!(
        "{{\"encodeMs\":{:.4},\"decodeMs\":{:.4},\"kbps\":{:.1},\"spectrum\":{:.2},\"lookahead\":{}}}",
        each(encoding),
        each(decoding),
        bits / frames / 20.0,
        spectrum / frames,
        lookahead,
    );
    Ok(())
}
