//! Errors as the contract writes them.

use metered_realtime::credential::CredentialError;
use metered_realtime::diagnosis::Diagnosis;
use metered_realtime::peer::{DataChannelError, PeerError, PeerOptionsError};
use metered_realtime::signalling::{ConnectError, OptionsError, RequestError};
use metered_realtime::wire::BuildError;
use serde_json::{Map, Value, json};

use crate::media::SourceError;

/// A JSON-RPC error.
#[derive(Debug)]
pub(crate) struct RpcError {
    code: i32,
    message: String,
    data: Map<String, Value>,
}

impl RpcError {
    fn bare(code: i32, message: &str) -> Self {
        Self { code, message: message.to_owned(), data: Map::new() }
    }

    pub(super) fn parse(message: &str) -> Self {
        Self::bare(-32700, message)
    }

    pub(super) fn request() -> Self {
        let message = "a request has jsonrpc \"2.0\", a method, an id of string or number, and params as an object";
        Self::bare(-32600, message)
    }

    pub(super) fn method(name: &str) -> Self {
        let mut error = Self::bare(-32601, "there is no such method");
        error.data.insert("method".into(), name.into());
        error
    }

    pub(super) fn params(message: impl std::fmt::Display) -> Self {
        Self::bare(-32602, &message.to_string())
    }

    /// Parameters of a wrong shape, with the place of what is wrong, such as `source.file`.
    pub(super) fn shape(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let message = error.inner().to_string();
        // The position is one in our own text of them.
        let message = message.rsplit_once(" at line ").map_or(&*message, |(before, _)| before);
        match error.path().iter().next() {
            None => Self::params(message),
            Some(_) => {
                let path = error.path().to_string();
                Self::params(format_args!("{path}: {message}")).set("param", path)
            }
        }
    }

    fn sdk(name: &str, code: &str, message: String, diagnosis: &Diagnosis) -> Self {
        let data = json!({
            "name": name, "code": code, "cause": diagnosis.cause, "fix": diagnosis.fix,
        });
        let data = match data {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        Self { code: -32000, message, data }
    }

    /// A method that needs a client or peer, before there is one.
    pub(super) fn no_client(object: &str) -> Self {
        Self::sdk(
            "InvalidStateError",
            "no_client",
            format!("there is no {object} yet"),
            &Diagnosis::new(
                "Nothing was created in this session that could do this.",
                "Call signalling.create or peer.create first.",
            ),
        )
    }

    /// An id that no event has named.
    pub(super) fn unknown(field: &str, id: &str) -> Self {
        let mut error = Self::params(format_args!("{field} is unknown"));
        error.data.insert(field.to_owned(), id.into());
        error
    }

    fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.data.insert(field.to_owned(), value.into());
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if !self.data.is_empty() {
            error["data"] = Value::Object(self.data.clone());
        }
        error
    }
}

impl From<ConnectError> for RpcError {
    fn from(error: ConnectError) -> Self {
        let mut made =
            Self::sdk(error.name(), &error.code(), error.to_string(), &error.diagnosis());
        if error.name() == "SignallingConnectError" {
            made = made
                .set("closeCode", error.close_code().get())
                .set("closeReason", error.close_reason());
        }
        if let Some(status) = error.http_status() {
            made = made.set("httpStatus", status);
        }
        if let Some(code) = error.http_code() {
            made = made.set("httpCode", code);
        }
        if let Some(code) = error.preflight() {
            made = made.set("preflight", code);
        }
        if let ConnectError::InvalidState { state } = &error {
            made = made.set("currentState", state.as_str()).set("method", "connect");
        }
        made
    }
}

impl From<RequestError> for RpcError {
    fn from(error: RequestError) -> Self {
        let made = Self::sdk(error.name(), error.code(), error.to_string(), &error.diagnosis());
        match &error {
            RequestError::NotConnected { state } => made.set("currentState", state.as_str()),
            RequestError::Disconnected { close_code, .. } => {
                made.set("closeCode", close_code.get())
            }
            RequestError::Build(BuildError::Oversized { size, cap, .. }) => {
                made.set("size", *size).set("cap", *cap)
            }
            RequestError::Preflight(error) => made.set("preflight", error.code()),
            _ => made,
        }
    }
}

impl From<PeerError> for RpcError {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Connect(error) => return error.into(),
            PeerError::DataChannel(error) => return error.into(),
            PeerError::Request(error) if error.name() != "OversizedPayloadError" => {
                return error.into();
            }
            _ => {}
        }
        let made = Self::sdk(error.name(), &error.code(), error.to_string(), &error.diagnosis());
        match &error {
            PeerError::State { method, current_state } => {
                made.set("currentState", current_state.as_str()).set("method", *method)
            }
            PeerError::Request(RequestError::Build(BuildError::Oversized {
                size, cap, ..
            }))
            | PeerError::MetadataTooLarge { size, cap } => made.set("size", *size).set("cap", *cap),
            PeerError::TrackAlreadyAttached { method } => made.set("method", *method),
            PeerError::ReplaceTrack { succeeded, failed } => {
                made.set("succeeded", succeeded.clone()).set("failed", failed.clone())
            }
            _ => made,
        }
    }
}

impl From<DataChannelError> for RpcError {
    fn from(error: DataChannelError) -> Self {
        let made = Self::sdk(error.name(), error.code(), error.to_string(), &error.diagnosis());
        match error {
            DataChannelError::TooLarge { size, cap } => made.set("size", size).set("cap", cap),
            DataChannelError::Overflow { queued, cap } => made.set("size", queued).set("cap", cap),
            _ => made,
        }
    }
}

impl From<SourceError> for RpcError {
    fn from(error: SourceError) -> Self {
        let message = format!("source: {error}");
        let made = Self::sdk("InvalidArgumentError", error.code(), message, &error.diagnosis());
        Self { code: -32602, ..made }
    }
}

impl From<PeerOptionsError> for RpcError {
    fn from(error: PeerOptionsError) -> Self {
        Self::sdk("InvalidArgumentError", error.code(), error.to_string(), &error.diagnosis())
    }
}

impl From<OptionsError> for RpcError {
    fn from(error: OptionsError) -> Self {
        Self::sdk("InvalidArgumentError", error.code(), error.to_string(), &error.diagnosis())
    }
}

impl From<CredentialError> for RpcError {
    fn from(error: CredentialError) -> Self {
        Self::sdk("InvalidArgumentError", error.code(), error.to_string(), &error.diagnosis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_named_by_its_path() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Params {
            peer: String,
            sizes: Option<Vec<u8>>,
        }
        let error = |params: &str| {
            let mut json = serde_json::Deserializer::from_str(params);
            let error = serde_path_to_error::deserialize::<_, Params>(&mut json).unwrap_err();
            RpcError::shape(&error).to_json()
        };
        let nested = error(r#"{"peer":"alice","sizes":[1,"x"]}"#);
        assert_eq!(nested["message"], r#"sizes[1]: invalid type: string "x", expected u8"#);
        assert_eq!(
            (&nested["code"], &nested["data"]["param"]),
            (&json!(-32602), &json!("sizes[1]"))
        );
        let unknown = error(r#"{"peer":"alice","more":1}"#);
        assert_eq!(unknown["data"]["param"], "more");
        let missing = error("{}");
        assert_eq!(missing["message"], "missing field `peer`");
        assert_eq!(missing.get("data"), None);
    }

    #[test]
    fn what_is_known_of_a_failure_is_in_its_data() {
        let data = |error: PeerError| RpcError::from(error).to_json()["data"].clone();
        let metadata = data(PeerError::MetadataTooLarge { size: 70_000, cap: 65_536 });
        assert_eq!(metadata["name"], "MeteredPeerOversizedError");
        assert_eq!((&metadata["size"], &metadata["cap"]), (&70_000.into(), &65_536.into()));
        let (succeeded, failed) = (vec!["alice".to_owned()], vec!["bob".to_owned()]);
        let replace = data(PeerError::ReplaceTrack { succeeded, failed });
        assert_eq!(replace["name"], "MeteredPeerReplaceTrackError");
        assert_eq!(
            (&replace["succeeded"], &replace["failed"]),
            (&json!(["alice"]), &json!(["bob"]))
        );
        let attached = data(PeerError::TrackAlreadyAttached { method: "add_track" });
        assert_eq!(
            (&attached["code"], &attached["method"]),
            (&"track_already_attached".into(), &"add_track".into())
        );
        let full =
            data(PeerError::DataChannel(DataChannelError::Overflow { queued: 256, cap: 256 }));
        assert_eq!((&full["size"], &full["cap"]), (&256.into(), &256.into()));
    }
}
