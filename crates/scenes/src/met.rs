//! Two peers that see each other.

use metered_realtime::peer::{DataChannel, MeteredPeer, PeerEvent, RemotePeer};

use crate::{Result, Scene, Service};

/// Alice was in the room `lobby` when bob came. Nothing is negotiated yet.
#[derive(Debug)]
pub struct Met {
    service: Service,
    /// Who was there first.
    pub alice: MeteredPeer,
    /// Who came.
    pub bob: MeteredPeer,
    /// Bob, as alice sees him.
    pub to_bob: RemotePeer,
    /// Alice, as bob sees her.
    pub to_alice: RemotePeer,
}

impl Scene for Met {
    async fn begin() -> Result<Self> {
        let service = Service::begin().await?;
        let (alice, bob) = (service.peer("alice")?, service.peer("bob")?);
        let mut arrivals = alice.events();
        alice.join("lobby").await?;
        bob.join("lobby").await?;
        let to_bob = loop {
            if let PeerEvent::PeerJoined(remote) = arrivals.next().await.ok_or("alice is gone")? {
                break remote;
            }
        };
        let to_alice = bob.remote_peer("alice").ok_or("alice was there before bob")?;
        Ok(Self { service, alice, bob, to_bob, to_alice })
    }

    async fn end(self) {
        self.alice.close().await;
        self.bob.close().await;
        self.service.end().await;
    }
}

/// Alice has opened a channel to bob, which may be opening still.
#[derive(Debug)]
pub struct Chat {
    met: Met,
    /// Bob, as alice sees him.
    pub to_bob: RemotePeer,
    /// Alice's end of it, with the label `chat`.
    pub channel: DataChannel,
}

impl Scene for Chat {
    async fn begin() -> Result<Self> {
        let met = Met::begin().await?;
        let to_bob = met.to_bob.clone();
        let channel = to_bob.open_data_channel("chat", Default::default()).await?;
        Ok(Self { met, to_bob, channel })
    }

    async fn end(self) {
        self.met.end().await;
    }
}
