//! The codec crate, as the encoder and the decoder beside it use it. It is named here and nowhere else;
//! `no_codec.rs` has the same interface.

use super::super::error::AudioError;
use super::super::pcm::PcmFormat;
use super::{OpusApplication, OpusOptions};

/// How hard the encoder works, of 10: as libwebrtc has it on phones (9 elsewhere). Less is heard (docs/media.md).
const COMPLEXITY: u8 = 5;

pub(super) struct Encoder(ropus::Encoder);

impl Encoder {
    /// `rate` is one of Opus' own; the bitrate was checked.
    pub(super) fn new(
        rate: u32,
        format: PcmFormat,
        options: OpusOptions,
    ) -> Result<Self, AudioError> {
        let (application, signal) = match options.application {
            OpusApplication::Voice => (ropus::Application::Voip, ropus::Signal::Voice),
            OpusApplication::Music => (ropus::Application::Audio, ropus::Signal::Music),
        };
        ropus::Encoder::builder(rate, channels(format), application)
            .bitrate(ropus::Bitrate::Bits(options.bitrate_bps))
            .signal(signal)
            .complexity(COMPLEXITY)
            .dtx(options.dtx)
            .build()
            .map(Self)
            .map_err(failed("making the encoder"))
    }

    pub(super) fn set_bitrate(&mut self, bps: u32) -> Result<(), AudioError> {
        self.0.set_bitrate(ropus::Bitrate::Bits(bps)).map_err(failed("setting the bitrate"))
    }

    pub(super) fn set_expected_loss(&mut self, percent: u8) -> Result<(), AudioError> {
        let fec = if percent > 0 { ropus::InbandFec::Enabled } else { ropus::InbandFec::Disabled };
        self.0
            .set_inband_fec(fec)
            .and_then(|()| self.0.set_packet_loss_perc(percent.min(100)))
            .map_err(failed("setting the expected loss"))
    }

    pub(super) fn set_dtx(&mut self, dtx: bool) -> Result<(), AudioError> {
        self.0.set_dtx(dtx).map_err(failed("setting DTX"))
    }

    /// Whether a voice is coded by its spectrum (CELT) or by a model of it (SILK).
    pub(super) fn set_spectrum(&mut self, spectrum: bool) -> Result<(), AudioError> {
        let signal = if spectrum { ropus::Signal::Music } else { ropus::Signal::Voice };
        self.0.set_signal(signal).map_err(failed("choosing the coder"))
    }

    pub(super) fn lookahead(&self) -> u32 {
        self.0.lookahead()
    }

    /// A frame into a packet; its length.
    pub(super) fn encode(&mut self, frame: &[i16], packet: &mut [u8]) -> Result<usize, AudioError> {
        self.0.encode(frame, packet).map_err(failed("encoding"))
    }
}

pub(super) struct Decoder(ropus::Decoder);

impl Decoder {
    pub(super) fn new(rate: u32, format: PcmFormat) -> Result<Self, AudioError> {
        ropus::Decoder::new(rate, channels(format)).map(Self).map_err(failed("making the decoder"))
    }

    /// A packet's sound, or where it is empty what conceals a missing one; the moments that were filled.
    pub(super) fn decode(&mut self, packet: &[u8], pcm: &mut [i16]) -> Result<usize, AudioError> {
        self.run(packet, pcm, ropus::DecodeMode::Normal)
    }

    /// The sound of the packet before this one.
    pub(super) fn decode_fec(
        &mut self,
        packet: &[u8],
        pcm: &mut [i16],
    ) -> Result<usize, AudioError> {
        self.run(packet, pcm, ropus::DecodeMode::Fec)
    }

    fn run(
        &mut self,
        packet: &[u8],
        pcm: &mut [i16],
        mode: ropus::DecodeMode,
    ) -> Result<usize, AudioError> {
        self.0.decode(packet, pcm, mode).map_err(|_| match packet {
            [] => AudioError::Codec { what: "concealing" },
            _ => AudioError::Packet,
        })
    }
}

fn failed<E>(what: &'static str) -> impl FnOnce(E) -> AudioError {
    move |_| AudioError::Codec { what }
}

const fn channels(format: PcmFormat) -> ropus::Channels {
    if format.channels() == 1 { ropus::Channels::Mono } else { ropus::Channels::Stereo }
}
