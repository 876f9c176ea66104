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
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

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
        Self::from(RawValue::NULL)
    }

    /// Takes a text that must be one JSON value; blanks around it are dropped.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_str(text)?;
        Ok(Self::from(raw))
    }

    /// Serializes a value.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        Ok(Self(serde_json::value::to_raw_value(value)?.into()))
    }

    /// The value of type `T` that the text stands for.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        Ok(serde_json::from_str(self.0.get())?)
    }

    /// The text, without blanks around it.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl From<&RawValue> for Json {
    fn from(raw: &RawValue) -> Self {
        Self(raw.to_owned().into())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An app's payload may be large or private: its size is enough for a log.
        write!(f, "Json({} bytes)", self.as_str().len())
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}
