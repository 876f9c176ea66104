//! A JSON value that stays text: cheap to clone, decoded only by who needs it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A JSON value as it stands on the wire. Cloning shares the text.
///
/// ```
/// use metered_realtime::wire::Json;
/// let json = Json::from_serialize(&serde_json::json!({"x": 1}))?;
/// assert_eq!(json.as_str(), r#"{"x":1}"#);
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Arc<str>);

/// A value that is not JSON, or not of the asked type.
#[derive(Debug, thiserror::Error)]
#[error("not the expected JSON: {0}")]
pub struct JsonError(#[from] serde_json::Error);

impl JsonError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        "invalid_json"
    }
}

impl Json {
    /// The JSON `null`.
    pub fn null() -> Self {
        Self(Arc::from("null"))
    }

    /// Takes a text that must be one JSON value; blanks around it are dropped.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_str(text)?;
        Ok(Self::from(raw))
    }

    /// Serializes a value.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// The value of type `T` that the text stands for.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        Ok(serde_json::from_str(&self.0)?)
    }

    /// The text, without blanks around it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&RawValue> for Json {
    fn from(raw: &RawValue) -> Self {
        Self(Arc::from(raw.get()))
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An app's payload may be large or private: its size is enough for a log.
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::from(&*raw))
    }
}
