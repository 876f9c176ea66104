//! What an app asks of the service: subscriptions, broadcasts, data for one peer. Each call is one frame, done at
//! its ack.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::sync::oneshot;

use super::SignallingClient;
use crate::signalling::actor::{Command, RequestTarget};
use crate::signalling::error::RequestError;
use crate::signalling::pacing::{MAX_WAITING, SendPriority};
use crate::signalling::session::{Request, RequestKind};
use crate::wire::{ClientFrame, Json};

/// Options of one subscription.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
/// use metered_realtime::signalling::SubscribeOptions;
/// client.connect().await?;
/// // Messages bring what their sender's backend says of it: no look-up for each name.
/// let options = SubscribeOptions { include_sender_metadata: true };
/// client.subscribe_with("room", options).await?;
/// client.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Whether messages shall carry their sender's `peerMetadata`. The last call for a channel counts.
    pub include_sender_metadata: bool,
}

impl SignallingClient {
    /// Receives a channel's messages and presence from now on, over reconnects too.
    ///
    /// Done at the server's ack; the snapshot of who is there comes as
    /// [`Event::Presence`](crate::signalling::Event::Presence).
    ///
    /// # Errors
    /// [`RequestError`]. The channel is tracked no more if the server refused it.
    pub async fn subscribe(&self, channel: &str) -> Result<(), RequestError> {
        self.subscribe_with(channel, SubscribeOptions::default()).await
    }

    /// [`subscribe`](Self::subscribe) with options.
    ///
    /// # Errors
    /// As `subscribe`.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
    /// use metered_realtime::signalling::SubscribeOptions;
    /// client.connect().await?;
    /// client.subscribe("room").await?;
    /// // The same channel once more: from now on with the senders' metadata, and with a fresh snapshot.
    /// client.subscribe_with("room", SubscribeOptions { include_sender_metadata: true }).await?;
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn subscribe_with(
        &self,
        channel: &str,
        options: SubscribeOptions,
    ) -> Result<(), RequestError> {
        let include_sender_metadata = options.include_sender_metadata;
        let frame = ClientFrame::Subscribe { channel: channel.to_owned(), include_sender_metadata };
        let kind = RequestKind::Subscribe {
            channel: channel.into(),
            include_sender_metadata,
            generation: 0,
        };
        let target = RequestTarget::Channel(channel.into());
        self.request(&frame, kind, target, SendPriority::App).await
    }

    /// Stops receiving a channel.
    ///
    /// # Errors
    /// [`RequestError`].
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
    /// client.connect().await?;
    /// client.subscribe("room").await?;
    /// client.unsubscribe("room").await?;
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), RequestError> {
        let frame = ClientFrame::Unsubscribe { channel: channel.to_owned() };
        let kind = RequestKind::Unsubscribe { channel: channel.into() };
        self.request(&frame, kind, RequestTarget::None, SendPriority::App).await
    }

    /// Broadcasts data to a channel's subscribers but ourselves. No subscription is needed.
    ///
    /// Done at the server's ack. Requests are paced: see [`PacingOptions`](crate::signalling::PacingOptions).
    ///
    /// # Errors
    /// [`RequestError`]. [`RequestError::AckTimeout`] and a [`RequestError::Disconnected`] that was sent leave open
    /// whether it was done.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        channel: &str,
        data: &T,
    ) -> Result<(), RequestError> {
        let data = json(data)?;
        let frame = ClientFrame::Publish { channel: channel.to_owned(), data };
        let target = RequestTarget::Channel(channel.into());
        self.request(&frame, RequestKind::Publish, target, SendPriority::App).await
    }

    /// Hands data to one peer. No common channel is needed; the credential needs the action `send`.
    ///
    /// # Errors
    /// [`RequestError`], with code `peer_not_found` if nobody is connected under that id.
    ///
    /// ```
    /// # metered_scenes::play(async |service: &metered_scenes::Service| {
    /// # let client = |id| service.client(id);
    /// use metered_realtime::signalling::Event;
    /// let (alice, bob) = (client("alice")?, client("bob")?);
    /// let mut events = bob.events();
    /// alice.connect().await?;
    /// bob.connect().await?;
    /// alice.send("bob", &("knight", "f3")).await?;
    /// let direct = loop {
    ///     if let Some(Event::Direct(direct)) = events.next().await {
    ///         break direct;
    ///     }
    /// };
    /// assert_eq!((direct.from.as_str(), direct.data.as_str()), ("alice", r#"["knight","f3"]"#));
    /// // Who is not connected gets nothing, and nothing is kept for later.
    /// assert_eq!(alice.send("carol", "hello").await.unwrap_err().code(), "peer_not_found");
    /// alice.close().await;
    /// bob.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn send<T: Serialize + ?Sized>(
        &self,
        peer_id: &str,
        data: &T,
    ) -> Result<(), RequestError> {
        self.send_with(peer_id, data, SendPriority::App).await
    }

    /// [`send`](Self::send) in a lane of choice.
    ///
    /// # Errors
    /// As `send`.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
    /// use metered_realtime::signalling::SendPriority;
    /// client.connect().await?;
    /// // Before whatever the app has queued, and after earlier call set-up.
    /// client.send_with("alice", "ring", SendPriority::Signalling).await?;
    /// client.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn send_with<T: Serialize + ?Sized>(
        &self,
        peer_id: &str,
        data: &T,
        priority: SendPriority,
    ) -> Result<(), RequestError> {
        let data = json(data)?;
        let frame = ClientFrame::Send { to: peer_id.to_owned(), data };
        self.request(&frame, RequestKind::Send, RequestTarget::Peer, priority).await
    }

    /// Bytes of a frame that the service takes.
    pub(crate) fn max_message_size(&self) -> usize {
        self.inner.shared.max_message_size.load(Ordering::Relaxed)
    }

    async fn request(
        &self,
        frame: &ClientFrame,
        kind: RequestKind,
        target: RequestTarget,
        priority: SendPriority,
    ) -> Result<(), RequestError> {
        let shared = &self.inner.shared;
        let id = shared.next_request_id();
        let cap = shared.max_message_size.load(Ordering::Relaxed);
        let text = frame.encode(Some(&id.to_string()), cap)?;
        let data_size = match frame {
            ClientFrame::Publish { data, .. } | ClientFrame::Send { data, .. } => {
                data.as_str().len()
            }
            _ => 0,
        };
        let request = Request { id, kind, text, data_size, priority };
        let (reply, result) = oneshot::channel();
        let not_connected = || RequestError::NotConnected { state: self.state() };
        let commands = self.sender().ok_or_else(not_connected)?;
        // At the first poll and without waiting, so that the order of the calls is the order of departure.
        let queued = shared.queued.fetch_add(1, Ordering::Relaxed);
        if queued >= MAX_WAITING {
            shared.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(RequestError::PacingOverflow { waiting: queued });
        }
        commands.send(Command::Request(request, target, reply)).map_err(|_| not_connected())?;
        result.await.unwrap_or_else(|_| Err(not_connected()))
    }
}

fn json<T: Serialize + ?Sized>(data: &T) -> Result<Json, RequestError> {
    Json::from_serialize(data).map_err(|error| RequestError::Json(Arc::new(error)))
}
