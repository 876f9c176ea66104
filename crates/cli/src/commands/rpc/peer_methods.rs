//! The methods of `peer`, `remote` and `channel`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use metered_realtime::peer::{DataChannelOptions, JoinOptions, MeteredPeer, RemotePeer};
use metered_realtime::wire::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::RpcError;
use super::records::Record;
use super::session::{Running, Session, done, now, read};
use super::track_methods;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Join {
    channel: String,
    #[serde(default)]
    include_sender_metadata: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    data: Json,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SendTo {
    peer_id: String,
    data: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfPeer {
    peer_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfChannel {
    channel_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChannelSend {
    channel_id: String,
    text: Option<String>,
    base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OpenDataChannel {
    peer_id: String,
    label: String,
    ordered: Option<bool>,
    max_retransmits: Option<u16>,
    max_packet_life_time: Option<u64>,
    protocol: Option<String>,
    id: Option<u16>,
    durable: Option<bool>,
    max_buffered_amount: Option<usize>,
    buffered_amount_low_threshold: Option<usize>,
    max_queued_sends: Option<usize>,
}

impl OpenDataChannel {
    fn options(&self) -> DataChannelOptions {
        let defaults = DataChannelOptions::default();
        DataChannelOptions {
            ordered: self.ordered.unwrap_or(defaults.ordered),
            max_retransmits: self.max_retransmits,
            max_packet_life_time: self.max_packet_life_time.map(Duration::from_millis),
            protocol: self.protocol.clone().unwrap_or_default(),
            negotiated_id: self.id,
            durable: self.durable.unwrap_or(defaults.durable),
            max_buffered_amount: self.max_buffered_amount.unwrap_or(defaults.max_buffered_amount),
            buffered_amount_low_threshold: self.buffered_amount_low_threshold,
            max_queued_sends: self.max_queued_sends.unwrap_or(defaults.max_queued_sends),
        }
    }
}

/// Starts a method; `None` if there is no such one.
pub(super) fn start(
    session: &Session,
    object: &str,
    name: &str,
    params: &Value,
) -> Option<Result<Running, RpcError>> {
    match object {
        "peer" => {
            let Some(peer) = session.peer.clone() else {
                let known =
                    PeerMethod::parse(name).is_some() || track_methods::NAMES.contains(&name);
                return known.then(|| Err(RpcError::no_client("peer")));
            };
            track_methods::start(&peer, &session.feeds, name, params)
                .or_else(|| Some(of_peer(peer, PeerMethod::parse(name)?, params)))
        }
        "remote" => of_remote(session, name, params),
        _ => of_channel(session, name, params),
    }
}

#[derive(Clone, Copy)]
enum PeerMethod {
    Join,
    Send,
    SendTo,
    Close,
    State,
    PeerId,
    Channel,
    RemotePeers,
    NetworkChanged,
    Background,
    Foreground,
    ReconnectNow,
    Diagnose,
}

impl PeerMethod {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "join" => Self::Join,
            "send" => Self::Send,
            "sendTo" => Self::SendTo,
            "close" => Self::Close,
            "state" => Self::State,
            "peerId" => Self::PeerId,
            "channel" => Self::Channel,
            "remotePeers" => Self::RemotePeers,
            "networkChanged" => Self::NetworkChanged,
            "background" => Self::Background,
            "foreground" => Self::Foreground,
            "reconnectNow" => Self::ReconnectNow,
            "diagnose" => Self::Diagnose,
            _ => return None,
        })
    }
}

fn of_peer(peer: MeteredPeer, method: PeerMethod, params: &Value) -> Result<Running, RpcError> {
    Ok(match method {
        PeerMethod::Join => {
            let Join { channel, include_sender_metadata } = read(params)?;
            let options = JoinOptions { include_sender_metadata };
            Box::pin(async move { Ok(done(peer.join_with(&channel, options).await?)) })
        }
        PeerMethod::Send => {
            let Send { data } = read(params)?;
            Box::pin(async move { Ok(done(peer.send(&data).await?)) })
        }
        PeerMethod::SendTo => {
            let SendTo { peer_id, data } = read(params)?;
            Box::pin(async move { Ok(done(peer.send_to(&peer_id, &data).await?)) })
        }
        PeerMethod::Close => {
            let Close { reason } = read(params)?;
            Box::pin(async move {
                let reason = reason.as_deref().unwrap_or("client requested close");
                peer.close_with(reason).await;
                Ok(Value::Null)
            })
        }
        _ => {
            read::<Nothing>(params)?;
            match method {
                PeerMethod::NetworkChanged => peer.network_changed(),
                PeerMethod::Background => peer.entered_background(),
                PeerMethod::Foreground => peer.entered_foreground(),
                PeerMethod::ReconnectNow => peer.reconnect_now(),
                _ => {}
            }
            now(match method {
                PeerMethod::State => json!(peer.state()),
                PeerMethod::PeerId => json!(peer.peer_id()),
                PeerMethod::Channel => json!(peer.channel()),
                PeerMethod::RemotePeers => json!(peer.remote_peers()),
                PeerMethod::Diagnose => diagnose(&peer),
                _ => Value::Null,
            })
        }
    })
}

fn of_remote(session: &Session, name: &str, params: &Value) -> Option<Result<Running, RpcError>> {
    Some(match name {
        "openDataChannel" => read::<OpenDataChannel>(params).and_then(|open| {
            let (remote, channels) = (session.remote(&open.peer_id)?, session.channels.clone());
            Ok(Box::pin(async move {
                let channel = remote.open_data_channel(&open.label, open.options()).await?;
                Ok(json!({ "channelId": channels.add(&channel) }))
            }) as Running)
        }),
        "record" => read::<Record>(params).and_then(|record| {
            session.remote(&record.peer_id)?;
            Ok(session.records.start(record, &session.recordings))
        }),
        "stats" => read::<OfPeer>(params).and_then(|of| {
            let remote = session.remote(&of.peer_id)?;
            Ok(Box::pin(async move { Ok(json!(remote.stats().await?)) }) as Running)
        }),
        _ => return None,
    })
}

fn of_channel(session: &Session, name: &str, params: &Value) -> Option<Result<Running, RpcError>> {
    Some(match name {
        "send" => read::<ChannelSend>(params).and_then(|send| {
            let channel = session.channels.get(&send.channel_id)?;
            let running: Running = match (send.text, send.base64) {
                (Some(text), None) => {
                    Box::pin(async move { Ok(done(channel.send_text(text).await?)) })
                }
                (None, Some(base64)) => {
                    let bytes = BASE64.decode(base64).map_err(RpcError::params)?;
                    Box::pin(async move { Ok(done(channel.send_bytes(bytes).await?)) })
                }
                _ => return Err(RpcError::params("exactly one of text and base64 is required")),
            };
            Ok(running)
        }),
        "close" => read::<OfChannel>(params).and_then(|of| {
            session.channels.get(&of.channel_id)?.close();
            Ok(now(Value::Null))
        }),
        "state" => read::<OfChannel>(params).and_then(|of| {
            let channel = session.channels.get(&of.channel_id)?;
            Ok(Box::pin(async move {
                let buffered = channel.buffered_amount().await;
                Ok(json!({ "readyState": channel.ready_state(), "bufferedAmount": buffered }))
            }) as Running)
        }),
        _ => return None,
    })
}

fn history<S: Copy + serde::Serialize>(
    changes: &[metered_realtime::peer::StateChange<S>],
) -> Vec<Value> {
    let ms = |at: &std::time::SystemTime| {
        at.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis())
    };
    let shown = |change: &metered_realtime::peer::StateChange<S>| {
        let at = u64::try_from(ms(&change.at)).unwrap_or(u64::MAX);
        json!({ "atMs": at, "from": change.from, "to": change.to, "reason": change.reason })
    };
    changes.iter().map(shown).collect()
}

fn diagnose(peer: &MeteredPeer) -> Value {
    let remote = |remote: &RemotePeer| {
        json!({
            "id": remote.id(),
            "state": remote.state(),
            "polite": remote.polite(),
            "history": history(&remote.state_history()),
            "lastError": remote.last_error().map(|error| json!({
                "name": error.name,
                "code": error.code,
                "message": error.message,
                "cause": error.diagnosis.cause,
                "fix": error.diagnosis.fix,
            })),
            "iceErrors": remote.ice_errors().iter().map(|error| json!({
                "url": error.url,
                "code": error.code,
                "errorCode": error.error_code,
                "message": error.reason,
                "cause": error.diagnosis.cause,
                "fix": error.diagnosis.fix,
            })).collect::<Vec<_>>(),
            "dropped": remote.counters(),
        })
    };
    json!({
        "state": peer.state(),
        "peerId": peer.peer_id(),
        "channel": peer.channel(),
        "signalling": peer.signalling().state(),
        "iceServers": peer.signalling().connected().map(|connected| {
            connected.ice_servers.as_ref().map_or(0, Vec::len)
        }),
        "history": history(&peer.state_history()),
        "lastError": peer.last_error().map(|error| json!({
            "name": error.name,
            "message": error.message,
            "cause": error.diagnosis.cause,
            "fix": error.diagnosis.fix,
        })),
        "dropped": peer.counters(),
        "remotes": peer.remote_peers().iter().map(remote).collect::<Vec<_>>(),
    })
}
