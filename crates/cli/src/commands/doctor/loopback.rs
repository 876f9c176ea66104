//! Two peers of ours on this machine: whether a connection carries data, by a relay alone and directly, and
//! whether it carries pictures.
//!
//! They meet in a room of a local server inside this process, so that nothing but the paths is tested, and nobody
//! else is bothered.

use std::time::{Duration, Instant};

use metered_dev_server::{DevServer, DevServerHandle};
use metered_realtime::media::MediaStream;
use metered_realtime::peer::{
    CandidatePairStats, CandidateType, ChannelMessage, DataChannelEvent, DataChannelEvents,
    DataChannelOptions, IceTransportPolicy, MeteredPeer, PeerEvent, PeerEvents, RemoteEvent,
    RemotePeer,
};
use metered_realtime::platform::tls::TlsOptions;
use metered_realtime::signalling::{ProxySetting, SignallingOptions};
use serde_json::{Value, json};

use super::report::{Problem, Report, Told, id, milliseconds};
use super::servers::Relays;
use crate::commands::doctor::LABEL;
use crate::connection::PeerConnection;
use crate::media::Source;
use crate::media::watch::Viewer;
use crate::output::Failure;

/// So many pictures are proof enough.
const PICTURES: u64 = 10;
/// Between two looks at what was seen.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What the end of a pair may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the message that passes each way: more than fits into one datagram.
const MESSAGE_BYTES: usize = 4_096;

/// Relayed, then direct, then a picture by whichever holds; by the relay first.
pub(super) async fn check(
    report: &mut Report,
    connection: &PeerConnection,
    tls: &TlsOptions,
    relays: &Relays,
    limit: Duration,
) -> Result<(), Failure> {
    let path = Path { connection, tls, limit };
    let relayed = match relays.servers.is_empty() {
        true => {
            report.skip(id::RELAY, relays.because)?;
            None
        }
        false => path.check(report, id::RELAY, relays, IceTransportPolicy::Relay).await?,
    };
    let none = Relays::none(id::DIRECT);
    let direct = path.check(report, id::DIRECT, &none, IceTransportPolicy::All).await?;
    match relayed.as_ref().or(direct.as_ref()) {
        Some(pair) => {
            let by = if relayed.is_some() { "relay" } else { "direct" };
            picture(report, pair, by, limit).await?;
        }
        None => report.skip(id::PICTURE, id::DIRECT)?,
    }
    for pair in relayed.into_iter().chain(direct) {
        pair.close().await;
    }
    Ok(())
}

struct Path<'a> {
    connection: &'a PeerConnection,
    tls: &'a TlsOptions,
    limit: Duration,
}

impl Path<'_> {
    /// Connects two peers and passes a message each way.
    async fn check(
        &self,
        report: &mut Report,
        id: &'static str,
        relays: &Relays,
        policy: IceTransportPolicy,
    ) -> Result<Option<Pair>, Failure> {
        let began = Instant::now();
        let pair = match tokio::time::timeout(self.limit, self.meet(relays, policy)).await {
            Ok(Ok(pair)) => pair,
            Ok(Err(problem)) => {
                report.fail(id, Told::took(began.elapsed()), problem)?;
                return Ok(None);
            }
            Err(_) => {
                let problem = Problem::timed_out(self.limit);
                report.fail(id, Told::took(began.elapsed()), problem)?;
                return Ok(None);
            }
        };
        let talk = tokio::time::timeout(self.limit, pair.talk()).await;
        let told = Told::took(began.elapsed());
        let problem = match talk {
            Ok(Ok(pass)) => {
                let pair_stats =
                    pair.there.stats().await.ok().and_then(|stats| stats.selected_pair);
                let told = told
                    .with("messageRoundTripMs", milliseconds(pass))
                    .with("path", pair_stats.as_ref().map(way_json));
                let by = pair_stats.as_ref().map_or_else(|| "connected".to_owned(), way);
                report.ok(id, told, &format!("{by}; a data channel carries messages"))?;
                return Ok(Some(pair));
            }
            Ok(Err(problem)) => problem,
            Err(_) => pair.why().unwrap_or_else(|| no_path(policy)),
        };
        report.fail(id, told, problem)?;
        pair.close().await;
        Ok(None)
    }

    async fn meet(&self, relays: &Relays, policy: IceTransportPolicy) -> Result<Pair, Problem> {
        let server = DevServer::builder().start().await.map_err(Problem::from)?;
        let peer = |name: &str| -> Result<MeteredPeer, Problem> {
            let token = server.token(name).map_err(Problem::from)?;
            let mut signalling = SignallingOptions::with_token(token).map_err(Problem::from)?;
            signalling.url = server.url();
            signalling.proxy = ProxySetting::None;
            signalling.tls = self.tls.clone();
            let mut options = self.connection.with(signalling);
            options.ice_servers.clone_from(&relays.servers);
            options.ice_transport_policy = policy;
            MeteredPeer::new(options).map_err(Problem::from)
        };
        let (ann, bob) = (peer("ann")?, peer("bob")?);
        let (mut of_ann, mut of_bob) = (ann.events(), bob.events());
        ann.join("doctor").await.map_err(Problem::from)?;
        bob.join("doctor").await.map_err(Problem::from)?;
        let (there, here) = (other(&mut of_ann).await?, other(&mut of_bob).await?);
        Ok(Pair { server, ann, bob, there, here })
    }
}

async fn other(events: &mut PeerEvents) -> Result<RemotePeer, Problem> {
    while let Some(event) = events.next().await {
        if let PeerEvent::PeerJoined(remote) = event {
            return Ok(remote);
        }
    }
    Err(ended())
}

fn ended() -> Problem {
    Problem::new(
        "loopback_ended",
        "the local peers ended early",
        "The connection between the two local peers was closed before the check was done.",
        "Run the doctor again; if it repeats, report it with --log-level debug.",
    )
}

fn no_path(policy: IceTransportPolicy) -> Problem {
    match policy {
        IceTransportPolicy::Relay => Problem::new(
            "relay_carries_nothing",
            "the TURN servers give addresses, and nothing passes between them",
            "Two peers of this machine asked for relayed addresses and got them; what one sends does not reach the other. Usually the relay's own ports are blocked by its firewall, or it announces an address of its private network.",
            "Open the relay's port range (by default UDP 49152 to 65535) between relays, and set its external address. coturn: min-port, max-port, external-ip.",
        ),
        IceTransportPolicy::All => Problem::new(
            "local_path_blocked",
            "two peers on this machine do not reach each other",
            "A firewall of this device, or a VPN, keeps programs from receiving UDP on its own addresses.",
            "Allow incoming UDP for this program, or end the VPN and run the doctor again.",
        ),
    }
}

/// Two peers in a room of their own.
struct Pair {
    server: DevServerHandle,
    ann: MeteredPeer,
    bob: MeteredPeer,
    /// Bob, as Ann has him.
    there: RemotePeer,
    /// Ann, as Bob has her.
    here: RemotePeer,
}

impl Pair {
    /// A message each way; how long both took together, once the channel stood.
    async fn talk(&self) -> Result<Duration, Problem> {
        let mut events = self.here.events();
        let options = DataChannelOptions::default();
        let opened = self.there.open_data_channel(LABEL, options).await;
        let ours = opened.map_err(Problem::from)?;
        let mut heard = ours.events();
        let theirs = loop {
            match events.next().await {
                Some(RemoteEvent::DataChannel(channel)) => break channel,
                Some(_) => {}
                None => return Err(ended()),
            }
        };
        let mut there = theirs.events();
        let began = Instant::now();
        ours.send_bytes(vec![1; MESSAGE_BYTES]).await.map_err(channel)?;
        let message = message(&mut there).await?;
        theirs.send_bytes(vec![2; message.len()]).await.map_err(channel)?;
        self::message(&mut heard).await?;
        Ok(began.elapsed())
    }

    /// What the peers know of a connection that did not come about.
    fn why(&self) -> Option<Problem> {
        let both = [&self.there, &self.here];
        let errors: Vec<_> = both.iter().flat_map(|remote| remote.ice_errors()).collect();
        // A relay that refuses one address may pass on to another: only if nothing else is wrong.
        let of_all = errors.iter().find(|error| error.code != "turn_address_refused");
        let server = of_all.or(errors.first());
        let negotiation = both.iter().find_map(|remote| remote.last_error());
        let negotiation = negotiation.map(|error| Problem::of_negotiation(&error));
        server.map(|error| Problem::of_ice(error)).or(negotiation)
    }

    async fn close(self) {
        let closing = async {
            self.ann.close().await;
            self.bob.close().await;
            self.server.shutdown().await;
        };
        // What is left ends with the process.
        drop(tokio::time::timeout(CLOSE_LIMIT, closing).await);
    }
}

fn channel(error: metered_realtime::peer::DataChannelError) -> Problem {
    Problem::from(metered_realtime::peer::PeerError::from(error))
}

async fn message(events: &mut DataChannelEvents) -> Result<ChannelMessage, Problem> {
    while let Some(event) = events.next().await {
        if let DataChannelEvent::Message(message) = event {
            return Ok(message);
        }
    }
    Err(ended())
}

/// Sends a test pattern over a connection that stands, and counts what comes.
async fn picture(
    report: &mut Report,
    pair: &Pair,
    by: &str,
    limit: Duration,
) -> Result<(), Failure> {
    let began = Instant::now();
    let seen = tokio::time::timeout(limit, pictures(pair)).await;
    let told = Told::took(began.elapsed()).with("by", by);
    match seen {
        Ok(Ok(seen)) => {
            let told =
                told.with("frames", seen.frames).with("firstAfterMs", milliseconds(seen.first));
            let size = seen.size.map_or_else(String::new, |(w, h)| format!(" of {w}x{h}"));
            let (frames, first) = (seen.frames, seen.first.as_millis());
            let detail =
                format!("{frames} pictures{size} came by {by}, the first after {first} ms");
            report.ok(id::PICTURE, told, &detail)
        }
        Ok(Err(problem)) => report.fail(id::PICTURE, told, problem),
        Err(_) => {
            let problem = Problem::new(
                "no_picture",
                "data passes, and no picture comes",
                "A test picture was sent over a connection that carries data, and too few frames arrived: the path drops most of what it gets, or all large datagrams (a VPN, a firewall).",
                "Try without the VPN; allow UDP datagrams of 1,200 bytes, or let calls go by turns: on port 443.",
            );
            report.fail(id::PICTURE, told, problem)
        }
    }
}

struct Pictures {
    frames: u64,
    first: Duration,
    size: Option<(u32, u32)>,
}

async fn pictures(pair: &Pair) -> Result<Pictures, Problem> {
    let source: Source = "test-pattern".parse().map_err(|what: String| {
        Problem::new(
            "no_test_pattern",
            &what,
            "",
            "Report it: the pattern is a part of the command.",
        )
    })?;
    let media = source.open().await.map_err(Problem::from)?;
    let track = media.track(None);
    let mut events = pair.here.events();
    let began = Instant::now();
    pair.ann.add_stream(&MediaStream::default().with_track(&track), None).map_err(Problem::from)?;
    let feed = Feed(tokio::spawn(media.play(track)));
    let viewer = loop {
        match events.next().await {
            Some(RemoteEvent::Track(track)) => {
                if let Some(pictures) = track.video() {
                    break Viewer::start(pictures);
                }
            }
            Some(_) => {}
            None => return Err(ended()),
        }
    };
    let mut first = None;
    loop {
        let seen = viewer.seen();
        if seen.frames > 0 {
            first.get_or_insert_with(|| began.elapsed());
        }
        if let (Some(first), PICTURES..) = (first, seen.frames) {
            drop(feed);
            return Ok(Pictures { frames: seen.frames, first, size: seen.size });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Feeds a track until dropped.
struct Feed(tokio::task::JoinHandle<Result<(), crate::media::SourceError>>);

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A path in a few words.
pub(super) fn way(pair: &CandidatePairStats) -> String {
    let (local, remote) = (&pair.local, &pair.remote);
    let relayed = [local, remote].iter().any(|end| end.candidate_type == CandidateType::Relay);
    let time = pair.round_trip_time_ms.map_or_else(String::new, |ms| format!(", {ms:.1} ms"));
    match (relayed, &local.relay_url) {
        (true, Some(url)) => format!("relayed by {url}{time}"),
        (true, None) => format!("relayed by the other side's relay{time}"),
        (false, _) => format!("direct over {}{time}", local.protocol),
    }
}

/// A path for scripts.
pub(super) fn way_json(pair: &CandidatePairStats) -> Value {
    json!({
        "localType": pair.local.candidate_type,
        "remoteType": pair.remote.candidate_type,
        "protocol": pair.local.protocol,
        "relayUrl": pair.local.relay_url,
        "roundTripMs": pair.round_trip_time_ms.map(|ms| (ms * 10.0).round() / 10.0),
    })
}
