//! Who sees us leave while a connection begins ends its side, as the official SDKs do, and begins anew by itself. An
//! offer of ours that went on with the ended connection would take the place of its own: both would wait for good.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/footprint.rs"]
mod footprint;
#[path = "support/hostile.rs"]
mod hostile;
#[path = "support/room.rs"]
mod room;
mod support;

use std::time::Duration;

use hostile::{description, offer, throw_at_alice, unpaced};
use metered_dev_server::{DevServerHandle, Target};
use metered_realtime::media::LocalAudioTrack;
use metered_realtime::signalling::Event;
use room::*;
use serde_json::Value;
use support::{Watched, server};

/// A remote without a path to us, and Alice, who has answered its offer and lost her socket since.
struct Scene {
    server: DevServerHandle,
    alice: Member,
    remote: Watched,
    /// What Alice answered.
    answer: String,
}

impl Scene {
    async fn begin(remote: &str, sends: bool) -> Self {
        let server = server().await;
        let mut remote = Watched::connected(unpaced(&server, remote)).await;
        remote.client.subscribe("room").await.unwrap();
        let mut alice = Member::joined(&server, "alice").await;
        alice.other().await;
        throw_at_alice(&remote.client, [description("offer", &offer(1))]).await;
        let (kind, answer) = described(&mut remote).await;
        assert_eq!(kind, "answer");
        if sends {
            alice.peer.add_track(&LocalAudioTrack::default(), None, None).unwrap();
            assert_eq!(described(&mut remote).await.0, "offer");
        }
        server.drop_connections(Target::peer("alice"));
        alice.until_state(metered_realtime::peer::PeerState::Joined).await;
        while !remote.presence("room").await.0.contains(&"alice".to_owned()) {}
        Self { server, alice, remote, answer }
    }

    async fn end(self) {
        self.alice.peer.close().await;
        self.remote.client.close().await;
        self.server.shutdown().await;
    }
}

/// The next description that the remote gets: its type and its text.
async fn described(remote: &mut Watched) -> (String, String) {
    remote
        .until(|event| {
            let Event::Direct(direct) = event else { return None };
            let said: Value = serde_json::from_str(direct.data.as_str()).unwrap();
            let text = |name: &str| Some(said["description"][name].as_str()?.to_owned());
            Some((text("type")?, text("sdp")?))
        })
        .await
}

fn fingerprint(sdp: &str) -> &str {
    sdp.lines().find_map(|line| line.strip_prefix("a=fingerprint:")).unwrap()
}

#[tokio::test]
async fn who_has_nothing_to_offer_lets_the_remote_begin_whoever_is_polite() {
    for id in ["aaron", "bob"] {
        let mut scene = Scene::begin(id, false).await;
        // An offer of ours would be here by now, as a page makes its connection anew.
        tokio::time::sleep(Duration::from_millis(200)).await;
        throw_at_alice(&scene.remote.client, [description("offer", &offer(2))]).await;
        assert_eq!(described(&mut scene.remote).await.0, "answer", "nothing came before");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_remote_that_does_not_begin_is_offered_another_path() {
    let mut scene = Scene::begin("bob", false).await;
    let (kind, sdp) = described(&mut scene.remote).await;
    assert_eq!((kind.as_str(), fingerprint(&sdp)), ("offer", fingerprint(&scene.answer)));
    scene.end().await;
}

#[tokio::test]
async fn what_we_send_is_offered_at_once_on_a_connection_of_its_own() {
    for id in ["aaron", "bob"] {
        let mut scene = Scene::begin(id, true).await;
        let (kind, sdp) = described(&mut scene.remote).await;
        assert_eq!(kind, "offer");
        assert_ne!(fingerprint(&sdp), fingerprint(&scene.answer), "{id}");
        assert!(sdp.find("m=audio") < sdp.find("m=application"), "these are its first m-lines");
        scene.end().await;
    }
}
