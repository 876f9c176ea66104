//! Who else is in the room, and how each is reached.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metered_realtime::peer::{
    CandidatePairStats, DataChannelOptions, MeteredPeer, PeerError, PeerEvent, PeerOptions,
    RemotePeer, RemoteState,
};
use tokio::task::JoinSet;

use super::LABEL;
use super::loopback::{way, way_json};
use super::report::{Problem, Report, Told, id};
use crate::output::Failure;

/// Peers that a data channel is opened to; the others are only named.
const MOST_REACHED: usize = 16;
/// What a peer's figures may take.
const STATS_LIMIT: Duration = Duration::from_millis(300);
/// Between two looks at them.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
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
        let mut look = tokio::time::interval(LOOK_AGAIN);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => met.note(event),
                    None => break,
                },
                _ = look.tick() => met.look().await,
            }
        }
    };
    // To the end: who comes late counts too.
    drop(tokio::time::timeout(stay, watch).await);
    let ended = Instant::now();
    while let Some(event) = events.try_next() {
        met.note(event);
    }
    let told = Told::took(began.elapsed()).with("count", met.peers.len());
    let detail = match met.peers.len() {
        0 => "nobody else was there".to_owned(),
        1 => "1 other was there".to_owned(),
        n => format!("{n} others were there"),
    };
    report.ok(id::PEERS, told, &detail)?;
    met.look().await;
    for other in met.peers.values() {
        of_peer(report, other, ended, stay)?;
    }
    leave(&peer).await
}

async fn leave(peer: &MeteredPeer) -> Result<(), Failure> {
    // What is left ends with the process.
    drop(tokio::time::timeout(CLOSE_LIMIT, peer.close()).await);
    Ok(())
}

/// Who was seen.
#[derive(Default)]
struct Met {
    peers: BTreeMap<String, Other>,
    /// Whose channel could not be opened, and why.
    opening: JoinSet<Option<(String, PeerError)>>,
}

struct Other {
    remote: RemotePeer,
    /// When it was seen first.
    came: Instant,
    /// The last path that it was seen on.
    path: Option<CandidatePairStats>,
    asked: bool,
    left: bool,
    /// Why no channel could be opened to it.
    refused: Option<Problem>,
}

impl Met {
    fn note(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::PeerJoined(remote) => {
                let asked = self.peers.len() < MOST_REACHED;
                if asked {
                    let to = remote.clone();
                    self.opening.spawn(async move {
                        let opened = to.open_data_channel(LABEL, DataChannelOptions::default());
                        opened.await.err().map(|error| (to.id().to_owned(), error))
                    });
                }
                let id = remote.id().to_owned();
                let came = Instant::now();
                let other = Other { remote, came, path: None, asked, left: false, refused: None };
                self.peers.insert(id, other);
            }
            PeerEvent::PeerLeft(remote) => {
                if let Some(other) = self.peers.get_mut(remote.id()) {
                    other.left = true;
                }
            }
            _ => {}
        }
    }

    /// Notes the paths of now, and what could not be opened.
    async fn look(&mut self) {
        while let Some(opened) = self.opening.try_join_next() {
            let refused = opened.ok().flatten();
            if let Some((id, error)) = refused
                && let Some(other) = self.peers.get_mut(&id)
            {
                other.refused = Some(error.into());
            }
        }
        let connected = |other: &&mut Other| other.remote.state() == RemoteState::Connected;
        for other in self.peers.values_mut().filter(connected) {
            let stats = tokio::time::timeout(STATS_LIMIT, other.remote.stats()).await;
            let path = stats.ok().and_then(Result::ok).and_then(|stats| stats.selected_pair);
            other.path = path.or(other.path.take());
        }
    }
}

/// At the end of a stay.
fn of_peer(
    report: &mut Report,
    other: &Other,
    ended: Instant,
    stay: Duration,
) -> Result<(), Failure> {
    let Other { remote, came, path, asked, left, refused } = other;
    let was_there = ended.saturating_duration_since(*came);
    let state = remote.state();
    let is_under_way = refused.is_none() && remote.last_error().is_none();
    let told = Told::default()
        .of(remote.id())
        .with("state", state.as_str())
        .with("left", *left)
        .with("path", path.as_ref().map(way_json));
    match (path, left, asked) {
        (Some(path), false, _) if state == RemoteState::Connected => {
            return report.ok(id::PEER, told, &format!("connected, {}", way(path)));
        }
        (Some(path), true, _) => {
            return report.ok(id::PEER, told, &format!("was connected, {}, and left", way(path)));
        }
        // It ended the connection, and the service has not said yet that it left.
        (Some(path), false, _) if matches!(state, RemoteState::Idle | RemoteState::Closed) => {
            return report.ok(
                id::PEER,
                told,
                &format!("was connected, {}, and ended it", way(path)),
            );
        }
        (None, true, _) => {
            return report.ok(id::PEER, told, "left before there was a connection");
        }
        (_, _, false) => {
            let detail = "there; with so many in the room no connection was tried";
            return report.ok(id::PEER, told, detail);
        }
        // A connection takes its time: what has not failed in less than half of ours may still come.
        (None, false, _) if is_under_way && was_there < stay / 2 => {
            let seconds = was_there.as_secs_f64();
            let detail = format!("came {seconds:.1} s before the end, too late for a connection");
            return report.ok(id::PEER, told, &detail);
        }
        _ => {}
    }
    // Its servers were asked before.
    let negotiation = remote.last_error().map(|error| Problem::of_negotiation(&error));
    let unknown = || {
        Problem::new(
            "peer_not_reached",
            &format!("no connection within {:.0} s", stay.as_secs_f64()),
            "The peer is in the room and no connection to it came about: it does not answer (gone without a word, which the service notices after 40 s), or no path between the two networks works.",
            "Run metered doctor on its device too, at the same time and with the same --room; give a longer --stay. If relay is ok on both sides, look at the other app: it must be a peer of an SDK, not a signalling client.",
        )
    };
    report.fail(id::PEER, told, negotiation.or_else(|| refused.clone()).unwrap_or_else(unknown))
}
