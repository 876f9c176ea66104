//! All remotes of a call as one sound.

use std::sync::Arc;

use super::error::SdkError;
use super::pcm::{chunk, format, to_f32_bytes, to_i16_bytes};
use super::raw_bytes::RawBytes;
use super::remote_track::RemoteAudioTrack;
use crate::media::audio::Level;
use crate::media::{self, MixInput};

/// Mixes tracks for one loudspeaker, each with a gain of its own. The thread that plays pulls, others add
/// tracks and turn the gains.
#[derive(uniffi::Object)]
pub struct AudioMix {
    core: media::AudioMix,
}

impl AudioMix {
    fn filled(&self, samples: u32) -> Result<Vec<f32>, SdkError> {
        let mut pcm = chunk(self.core.format(), samples)?;
        self.core.pull(&mut pcm);
        Ok(pcm)
    }
}

#[uniffi::export]
impl AudioMix {
    /// A mix that gives PCM of 8,000 to 48,000 Hz in one or two channels.
    #[uniffi::constructor]
    pub fn new(sample_rate_hz: u32, channels: u8) -> Result<Arc<Self>, SdkError> {
        let core = media::AudioMix::new(format(sample_rate_hz, channels)?);
        Ok(Arc::new(Self { core }))
    }

    /// Adds a track, at gain 1.0; the number is what `remove` and `set_gain` call it. It leaves the mix by
    /// itself when it ends.
    pub fn add(&self, track: Arc<RemoteAudioTrack>) -> Result<u64, SdkError> {
        let MixInput(input) = self.core.add(&track.core)?;
        Ok(input)
    }

    /// Takes a track out.
    pub fn remove(&self, input: u64) -> Result<(), SdkError> {
        self.core.remove(MixInput(input));
        Ok(())
    }

    /// How loud a track is: 0.0 is silent, 1.0 unchanged, 4.0 the most. It moves there within 10 ms, so that
    /// nothing clicks.
    pub fn set_gain(&self, input: u64, gain: f32) -> Result<(), SdkError> {
        self.core.set_gain(MixInput(input), gain);
        Ok(())
    }

    /// So many samples of interleaved PCM, all channels counted, whose first moment is heard now: 16 bits
    /// each in little-endian order. Never waits. Up to one second.
    pub fn pull_i16(&self, samples: u32) -> Result<RawBytes, SdkError> {
        Ok(to_i16_bytes(&self.filled(samples)?))
    }

    /// As `pull_i16`, with samples from -1.0 to 1.0 of 32 bits each.
    pub fn pull_f32(&self, samples: u32) -> Result<RawBytes, SdkError> {
        Ok(to_f32_bytes(&self.filled(samples)?))
    }

    /// How many tracks are in it.
    pub fn inputs(&self) -> Result<u64, SdkError> {
        Ok(self.core.inputs() as u64)
    }

    /// How loud it was since the last call.
    pub fn level(&self) -> Result<Level, SdkError> {
        Ok(self.core.level())
    }
}
