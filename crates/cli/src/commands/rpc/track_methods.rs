//! The track methods of `peer`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metered_realtime::media::{LocalTrack, LocalTrackEvents, MediaKind, MediaStream};
use metered_realtime::peer::MeteredPeer;
use metered_realtime::wire::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::error::RpcError;
use super::session::{Running, read};
use crate::media::{Media, Source};

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Audio,
    Video,
}

impl From<Kind> for MediaKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Audio => Self::Audio,
            Kind::Video => Self::Video,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddTrack {
    kind: Kind,
    source: Source,
    track_id: Option<String>,
    stream_id: Option<String>,
    metadata: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemoveTrack {
    track_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplaceTrack {
    track_id: String,
    source: Option<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MuteTrack {
    track_id: String,
    muted: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StreamTrack {
    kind: Kind,
    source: Source,
    track_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddStream {
    stream_id: Option<String>,
    tracks: Vec<StreamTrack>,
    metadata: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemoveStream {
    stream_id: String,
}

/// The feeds of this session's tracks, and which stream each is in.
#[derive(Clone, Default)]
pub(super) struct Feeds(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    feeds: HashMap<String, (LocalTrack, AbortHandle)>,
    /// What remotes say of the newest: nobody listens to that yet.
    new: Vec<(String, LocalTrackEvents)>,
    streams: HashMap<String, Vec<LocalTrack>>,
}

impl Feeds {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, track_id: &str) -> bool {
        self.lock().feeds.contains_key(track_id)
    }

    fn start(&self, track: LocalTrack, media: Media) {
        let (id, fed) = (track.id().to_owned(), track.clone());
        let told = match &track {
            LocalTrack::Video(track) => track.events(),
            LocalTrack::Audio(track) => track.events(),
        };
        if let Some(cut) = media.cut() {
            tracing::warn!(track = track.id(), "{cut}");
        }
        let playing = async move {
            if let Err(error) = media.play(track.clone()).await {
                tracing::error!(
                    track = track.id(),
                    code = error.code(),
                    "no more is sent: {error}"
                );
            }
        };
        let feed = tokio::spawn(playing).abort_handle();
        let mut table = self.lock();
        table.new.push((id.clone(), told));
        if let Some((_, earlier)) = table.feeds.insert(id, (fed, feed)) {
            earlier.abort();
        }
    }

    /// Tracks that were started since the last time, with what remotes say of them.
    pub(super) fn take_new(&self) -> Vec<(String, LocalTrackEvents)> {
        std::mem::take(&mut self.lock().new)
    }

    fn end(&self, track_id: &str) {
        let mut table = self.lock();
        for tracks in table.streams.values_mut() {
            tracks.retain(|track| track.id() != track_id);
        }
        if let Some((_, feed)) = table.feeds.remove(track_id) {
            feed.abort();
        }
    }

    fn join(&self, stream_id: &str, track: &LocalTrack) {
        self.lock().streams.entry(stream_id.to_owned()).or_default().push(track.clone());
    }

    /// The stream that a track is in.
    fn stream_of(&self, track_id: &str) -> Option<String> {
        let table = self.lock();
        let mut streams = table.streams.iter();
        let found = streams.find(|(_, tracks)| tracks.iter().any(|track| track.id() == track_id));
        found.map(|(id, _)| id.clone())
    }

    fn stream(&self, id: &str) -> Option<MediaStream> {
        let tracks = self.lock().streams.get(id)?.clone();
        Some(tracks.into_iter().fold(MediaStream::with_id(id), MediaStream::with_track))
    }

    fn forget_stream(&self, id: &str) {
        self.lock().streams.remove(id);
    }

    fn mute(&self, track_id: &str, muted: bool) -> Result<(), RpcError> {
        match self.lock().feeds.get(track_id) {
            Some((LocalTrack::Video(track), _)) => track.set_muted(muted),
            Some((LocalTrack::Audio(track), _)) => track.set_muted(muted),
            None => return Err(RpcError::unknown("trackId", track_id)),
        }
        Ok(())
    }

    /// Ends all.
    pub(super) fn clear(&self) {
        let table = std::mem::take(&mut *self.lock());
        table.feeds.into_values().for_each(|(_, feed)| feed.abort());
    }
}

/// All of them.
pub(super) const NAMES: [&str; 6] =
    ["addTrack", "removeTrack", "replaceTrack", "muteTrack", "addStream", "removeStream"];

/// Starts a method; `None` if it is none of these.
pub(super) fn start(
    peer: &MeteredPeer,
    feeds: &Feeds,
    name: &str,
    params: &Value,
) -> Option<Result<Running, RpcError>> {
    let (peer, feeds) = (peer.clone(), feeds.clone());
    Some(match name {
        "addTrack" => read(params)
            .map(|add| Box::pin(async move { add_track(&peer, &feeds, add).await }) as _),
        "removeTrack" => read::<RemoveTrack>(params).map(|remove| {
            Box::pin(async move {
                peer.remove_track(&remove.track_id)?;
                feeds.end(&remove.track_id);
                Ok(Value::Null)
            }) as _
        }),
        "replaceTrack" => read(params)
            .map(|new| Box::pin(async move { replace_track(&peer, &feeds, new).await }) as _),
        "muteTrack" => read::<MuteTrack>(params).map(|mute| {
            let muted = feeds.mute(&mute.track_id, mute.muted).map(|()| Value::Null);
            Box::pin(std::future::ready(muted)) as _
        }),
        "addStream" => read(params)
            .map(|add| Box::pin(async move { add_stream(&peer, &feeds, add).await }) as _),
        "removeStream" => read(params)
            .map(|remove| Box::pin(std::future::ready(remove_stream(&peer, &feeds, &remove))) as _),
        _ => return None,
    })
}

async fn add_track(peer: &MeteredPeer, feeds: &Feeds, add: AddTrack) -> Result<Value, RpcError> {
    let media = add.source.open_as(add.kind.into()).await?;
    let track = media.track(add.track_id);
    let stream = add.stream_id.map(MediaStream::with_id);
    peer.add_track(&track, stream.as_ref(), add.metadata.as_ref())?;
    let mut result = json!({ "trackId": track.id() });
    if let Some(stream) = &stream {
        result["streamId"] = stream.id().into();
    }
    // One that was added before goes on as it is.
    if !feeds.has(track.id()) {
        if let Some(stream) = &stream {
            feeds.join(stream.id(), &track);
        }
        feeds.start(track, media);
    }
    Ok(result)
}

async fn add_stream(peer: &MeteredPeer, feeds: &Feeds, add: AddStream) -> Result<Value, RpcError> {
    // All are read before any is sent.
    let mut opened = Vec::with_capacity(add.tracks.len());
    for track in add.tracks {
        let media = track.source.open_as(track.kind.into()).await?;
        opened.push((media.track(track.track_id), media));
    }
    let empty = add.stream_id.map_or_else(MediaStream::default, MediaStream::with_id);
    let stream = opened.iter().fold(empty, |stream, (track, _)| stream.with_track(track));
    if let Err(error) = peer.add_stream(&stream, add.metadata.as_ref()) {
        // Those that this call added before the one that was refused.
        for track in stream.tracks().iter().filter(|track| !feeds.has(track.id())) {
            peer.remove_track(track.id())?;
        }
        return Err(error.into());
    }
    let ids: Vec<_> = opened.iter().map(|(track, _)| track.id().to_owned()).collect();
    for (track, media) in opened {
        if !feeds.has(track.id()) {
            feeds.join(stream.id(), &track);
            feeds.start(track, media);
        }
    }
    Ok(json!({ "streamId": stream.id(), "trackIds": ids }))
}

fn remove_stream(
    peer: &MeteredPeer,
    feeds: &Feeds,
    remove: &RemoveStream,
) -> Result<Value, RpcError> {
    let stream = feeds.stream(&remove.stream_id);
    let stream = stream.ok_or_else(|| RpcError::unknown("streamId", &remove.stream_id))?;
    peer.remove_stream(&stream)?;
    stream.tracks().iter().for_each(|track| feeds.end(track.id()));
    feeds.forget_stream(stream.id());
    Ok(Value::Null)
}

async fn replace_track(
    peer: &MeteredPeer,
    feeds: &Feeds,
    replace: ReplaceTrack,
) -> Result<Value, RpcError> {
    let old = &replace.track_id;
    let Some(source) = replace.source else {
        peer.replace_track(old, None)?;
        feeds.end(old);
        return Ok(json!({ "trackId": old }));
    };
    let media = source.open().await?;
    let track = media.track(None);
    peer.replace_track(old, Some(&track))?;
    let stream = feeds.stream_of(old);
    feeds.end(old);
    if let Some(stream) = stream {
        feeds.join(&stream, &track);
    }
    let id = track.id().to_owned();
    feeds.start(track, media);
    Ok(json!({ "trackId": id }))
}
