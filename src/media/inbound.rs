//! Tracks that come from a remote: each is a handle, and a task that owns its receiver.

use std::pin::Pin;
use std::sync::Arc;

use super::remote_audio::RemoteAudioTrack;
use super::remote_video::RemoteVideoTrack;
use super::sounds::Sounds;
use crate::rtc::engine::{MediaKind, TrackReceiver};

/// The task of a track: ends with its receiver.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A track and its task.
pub(crate) enum Inbound {
    Video(RemoteVideoTrack, Work),
    Audio(RemoteAudioTrack, Work),
}

/// Makes the track of a receiver, one of a remote's, whose sounds are known.
pub(crate) fn receive(receiver: Arc<dyn TrackReceiver>, sounds: &Sounds) -> Inbound {
    #[cfg(test)]
    let receiver = super::traces::recorded(receiver);
    match receiver.info().kind {
        MediaKind::Video => {
            let track = RemoteVideoTrack::new();
            let work = track.read(receiver, sounds.clone());
            Inbound::Video(track, Box::pin(work))
        }
        MediaKind::Audio => {
            let track = RemoteAudioTrack::new(sounds.epoch());
            sounds.add(&receiver.info().stream_ids, &track);
            let work = track.read(receiver);
            Inbound::Audio(track, Box::pin(work))
        }
    }
}
