//! The REST control plane: five endpoints for backends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Method;
use metered_realtime::wire::{
    Json, MAX_METADATA_BYTES, MAX_PEER_METADATA_BYTES, MAX_TOKEN_CHANNELS, MAX_TOKEN_PERMISSIONS,
    validate_channel, validate_peer_id,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::auth::{Rights, by_bearer};
use crate::config::{Action, SecretConfig};
use crate::faults::Target;
use crate::http::{Answer, refuse, reply};
use crate::state::{Order, State};
use crate::token::{DEFAULT_TTL, MAX_TTL, TokenClaims, unix_seconds};

pub(crate) fn handle(
    state: &State,
    method: &Method,
    path: &str,
    bearer: Option<&str>,
    body: &[u8],
) -> Answer {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let known = matches!(
        (method, parts.as_slice()),
        (&Method::POST, ["v1", "tokens"] | ["v1", "channels", _, "publish"])
            | (&Method::GET, ["v1", "usage"] | ["v1", "channels", _, "peers"])
            | (&Method::DELETE, ["v1", "peers", _])
    );
    if !known {
        return refuse(404, "not_found", "there is no such endpoint");
    }
    let Some(key) = by_bearer(&state.config, bearer) else {
        return refuse(401, "unauthorized", "Authorization: Bearer sk_id:sk_secret is required");
    };
    let done = match parts.as_slice() {
        ["v1", "tokens"] => tokens(key, body),
        ["v1", "usage"] => Ok(usage(state)),
        ["v1", "channels", id, "peers"] => peers(state, key, &decode(id)),
        ["v1", "channels", id, "publish"] => publish(state, key, &decode(id), body),
        ["v1", "peers", id] => kick(state, &decode(id)),
        _ => Err(deny(404, "not_found", "there is no such endpoint")),
    };
    done.unwrap_or_else(|refused| refuse(refused.status, refused.code, &refused.message))
}

fn decode(text: &str) -> String {
    // A path keeps its plus signs.
    let text = text.replace('+', "%2B");
    form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

struct Refused {
    status: u16,
    code: &'static str,
    message: String,
}

fn deny(status: u16, code: &'static str, message: &str) -> Refused {
    Refused { status, code, message: message.to_owned() }
}

fn invalid(message: &str) -> Refused {
    deny(400, "invalid_request", message)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenRequest {
    peer_id: String,
    channels: Option<Vec<String>>,
    permissions: Option<Vec<String>>,
    expires_in_sec: Option<u64>,
    metadata: Option<Map<String, Value>>,
    peer_metadata: Option<Map<String, Value>>,
}

fn tokens(key: &SecretConfig, body: &[u8]) -> Result<Answer, Refused> {
    let request: TokenRequest =
        serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))?;
    validate_peer_id(&request.peer_id).map_err(|error| invalid(&error.to_string()))?;
    let life = request.expires_in_sec.unwrap_or(DEFAULT_TTL.as_secs());
    if life == 0 || life > MAX_TTL.as_secs() {
        return Err(invalid("expiresInSec is 1 to 86400"));
    }
    let size = |object: &Option<Map<String, Value>>| {
        object.as_ref().map_or(0, |object| json!(object).to_string().len())
    };
    if size(&request.metadata) > MAX_METADATA_BYTES
        || size(&request.peer_metadata) > MAX_PEER_METADATA_BYTES
        || request.channels.as_ref().is_some_and(|list| list.len() > MAX_TOKEN_CHANNELS)
        || request.permissions.as_ref().is_some_and(|list| list.len() > MAX_TOKEN_PERMISSIONS)
    {
        return Err(invalid("metadata, peerMetadata, channels or permissions are too large"));
    }
    let rights = Rights::new(&key.channels, None, Vec::new());
    if !request.channels.iter().flatten().all(|channel| rights.covers(channel)) {
        return Err(deny(403, "channel_not_authorized", "channels outside the key's patterns"));
    }
    for name in request.permissions.iter().flatten() {
        match Action::parse(name) {
            None => return Err(invalid("permissions are subscribe, publish, presence, send")),
            Some(action) if !key.actions.contains(&action) => {
                return Err(deny(403, "action_not_permitted", "the key lacks a permission"));
            }
            Some(_) => {}
        }
    }
    let mut claims = TokenClaims::new(request.peer_id).lasting(Duration::from_secs(life));
    let expires_at = unix_seconds() + life;
    claims.exp = Some(expires_at.into());
    claims.channels = request.channels;
    claims.permissions = request.permissions;
    claims.metadata = request.metadata.map(Value::Object);
    claims.peer_metadata = request.peer_metadata.map(Value::Object);
    let token = claims
        .mint(&key.id, &key.secret)
        .map_err(|_| deny(503, "internal_error", "the token could not be signed"))?;
    Ok(reply(200, &json!({ "token": token, "expiresAt": expires_at })))
}

fn scoped(key: &SecretConfig, action: Action, channel: &str) -> Result<(), Refused> {
    if let Err(error) = validate_channel(channel) {
        let code = match error.code() {
            "channel_reserved" => "channel_reserved",
            _ => "invalid_request",
        };
        return Err(deny(400, code, &error.to_string()));
    }
    let rights = Rights::new(&key.channels, None, key.actions.clone());
    if !rights.may(action) {
        return Err(deny(403, "action_not_permitted", "the key lacks the action"));
    }
    if !rights.covers(channel) {
        return Err(deny(403, "channel_not_authorized", "the channel is outside the patterns"));
    }
    Ok(())
}

fn peers(state: &State, key: &SecretConfig, channel: &str) -> Result<Answer, Refused> {
    scoped(key, Action::Presence, channel)?;
    let peers = state.hub().present(channel, "");
    Ok(reply(200, &json!({ "channel": channel, "peers": peers })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublishRequest {
    #[serde(default, deserialize_with = "some")]
    data: Option<Json>,
    from: Option<String>,
    peer_metadata: Option<Map<String, Value>>,
}

/// Tells a `null` from an absent field.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

fn publish(
    state: &State,
    key: &SecretConfig,
    channel: &str,
    body: &[u8],
) -> Result<Answer, Refused> {
    scoped(key, Action::Publish, channel)?;
    let request: PublishRequest =
        serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))?;
    let data = request.data.ok_or_else(|| invalid("data is required"))?;
    let from = request.from.unwrap_or_else(|| "system".to_owned());
    validate_peer_id(&from).map_err(|error| invalid(&error.to_string()))?;
    let metadata = request.peer_metadata.and_then(|object| Json::from_serialize(&object).ok());
    state.publish(channel, &from, &data, metadata.as_ref());
    Ok(reply(200, &json!({ "channel": channel })))
}

fn kick(state: &State, peer_id: &str) -> Result<Answer, Refused> {
    validate_peer_id(peer_id).map_err(|error| invalid(&error.to_string()))?;
    let order =
        Order::Close { code: 4020, reason: "admin disconnect".to_owned(), after: Duration::ZERO };
    let closed = state.order(&Target::peer(peer_id), &order);
    Ok(reply(200, &json!({ "peerId": peer_id, "closed": closed })))
}

fn usage(state: &State) -> Answer {
    let limits = &state.config.limits;
    let used = state.usage.messages.load(Ordering::Relaxed);
    reply(
        200,
        &json!({
            "appId": "dev",
            "periodStartUnix": state.started.floor(),
            "periodEndUnix": null,
            "concurrentNow": state.hub().len(),
            "peakConcurrent": state.usage.peak.load(Ordering::Relaxed),
            "messagesUsed": used,
            "overageMessages": 0,
            "overageConnections": 0,
            "plan": {
                "name": "DEV",
                "maxConcurrentConnections": limits.concurrent_connections,
                "maxMessagesPerPeriod": limits.messages_per_period,
                "overagesAllowed": false,
                "overagesEnabled": false,
            },
        }),
    )
}
