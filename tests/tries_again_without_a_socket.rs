//! A connection that cannot be made is tried again while something needs it, and says why it could not.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use metered_dev_server::DevServerHandle;
use metered_realtime::media::LocalAudioTrack;
use metered_realtime::peer::{
    DataChannelOptions, RemoteEvent, RemoteEvents, RemotePeer, RemoteState,
};
use room::*;
use support::{server, within};

/// For documentation alone (RFC 5737): no machine has it.
const OF_NOBODY: [u8; 4] = [192, 0, 2, 1];

/// Two in a room; the one that begins has no address yet.
struct Two {
    server: DevServerHandle,
    begins: Member,
    other: Member,
    to_other: RemotePeer,
    back: RemotePeer,
}

impl Two {
    async fn met(begins: &str, other: &str) -> Self {
        let server = server().await;
        let mut begins = Member::joined(&server, begins).await;
        let mut other = Member::joined(&server, other).await;
        let (to_other, back) = (begins.other().await, other.other().await);
        begins.network.change_to(OF_NOBODY);
        Self { server, begins, other, to_other, back }
    }

    /// A track, and why it is not sent: as the first attempt says, and those of the ladder.
    async fn add_track_in_vain(&self) {
        let mut events = self.to_other.events();
        self.begins.peer.add_track(&LocalAudioTrack::default(), None, None).unwrap();
        for _ in 0..3 {
            let error = until_remote(&mut events, |event| match event {
                RemoteEvent::NegotiationError(error) => Some(error.clone()),
                _ => None,
            })
            .await;
            assert_eq!(error.code, "connection_failed");
            // Who refused what, in the system's words.
            assert!(error.message.starts_with("connect failed: 192.0.2.1: "), "{}", error.message);
            assert!(error.diagnosis.fix.contains("addresses that the device has"));
            assert_eq!(self.to_other.state(), RemoteState::Connecting);
        }
    }

    fn give_address(&self) {
        self.begins.network.change_to([127, 0, 0, 1]);
    }

    async fn close(self) {
        self.begins.peer.close().await;
        self.other.peer.close().await;
        self.server.shutdown().await;
    }
}

async fn connected(remote: &RemotePeer, events: &mut RemoteEvents) {
    until_remote(events, |event| matches!(event, RemoteEvent::Track(_)).then_some(())).await;
    remote_state(remote, RemoteState::Connected).await;
}

#[tokio::test]
async fn a_track_is_sent_once_the_address_is_there() {
    // Both are tried: who is polite waits a moment at first.
    for (sends, receives) in [("alice", "bob"), ("bob", "alice")] {
        let two = Two::met(sends, receives).await;
        let mut arrivals = two.back.events();
        two.add_track_in_vain().await;
        two.give_address();
        connected(&two.back, &mut arrivals).await;
        remote_state(&two.to_other, RemoteState::Connected).await;
        two.close().await;
    }
}

#[tokio::test]
async fn what_waits_is_sent_on_the_connection_that_an_offer_brings() {
    let two = Two::met("alice", "bob").await;
    let mut arrivals = two.back.events();
    two.add_track_in_vain().await;
    two.give_address();
    let options = DataChannelOptions::default();
    let channel = two.back.open_data_channel("chat", options).await.unwrap();
    connected(&two.back, &mut arrivals).await;
    within(channel.send_text("hello")).await.unwrap();
    two.close().await;
}

#[tokio::test]
async fn a_channel_that_could_not_be_opened_is_the_callers() {
    let two = Two::met("alice", "bob").await;
    let open = || two.to_other.open_data_channel("chat", DataChannelOptions::default());
    let error = within(open()).await.unwrap_err();
    assert_eq!(error.code(), "connection_failed");
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
    assert_eq!(two.to_other.state(), RemoteState::Idle);
    two.give_address();
    within(open()).await.unwrap();
    remote_state(&two.to_other, RemoteState::Connected).await;
    two.close().await;
}
