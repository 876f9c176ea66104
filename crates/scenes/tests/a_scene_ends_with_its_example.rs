//! Whatever an example does, its scene is put away, and its error is not lost.

use std::cell::Cell;
use std::net::TcpStream;
use std::panic::catch_unwind;

use metered_realtime::peer::PeerState;
use metered_scenes::{Client, Met, Result, Scene, play, run};

thread_local!(static ENDED: Cell<bool> = const { Cell::new(false) });

/// Knows whether it has ended.
struct Watched;

impl Scene for Watched {
    async fn begin() -> Result<Self> {
        Ok(Self)
    }

    async fn end(self) {
        ENDED.set(true);
    }
}

#[test]
#[should_panic(expected = "no such luck")]
fn an_error_fails_the_example() {
    run(async { Err("no such luck".into()) });
}

#[test]
#[should_panic(expected = "no such luck")]
fn an_error_fails_the_example_of_a_scene() {
    play(async |Watched| Err("no such luck".into()));
}

#[test]
fn a_scene_ends_after_an_error_too() {
    let played = catch_unwind(|| play(async |Watched| Err("no such luck".into())));
    assert!(played.is_err() && ENDED.get());
}

#[test]
fn nobody_listens_any_more() {
    let mut address = None;
    play(async |Client { server, client }| {
        client.connect().await?;
        address = Some(server.addr());
        Ok(())
    });
    assert!(TcpStream::connect(address.unwrap()).is_err());
}

#[test]
fn peers_have_left() {
    let mut peers = None;
    play(async |Met { alice, bob, .. }| {
        peers = Some([alice.clone(), bob.clone()]);
        Ok(())
    });
    assert!(peers.unwrap().iter().all(|peer| peer.state() == PeerState::Closed));
}
