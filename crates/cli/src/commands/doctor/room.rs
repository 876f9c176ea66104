//! A room: joined, published into, and a message to ourselves by way of the service.

use std::time::{Duration, Instant};

use metered_realtime::signalling::{Event, Events, RequestError, SignallingClient};
use serde_json::json;

use super::report::{Problem, Report, Told, id};
use crate::output::Failure;

/// What follows an ack comes within this, or not at all.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(2);
/// Refusals of a room that the user did not choose.
const NOT_OURS: [&str; 3] = ["channel_not_authorized", "channel_not_in_claim", "invalid_channel"];

/// Joins `room`, or one of our own.
pub(super) async fn check(
    report: &mut Report,
    client: &SignallingClient,
    room: Option<&str>,
    limit: Duration,
) -> Result<(), Failure> {
    let nonce = format!("{:016x}", fastrand::u64(..));
    let own = format!("metered-doctor-{nonce}");
    let channel = room.unwrap_or(&own);
    let mut events = client.events();
    let began = Instant::now();
    match within(limit, client.subscribe(channel)).await {
        Ok(()) => {
            let told = Told::took(began.elapsed());
            let others = others(&mut events).await;
            let who = match others {
                None => "joined; the service did not say who is there".to_owned(),
                Some(0) => "joined; nobody else is there".to_owned(),
                Some(n) => format!("joined; {n} more there"),
            };
            report.ok(id::ROOM, told.with("others", others), &who)?;
            publish(report, client, channel, &nonce, limit).await?;
        }
        Err(problem) if room.is_none() && NOT_OURS.contains(&problem.code.as_str()) => {
            let why = "the credential does not cover a room of the doctor's own; give --room";
            report.needless(id::ROOM, why)?;
            report.needless(id::PUBLISH, why)?;
        }
        Err(problem) => {
            report.fail(id::ROOM, Told::took(began.elapsed()), problem)?;
            report.skip(id::PUBLISH, id::ROOM)?;
        }
    }
    send(report, client, &mut events, &nonce, limit).await
}

async fn within(
    limit: Duration,
    request: impl Future<Output = Result<(), RequestError>>,
) -> Result<(), Problem> {
    match tokio::time::timeout(limit, request).await {
        Ok(result) => result.map_err(Problem::from),
        Err(_) => Err(Problem::timed_out(limit)),
    }
}

/// How many are there, by the snapshot.
async fn others(events: &mut Events) -> Option<usize> {
    let snapshot = async {
        while let Some(event) = events.next().await {
            if let Event::Presence { presence, snapshot: true } = event {
                return Some(presence.joined.len());
            }
        }
        None
    };
    tokio::time::timeout(FOLLOWS_WITHIN, snapshot).await.ok().flatten()
}

async fn publish(
    report: &mut Report,
    client: &SignallingClient,
    channel: &str,
    nonce: &str,
    limit: Duration,
) -> Result<(), Failure> {
    let began = Instant::now();
    let data = json!({ "meteredDoctor": nonce });
    let published = within(limit, client.publish(channel, &data)).await;
    let told = Told::took(began.elapsed());
    match published {
        Ok(()) => report.ok(id::PUBLISH, told, "the service took a message for the room"),
        // Calls do without; whether the app needs it is the app's to know.
        Err(problem) if problem.code == "action_not_permitted" => {
            report.warn(id::PUBLISH, told, problem)
        }
        Err(problem) => report.fail(id::PUBLISH, told, problem),
    }
}

/// Calls need the action send: their signals go from peer to peer.
async fn send(
    report: &mut Report,
    client: &SignallingClient,
    events: &mut Events,
    nonce: &str,
    limit: Duration,
) -> Result<(), Failure> {
    let Some(connected) = client.connected() else {
        return report.skip(id::SEND, id::ROUND_TRIP);
    };
    let began = Instant::now();
    let data = json!({ "meteredDoctor": nonce });
    let sent = within(limit, client.send(&connected.peer_id, &data)).await;
    let acked = began.elapsed();
    match sent {
        Ok(()) => {}
        // Allowed, then: only the service does not deliver to the sender.
        Err(problem) if problem.code == "peer_not_found" => {
            let detail = "messages from peer to peer are allowed";
            return report.ok(id::SEND, Told::took(acked).with("echo", false), detail);
        }
        Err(problem) => return report.fail(id::SEND, Told::took(acked), problem),
    }
    let echo = async {
        while let Some(event) = events.next().await {
            if let Event::Direct(direct) = event
                && direct.data.as_str().contains(nonce)
            {
                return true;
            }
        }
        false
    };
    let echoed = tokio::time::timeout(FOLLOWS_WITHIN, echo).await.unwrap_or(false);
    let told = Told::took(began.elapsed()).with("echo", echoed);
    match echoed {
        true => report.ok(id::SEND, told, "a message to ourselves came back"),
        false => report.ok(id::SEND, told, "the service took a message to ourselves"),
    }
}
