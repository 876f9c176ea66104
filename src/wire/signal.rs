//! What SDK peers say to each other inside the data of `send`: descriptions, candidates, track metadata.
//!
//! The service does not look into these. Whatever is none of them is the app's own data.

use serde::{Deserialize, Serialize};

use super::{Json, JsonError};

/// Offer or answer. Other kinds of description are not spoken between SDKs.
///
/// ```
/// use metered_realtime::wire::{DescriptionKind, Json, PeerPayload};
/// let data = Json::parse(r#"{"type":"rtc-description","description":{"type":"offer","sdp":"v=0"}}"#)?;
/// let PeerPayload::Description(description) = PeerPayload::decode(&data) else { panic!() };
/// assert_eq!(description.kind, DescriptionKind::Offer);
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DescriptionKind {
    /// A proposal.
    Offer,
    /// Its acceptance.
    Answer,
}

/// A session description (RFC 8866) with its role (RFC 8829).
///
/// ```
/// use metered_realtime::wire::{DescriptionKind, PeerPayload, SessionDescription};
/// let offer = SessionDescription { kind: DescriptionKind::Offer, sdp: "v=0\r\n".into() };
/// assert_eq!(format!("{offer:?}"), "SessionDescription(Offer, 5 bytes)"); // fit for a log
/// let data = PeerPayload::Description(offer).encode()?.unwrap();
/// assert!(data.as_str().starts_with(r#"{"type":"rtc-description""#));
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDescription {
    /// Offer or answer.
    #[serde(rename = "type")]
    pub kind: DescriptionKind,
    /// The SDP. Holds the ICE password.
    pub sdp: String,
}

impl std::fmt::Debug for SessionDescription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionDescription({:?}, {} bytes)", self.kind, self.sdp.len())
    }
}

/// An ICE candidate as `RTCIceCandidateInit` writes it.
///
/// ```
/// use metered_realtime::wire::{IceCandidate, Json, PeerPayload};
/// let data = Json::parse(r#"{"type":"rtc-ice","candidate":{"candidate":"","sdpMid":"0"}}"#)?;
/// let end = IceCandidate { sdp_mid: Some("0".into()), ..IceCandidate::default() };
/// assert_eq!(PeerPayload::decode(&data), PeerPayload::Candidate(Some(end)));
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IceCandidate {
    /// The candidate attribute; empty at the end of a generation's candidates.
    #[serde(default)]
    pub candidate: String,
    /// The m-line's identification tag.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The m-line's index.
    #[serde(default)]
    pub sdp_m_line_index: Option<u16>,
    /// Tells the ICE generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

/// What a sender says of one of its tracks.
///
/// ```
/// use metered_realtime::wire::{Json, PeerPayload, TrackMetadata};
/// let said = TrackMetadata {
///     track_id: "camera".into(),
///     metadata: Some(Json::parse(r#"{"source":"screen"}"#)?),
///     stream_id: None,
///     kind: Some("video".into()),
/// };
/// let data = PeerPayload::TrackMetadata(said.clone()).encode()?.unwrap();
/// assert_eq!(PeerPayload::decode(&data), PeerPayload::TrackMetadata(said));
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackMetadata {
    /// The sender's id of the track.
    pub track_id: String,
    /// An object; absent to clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// The stream, for receivers that mint track ids of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<String>,
    /// `audio` or `video`, for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// The data of a `send` between SDK peers.
///
/// ```
/// use metered_realtime::wire::{Json, PeerPayload};
/// let data = Json::parse(r#"{"type":"rtc-ice","candidate":null}"#)?;
/// assert_eq!(PeerPayload::decode(&data), PeerPayload::Candidate(None));
/// assert_eq!(PeerPayload::decode(&Json::parse("[1]")?), PeerPayload::App);
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerPayload {
    /// `rtc-description`.
    Description(SessionDescription),
    /// `rtc-ice`; `None` ends the generation's candidates.
    Candidate(Option<IceCandidate>),
    /// `__meteredTrackMeta`.
    TrackMetadata(TrackMetadata),
    /// None of these: the app's own data.
    App,
}

#[derive(Serialize, Deserialize)]
struct Shape<'a> {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<SessionDescription>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present",
        rename = "candidate"
    )]
    candidate: Option<Option<IceCandidate>>,
    #[serde(rename = "__meteredTrackMeta", default, skip_serializing_if = "Option::is_none")]
    track_metadata: Option<TrackMetadata>,
}

/// Tells a `null` from an absent field.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<IceCandidate>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl PeerPayload {
    /// Recognises the conventions; anything else, however close, is the app's.
    pub fn decode(data: &Json) -> Self {
        let Ok(shape) = data.to::<Shape<'_>>() else { return Self::App };
        match (shape.kind.as_deref(), shape.description, shape.candidate, shape.track_metadata) {
            (Some("rtc-description"), Some(description), _, _) => Self::Description(description),
            (Some("rtc-ice"), _, Some(candidate), _) => Self::Candidate(candidate),
            (_, _, _, Some(metadata)) if is_plain_object(metadata.metadata.as_ref()) => {
                Self::TrackMetadata(metadata)
            }
            _ => Self::App,
        }
    }

    /// The data to send; `None` for [`PeerPayload::App`], whose data is the app's own.
    ///
    /// # Errors
    /// [`JsonError`] if it cannot be written, which it can.
    pub fn encode(&self) -> Result<Option<Json>, JsonError> {
        let mut shape =
            Shape { kind: None, description: None, candidate: None, track_metadata: None };
        match self {
            Self::Description(description) => {
                shape.kind = Some("rtc-description".into());
                shape.description = Some(description.clone());
            }
            Self::Candidate(candidate) => {
                shape.kind = Some("rtc-ice".into());
                shape.candidate = Some(candidate.clone());
            }
            Self::TrackMetadata(metadata) => shape.track_metadata = Some(metadata.clone()),
            Self::App => return Ok(None),
        }
        Json::from_serialize(&shape).map(Some)
    }
}

fn is_plain_object(metadata: Option<&Json>) -> bool {
    metadata.is_none_or(|json| json.as_str().starts_with('{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conventions_of_the_official_sdks_are_read_and_written() {
        let texts = [
            r#"{"type":"rtc-description","description":{"type":"offer","sdp":"v=0"}}"#,
            r#"{"type":"rtc-ice","candidate":{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"x"}}"#,
            r#"{"type":"rtc-ice","candidate":null}"#,
            r#"{"__meteredTrackMeta":{"trackId":"t","metadata":{"a":1},"streamId":"s","kind":"audio"}}"#,
            r#"{"__meteredTrackMeta":{"trackId":"t"}}"#,
        ];
        for text in texts {
            let payload = PeerPayload::decode(&Json::parse(text).unwrap());
            assert_ne!(payload, PeerPayload::App, "{text}");
            assert_eq!(payload.encode().unwrap().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_only_resembles_them_is_the_apps() {
        let texts = [
            r#"{"type":"rtc-description","description":{"type":"rollback","sdp":""}}"#,
            r#"{"type":"rtc-ice"}"#,
            r#"{"__meteredTrackMeta":{"trackId":"t","metadata":[1]}}"#,
            r#"{"__meteredTrackMeta":{"metadata":{}}}"#,
            r#""rtc-ice""#,
            "null",
        ];
        for text in texts {
            assert_eq!(
                PeerPayload::decode(&Json::parse(text).unwrap()),
                PeerPayload::App,
                "{text}"
            );
        }
    }
}
