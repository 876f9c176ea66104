//! Peers in a room and the tracks that come to them, over loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;

use metered_realtime::media::MediaStream;
use metered_realtime::peer::{
    MeteredPeer, PeerEvent, PeerEvents, PeerOptions, RemoteEvent, RemoteEvents, RemoteTrack,
};

use crate::{Outcome, within};

pub(crate) fn peer(url: &str) -> Outcome<MeteredPeer> {
    let mut options = PeerOptions::with_api_key("pk_live_dev")?;
    options.signalling.url = url.to_owned();
    options.local_addresses = Some(Arc::new(|| vec![Ipv4Addr::LOCALHOST.into()]));
    Ok(MeteredPeer::new(options)?)
}

/// The events of the next remote in the room.
pub(crate) async fn remote(events: &mut PeerEvents) -> Outcome<RemoteEvents> {
    within("a remote", async {
        loop {
            match events.next().await {
                Some(PeerEvent::PeerJoined(remote)) => return Ok(remote.events()),
                Some(_) => {}
                None => return Err("the peer is gone".into()),
            }
        }
    })
    .await
}

/// The next track of a remote.
pub(crate) async fn track(events: &mut RemoteEvents) -> Outcome<Arc<RemoteTrack>> {
    within("a track", async {
        loop {
            match events.next().await {
                Some(RemoteEvent::Track(track)) => return Ok(track),
                Some(_) => {}
                None => return Err("the remote is gone".into()),
            }
        }
    })
    .await
}

/// Two peers in this process, each with a stream or none.
pub(crate) struct Pair {
    pub(crate) peers: [MeteredPeer; 2],
    /// What comes from the other one.
    pub(crate) remotes: [RemoteEvents; 2],
}

impl Pair {
    pub(crate) async fn joined(
        url: &str,
        room: &str,
        streams: [Option<&MediaStream>; 2],
    ) -> Outcome<Self> {
        let peers = [peer(url)?, peer(url)?];
        for (peer, stream) in peers.iter().zip(streams) {
            if let Some(stream) = stream {
                peer.add_stream(stream, None)?;
            }
        }
        let mut events = [peers[0].events(), peers[1].events()];
        for peer in &peers {
            peer.join(room).await?;
        }
        let [one, two] = &mut events;
        let remotes = [remote(one).await?, remote(two).await?];
        Ok(Self { peers, remotes })
    }

    pub(crate) async fn close(self) {
        for peer in self.peers {
            peer.close().await;
        }
    }
}
