//! Two peers in a room, with a data channel between them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use metered_realtime::peer::{
    DataChannel, DataChannelEvent, DataChannelEvents, DataChannelOptions, IceTransportPolicy,
    MeteredPeer, PeerEvent, PeerEvents, PeerOptions, RemoteEvent, RemoteEvents, RemotePeer,
};

use crate::Outcome;

/// A wait that takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| Err(format!("{what}: not within {PATIENCE:?}").into()))
}

/// An ICE server as JSON: with it everything is relayed, on loopback.
const RELAY: &str = "BENCH_RELAY";

pub(crate) fn peer(url: &str) -> Outcome<MeteredPeer> {
    let mut options = PeerOptions::with_api_key("pk_live_dev")?;
    options.signalling.url = url.to_owned();
    if let Ok(server) = std::env::var(RELAY) {
        options.ice_servers = vec![serde_json::from_str(&server)?];
        options.ice_transport_policy = IceTransportPolicy::Relay;
        options.local_addresses = Some(Arc::new(|| vec![Ipv4Addr::LOCALHOST.into()]));
    }
    Ok(MeteredPeer::new(options)?)
}

pub(crate) async fn other(events: &mut PeerEvents) -> Outcome<RemotePeer> {
    within("a remote", async {
        loop {
            match events.next().await {
                Some(PeerEvent::PeerJoined(remote)) => return Ok(remote),
                Some(_) => {}
                None => return Err("the peer is gone".into()),
            }
        }
    })
    .await
}

pub(crate) async fn incoming(events: &mut RemoteEvents) -> Outcome<DataChannel> {
    within("a channel", async {
        loop {
            match events.next().await {
                Some(RemoteEvent::DataChannel(channel)) => return Ok(channel),
                Some(_) => {}
                None => return Err("the remote is gone".into()),
            }
        }
    })
    .await
}

pub(crate) async fn opened(events: &mut DataChannelEvents) -> Outcome<()> {
    within("an open channel", async {
        loop {
            match events.next().await {
                Some(DataChannelEvent::Open) => return Ok(()),
                Some(_) => {}
                None => return Err("the channel is gone".into()),
            }
        }
    })
    .await
}

/// The number of bytes of the next message.
pub(crate) async fn message(events: &mut DataChannelEvents) -> Outcome<usize> {
    loop {
        match events.next().await {
            Some(DataChannelEvent::Message(message)) => return Ok(message.len()),
            Some(_) => {}
            None => return Err("the channel is gone".into()),
        }
    }
}

/// Two peers in one process and the channel between them.
pub(crate) struct Pair {
    pub(crate) peers: [MeteredPeer; 2],
    pub(crate) channels: [DataChannel; 2],
    pub(crate) events: [DataChannelEvents; 2],
}

impl Pair {
    pub(crate) async fn connected(url: &str, room: &str) -> Outcome<Self> {
        let (one, two) = (peer(url)?, peer(url)?);
        let (mut one_events, mut two_events) = (one.events(), two.events());
        one.join(room).await?;
        two.join(room).await?;
        let (to_two, to_one) = (other(&mut one_events).await?, other(&mut two_events).await?);
        let mut arrivals = to_one.events();
        let near = to_two.open_data_channel("bench", DataChannelOptions::default()).await?;
        let mut near_events = near.events();
        opened(&mut near_events).await?;
        let far = incoming(&mut arrivals).await?;
        let far_events = far.events();
        Ok(Self { peers: [one, two], channels: [near, far], events: [near_events, far_events] })
    }

    pub(crate) async fn close(self) {
        for peer in self.peers {
            peer.close().await;
        }
    }
}
