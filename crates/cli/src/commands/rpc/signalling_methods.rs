//! The methods of `signalling`.

use metered_realtime::signalling::{Attempt, AttemptStep, SignallingClient, SubscribeOptions};
use metered_realtime::wire::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::RpcError;
use super::session::{Running, Session, done, now, read};

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

/// Starts a method; `None` if there is no such one.
pub(super) fn start(
    session: &Session,
    name: &str,
    params: &Value,
) -> Option<Result<Running, RpcError>> {
    Method::parse(name).map(|method| run(session, method, params))
}

fn run(session: &Session, method: Method, params: &Value) -> Result<Running, RpcError> {
    let Some(client) = session.client.clone() else {
        return Err(RpcError::no_client("signalling"));
    };
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
            now(diagnose(session, &client))
        }
        Method::ReconnectNow | Method::NetworkChanged | Method::Background | Method::Foreground => {
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

fn diagnose(session: &Session, client: &SignallingClient) -> Value {
    let (pacing, counters) = (client.pacing(), client.counters());
    let last = session.last_disconnected.as_ref().map(|lost| {
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
        "lastAttempt": client.last_attempt().map(|attempt| attempt_json(&attempt)),
    })
}

/// How the last attempt to connect went, step by step.
fn attempt_json(attempt: &Attempt) -> Value {
    let step = |step: &AttemptStep| {
        json!({
            "step": step.step,
            "tookMs": (step.took.as_secs_f64() * 10_000.0).round() / 10.0,
            "done": step.done,
        })
    };
    json!({
        "proxy": attempt.proxy,
        "address": attempt.address,
        "steps": attempt.steps.iter().map(step).collect::<Vec<_>>(),
    })
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
        Some(match name {
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
