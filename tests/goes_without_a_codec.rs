//! The library without the feature `opus`: ready packets go both ways, and whatever would need the codec says so.
#![cfg(not(feature = "opus"))]
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use std::time::Duration;

use metered_realtime::media::audio::{
    AudioError, OpusDecoder, OpusEncoder, OpusOptions, OpusPacketInfo, PcmFormat,
};
use metered_realtime::media::{AudioMix, LocalAudioTrack, PacketEvent, WriteError};
use metered_realtime::peer::RemoteEvent;
use room::*;
use support::{server, within};

const MONO: PcmFormat = PcmFormat::OPUS_MONO;

#[tokio::test]
async fn packets_of_another_codec_go_both_ways() {
    let server = server().await;
    let (mut alice, mut bob) =
        (Member::joined(&server, "alice").await, Member::joined(&server, "bob").await);
    let mut speakers = Vec::new();
    for member in [&alice, &bob] {
        let track = LocalAudioTrack::default();
        member.peer.add_track(&track, None, None).unwrap();
        speakers.push(tokio::spawn(async move {
            for n in 0_u64.. {
                track.write(vec![0x78, n as u8, 1].into(), n * 20_000, n == 0).unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }));
    }
    for member in [&mut alice, &mut bob] {
        let mut events = member.other().await.events();
        let track = until_remote(&mut events, |event| match event {
            RemoteEvent::Track(track) => Some(track.clone()),
            _ => None,
        });
        let track = track.await;
        let sound = track.audio().unwrap();
        let mut packets = sound.packets();
        let Some(PacketEvent::Packet(packet)) = within(packets.next()).await else { panic!() };
        assert_eq!((packet.payload[0], packet.payload[2]), (0x78, 1));
        assert_eq!(OpusPacketInfo::of(&packet.payload).unwrap().samples, 960);
        assert_eq!(sound.playout(MONO).unwrap_err(), AudioError::NotBuilt);
        assert_eq!(AudioMix::new(MONO).add(sound).unwrap_err(), AudioError::NotBuilt);
        assert!(sound.stats().packets_received > 0);
    }
    speakers.iter().for_each(tokio::task::JoinHandle::abort);
    alice.peer.close().await;
    bob.peer.close().await;
    server.shutdown().await;
}

#[test]
fn pcm_is_refused_and_what_is_wrong_with_it_is_still_said_first() {
    let track = LocalAudioTrack::default();
    let refused = track.write_pcm(MONO, &[0.1; 960]).unwrap_err();
    assert_eq!(
        (&refused, refused.code()),
        (&WriteError::Audio(AudioError::NotBuilt), "opus_not_built")
    );
    assert!(refused.diagnosis().fix.contains("feature `opus`"));
    let uneven = track.write_pcm(PcmFormat::OPUS_STEREO, &[0.1; 3]).unwrap_err();
    assert_eq!(uneven.code(), "audio_chunk_uneven");
    let options = OpusOptions { bitrate_bps: 1, ..OpusOptions::default() };
    assert_eq!(track.set_encoding(options).unwrap_err().code(), "audio_bitrate");
    assert_eq!(track.set_encoding(OpusOptions::default()).unwrap_err().code(), "opus_not_built");
    track.set_muted(true); // there is no sound to fade out
    assert_eq!(track.write_pcm(MONO, &[0.1; 960]).unwrap_err().code(), "opus_not_built");
    assert_eq!(track.write_pcm_i16(MONO, &[1; 960]).unwrap_err().code(), "opus_not_built");
    let uneven = track.write_pcm(PcmFormat::OPUS_STEREO, &[0.1; 3]).unwrap_err();
    assert_eq!(uneven.code(), "audio_chunk_uneven");
    track.set_muted(false);
    assert_eq!(OpusEncoder::new(MONO, OpusOptions::default()).unwrap_err(), AudioError::NotBuilt);
    assert_eq!(OpusDecoder::new(MONO).unwrap_err(), AudioError::NotBuilt);
}

#[cfg(feature = "ffi")]
#[test]
fn other_languages_get_the_same_answer() {
    use metered_realtime::ffi::{LocalAudioTrack, RawBytes, SdkError};
    let track = LocalAudioTrack::new(None).unwrap();
    let refused = track.write_pcm_i16(48_000, 1, RawBytes(vec![0; 1_920].into())).unwrap_err();
    let SdkError::InvalidStateError { details, .. } = refused else { panic!("{refused}") };
    assert_eq!(details.code, "opus_not_built");
    assert!(!details.cause.is_empty() && !details.fix.is_empty());
    track.write_opus(RawBytes(vec![0x78, 1, 2].into()), 0, true).unwrap();
}
