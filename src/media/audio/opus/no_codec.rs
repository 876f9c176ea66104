//! In place of `codec.rs` where the feature `opus` is off. Nobody can make one of these, so the compiler leaves
//! out whatever would work with it.

use super::super::error::AudioError;
use super::super::pcm::PcmFormat;
use super::OpusOptions;

pub(super) enum Encoder {}

impl Encoder {
    pub(super) const fn new(_: u32, _: PcmFormat, _: OpusOptions) -> Result<Self, AudioError> {
        Err(AudioError::NotBuilt)
    }

    pub(super) const fn set_bitrate(&mut self, _: u32) -> Result<(), AudioError> {
        match *self {}
    }

    pub(super) const fn set_expected_loss(&mut self, _: u8) -> Result<(), AudioError> {
        match *self {}
    }

    pub(super) const fn set_dtx(&mut self, _: bool) -> Result<(), AudioError> {
        match *self {}
    }

    pub(super) const fn set_spectrum(&mut self, _: bool) -> Result<(), AudioError> {
        match *self {}
    }

    pub(super) const fn lookahead(&self) -> u32 {
        match *self {}
    }

    pub(super) const fn encode(&mut self, _: &[i16], _: &mut [u8]) -> Result<usize, AudioError> {
        match *self {}
    }
}

pub(super) enum Decoder {}

impl Decoder {
    pub(super) const fn new(_: u32, _: PcmFormat) -> Result<Self, AudioError> {
        Err(AudioError::NotBuilt)
    }

    pub(super) const fn decode(&mut self, _: &[u8], _: &mut [i16]) -> Result<usize, AudioError> {
        match *self {}
    }

    pub(super) const fn decode_fec(
        &mut self,
        _: &[u8],
        _: &mut [i16],
    ) -> Result<usize, AudioError> {
        match *self {}
    }
}
