//! Reading request bodies with the tolerances of the reference's JSON reader (spec-api.md 1.3): key case does not matter,
//! `null` is absence, unknown keys are skipped, numbers are plain integers, the last duplicate wins and those of objects
//! are merged.

use std::collections::BTreeMap;

use super::go_json::{self, Json};

/// The body is not JSON, or a value has the wrong type (422).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request unable to be parsed")]
pub struct NotParsed;

/// One object of a body. Absent values are zero: empty, 0, false.
#[derive(Debug, Clone, Default)]
pub struct Body(Vec<(String, Json)>);

impl Body {
    /// Reads a whole body: one JSON object or `null`, and nothing after it.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotParsed> {
        match go_json::parse(bytes) {
            Ok(Json::Object(pairs)) => Ok(Self(pairs)),
            Ok(Json::Null) => Ok(Self::default()),
            _ => Err(NotParsed),
        }
    }

    /// All values of a key, in order.
    fn values(&self, key: &str) -> impl Iterator<Item = &Json> {
        self.0.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    /// The last value of a key that is not null. All others have to be of the right type too.
    fn last<'a, T: Default>(&'a self, key: &str, read: impl Fn(&'a Json) -> Option<T>) -> Result<T, NotParsed> {
        self.values(key)
            .filter(|value| **value != Json::Null)
            .try_fold(T::default(), |_, value| read(value).ok_or(NotParsed))
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<String, NotParsed> {
        self.last(key, |value| value.as_str().map(str::to_owned))
    }

    /// A boolean.
    pub fn flag(&self, key: &str) -> Result<bool, NotParsed> {
        self.last(key, |value| if let Json::Bool(flag) = value { Some(*flag) } else { None })
    }

    /// An integer of 64 bits.
    pub fn int(&self, key: &str) -> Result<i64, NotParsed> {
        self.last(key, Json::as_i64)
    }

    /// A floating-point number of 32 bits.
    pub fn float(&self, key: &str) -> Result<f32, NotParsed> {
        self.last(key, |value| {
            let Json::Number(number) = value else { return None };
            number.parse().ok().filter(|number: &f32| number.is_finite())
        })
    }

    /// A list of strings; `null` in it is the empty string, and in its place empties it.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, NotParsed> {
        self.values(key).try_fold(Vec::new(), |_, value| match value {
            Json::Null => Ok(Vec::new()),
            Json::List(items) => items.iter().map(text_or_null).collect(),
            _ => Err(NotParsed),
        })
    }

    /// A map of strings; `null` in it is the empty string, and in its place empties it.
    pub fn map(&self, key: &str) -> Result<BTreeMap<String, String>, NotParsed> {
        self.values(key).try_fold(BTreeMap::new(), |mut map, value| match value {
            Json::Null => Ok(BTreeMap::new()),
            Json::Object(pairs) => {
                for (name, value) in pairs {
                    map.insert(name.clone(), text_or_null(value)?);
                }
                Ok(map)
            }
            _ => Err(NotParsed),
        })
    }

    /// An object within.
    pub fn section(&self, key: &str) -> Result<Self, NotParsed> {
        self.values(key).try_fold(Self::default(), |mut section, value| match value {
            Json::Null => Ok(section),
            Json::Object(pairs) => {
                section.0.extend_from_slice(pairs);
                Ok(section)
            }
            _ => Err(NotParsed),
        })
    }
}

fn text_or_null(value: &Json) -> Result<String, NotParsed> {
    match value {
        Json::Null => Ok(String::new()),
        Json::Text(text) => Ok(text.clone()),
        _ => Err(NotParsed),
    }
}
