//! A data channel is what was asked for: order, reliability, names, numbers, back-pressure, memory.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use std::time::Duration;

use metered_dev_server::Target;
use metered_realtime::peer::*;
use room::*;
use support::{server, within};
use tokio::sync::watch;

fn options(change: impl FnOnce(&mut DataChannelOptions)) -> DataChannelOptions {
    let mut options = DataChannelOptions::default();
    change(&mut options);
    options
}

#[tokio::test]
async fn the_other_side_sees_what_was_asked() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    let asked = [
        options(|all| (all.ordered, all.max_retransmits) = (false, Some(0))),
        options(|all| all.max_packet_life_time = Some(Duration::from_millis(250))),
        options(|all| all.protocol = "game-moves".into()),
    ];
    for (n, options) in asked.into_iter().enumerate() {
        let label = format!("channel {n} ü");
        let ours = within(pair.b_of_a.open_data_channel(&label, options.clone())).await.unwrap();
        let theirs = incoming_channel(&mut pair.b_remote_events).await;
        assert_eq!((ours.label(), theirs.label()), (&*label, &*label));
        assert_eq!(theirs.protocol(), options.protocol);
        assert_eq!(theirs.ordered(), options.ordered);
        assert_eq!(ours.max_retransmits(), options.max_retransmits);
        let mut events = theirs.events();
        within(ours.send_text("works")).await.unwrap();
        assert_eq!(text(&mut events).await, "works");
    }
    let wrong = options(|all| all.max_buffered_amount = 0);
    let error = within(pair.b_of_a.open_data_channel("x", wrong)).await.unwrap_err();
    assert_eq!(error.code(), "option_out_of_range");
    pair.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_number_that_both_agreed_on_needs_no_announcement() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    let agreed = options(|all| all.negotiated_id = Some(77));
    let ours = within(pair.b_of_a.open_data_channel("by number", agreed.clone())).await.unwrap();
    let theirs = within(pair.a_of_b.open_data_channel("by number", agreed)).await.unwrap();
    let (mut our_events, mut their_events) = (ours.events(), theirs.events());
    within(ours.send_text("one way")).await.unwrap();
    assert_eq!(text(&mut their_events).await, "one way");
    within(theirs.send_text("and back")).await.unwrap();
    assert_eq!(text(&mut our_events).await, "and back");
    while let Some(event) = pair.b_remote_events.try_next() {
        assert!(!matches!(event, RemoteEvent::DataChannel(_)), "nobody announced it");
    }
    pair.close().await;
    server.shutdown().await;
}

/// Waits for as long as something arrives: how fast it flows is a matter of the machine.
async fn while_it_flows<T>(what: impl Future<Output = T>, arrivals: &mut watch::Receiver<()>) -> T {
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            biased;
            done = &mut what => return done,
            arrival = within(arrivals.changed()) => arrival.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_slow_reader_slows_the_sender_down_and_loses_nothing() {
    const MESSAGES: usize = 600;
    const BYTES: usize = 65_536;
    let server = server().await;
    let limits = options(|all| {
        all.max_buffered_amount = 131_072;
        all.max_queued_sends = 4;
    });
    let mut pair = Pair::connected(&server, limits).await;
    let channel = pair.a_channel.clone();
    let sender = tokio::spawn(async move {
        for n in 0..MESSAGES {
            channel.send_bytes(vec![(n % 251) as u8; BYTES]).await.unwrap();
            assert!(channel.buffered_amount().await <= 131_072);
        }
    });
    // While nobody reads, what is under way fills: queue, receive buffer, send buffer. Then the sender waits.
    let mut quiet = (pair.a_channel.buffered_amount().await, 0);
    while quiet.1 < 20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = pair.a_channel.buffered_amount().await;
        quiet = (now, if now == quiet.0 && now > 0 { quiet.1 + 1 } else { 0 });
    }
    assert!(!sender.is_finished(), "39 MB do not fit into what waits");
    assert_eq!(
        pair.a_channel.try_send(ChannelMessage::Text("x".repeat(65_536))).await.unwrap_err().code(),
        "data_channel_full"
    );
    // Sends that wait are few as well.
    let more: Vec<_> = (0..8)
        .map(|_| {
            let channel = pair.a_channel.clone();
            tokio::spawn(async move { channel.send_bytes(vec![255; BYTES]).await })
        })
        .collect();
    let mut refused = 0;
    for n in 0..MESSAGES {
        let ChannelMessage::Binary(bytes) = message(&mut pair.b_events).await else {
            panic!("text");
        };
        assert!(
            bytes.len() == BYTES
                && bytes.iter().all(|byte| usize::from(*byte) == n % 251 || *byte == 255)
        );
        if bytes[0] == 255 {
            // One of those that squeezed in, in its turn.
            break;
        }
    }
    let (arrived, mut arrivals) = watch::channel(());
    let drain = tokio::spawn(async move {
        while let Some(event) = pair.b_events.next().await {
            match event {
                DataChannelEvent::Close => return,
                _ => arrived.send_replace(()),
            }
        }
    });
    while_it_flows(sender, &mut arrivals).await.unwrap();
    for send in more {
        match while_it_flows(send, &mut arrivals).await.unwrap() {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(
                    (error.name(), error.code()),
                    ("DataChannelOverflowError", "data_channel_overflow")
                );
                refused += 1;
            }
        }
    }
    assert!(refused >= 4, "{refused} of 8 refused with four places");
    pair.a.peer.close().await;
    pair.b.peer.close().await;
    within(drain).await.unwrap();
    server.shutdown().await;
}

#[tokio::test]
async fn messages_from_before_the_first_listener_are_kept_and_counted() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    let channel = pair.b_of_a.open_data_channel("early", DataChannelOptions::default());
    let ours = within(channel).await.unwrap();
    for n in 0..1_500 {
        within(ours.send_text(n.to_string())).await.unwrap();
    }
    let theirs = incoming_channel(&mut pair.b_remote_events).await;
    // All have arrived when nothing waits on our side.
    while ours.buffered_amount().await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pair.talk("later than all of them").await;
    let mut events = theirs.events();
    let DataChannelEvent::Lagged { missed } = within(events.next()).await.unwrap() else {
        panic!("1,500 messages do not fit into 1,024 places");
    };
    let mut next = missed;
    while let Some(event) = events.try_next() {
        if let DataChannelEvent::Message(message) = event {
            // The event `Open` came first, and was the first to go.
            assert_eq!(message, ChannelMessage::Text((next - 1).to_string()));
            next += 1;
        }
    }
    assert_eq!(next - 1, 1_500);
    pair.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_durable_channel_is_opened_again_and_sends_what_still_waited() {
    let server = server().await;
    let mut bob = Member::joined(&server, "bob").await;
    // With a key alice gets a new id at each connection to the service: to bob she is another peer each time, and
    // her connections to him are made anew.
    let network = Network::at([127, 0, 0, 1]);
    let mut by_key = room::options(&server, "unused", &network);
    by_key.signalling = support::by_key(&server);
    let alice = Member::new(by_key, network);
    within(alice.peer.join("room")).await.unwrap();
    let mut first = bob.other().await.events();
    let to_bob = alice.peer.remote_peer("bob").unwrap();
    let mut resets = to_bob.events();
    let durable = options(|all| all.durable = true);
    let kept = within(to_bob.open_data_channel("kept", durable)).await.unwrap();
    let mut messages = incoming_channel(&mut first).await.events();
    within(kept.send_text("before")).await.unwrap();
    assert_eq!(text(&mut messages).await, "before");
    let plain = DataChannelOptions::default();
    let plain = within(to_bob.open_data_channel("plain", plain)).await.unwrap();
    incoming_channel(&mut first).await;

    server.drop_connections(Target::peer(alice.peer.peer_id().unwrap()));
    let mut state = kept.watch_ready_state();
    within(state.wait_for(|state| *state == ReadyState::Connecting)).await.unwrap();
    // Nothing carries it: the message waits in our hands.
    let waiting = kept.clone();
    let waiting = tokio::spawn(async move { waiting.send_text("meanwhile").await });
    let again = loop {
        let joined = bob.other().await;
        if Some(joined.id()) == alice.peer.peer_id().as_deref() {
            break joined;
        }
    };
    let mut second = again.events();
    let reopened = incoming_channel(&mut second).await;
    assert_eq!(reopened.label(), "kept");
    let mut messages = reopened.events();
    assert_eq!(text(&mut messages).await, "meanwhile");
    within(waiting).await.unwrap().unwrap();
    within(kept.send_text("after")).await.unwrap();
    assert_eq!(text(&mut messages).await, "after");
    until_remote(&mut resets, |event| matches!(event, RemoteEvent::ConnectionReset).then_some(()))
        .await;
    assert_eq!(plain.ready_state(), ReadyState::Closed);
    assert_eq!(plain.send_text("x").await.unwrap_err().code(), "data_channel_closed");
    alice.peer.close().await;
    bob.peer.close().await;
    server.shutdown().await;
}
