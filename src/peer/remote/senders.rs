//! What one remote is sent: kept in line with the tracks that the peer publishes, on whatever connection there
//! is.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::Shared;
use crate::media::{Bandwidth, LocalTrack, Outbound, Refusal};
use crate::peer::tracks::{Published, Tracks};
use crate::rtc::engine::{Connection, NO_SUCH_CODEC, SenderInit, TrackSender};
use crate::rtc::h264::StreamProfile;
use crate::rtc::stats::ConnectionStats;
use crate::wire::TrackMetadata;

use super::signals::Signals;

/// The stream of a track that belongs to none (RFC 8830 section 2).
const NO_STREAM: &str = "-";

/// Each costs two negotiations, and a remote may name a codec and refuse it, in turns.
const MAX_RETRIES: usize = 8;

struct Live {
    wire_id: String,
    sender: Arc<dyn TrackSender>,
    outbound: Outbound,
}

/// A track that is not sent, because the remote does not take its codec: announced and without packets it would
/// be a black picture there.
struct Refused {
    /// Such as `video/H264`.
    codec: &'static str,
    /// The track whose source knows.
    told: Option<String>,
    /// Whether the remote names the codec all the same.
    named: bool,
    /// The profile of H.264 that it does not take, if it is only that: it is tried again when another is written.
    profile: Option<StreamProfile>,
    /// Whether it is tried again: on another connection, and when the remote begins to name the codec.
    again: bool,
}

pub(super) struct Senders {
    tracks: watch::Receiver<Tracks>,
    /// In the order in which they were added.
    live: Vec<Live>,
    /// By their ids on the wire.
    refused: BTreeMap<String, Refused>,
    /// How often something refused was tried again on this connection.
    retries: usize,
    /// Something was refused, or may be tried again.
    judged: Arc<Notify>,
    /// Of the connection that they are on.
    bandwidth: Option<Arc<Bandwidth>>,
    /// What the remote was told of our tracks, by their ids.
    told: BTreeMap<String, TrackMetadata>,
    tasks: JoinSet<()>,
}

impl Senders {
    pub(super) fn new(tracks: watch::Receiver<Tracks>) -> Self {
        Self {
            tracks,
            live: Vec::new(),
            refused: BTreeMap::new(),
            retries: 0,
            judged: Arc::default(),
            bandwidth: None,
            told: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Done when the tracks changed, or what is sent of them. Pending if they cannot any more.
    pub(super) async fn changed(&mut self) {
        let judged = Arc::clone(&self.judged);
        let mut profiles = self.profiles();
        tokio::select! {
            changed = self.tracks.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = judged.notified() => {}
            Some(id) = profiles.next() => if let Some(refused) = self.refused.get_mut(&id) {
                refused.again = true;
            },
        }
    }

    /// Refused tracks whose profile becomes another one than was refused.
    fn profiles(&self) -> FuturesUnordered<BoxFuture<'static, String>> {
        let refused = self.refused.iter().filter(|(_, refused)| !refused.again);
        let refused = refused.filter_map(|(id, refused)| Some((id, refused.profile?)));
        let changes = refused.filter_map(|(id, profile)| {
            let tracks = self.tracks.borrow();
            let published = tracks.all().iter().find(|published| published.wire_id == *id)?;
            let (id, source) = (id.clone(), Arc::clone(published.track.as_ref()?.shared()));
            let changes = async move {
                source.profile_changes(profile).await;
                id
            };
            Some(changes.boxed())
        });
        changes.collect()
    }

    /// Whether there is anything to send.
    pub(super) fn want_connection(&self) -> bool {
        self.tracks.borrow().all().iter().any(|published| published.track.is_some())
    }

    /// To the remote we may be another one: it is told everything again.
    pub(super) fn say_again(&mut self) {
        self.told.clear();
    }

    /// Tells the remote what is new about our tracks.
    pub(super) async fn describe(&mut self, signals: &mut Signals) {
        let tracks = self.tracks.borrow_and_update().clone();
        let said: BTreeMap<_, _> = tracks.all().iter().filter_map(metadata).collect();
        let gone = self.told.keys().filter(|id| !said.contains_key(*id)).cloned();
        for track_id in gone.collect::<Vec<_>>() {
            self.told.remove(&track_id);
            let clear = TrackMetadata { track_id, metadata: None, stream_id: None, kind: None };
            signals.send_metadata(clear).await;
        }
        for (id, metadata) in said {
            if self.told.get(&id) != Some(&metadata) {
                signals.send_metadata(metadata.clone()).await;
                self.told.insert(id, metadata);
            }
        }
    }

    /// Brings the connection's senders in line; whether it must be negotiated.
    pub(super) async fn attach(
        &mut self,
        connection: &Arc<dyn Connection>,
        shared: &Shared,
        connected: bool,
    ) -> bool {
        while self.tasks.try_join_next().is_some() {}
        let tracks = self.tracks.borrow().clone();
        let mut changed = false;
        let find = |id: &str| tracks.all().iter().find(|published| published.wire_id == id);
        self.refused.retain(|id, _| find(id).is_some());
        for live in std::mem::take(&mut self.live) {
            match find(&live.wire_id) {
                Some(published) if live.outbound.is_refused() => {
                    changed = true;
                    remove(&**connection, &live).await;
                    let (told, profile) = (live.outbound.told(), live.outbound.refused_profile());
                    self.refuse(&**connection, published, told, profile);
                }
                Some(published) => {
                    let source = published.track.as_ref().map(|track| Arc::clone(track.shared()));
                    live.outbound.set_source(source);
                    self.live.push(live);
                }
                None => {
                    changed = true;
                    remove(&**connection, &live).await;
                }
            }
        }
        for published in tracks.all() {
            let Some(track) = &published.track else { continue };
            if self.live.iter().any(|live| live.wire_id == published.wire_id) {
                continue;
            }
            if let Some(refused) = self.refused.get_mut(&published.wire_id)
                && !refused.may_be_taken(track)
            {
                refused.tell(track, &shared.id);
                continue;
            }
            let init = SenderInit {
                kind: published.kind,
                track_id: published.wire_id.clone(),
                stream_id: published.stream_id.clone().unwrap_or_else(|| NO_STREAM.to_owned()),
                mime_type: published.mime_type,
            };
            match connection.add_sender(&init).await {
                Ok(sender) => {
                    let source = Arc::clone(track.shared());
                    let bandwidth = self.bandwidth(connection, shared);
                    let wire_id = published.wire_id.clone();
                    let told = self.refused.remove(&wire_id).and_then(|refused| refused.told);
                    let refusal = Refusal::new(&self.judged, told);
                    let (outbound, task) =
                        Outbound::after(Arc::clone(&sender), source, bandwidth, connected, refusal);
                    self.tasks.spawn(task.boxed());
                    self.live.push(Live { wire_id, sender, outbound });
                    changed = true;
                }
                Err(error) if error.reason == NO_SUCH_CODEC => {
                    let told = self.refused.remove(&published.wire_id);
                    let told = told.and_then(|refused| refused.told);
                    let refused = self.refuse(&**connection, published, told, None);
                    refused.tell(track, &shared.id);
                }
                // The connection failed already: its end brings the next one.
                Err(error) => tracing::warn!(%error, "a track was not added"),
            }
        }
        changed
    }

    /// Keeps in mind that the remote does not take the track.
    fn refuse(
        &mut self,
        connection: &dyn Connection,
        published: &Published,
        told: Option<String>,
        profile: Option<StreamProfile>,
    ) -> &mut Refused {
        let codec = published.mime_type;
        let named = connection.remote_takes(codec);
        let profile = profile.filter(|_| named);
        let refused = Refused { codec, told, named, profile, again: false };
        self.refused.entry(published.wire_id.clone()).insert_entry(refused).into_mut()
    }

    /// The connection's; made with its first sender.
    fn bandwidth(&mut self, connection: &Arc<dyn Connection>, shared: &Shared) -> Arc<Bandwidth> {
        if let Some(bandwidth) = &self.bandwidth {
            return Arc::clone(bandwidth);
        }
        let (bandwidth, task) = Bandwidth::of(Arc::clone(connection), shared.id.clone());
        // Ends with the connection.
        self.tasks.spawn(task.boxed());
        Arc::clone(self.bandwidth.insert(bandwidth))
    }

    /// Adds what is known here to a connection's figures, which know tracks that are sent no more as well.
    pub(super) fn complete(&self, stats: &mut ConnectionStats) {
        stats.available_outgoing_bitrate = self.bandwidth.as_ref().map(|path| path.estimate());
        stats.tracks.retain_mut(|track| {
            if track.direction != "outbound" {
                return true;
            }
            let live = self.live.iter().find(|live| live.wire_id == track.track_id);
            let Some(live) = live else { return false };
            let (frames, key_frames, share) = live.outbound.figures();
            track.target_bitrate = share;
            if track.kind == "video" {
                (track.frames, track.key_frames) = (frames, key_frames);
            }
            true
        });
    }

    /// Both sides agreed on something.
    pub(super) fn negotiated(&mut self, connection: Option<&dyn Connection>) {
        self.live.iter().for_each(|live| live.outbound.negotiated());
        let Some(connection) = connection else { return };
        for refused in self.refused.values_mut() {
            let named = connection.remote_takes(refused.codec);
            let began = !std::mem::replace(&mut refused.named, named) && named;
            if began && self.retries < MAX_RETRIES {
                self.retries += 1;
                refused.again = true;
                self.judged.notify_one();
            }
        }
    }

    /// Packets reach the remote from now on.
    pub(super) fn connected(&self) {
        self.live.iter().for_each(|live| live.outbound.set_connected(true));
    }

    /// The connection is gone; its senders with it.
    pub(super) fn detach(&mut self) {
        self.refused.values_mut().for_each(|refused| refused.again = true);
        self.retries = 0;
        let tracks = self.tracks.borrow().clone();
        for live in self.live.drain(..) {
            let of = |published: &&Published| published.wire_id == live.wire_id;
            if let (Some(told), Some(of)) = (live.outbound.told(), tracks.all().iter().find(of)) {
                let (codec, told) = (of.mime_type, Some(told));
                let refused = Refused { codec, told, named: false, profile: None, again: true };
                self.refused.insert(live.wire_id, refused);
            }
        }
        self.bandwidth = None;
    }

    /// Ends every task and awaits it.
    pub(super) async fn close(&mut self) {
        self.live.clear();
        self.tasks.shutdown().await;
    }
}

impl Refused {
    /// Whether the remote is asked again.
    fn may_be_taken(&self, track: &LocalTrack) -> bool {
        let other = |profile| track.shared().profile() != Some(profile);
        self.again || self.profile.is_some_and(other)
    }

    /// Tells the source, unless it was told.
    fn tell(&mut self, track: &LocalTrack, peer_id: &str) {
        if self.told.as_deref() != Some(track.id()) {
            self.told = Some(track.id().to_owned());
            track.shared().refused(peer_id);
        }
    }
}

async fn remove(connection: &dyn Connection, live: &Live) {
    if let Err(error) = connection.remove_sender(&*live.sender).await {
        // The connection ended: its successor does not have the track.
        tracing::debug!(%error, "a track was not removed");
    }
}

/// What is said of a track, if anything: under the id that descriptions name, also when another track is behind it.
fn metadata(published: &Published) -> Option<(String, TrackMetadata)> {
    published.track.as_ref()?;
    let metadata = Some(published.metadata.clone()?);
    let stream_id = published.stream_id.clone();
    let kind = Some(published.kind.as_str().to_owned());
    let track_id = published.wire_id.clone();
    Some((track_id.clone(), TrackMetadata { track_id, metadata, stream_id, kind }))
}
