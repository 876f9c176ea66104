//! The track methods of `peer`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metered_realtime::media::{LocalTrack, LocalVideoTrack, MediaStream};
use metered_realtime::peer::MeteredPeer;
use metered_realtime::wire::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::error::RpcError;
use super::feed::Clip;
use super::session::{Running, read};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    file: String,
    #[serde(default, rename = "loop")]
    repeats: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddTrack {
    kind: String,
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

/// The feeds of this session's tracks, by their ids.
#[derive(Clone, Default)]
pub(super) struct Feeds(Arc<Mutex<HashMap<String, AbortHandle>>>);

impl Feeds {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, track: &LocalVideoTrack, clip: Clip, repeats: bool) {
        let feed = tokio::spawn(clip.play(track.clone(), repeats)).abort_handle();
        if let Some(earlier) = self.lock().insert(track.id().to_owned(), feed) {
            earlier.abort();
        }
    }

    fn end(&self, track_id: &str) {
        if let Some(feed) = self.lock().remove(track_id) {
            feed.abort();
        }
    }

    /// Ends all.
    pub(super) fn clear(&self) {
        self.lock().drain().for_each(|(_, feed)| feed.abort());
    }
}

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
        _ => return None,
    })
}

async fn add_track(peer: &MeteredPeer, feeds: &Feeds, add: AddTrack) -> Result<Value, RpcError> {
    if add.kind != "video" {
        return Err(RpcError::params("kind: a clip of .ivf or .h264 has kind video"));
    }
    let clip = Clip::read(&add.source.file).await?;
    let track = match add.track_id {
        Some(id) => LocalVideoTrack::with_id(clip.codec, id),
        None => LocalVideoTrack::new(clip.codec),
    };
    let stream = add.stream_id.map(MediaStream::with_id);
    peer.add_track(&track, stream.as_ref(), add.metadata.as_ref())?;
    feeds.start(&track, clip, add.source.repeats);
    let mut result = json!({ "trackId": track.id() });
    if let Some(stream) = stream {
        result["streamId"] = stream.id().into();
    }
    Ok(result)
}

async fn replace_track(
    peer: &MeteredPeer,
    feeds: &Feeds,
    replace: ReplaceTrack,
) -> Result<Value, RpcError> {
    let Some(source) = replace.source else {
        peer.replace_track(&replace.track_id, None)?;
        feeds.end(&replace.track_id);
        return Ok(json!({ "trackId": replace.track_id }));
    };
    let clip = Clip::read(&source.file).await?;
    let track = LocalVideoTrack::new(clip.codec);
    peer.replace_track(&replace.track_id, Some(&LocalTrack::from(&track)))?;
    feeds.end(&replace.track_id);
    feeds.start(&track, clip, source.repeats);
    Ok(json!({ "trackId": track.id() }))
}
