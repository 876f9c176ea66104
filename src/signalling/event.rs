//! What a client tells its app: events in order, and states.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::error::{ConnectError, RequestError};
use crate::credential::TokenProviderError;
use crate::events;
use crate::wire::{CloseCode, Direct, ErrorFrame, IceServer, Message, Presence, UnixSeconds};

/// Where a client stands.
///
/// ```
/// use metered_realtime::signalling::State;
/// assert_eq!(State::Reconnecting.as_str(), "reconnecting");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Never connected.
    #[default]
    Idle,
    /// The first attempt is under way.
    Connecting,
    /// Requests can be made.
    Connected,
    /// The connection is lost and will be made anew.
    Reconnecting,
    /// Ended, by `close`, by a refusal that no repetition mends, or for want of further attempts.
    Closed,
}

impl State {
    /// The JavaScript SDK's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the server said in its welcome.
///
/// ```
/// use metered_realtime::signalling::Connected;
/// /// Seconds that the token still has at the welcome; `None` for a publishable key.
/// fn life(connected: &Connected) -> Option<f64> {
///     Some(connected.expires_at?.0 - connected.server_time?.0)
/// }
/// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
/// client.connect().await?;
/// let connected = client.connected().ok_or("lost again at once")?;
/// assert!(!connected.is_reconnect);
/// assert!(life(&connected).is_some_and(|seconds| seconds > 3_000.0));
/// client.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connected {
    /// Our id on this connection. With a publishable key it is new each time.
    pub peer_id: String,
    /// The server's clock; absent if it did not say.
    pub server_time: Option<UnixSeconds>,
    /// When the token ends; `None` for a publishable key.
    pub expires_at: Option<UnixSeconds>,
    /// Whether a connection of this client preceded it since `connect`.
    pub is_reconnect: bool,
    /// Bytes that one frame of ours may have.
    pub max_message_size: usize,
    /// ICE servers for WebRTC, if the service gave any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ice_servers: Option<Vec<IceServer>>,
}

/// A connection, or an attempt at one, ended.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, server }| {
/// use metered_realtime::signalling::{Disconnected, Event};
/// use metered_realtime::wire::CloseCode;
/// let mut events = client.events();
/// client.connect().await?;
/// server.drop_connections(metered_dev_server::Target::all());
/// let lost = loop {
///     if let Some(Event::Disconnected(lost)) = events.next().await {
///         break lost;
///     }
/// };
/// let Disconnected { code, will_reconnect, error, .. } = &*lost;
/// assert_eq!((*code, *will_reconnect), (CloseCode::ABNORMAL, true));
/// println!("{}", error.diagnosis());
/// client.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Disconnected {
    /// The close code; 1006 when there was no close frame.
    pub code: CloseCode,
    /// The close frame's reason, or ours. Text of the server: not for logs.
    pub reason: String,
    /// Whether another attempt follows by itself.
    pub will_reconnect: bool,
    /// What is known of it, with cause and fix.
    pub error: Arc<ConnectError>,
}

/// Something that happened to a client.
///
/// ```
/// use metered_realtime::signalling::Event;
/// /// A line for the screen; most events need none.
/// fn line(event: &Event) -> Option<String> {
///     Some(match event {
///         Event::Message(message) => format!("{}: {}", message.from, message.data.as_str()),
///         Event::Disconnected(lost) if lost.will_reconnect => "Connection lost, trying again".into(),
///         Event::Disconnected(lost) => format!("Offline. {}", lost.error.diagnosis()),
///         Event::Lagged { missed } => format!("{missed} events were missed"),
///         _ => return None,
///     })
/// }
/// assert_eq!(line(&Event::Lagged { missed: 2 }).as_deref(), Some("2 events were missed"));
/// assert_eq!(line(&Event::GoingAway { retry_after_ms: 500 }), None); // mended by itself
/// assert_eq!(Event::GoingAway { retry_after_ms: 500 }.name(), "going-away");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A welcome came. Tracked subscriptions are replayed right after it.
    Connected(Arc<Connected>),
    /// A connection, or an attempt at one, ended.
    Disconnected(Arc<Disconnected>),
    /// The state changed.
    StateChange {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
    },
    /// A broadcast on a subscribed channel.
    Message(Arc<Message>),
    /// Data for us alone.
    Direct(Arc<Direct>),
    /// Peers came or left; or, right after a subscription, who is there.
    Presence {
        /// The frame.
        presence: Arc<Presence>,
        /// Whether it is the subscription's snapshot rather than a change. The wire does not say; this is
        /// the first presence after the subscription (after its ack, if the channel was subscribed before).
        snapshot: bool,
    },
    /// An error of the server that answers no request under way.
    ServerError(Arc<ErrorFrame>),
    /// The server will close soon and wants to see us again after this many milliseconds.
    GoingAway {
        /// As the server said it.
        retry_after_ms: u64,
    },
    /// The token provider failed for the third time in a row, or more.
    TokenProviderError {
        /// Failures in a row.
        consecutive_failures: u32,
        /// The last one.
        error: Arc<TokenProviderError>,
    },
    /// A tracked subscription could not be replayed on this connection; the next one tries again.
    ResubscribeFailed {
        /// The channel.
        channel: String,
        /// The last failure.
        error: Arc<RequestError>,
    },
    /// This subscriber was too slow: so many of its oldest waiting events were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event {
    /// The JavaScript SDK's name of the event; ours where it has none.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Disconnected(_) => "disconnected",
            Self::StateChange { .. } => "state-change",
            Self::Message(_) => "message",
            Self::Direct(_) => "direct",
            Self::Presence { .. } => "presence",
            Self::ServerError(_) => "server-error",
            Self::GoingAway { .. } => "going-away",
            Self::TokenProviderError { .. } => "token-provider-error",
            Self::ResubscribeFailed { .. } => "resubscribe-failed",
            Self::Lagged { .. } => "lagged",
        }
    }
}

impl events::Event for Event {
    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }
}

/// A subscription to a client's events.
///
/// It is a `futures` stream too.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use futures_util::StreamExt;
/// use metered_realtime::signalling::{Events, SignallingClient, SignallingOptions};
/// let client = SignallingClient::new(SignallingOptions::with_api_key("pk_live_example")?)?;
/// let events: Events = client.events();
/// client.close().await;
/// drop(client);
/// let names: Vec<_> = events.map(|event| event.name()).collect().await;
/// assert_eq!(names, ["state-change"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub type Events = events::Events<Event>;
