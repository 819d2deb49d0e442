//! Reading request bodies with the tolerances of the reference's JSON reader (spec-api.md 1.3): key case does not matter,
//! `null` is absence, unknown keys are skipped, numbers are plain integers, the last duplicate wins.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The body is not JSON, or a value has the wrong type (422).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request unable to be parsed")]
pub struct NotParsed;

/// One object of a body. Absent values are zero: empty, 0, false.
#[derive(Debug, Clone, Default)]
pub struct Body(Map<String, Value>);

impl Body {
    /// Reads a whole body: one JSON object or `null`, and nothing after it.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotParsed> {
        let text = String::from_utf8_lossy(bytes);
        Self::object(serde_json::from_str(&text).map_err(|_| NotParsed)?)
    }

    fn object(value: Value) -> Result<Self, NotParsed> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            Value::Null => Ok(Self::default()),
            _ => Err(NotParsed),
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(name, value)| name.eq_ignore_ascii_case(key) && !value.is_null()).map(|(_, v)| v)
    }

    fn typed<'a, T: Default>(&'a self, key: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<T, NotParsed> {
        self.value(key).map_or(Ok(T::default()), |value| read(value).ok_or(NotParsed))
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<String, NotParsed> {
        self.typed(key, |value| value.as_str().map(str::to_owned))
    }

    /// A boolean.
    pub fn flag(&self, key: &str) -> Result<bool, NotParsed> {
        self.typed(key, Value::as_bool)
    }

    /// An integer of 64 bits.
    pub fn int(&self, key: &str) -> Result<i64, NotParsed> {
        self.typed(key, Value::as_i64)
    }

    /// A floating-point number of 32 bits.
    pub fn float(&self, key: &str) -> Result<f32, NotParsed> {
        #[expect(clippy::cast_possible_truncation, reason = "the field has 32 bits; too large a number is refused")]
        self.typed(key, |value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite()))
    }

    /// A list of strings; `null` in it is the empty string.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, NotParsed> {
        self.typed(key, |value| value.as_array()?.iter().map(text_or_null).collect())
    }

    /// A map of strings; `null` in it is the empty string.
    pub fn map(&self, key: &str) -> Result<BTreeMap<String, String>, NotParsed> {
        self.typed(key, |value| {
            value.as_object()?.iter().map(|(name, value)| Some((name.clone(), text_or_null(value)?))).collect()
        })
    }

    /// An object within.
    pub fn section(&self, key: &str) -> Result<Self, NotParsed> {
        self.typed(key, |value| Some(Self(value.as_object()?.clone())))
    }
}

fn text_or_null(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        other => other.as_str().map(str::to_owned),
    }
}
