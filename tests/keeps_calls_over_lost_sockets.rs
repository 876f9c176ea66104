//! A lost signalling socket, of either side or of all, ends no call: same connection, same channel, and nobody
//! is said to have left.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use metered_dev_server::{DevServerHandle, Target};
use metered_realtime::peer::*;
use room::*;
use support::{server, within};

/// Local ports of both ends: another one is another connection or another path.
async fn ports(pair: &Pair) -> [u16; 2] {
    let port = async |remote: &RemotePeer| {
        let stats = within(remote.stats()).await.unwrap();
        stats.selected_pair.expect("they are connected").local.port
    };
    [port(&pair.b_of_a).await, port(&pair.a_of_b).await]
}

async fn drop_and_go_on(server: &DevServerHandle, target: Target, members: &[&str]) {
    let mut pair = Pair::connected(server, DataChannelOptions::default()).await;
    let before = ports(&pair).await;
    server.drop_connections(target);
    for member in [&mut pair.a, &mut pair.b] {
        if members.contains(&member.peer.peer_id().unwrap().as_str()) {
            member.until_state(PeerState::Reconnecting).await;
            // While it is away, what needs no signalling goes on.
            member.until_state(PeerState::Joined).await;
        }
    }
    pair.talk("after").await;
    // Each is known to be the same by now, or would have been said to have left.
    settled(&pair).await;
    pair.talk("later").await;
    assert_eq!(ports(&pair).await, before);
    for member in [&mut pair.a, &mut pair.b] {
        while let Some(event) = member.events.try_next() {
            let went = matches!(event, PeerEvent::PeerLeft(_) | PeerEvent::PeerJoined(_));
            assert!(!went, "{event:?}");
        }
        assert_eq!(member.peer.remote_peers().len(), 1);
    }
    while let Some(event) = pair.b_remote_events.try_next() {
        assert!(!matches!(event, RemoteEvent::ConnectionReset), "{event:?}");
    }
    pair.close().await;
}

/// No other path can be agreed on, and the one that there is has outlived the change.
#[tokio::test]
async fn a_change_of_the_network_while_the_service_is_silent_holds_nothing_back() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    let before = ports(&pair).await;
    server.refuse_upgrades(u32::MAX, 503, None, None);
    assert_eq!(server.mute(false, Target::all()), 2);
    pair.a.peer.network_changed();
    pair.talk("at once").await;
    pair.b.peer.network_changed();
    pair.a.until_state(PeerState::Reconnecting).await;
    for n in 0..100 {
        pair.talk(&format!("without it {n}")).await;
    }
    assert_eq!(ports(&pair).await, before);
    pair.close().await;
    server.shutdown().await;
}

/// The service is there and says nothing any more: the socket's end is still to come.
#[tokio::test]
async fn who_asks_for_a_reconnect_while_the_service_is_silent_keeps_its_path() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    let before = ports(&pair).await;
    server.refuse_upgrades(u32::MAX, 503, None, None);
    assert_eq!(server.mute(false, Target::all()), 2);
    pair.a.peer.reconnect_now();
    pair.b.peer.reconnect_now();
    for n in 0..3 {
        pair.talk(&format!("meanwhile {n}")).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    // The probes have gone unanswered.
    pair.a.until_state(PeerState::Reconnecting).await;
    pair.b.until_state(PeerState::Reconnecting).await;
    pair.talk("without it").await;
    assert_eq!(ports(&pair).await, before);
    pair.close().await;
    server.shutdown().await;
}

/// Longer than a verdict on who returned takes.
async fn settled(pair: &Pair) {
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(pair.b_of_a.state(), RemoteState::Connected);
        assert_eq!(pair.a_of_b.state(), RemoteState::Connected);
    }
}

#[tokio::test]
async fn of_one_side() {
    let server = server().await;
    drop_and_go_on(&server, Target::peer("alice"), &["alice"]).await;
    server.shutdown().await;
}

#[tokio::test]
async fn of_the_other_side() {
    let server = server().await;
    drop_and_go_on(&server, Target::peer("bob"), &["bob"]).await;
    server.shutdown().await;
}

#[tokio::test]
async fn of_all_at_once() {
    let server = server().await;
    drop_and_go_on(&server, Target::all(), &["alice", "bob"]).await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_new_start_under_the_same_id_leaves_and_joins_and_talks() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    // Alice's app ends and starts again.
    pair.a.peer.close().await;
    let mut again = Member::joined(&server, "alice").await;
    let left = |event: &PeerEvent| matches!(event, PeerEvent::PeerLeft(_)).then_some(());
    pair.b.until(left).await;
    let alice = pair.b.other().await;
    let channel = alice.open_data_channel("again", DataChannelOptions::default()).await.unwrap();
    let bob = again.other().await;
    let mut remote_events = bob.events();
    let other = incoming_channel(&mut remote_events).await;
    let mut events = other.events();
    within(channel.send_text("hello again")).await.unwrap();
    assert_eq!(text(&mut events).await, "hello again");
    again.peer.close().await;
    pair.b.peer.close().await;
    server.shutdown().await;
}
