//! Whatever ran has ended when `close` returns: tasks, sockets, threads, memory.
//!
//! Alone in its process, since it counts what the process has. Linux only: it reads /proc.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/footprint.rs"]
mod footprint;
mod support;

use footprint::{Footprint, footprint, resident_kib, settled};
use metered_dev_server::{DevServer, Target};
use metered_realtime::credential::TokenProviderError;
use metered_realtime::signalling::{SignallingOptions, State};
use support::{Watched, by_key, quick};

/// One life of a client, in one of several ways.
async fn live(server: &metered_dev_server::DevServerHandle, way: usize) {
    let token = server.token("alice").unwrap();
    let provider = move || {
        let token = token.clone();
        async move { Ok::<_, TokenProviderError>(token) }
    };
    let options = match way % 2 {
        0 => by_key(server),
        _ => quick(SignallingOptions::with_token_provider(provider), server),
    };
    let mut watched = Watched::new(options);
    match way % 5 {
        // Closed in order.
        0 => {
            watched.client.connect().await.unwrap();
            watched.client.subscribe("c").await.unwrap();
            watched.client.close().await;
        }
        // Dropped without close.
        1 => {
            watched.client.connect().await.unwrap();
            let mut state = watched.client.watch_state();
            drop(watched);
            support::within(state.wait_for(|state| *state == State::Closed)).await.ok();
        }
        // Closed while it reconnects.
        2 => {
            watched.client.connect().await.unwrap();
            server.drop_connections(Target::all());
            watched.until_state(State::Reconnecting).await;
            watched.client.close().await;
        }
        // Closed while it connects.
        3 => {
            let client = watched.client.clone();
            let connecting = tokio::spawn(async move { client.connect().await });
            watched.until_state(State::Connecting).await;
            watched.client.close().await;
            drop(connecting.await.unwrap());
        }
        // Closed and connected again.
        _ => {
            watched.client.connect().await.unwrap();
            watched.client.close().await;
            watched.client.connect().await.unwrap();
            watched.client.close().await;
        }
    }
}

#[tokio::test]
async fn five_hundred_lives_leave_tasks_sockets_threads_and_memory_as_before() {
    let server = DevServer::builder().start().await.unwrap();
    // The first lives load what is loaded once.
    for way in 0..20 {
        live(&server, way).await;
    }
    let before = Footprint { tasks: server.tasks(), sockets: 1, ..footprint() };
    let before = Footprint { sockets: settled(&before).await.sockets, tasks: 1, ..before };
    for way in 0..250 {
        live(&server, way).await;
    }
    let half = resident_kib();
    for way in 0..250 {
        live(&server, way).await;
    }
    let after = settled(&before).await;
    assert_eq!(after, before);
    let grown = resident_kib().saturating_sub(half);
    assert!(grown < 1_024, "250 lives cost {grown} KiB");
    server.shutdown().await;
    assert_eq!(footprint().tasks, 0, "the server leaves nothing either");
}
