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
///
/// ```
/// use metered_realtime::wire::{Json, JsonError};
/// #[derive(serde::Deserialize)]
/// struct Move {
///     square: String,
/// }
/// let read = |json: &Json| -> Result<Move, JsonError> { json.to() };
/// assert_eq!(read(&Json::parse(r#"{"square":"e4"}"#)?)?.square, "e4");
/// assert_eq!(read(&Json::null()).err().unwrap().code(), "invalid_json");
/// # Ok::<(), JsonError>(())
/// ```
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
    ///
    /// ```
    /// use metered_realtime::wire::Json;
    /// assert_eq!(Json::null().as_str(), "null"); // a payload like any other
    /// ```
    pub fn null() -> Self {
        Self::from(RawValue::NULL)
    }

    /// Takes a text that must be one JSON value; blanks around it are dropped.
    ///
    /// # Errors
    /// [`JsonError`] if it is none, or more than one.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_str(text)?;
        Ok(Self::from(raw))
    }

    /// Serializes a value.
    ///
    /// # Errors
    /// [`JsonError`] for what JSON cannot say, such as a map whose keys are no strings.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        Ok(Self(serde_json::value::to_raw_value(value)?.into()))
    }

    /// The value of type `T` that the text stands for.
    ///
    /// # Errors
    /// [`JsonError`] if it is of another type.
    ///
    /// ```
    /// use metered_realtime::wire::Json;
    /// let point: (i32, i32) = Json::parse("[3, 4]")?.to()?;
    /// assert_eq!(point, (3, 4));
    /// # Ok::<(), metered_realtime::wire::JsonError>(())
    /// ```
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
