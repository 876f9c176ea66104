//! Peers in a room, and waiting for what they tell.
#![allow(dead_code, unreachable_pub)] // each test file uses a part

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use metered_dev_server::DevServerHandle;
use metered_realtime::peer::{
    ChannelMessage, DataChannel, DataChannelEvent, DataChannelEvents, DataChannelOptions,
    MeteredPeer, PeerEvent, PeerEvents, PeerOptions, PeerState, RemoteEvent, RemoteEvents,
    RemotePeer, RemoteState,
};

use super::support::{by_token, within};

/// A local network that a test can change.
#[derive(Clone)]
pub struct Network(Arc<Mutex<Vec<IpAddr>>>);

impl Network {
    pub fn at(address: [u8; 4]) -> Self {
        Self(Arc::new(Mutex::new(vec![address.into()])))
    }

    pub fn change_to(&self, address: [u8; 4]) {
        *self.0.lock().unwrap() = vec![address.into()];
    }
}

pub struct Member {
    pub peer: MeteredPeer,
    pub events: PeerEvents,
    pub network: Network,
}

pub fn options(server: &DevServerHandle, id: &str, network: &Network) -> PeerOptions {
    let mut options = PeerOptions::new(by_token(server, id));
    let addresses = Arc::clone(&network.0);
    options.local_addresses = Some(Arc::new(move || addresses.lock().unwrap().clone()));
    options
}

impl Member {
    pub fn new(options: PeerOptions, network: Network) -> Self {
        let peer = MeteredPeer::new(options).unwrap();
        let events = peer.events();
        Self { peer, events, network }
    }

    pub async fn joined(server: &DevServerHandle, id: &str) -> Self {
        let network = Network::at([127, 0, 0, 1]);
        let member = Self::new(options(server, id, &network), network);
        member.peer.join("room").await.unwrap();
        member
    }

    /// The first event that fits; others are passed over.
    pub async fn until<T>(&mut self, fits: impl Fn(&PeerEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.next().await.expect("the peer is there");
                if let Some(found) = fits(&event) {
                    return found;
                }
            }
        };
        within(found).await
    }

    pub async fn other(&mut self) -> RemotePeer {
        self.until(|event| match event {
            PeerEvent::PeerJoined(remote) => Some(remote.clone()),
            _ => None,
        })
        .await
    }

    pub async fn until_state(&mut self, wanted: PeerState) {
        self.until(|event| match event {
            PeerEvent::StateChange { to, .. } if *to == wanted => Some(()),
            _ => None,
        })
        .await;
    }
}

pub async fn remote_state(remote: &RemotePeer, wanted: RemoteState) {
    let mut state = remote.watch_state();
    within(state.wait_for(|state| *state == wanted)).await.unwrap();
}

pub async fn until_remote<T>(
    events: &mut RemoteEvents,
    fits: impl Fn(&RemoteEvent) -> Option<T>,
) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the remote is there");
            if let Some(found) = fits(&event) {
                return found;
            }
        }
    };
    within(found).await
}

pub async fn incoming_channel(events: &mut RemoteEvents) -> DataChannel {
    until_remote(events, |event| match event {
        RemoteEvent::DataChannel(channel) => Some(channel.clone()),
        _ => None,
    })
    .await
}

pub async fn message(events: &mut DataChannelEvents) -> ChannelMessage {
    let found = async {
        loop {
            match events.next().await.expect("the channel is there") {
                DataChannelEvent::Message(message) => return message,
                DataChannelEvent::Close => panic!("the channel closed"),
                _ => {}
            }
        }
    };
    within(found).await
}

pub async fn text(events: &mut DataChannelEvents) -> String {
    match message(events).await {
        ChannelMessage::Text(text) => text,
        ChannelMessage::Binary(_) => panic!("bytes"),
    }
}

/// Two members that are connected by a channel: ends, remotes and channels of both.
pub struct Pair {
    pub a: Member,
    pub b: Member,
    pub b_of_a: RemotePeer,
    pub a_of_b: RemotePeer,
    pub a_channel: DataChannel,
    pub b_channel: DataChannel,
    pub a_events: DataChannelEvents,
    pub b_events: DataChannelEvents,
    pub b_remote_events: RemoteEvents,
}

impl Pair {
    pub async fn connected(server: &DevServerHandle, options: DataChannelOptions) -> Self {
        let mut a = Member::joined(server, "alice").await;
        let mut b = Member::joined(server, "bob").await;
        let (b_of_a, a_of_b) = (a.other().await, b.other().await);
        let mut b_remote_events = a_of_b.events();
        let a_channel = b_of_a.open_data_channel("chat", options).await.unwrap();
        let b_channel = incoming_channel(&mut b_remote_events).await;
        let (a_events, b_events) = (a_channel.events(), b_channel.events());
        let mut pair = Self {
            a,
            b,
            b_of_a,
            a_of_b,
            a_channel,
            b_channel,
            a_events,
            b_events,
            b_remote_events,
        };
        pair.talk("hello").await;
        pair
    }

    /// A word each way.
    pub async fn talk(&mut self, word: &str) {
        within(self.a_channel.send_text(word)).await.unwrap();
        assert_eq!(text(&mut self.b_events).await, word);
        within(self.b_channel.send_text(word)).await.unwrap();
        assert_eq!(text(&mut self.a_events).await, word);
    }

    pub async fn close(self) {
        self.a.peer.close().await;
        self.b.peer.close().await;
    }
}
