//! Who else is in the room, and how each is reached.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metered_realtime::peer::{
    DataChannelOptions, MeteredPeer, PeerEvent, PeerOptions, RemotePeer, RemoteState,
};
use tokio::task::JoinSet;

use super::LABEL;
use super::loopback::{way, way_json};
use super::report::{Problem, Report, Told, id};
use crate::output::Failure;

/// Peers that a data channel is opened to; the others are only named.
const MOST_REACHED: usize = 16;
/// What a peer's figures may take.
const STATS_LIMIT: Duration = Duration::from_secs(1);
/// What leaving may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Joins the room as a peer, watches it for `stay`, and tells of each peer that was there.
pub(super) async fn check(
    report: &mut Report,
    options: PeerOptions,
    room: &str,
    stay: Duration,
    limit: Duration,
) -> Result<(), Failure> {
    let began = Instant::now();
    let peer = match MeteredPeer::new(options) {
        Ok(peer) => peer,
        Err(error) => return report.fail(id::PEERS, Told::default(), error.into()),
    };
    let mut events = peer.events();
    let problem = match tokio::time::timeout(limit, peer.join(room)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Problem::from(error)),
        Err(_) => Some(Problem::timed_out(limit)),
    };
    if let Some(problem) = problem {
        report.fail(id::PEERS, Told::took(began.elapsed()), problem)?;
        return leave(&peer).await;
    }
    let mut met = Met::default();
    let watch = async {
        while let Some(event) = events.next().await {
            met.note(event);
        }
    };
    // To the end: who comes late counts too.
    drop(tokio::time::timeout(stay, watch).await);
    let told = Told::took(began.elapsed()).with("count", met.peers.len());
    let detail = match met.peers.len() {
        0 => "nobody else was there".to_owned(),
        1 => "1 other was there".to_owned(),
        n => format!("{n} others were there"),
    };
    report.ok(id::PEERS, told, &detail)?;
    for (remote, state) in met.peers.values() {
        of_peer(report, remote, *state, stay).await?;
    }
    leave(&peer).await
}

async fn leave(peer: &MeteredPeer) -> Result<(), Failure> {
    // What is left ends with the process.
    drop(tokio::time::timeout(CLOSE_LIMIT, peer.close()).await);
    Ok(())
}

/// Who was seen, each with the state in which it left, if it did.
#[derive(Default)]
struct Met {
    peers: BTreeMap<String, (RemotePeer, Option<RemoteState>)>,
    opening: JoinSet<()>,
}

impl Met {
    fn note(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::PeerJoined(remote) => {
                if self.peers.len() < MOST_REACHED {
                    let to = remote.clone();
                    self.opening.spawn(async move {
                        // A failure shows in the remote's state and errors.
                        drop(to.open_data_channel(LABEL, DataChannelOptions::default()).await);
                    });
                }
                self.peers.insert(remote.id().to_owned(), (remote, None));
            }
            PeerEvent::PeerLeft(remote) => {
                if let Some((_, left)) = self.peers.get_mut(remote.id()) {
                    // Before "closed", which every peer is that has left.
                    *left = remote.state_history().last().map(|change| change.from);
                }
            }
            _ => {}
        }
    }
}

async fn of_peer(
    report: &mut Report,
    remote: &RemotePeer,
    left: Option<RemoteState>,
    stay: Duration,
) -> Result<(), Failure> {
    let state = left.unwrap_or_else(|| remote.state());
    let told =
        Told::default().of(remote.id()).with("state", state.as_str()).with("left", left.is_some());
    if state == RemoteState::Connected {
        let stats = tokio::time::timeout(STATS_LIMIT, remote.stats()).await;
        let pair = stats.ok().and_then(Result::ok).and_then(|stats| stats.selected_pair);
        let detail = match (&pair, left) {
            (Some(pair), _) => format!("connected, {}", way(pair)),
            (None, Some(_)) => "was connected, and left".to_owned(),
            (None, None) => "connected".to_owned(),
        };
        return report.ok(id::PEER, told.with("path", pair.as_ref().map(way_json)), &detail);
    }
    if left.is_some() {
        return report.ok(id::PEER, told, "left before there was a connection");
    }
    if state == RemoteState::Idle {
        return report.ok(
            id::PEER,
            told,
            "there; no connection was tried, so many are in the room",
        );
    }
    let server = remote.ice_errors().first().map(|error| Problem::of_ice(error));
    let negotiation = remote.last_error().map(|error| Problem::of_negotiation(&error));
    let unknown = || {
        Problem::new(
            "peer_not_reached",
            &format!("no connection within {:.0} s", stay.as_secs_f64()),
            "The peer is in the room and no connection to it came about: it does not answer (gone without a word, which the service notices after 40 s), or no path between the two networks works.",
            "Run metered doctor on its device too, at the same time and with the same --room; give a longer --stay. If relay is ok on both sides, look at the other app: it must be a peer of an SDK, not a signalling client.",
        )
    };
    report.fail(id::PEER, told, negotiation.or(server).unwrap_or_else(unknown))
}
