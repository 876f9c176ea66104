//! Whatever a peer's connections ran has ended when `close` returns: tasks, sockets, threads, memory. Half of
//! the connections are abandoned while they are negotiated.
//!
//! Alone in its process, since it counts what the process has. Linux only: it reads /proc.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/footprint.rs"]
mod footprint;
#[path = "support/room.rs"]
mod room;
mod support;

use footprint::{Footprint, footprint, resident_kib, settled};
use metered_dev_server::{DevServer, DevServerHandle, Target};
use metered_realtime::peer::*;
use room::*;
use support::within;

/// Ways to end a connection; the even ones were connected.
const WAYS: usize = 8;

fn member(server: &DevServerHandle, id: &str) -> Member {
    let network = Network::at([127, 0, 0, 1]);
    Member::new(options(server, id, &network), network)
}

/// Two members of a room that see each other.
async fn pair(server: &DevServerHandle, n: usize) -> (Member, Member, RemotePeer) {
    let room = format!("room-{n}");
    let (mut a, mut b) = (member(server, &format!("a{n}")), member(server, &format!("b{n}")));
    a.peer.join(&room).await.unwrap();
    b.peer.join(&room).await.unwrap();
    let remote = a.other().await;
    b.other().await;
    (a, b, remote)
}

async fn open(remote: &RemotePeer) {
    remote.open_data_channel("chat", DataChannelOptions::default()).await.unwrap();
}

async fn closed(peer: MeteredPeer) {
    let mut state = peer.watch_state();
    drop(peer);
    within(state.wait_for(|state| *state == PeerState::Closed)).await.ok();
}

/// One life of a connection, in one of several ways.
async fn live(server: &DevServerHandle, n: usize) {
    let (mut a, b, remote) = pair(server, n).await;
    open(&remote).await;
    if n.is_multiple_of(2) {
        remote_state(&remote, RemoteState::Connected).await;
    }
    match n % WAYS {
        // Closed in order; the other way round; and while they are negotiated.
        0 | 1 => {
            a.peer.close().await;
            b.peer.close().await;
        }
        // Dropped without close: connected, and while negotiated.
        2 | 3 => {
            drop((a.events, b.events));
            closed(a.peer).await;
            closed(b.peer).await;
        }
        // The remote leaves: the connected one, and amid the negotiation.
        4 | 5 => {
            b.peer.close().await;
            a.until(|event| matches!(event, PeerEvent::PeerLeft(_)).then_some(())).await;
            a.peer.close().await;
        }
        // Another network, and closed while the restart is under way.
        6 => {
            a.peer.network_changed();
            open(&remote).await;
            a.peer.close().await;
            b.peer.close().await;
        }
        // The line to the service breaks amid the negotiation. A third one is closed while it joins.
        _ => {
            server.drop_connections(Target::peer(format!("a{n}")));
            let mut third = member(server, &format!("c{n}"));
            let peer = third.peer.clone();
            let joining = tokio::spawn(async move { peer.join("room").await });
            third.until_state(PeerState::Joining).await;
            third.peer.close().await;
            drop(joining.await.unwrap());
            a.peer.close().await;
            b.peer.close().await;
        }
    }
}

async fn hundred(server: &DevServerHandle, from: usize) {
    for n in (from..from + 100).step_by(4) {
        futures_util::future::join_all((n..n + 4).map(|n| live(server, n))).await;
    }
}

#[tokio::test]
async fn three_hundred_connections_leave_tasks_sockets_threads_and_memory_as_before() {
    let server = DevServer::builder().start().await.unwrap();
    // The first lives load what is loaded once.
    for n in 0..WAYS {
        live(&server, n).await;
    }
    let before = Footprint { tasks: server.tasks(), sockets: 1, ..footprint() };
    let before = Footprint { sockets: settled(&before).await.sockets, tasks: 1, ..before };
    hundred(&server, 100).await;
    hundred(&server, 200).await;
    // The allocator takes and keeps a MiB now and then, whatever lives; what leaks does so with every hundred.
    let (mut grown, mut resident) = (Vec::new(), resident_kib());
    while grown.len() < 3 && grown.last().is_none_or(|grown| *grown >= 2_048) {
        hundred(&server, 300 + 100 * grown.len()).await;
        let now = resident_kib();
        grown.push(now.saturating_sub(std::mem::replace(&mut resident, now)));
    }
    let after = settled(&before).await;
    assert_eq!(after, before);
    assert!(grown.last().is_some_and(|grown| *grown < 2_048), "100 connections cost {grown:?} KiB");
    server.shutdown().await;
    assert_eq!(footprint().tasks, 0, "the server leaves nothing either");
}
