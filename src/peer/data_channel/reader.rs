//! The task of a channel: reads what the engine's channel tells, until it is closed for good.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::{DataChannelEvent, ReadyState, Shared};
use crate::rtc::engine::{Channel, ChannelEvent};

/// Reads a channel until its end. Owned by the remote's actor.
pub(crate) async fn read(shared: Arc<Shared>) {
    let mut closing = shared.closing.subscribe();
    let mut link = shared.link.subscribe();
    loop {
        let carrier = link.borrow_and_update().clone();
        if let Some(carrier) = &carrier {
            read_link(&shared, &*carrier.channel, &mut closing).await;
        }
        if *closing.borrow() || !shared.survives() {
            break;
        }
        shared.state.send_replace(ReadyState::Connecting);
        if let Some(carrier) = &carrier {
            // The remote's actor tells whether its app closed it, or its connection is ending.
            shared.was_reset(carrier);
        }
        tokio::select! {
            _ = link.changed() => {}
            _ = closing.changed() => {}
        }
    }
    shared.state.send_replace(ReadyState::Closed);
    shared.closing.send_replace(true);
    shared.hub.publish(&DataChannelEvent::Close);
    shared.hub.end();
}

/// Waits until the channel shall be closed.
async fn told(closing: &mut watch::Receiver<bool>) {
    // Its sender lives as long as the channel.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Reads one of the engine's channels until it ends or shall end.
async fn read_link(shared: &Shared, channel: &dyn Channel, closing: &mut watch::Receiver<bool>) {
    loop {
        let event = tokio::select! {
            event = channel.next() => event,
            () = told(closing) => {
                shared.state.send_replace(ReadyState::Closing);
                // Already closed by the remote: that is what was wanted.
                drop(channel.close().await);
                return;
            }
        };
        match event {
            Some(ChannelEvent::Open) => {
                shared.opened.store(true, Ordering::Relaxed);
                shared.state.send_replace(ReadyState::Open);
                shared.hub.publish(&DataChannelEvent::Open);
            }
            Some(ChannelEvent::Message(message)) => {
                let event = DataChannelEvent::Message(message);
                if shared.hub.was_subscribed() {
                    tokio::select! {
                        () = shared.hub.deliver(&event) => {}
                        () = told(closing) => {}
                    }
                } else {
                    shared.hub.publish(&event);
                }
            }
            Some(ChannelEvent::BufferedAmountLow) => {
                shared.low.notify_waiters();
                shared.hub.publish(&DataChannelEvent::BufferedAmountLow);
            }
            Some(ChannelEvent::Closing) => {
                shared.state.send_replace(ReadyState::Closing);
            }
            Some(ChannelEvent::Error) => shared.hub.publish(&DataChannelEvent::Error),
            Some(ChannelEvent::Closed) | None => {
                // The remote closed it, or the connection did: `detach` tells which by what survives.
                if event.is_some() && !shared.survives() {
                    shared.closing.send_replace(true);
                }
                return;
            }
        }
    }
}
