//! Signals on their way to the remote: they leave in the order in which they were made.

use std::pin::Pin;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::peer::negotiation::Signal;
use crate::signalling::{RequestError, SendPriority, SignallingClient};
use crate::wire::{PeerPayload, TrackMetadata};

type Sending = Pin<Box<dyn Future<Output = Result<(), RequestError>> + Send>>;

/// The signals of one remote that the service has not acknowledged yet.
pub(super) struct Signals {
    client: SignallingClient,
    to: String,
    sending: FuturesUnordered<Sending>,
    sent: u64,
}

impl Signals {
    pub(super) fn new(client: SignallingClient, to: String) -> Self {
        Self { client, to, sending: FuturesUnordered::new(), sent: 0 }
    }

    /// Signals that left.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) async fn send(&mut self, signal: Signal) {
        self.send_payload(match signal {
            Signal::Description(description) => PeerPayload::Description(description),
            Signal::Candidate(candidate) => PeerPayload::Candidate(candidate),
        })
        .await;
    }

    /// What we say of a track; it overtakes no description, and none overtakes it.
    pub(super) async fn send_metadata(&mut self, said: TrackMetadata) {
        self.send_payload(PeerPayload::TrackMetadata(said)).await;
    }

    async fn send_payload(&mut self, payload: PeerPayload) {
        // Text and numbers are always JSON, and it is no app data.
        let Ok(Some(data)) = payload.encode() else { return };
        let (client, to) = (self.client.clone(), self.to.clone());
        let mut sending: Sending =
            Box::pin(async move { client.send_with(&to, &data, SendPriority::Signalling).await });
        self.sent += 1;
        // The first poll puts it into the client's queue: that keeps the order.
        if let Poll::Ready(result) = futures_util::poll!(sending.as_mut()) {
            self.sending.push(Box::pin(std::future::ready(result)));
        } else {
            self.sending.push(sending);
        }
    }

    /// The next failure. Pending while there is none.
    pub(super) async fn failed(&mut self) -> RequestError {
        loop {
            match self.sending.next().await {
                Some(Err(error)) => return error,
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }
}
