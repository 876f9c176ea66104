//! A `close` that its caller gives up (a timeout, a task that is aborted) goes on, and whoever comes next waits
//! for its end: two connections of one client never run beside each other.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use futures_util::FutureExt;
use metered_dev_server::{DevServerHandle, Target};
use metered_realtime::peer::{DataChannelOptions, PeerState};
use metered_realtime::signalling::{SignallingClient, State};
use room::Pair;
use support::{Watched, by_token, server, within};

/// Begins a close and gives it up.
fn give_up_closing(client: &SignallingClient) {
    assert!(client.close().now_or_never().is_none(), "it has something to wait for");
}

/// The client's tasks; the test itself is none.
fn tasks(server: &DevServerHandle) -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks() - server.tasks()
}

#[tokio::test]
async fn a_connect_right_after_waits_for_the_end_and_connects() {
    let server = server().await;
    let mut watched = Watched::connected(by_token(&server, "alice")).await;
    let before = tasks(&server);
    give_up_closing(&watched.client);
    within(watched.client.connect()).await.unwrap();
    assert_eq!((watched.client.state(), tasks(&server)), (State::Connected, before));
    watched.until_state(State::Closed).await;
    watched.until_state(State::Connected).await;
    within(watched.client.publish("room", &1)).await.unwrap();
    within(watched.client.close()).await;
    assert_eq!((watched.client.state(), tasks(&server)), (State::Closed, before - 1));
    server.shutdown().await;
}

#[tokio::test]
async fn a_connect_while_the_server_does_not_answer_the_close_is_not_disturbed_by_its_end() {
    let server = server().await;
    let mut watched = Watched::connected(by_token(&server, "alice")).await;
    server.stop_reading(Target::all());
    give_up_closing(&watched.client);
    watched.until_state(State::Closed).await;
    within(watched.client.connect()).await.unwrap();
    let seen: Vec<_> =
        std::iter::from_fn(|| watched.events.try_next()).map(|event| event.name()).collect();
    let place = |wanted: &str| seen.iter().position(|name| *name == wanted);
    let (lost, connected) = (place("disconnected"), place("connected"));
    assert!(lost.is_some() && lost < connected, "{seen:?}");
    assert!(watched.client.connected().is_some());
    within(watched.client.close()).await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_second_close_waits_for_what_the_first_began() {
    let server = server().await;
    let watched = Watched::connected(by_token(&server, "alice")).await;
    let before = tasks(&server);
    give_up_closing(&watched.client);
    within(watched.client.close()).await;
    assert_eq!((watched.client.state(), tasks(&server)), (State::Closed, before - 1));
    server.shutdown().await;
}

#[tokio::test]
async fn a_second_close_of_a_peer_waits_for_what_the_first_began() {
    let server = server().await;
    let pair = Pair::connected(&server, DataChannelOptions::default()).await;
    assert!(pair.a.peer.close().now_or_never().is_none());
    within(pair.a.peer.close()).await;
    assert_eq!(pair.a.peer.state(), PeerState::Closed);
    let last = pair.a.peer.state_history().pop().unwrap();
    assert_eq!((last.from, last.reason), (PeerState::Leaving, "the peer was closed"));
    within(pair.b.peer.close()).await;
    assert_eq!(tasks(&server), 0, "of both peers");
    server.shutdown().await;
}
