//! The methods, and the client that they speak to.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use metered_realtime::signalling::{
    Disconnected, Event, Events, SignallingClient, SubscribeOptions,
};
use metered_realtime::wire::Json;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::RpcError;
use super::options::Options;

/// A request under way: its id and what comes of it.
pub(super) type Reply = Pin<Box<dyn Future<Output = (Value, Result<Value, RpcError>)> + Send>>;

/// The client of this session.
#[derive(Default)]
pub(super) struct Session {
    client: Option<(SignallingClient, Events)>,
    last_disconnected: Option<Arc<Disconnected>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Subscribe {
    channel: String,
    #[serde(default)]
    include_sender_metadata: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Channel {
    channel: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    channel: String,
    data: Json,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Direct {
    peer_id: String,
    data: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    code: Option<u16>,
    reason: Option<String>,
}

fn read<T: DeserializeOwned>(params: &Value) -> Result<T, RpcError> {
    // By way of the text: a payload stays JSON text.
    serde_json::from_str(&params.to_string()).map_err(RpcError::params)
}

impl Session {
    /// Makes a client; an earlier one is closed first.
    pub(super) async fn create(&mut self, params: Value) -> Result<Value, RpcError> {
        let client = SignallingClient::new(Options::read(params)?)?;
        self.close().await;
        let events = client.events();
        self.client = Some((client, events));
        self.last_disconnected = None;
        Ok(json!({}))
    }

    pub(super) async fn close(&mut self) {
        if let Some((client, _)) = &self.client {
            client.close().await;
        }
    }

    pub(super) async fn next_event(&mut self) -> Event {
        match &mut self.client {
            Some((_, events)) => match events.next().await {
                Some(event) => event,
                // Cannot happen while we hold the client.
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    pub(super) fn waiting_event(&mut self) -> Option<Event> {
        self.client.as_mut()?.1.try_next()
    }

    /// Remembers what a diagnosis needs.
    pub(super) fn note(&mut self, event: &Event) {
        if let Event::Disconnected(lost) = event {
            self.last_disconnected = Some(Arc::clone(lost));
        }
    }

    /// Starts a method.
    pub(super) fn call(&self, id: Value, method: &str, params: &Value) -> Reply {
        let result = self.start(method, params);
        Box::pin(async move {
            let result = match result {
                Ok(running) => running.await,
                Err(error) => Err(error),
            };
            (id, result)
        })
    }

    fn start(&self, method: &str, params: &Value) -> Result<Running, RpcError> {
        let method = Method::parse(method).ok_or_else(|| RpcError::method(method))?;
        let Some((client, _)) = &self.client else {
            return Err(RpcError::no_client());
        };
        let client = client.clone();
        let now = |value: Value| -> Running { Box::pin(std::future::ready(Ok(value))) };
        Ok(match method {
            Method::Connect => {
                read::<Nothing>(params)?;
                Box::pin(async move { Ok(done(client.connect().await?)) })
            }
            Method::Close => {
                let Close { code, reason } = read(params)?;
                Box::pin(async move {
                    let reason = reason.as_deref().unwrap_or("client requested close");
                    Ok(done(client.close_with(code.unwrap_or(1000), reason).await?))
                })
            }
            Method::Subscribe => {
                let Subscribe { channel, include_sender_metadata } = read(params)?;
                Box::pin(async move {
                    let options = SubscribeOptions { include_sender_metadata };
                    Ok(done(client.subscribe_with(&channel, options).await?))
                })
            }
            Method::Unsubscribe => {
                let Channel { channel } = read(params)?;
                Box::pin(async move { Ok(done(client.unsubscribe(&channel).await?)) })
            }
            Method::Publish => {
                let Publish { channel, data } = read(params)?;
                Box::pin(async move { Ok(done(client.publish(&channel, &data).await?)) })
            }
            Method::Send => {
                let Direct { peer_id, data } = read(params)?;
                Box::pin(async move { Ok(done(client.send(&peer_id, &data).await?)) })
            }
            Method::State => {
                read::<Nothing>(params)?;
                now(json!(client.state()))
            }
            Method::Diagnose => {
                read::<Nothing>(params)?;
                now(self.diagnose(&client))
            }
            Method::ReconnectNow
            | Method::NetworkChanged
            | Method::Background
            | Method::Foreground => {
                read::<Nothing>(params)?;
                match method {
                    Method::ReconnectNow => client.reconnect_now(),
                    Method::NetworkChanged => client.network_changed(),
                    Method::Background => client.entered_background(),
                    _ => client.entered_foreground(),
                }
                now(Value::Null)
            }
        })
    }

    fn diagnose(&self, client: &SignallingClient) -> Value {
        let (pacing, counters) = (client.pacing(), client.counters());
        let last = self.last_disconnected.as_ref().map(|lost| {
            let diagnosis = lost.error.diagnosis();
            json!({
                "name": lost.error.name(),
                "code": lost.error.code(),
                "message": lost.error.to_string(),
                "closeCode": lost.code.get(),
                "httpStatus": lost.error.http_status(),
                "willReconnect": lost.will_reconnect,
                "cause": diagnosis.cause,
                "fix": diagnosis.fix,
            })
        });
        json!({
            "state": client.state(),
            "peerId": client.connected().map(|connected| connected.peer_id.clone()),
            "iceServers": client.connected().map(|connected| {
                connected.ice_servers.as_ref().map_or(0, Vec::len)
            }),
            "pacing": {
                "waitingSignalling": pacing.waiting_signalling,
                "waitingApp": pacing.waiting_app,
                "unanswered": pacing.unanswered,
            },
            "dropped": {
                "malformedFrames": counters.malformed_frames,
                "droppedEntries": counters.dropped_entries,
                "unknownFrames": counters.unknown_frames,
                "binaryFrames": counters.binary_frames,
                "lateAnswers": counters.late_answers,
                "staleFrames": counters.stale_frames,
            },
            "lastDisconnected": last,
        })
    }
}

type Running = Pin<Box<dyn Future<Output = Result<Value, RpcError>> + Send>>;

/// A method without a result answers `null`.
fn done((): ()) -> Value {
    Value::Null
}

#[derive(Clone, Copy)]
enum Method {
    Connect,
    Close,
    Subscribe,
    Unsubscribe,
    Publish,
    Send,
    State,
    ReconnectNow,
    NetworkChanged,
    Background,
    Foreground,
    Diagnose,
}

impl Method {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("signalling.")? {
            "connect" => Self::Connect,
            "close" => Self::Close,
            "subscribe" => Self::Subscribe,
            "unsubscribe" => Self::Unsubscribe,
            "publish" => Self::Publish,
            "send" => Self::Send,
            "state" => Self::State,
            "reconnectNow" => Self::ReconnectNow,
            "networkChanged" => Self::NetworkChanged,
            "background" => Self::Background,
            "foreground" => Self::Foreground,
            "diagnose" => Self::Diagnose,
            _ => return None,
        })
    }
}
