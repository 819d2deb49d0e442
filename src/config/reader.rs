//! Reads keys of the configuration file and variables of the environment with the reference's tolerances
//! (spec-api.md 5.1): key case does not matter, `null` is absence, unknown keys are skipped, a wrong type is fatal.

use std::fmt;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

use super::ConfigError;
use super::notes::Notes;
use crate::api::go_json::{self, Json};

/// The first JSON value of a text; what follows is not read.
pub(super) fn first_value(text: &str) -> Result<Json, ConfigError> {
    go_json::parse_first(text.as_bytes()).map_err(|broken| ConfigError::parse(&broken))
}

/// One object of the file, or its absence, and the environment that overrides it. Absent strings are none, absent
/// numbers 0 and absent flags false.
pub(super) struct Section<'a> {
    /// The environment.
    pub(super) env: Env<'a>,
    path: String,
    map: Option<&'a [(String, Json)]>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(value: &'a Json, env: Env<'a>) -> Result<Self, ConfigError> {
        Ok(Self { env, path: String::new(), map: object("the file", Some(value))? })
    }

    /// Whether the file has this object at all.
    pub(super) fn is_present(&self) -> bool {
        self.map.is_some()
    }

    /// The object below a key.
    pub(super) fn section(&self, key: &str) -> Result<Self, ConfigError> {
        let path = self.name(key);
        let map = object(&path, self.value(key))?;
        Ok(Self { env: self.env, path, map })
    }

    /// A string; an empty one counts as absent.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let text = self.typed(key, "a string", Json::as_str)?;
        Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// A variable, or else a string.
    pub(super) fn text_env(&self, key: &str, variable: &str) -> Result<Option<String>, ConfigError> {
        let in_file = self.text(key)?;
        Ok(self.env.text(variable).or(in_file))
    }

    /// A list of strings, or one string.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let list = self.typed(key, "a string or a list of strings", |value| match value {
            Json::List(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            other => Some(vec![other.as_str()?.to_owned()]),
        })?;
        Ok(list.unwrap_or_default())
    }

    /// A boolean.
    pub(super) fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        Ok(self.boolean(key)?.unwrap_or_default())
    }

    /// Whether a boolean is there and false.
    pub(super) fn is_false(&self, key: &str) -> Result<bool, ConfigError> {
        Ok(self.boolean(key)? == Some(false))
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.typed(key, "true or false", as_bool)
    }

    /// A whole number.
    pub(super) fn int(&self, key: &str) -> Result<i64, ConfigError> {
        Ok(self.typed(key, "a whole number", Json::as_i64)?.unwrap_or_default())
    }

    /// A whole number that may not be negative.
    pub(super) fn uint(&self, key: &str) -> Result<u64, ConfigError> {
        Ok(self.typed(key, "a whole number that is not negative", as_u64)?.unwrap_or_default())
    }

    /// The same, in 32 bits.
    pub(super) fn uint32(&self, key: &str) -> Result<u32, ConfigError> {
        let number = self.typed(key, "a whole number from 0 to 4294967295", |value| {
            as_u64(value).and_then(|number| u32::try_from(number).ok())
        })?;
        Ok(number.unwrap_or_default())
    }

    /// A whole number, except that prose in its place counts as absence, with a warning: the sample configuration the
    /// reference shipped has a remark there.
    pub(super) fn int_or_remark(&self, key: &str, notes: &mut Notes) -> Result<i64, ConfigError> {
        match self.value(key) {
            Some(Json::Text(text)) if text.trim().parse::<f64>().is_err() => {
                notes.warn(format!("{} holds text where a whole number is expected; taken as not set", self.name(key)));
                Ok(0)
            }
            _ => self.int(key),
        }
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| wrong_type(&self.name(key), expected, value))
    }

    /// The last value given for a key that is not null.
    fn value(&self, key: &str) -> Option<&'a Json> {
        let mut given = self.map?.iter().filter(|(name, value)| name.eq_ignore_ascii_case(key) && *value != Json::Null);
        given.next_back().map(|(_, value)| value)
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn as_bool(value: &Json) -> Option<bool> {
    if let Json::Bool(flag) = value { Some(*flag) } else { None }
}

fn as_u64(value: &Json) -> Option<u64> {
    if let Json::Number(number) = value { number.parse().ok() } else { None }
}

fn object<'a>(name: &str, value: Option<&'a Json>) -> Result<Option<&'a [(String, Json)]>, ConfigError> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(map)) => Ok(Some(map)),
        Some(other) => Err(wrong_type(name, "an object", other)),
    }
}

/// Names the key and what was found, never a text: it may be a secret.
fn wrong_type(name: &str, expected: &str, found: &Json) -> ConfigError {
    let found = match found {
        Json::Null => "null".to_owned(),
        Json::Bool(_) => "a boolean".to_owned(),
        Json::Number(number) => format!("the number {number}"),
        Json::Text(_) => "a string".to_owned(),
        Json::List(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
    };
    ConfigError::parse(&format!("{name}: expected {expected}, found {found}"))
}

/// The environment. Empty variables count as absent.
#[derive(Clone, Copy)]
pub(super) struct Env<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

impl Env<'_> {
    /// A variable's text.
    pub(super) fn text(self, name: &str) -> Option<String> {
        (self.0)(name).filter(|text| !text.is_empty())
    }

    /// Whether a variable is set at all.
    pub(super) fn is_set(self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// A boolean by Go's rules.
    pub(super) fn boolean(self, name: &'static str) -> Option<Result<bool, BadVariable>> {
        self.parsed(name, "ParseBool", |text| match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            _ => Err("invalid syntax"),
        })
    }

    /// A signed decimal number.
    pub(super) fn int(self, name: &'static str) -> Option<Result<i64, BadVariable>> {
        self.parsed(name, "ParseInt", parse_number)
    }

    /// An unsigned decimal number, which takes no sign at all.
    pub(super) fn uint<T: FromStr<Err = ParseIntError>>(self, name: &'static str) -> Option<Result<T, BadVariable>> {
        self.parsed(name, "ParseUint", |text| parse_number(if text.starts_with('+') { "" } else { text }))
    }

    fn parsed<T>(
        self,
        name: &'static str,
        function: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<Result<T, BadVariable>> {
        let text = self.text(name)?;
        Some(parse(&text).map_err(|reason| BadVariable {
            name,
            reason: format!("strconv.{function}: parsing {text:?}: {reason}"),
            text,
        }))
    }
}

fn parse_number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    })
}

/// A malformed variable.
pub(super) struct BadVariable {
    pub(super) name: &'static str,
    pub(super) text: String,
    /// In the words of Go's standard library, which operators may search for.
    pub(super) reason: String,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error: While parsing {}: {}", self.name, self.reason)
    }
}
