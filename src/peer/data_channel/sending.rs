//! Sending on a channel: in turn, within what the remote takes and what may wait in the transport.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::shared::Carrier;
use super::{ChannelMessage, DataChannel, ReadyState};
use crate::peer::error::DataChannelError;
use crate::rtc::engine::Channel;

/// The event of the transport is the rule; a look now and then is the exception's.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Counts a send that waits, until it is dropped.
struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl DataChannel {
    /// Bytes handed to the transport that the remote has not acknowledged.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Chat { channel, .. }| {
    /// channel.send_bytes(vec![0; 1_000]).await?;
    /// // For the bar of a transfer: what was sent less what may still be on the way.
    /// let arrived = 1_000 - channel.buffered_amount().await.min(1_000);
    /// assert!(arrived <= 1_000);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn buffered_amount(&self) -> usize {
        let link = self.shared.link.borrow().clone();
        match link {
            Some(Carrier { channel, .. }) => channel.buffered_amount().await.unwrap_or(0),
            None => 0,
        }
    }

    /// Sends text. See [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_text(&self, text: impl Into<String>) -> Result<(), DataChannelError> {
        self.send(ChannelMessage::Text(text.into())).await
    }

    /// Sends bytes. See [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_bytes(&self, bytes: impl Into<Bytes>) -> Result<(), DataChannelError> {
        self.send(ChannelMessage::Binary(bytes.into())).await
    }

    /// Sends a message; done when it is handed to the transport.
    ///
    /// Waits until the channel is open, while the remote cannot be reached (a path that is lost is looked for
    /// anew), and while `max_buffered_amount` bytes wait in the transport. Sends
    /// leave in the order of their calls. Dropping the future takes the message back if it has not left.
    ///
    /// # Errors
    /// [`DataChannelError::TooLarge`] and [`Overflow`](DataChannelError::Overflow) at once,
    /// [`Closed`](DataChannelError::Closed) at once or while it waits.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Chat { channel, .. }| {
    /// use metered_realtime::peer::ChannelMessage;
    /// channel.send(ChannelMessage::Text("hello".into())).await?; // at once: it waits for the opening
    /// channel.close();
    /// let late = channel.send(ChannelMessage::Text("again".into())).await.unwrap_err();
    /// assert_eq!(late.code(), "data_channel_closed");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn send(&self, message: ChannelMessage) -> Result<(), DataChannelError> {
        let shared = &self.shared;
        self.check(&message)?;
        let cap = shared.options.max_queued_sends;
        let queued = shared.queued.fetch_add(1, Ordering::Relaxed);
        let _queued = Queued(&shared.queued);
        if queued >= cap {
            return Err(DataChannelError::Overflow { queued, cap });
        }
        let _turn = shared.turn.lock().await;
        let (mut link, mut state) = (shared.link.subscribe(), shared.state.subscribe());
        let mut closing = shared.closing.subscribe();
        loop {
            if *closing.borrow_and_update() || shared.is_closed() {
                return Err(DataChannelError::Closed);
            }
            let carrier = link.borrow_and_update().clone();
            let open = *state.borrow_and_update() == ReadyState::Open;
            if let Some(Carrier { channel, .. }) = carrier.filter(|_| open) {
                tokio::select! {
                    biased;
                    () = channel.path(message.len()) => {}
                    _ = link.changed() => continue,
                    _ = state.changed() => continue,
                    _ = closing.changed() => continue,
                }
                let low = shared.low.notified();
                if self.has_room(&*channel, message.len()).await {
                    // It was not open when it was checked; the remote's limit is known now.
                    self.check(&message)?;
                    match channel.send(&message).await {
                        Ok(()) => return Ok(()),
                        // The channel went away under us: a durable one comes back.
                        Err(_) if shared.survives() => {}
                        Err(_) => return Err(DataChannelError::Closed),
                    }
                } else {
                    tokio::select! {
                        () = low => {}
                        () = tokio::time::sleep(LOOK_AGAIN) => {}
                        _ = closing.changed() => {}
                    }
                    continue;
                }
            }
            // The senders live as long as `shared`.
            tokio::select! {
                _ = link.changed() => {}
                _ = state.changed() => {}
                _ = closing.changed() => {}
            }
        }
    }

    /// Sends now, or says why not: it is not open, or the transport has no room.
    ///
    /// # Errors
    /// [`DataChannelError::NotOpen`], [`Full`](DataChannelError::Full), [`TooLarge`](DataChannelError::TooLarge),
    /// [`Closed`](DataChannelError::Closed).
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Chat { channel, .. }| {
    /// use metered_realtime::peer::{ChannelMessage, DataChannelError};
    /// // A position is of use now or not at all.
    /// match channel.try_send(ChannelMessage::Text("x=3".into())).await {
    ///     Ok(()) | Err(DataChannelError::Full | DataChannelError::NotOpen) => {}
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # });
    /// ```
    pub async fn try_send(&self, message: ChannelMessage) -> Result<(), DataChannelError> {
        self.check(&message)?;
        match self.ready_state() {
            ReadyState::Open => {}
            ReadyState::Connecting => return Err(DataChannelError::NotOpen),
            _ => return Err(DataChannelError::Closed),
        }
        let full = DataChannelError::Full;
        // Sends that wait come first.
        let Ok(_turn) = self.shared.turn.try_lock() else { return Err(full) };
        let link = self.shared.link.borrow().clone();
        let Some(Carrier { channel, .. }) = link else { return Err(DataChannelError::NotOpen) };
        if !self.has_room(&*channel, message.len()).await {
            return Err(full);
        }
        channel.send(&message).await.map_err(|_| DataChannelError::Closed)
    }

    async fn has_room(&self, channel: &dyn Channel, len: usize) -> bool {
        // A channel that is gone has room: its send says what happened.
        let buffered = channel.buffered_amount().await.unwrap_or(0);
        buffered == 0 || buffered + len <= self.shared.options.max_buffered_amount
    }

    fn check(&self, message: &ChannelMessage) -> Result<(), DataChannelError> {
        let size = message.len();
        let cap = self.max_message_size().min(self.shared.options.max_buffered_amount);
        if size > cap { Err(DataChannelError::TooLarge { size, cap }) } else { Ok(()) }
    }
}
