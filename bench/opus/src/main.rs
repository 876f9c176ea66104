//! Sound through the codec as the SDK sets it, at any complexity, with packets lost on the way:
//! `bench-opus COMPLEXITY BITS_PER_SECOND LOSS_PERCENT < IN > OUT`.
//!
//! Both are mono PCM of 16 bits at 48 kHz. On standard error: milliseconds for a frame, the bitrate, and by how
//! many samples what comes out is later. `run` judges what comes out.
#![allow(clippy::print_stderr)] // its output is its purpose

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ropus::{Application, Bitrate, Channels, DecodeMode, Decoder, Encoder, InbandFec, Signal};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const RATE: u32 = 48_000;
const FRAME: usize = 960;
/// Expected at least once anything is lost, as `src/media/audio/capture.rs` has it.
const LEAST_EXPECTED: u8 = 10;
const LONGEST_PACKET: usize = 1_275;

fn encoder(complexity: u8, bps: u32, loss: u8) -> Outcome<Encoder> {
    let mut encoder = Encoder::builder(RATE, Channels::Mono, Application::Voip)
        .bitrate(Bitrate::Bits(bps))
        .signal(Signal::Voice)
        .complexity(complexity)
        .dtx(true)
        .build()
        .map_err(|error| format!("{error:?}"))?;
    if loss > 0 {
        let set = encoder.set_inband_fec(InbandFec::Enabled);
        set.and_then(|()| encoder.set_packet_loss_perc(loss.max(LEAST_EXPECTED)))
            .map_err(|error| format!("{error:?}"))?;
    }
    Ok(encoder)
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
    let [complexity, bps, loss] = &arguments[..] else {
        return Err("usage: bench-opus COMPLEXITY BITS_PER_SECOND LOSS_PERCENT < IN > OUT".into());
    };
    let loss: u8 = loss.parse()?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let (samples, _) = bytes.as_chunks::<2>();
    let pcm: Vec<i16> = samples.iter().map(|sample| i16::from_le_bytes(*sample)).collect();

    let mut encoder = encoder(complexity.parse()?, bps.parse()?, loss)?;
    let (mut packets, mut packet) = (Vec::new(), [0; LONGEST_PACKET]);
    let begun = Instant::now();
    for frame in pcm.chunks_exact(FRAME) {
        let length = encoder.encode(frame, &mut packet).map_err(|error| format!("{error:?}"))?;
        packets.push(packet[..length].to_vec());
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
    eprintln!(
        "{{\"encodeMs\":{:.4},\"decodeMs\":{:.4},\"kbps\":{:.1},\"lookahead\":{}}}",
        each(encoding),
        each(decoding),
        bits / frames / 20.0,
        encoder.lookahead(),
    );
    Ok(())
}
