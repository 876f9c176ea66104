//! A local server alone, or with one client or peer.

use metered_dev_server::{DevServer, DevServerHandle};
use metered_realtime::peer::{MeteredPeer, PeerOptions};
use metered_realtime::signalling::{SignallingClient, SignallingOptions};

use crate::{Result, Scene};

/// The service on this machine. Who the example makes of it, the example closes.
#[derive(Debug)]
pub struct Service {
    /// The server itself: its address, its tokens, its faults.
    pub server: DevServerHandle,
}

impl Service {
    /// The options of a peer with a token.
    ///
    /// # Errors
    /// If no token can be signed, which it can.
    pub fn peer_options(&self, id: &str) -> Result<PeerOptions> {
        let mut options = PeerOptions::with_token(self.server.token(id)?)?;
        options.signalling.url = self.server.url();
        Ok(options)
    }

    /// A peer with a token, which has not joined.
    ///
    /// # Errors
    /// If no token can be signed, which it can.
    pub fn peer(&self, id: &str) -> Result<MeteredPeer> {
        Ok(MeteredPeer::new(self.peer_options(id)?)?)
    }

    /// A client with a token, which is not connected.
    ///
    /// # Errors
    /// If no token can be signed, which it can.
    pub fn client(&self, id: &str) -> Result<SignallingClient> {
        let mut options = SignallingOptions::with_token(self.server.token(id)?)?;
        options.url = self.server.url();
        Ok(SignallingClient::new(options)?)
    }
}

impl Scene for Service {
    async fn begin() -> Result<Self> {
        Ok(Self { server: DevServer::builder().start().await? })
    }

    async fn end(self) {
        self.server.shutdown().await;
    }
}

/// A client of the id `alice`, which is not connected.
#[derive(Debug)]
pub struct Client {
    /// What it would connect to.
    pub server: DevServerHandle,
    /// Alice's.
    pub client: SignallingClient,
}

impl Scene for Client {
    async fn begin() -> Result<Self> {
        let service = Service::begin().await?;
        Ok(Self { client: service.client("alice")?, server: service.server })
    }

    async fn end(self) {
        self.client.close().await;
        self.server.shutdown().await;
    }
}

/// A peer of the id `alice`, which has not joined.
#[derive(Debug)]
pub struct Peer {
    service: Service,
    /// Alice's.
    pub peer: MeteredPeer,
}

impl Scene for Peer {
    async fn begin() -> Result<Self> {
        let service = Service::begin().await?;
        Ok(Self { peer: service.peer("alice")?, service })
    }

    async fn end(self) {
        self.peer.close().await;
        self.service.end().await;
    }
}
