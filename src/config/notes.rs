//! What is to be logged about a configuration, and the levels of logs.

use std::fmt;

use super::ConfigError;
use super::reader::{BadVariable, Section};

/// Log levels by the reference's names (spec-api.md 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Nothing.
    None,
    /// Only what is fatal.
    Critical,
    /// Also errors.
    Error,
    /// Also warnings.
    Warning,
    /// Also what is going on.
    #[default]
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// The level of an exact lower-case name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "critical" => Self::Critical,
            "error" => Self::Error,
            "warning" => Self::Warning,
            "info" => Self::Info,
            "debug" => Self::Debug,
            _ => return None,
        })
    }

    pub(super) fn read(app: &Section<'_>, notes: &mut Notes) -> Result<Self, ConfigError> {
        let Some(name) = app.text_env("loglevel", "HEKETI_GLUSTERAPP_LOGLEVEL")? else {
            return Ok(Self::default());
        };
        Ok(Self::parse(&name).unwrap_or_else(|| {
            notes.warn(format!("invalid log level: {name}"));
            Self::default()
        }))
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}

/// A line to be logged at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// [`LogLevel::Info`] for settings that took effect, [`LogLevel::Warning`] for mistakes.
    pub level: LogLevel,
    /// One line without secrets.
    pub text: String,
}

/// The notes so far, in order.
#[derive(Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    pub(super) fn info(&mut self, text: String) {
        self.0.push(Note { level: LogLevel::Info, text: one_line(&text) });
    }

    pub(super) fn warn(&mut self, text: String) {
        self.0.push(Note { level: LogLevel::Warning, text: one_line(&text) });
    }

    /// The value of a variable; a malformed one is noted and counts as not set.
    pub(super) fn accept<T>(&mut self, given: Option<Result<T, BadVariable>>) -> Option<T> {
        given?.map_err(|bad| self.warn(bad.to_string())).ok()
    }

    /// The value of a variable, or else of the file; a malformed variable also undoes what the file says.
    pub(super) fn accept_or_reset<T: Default>(&mut self, given: Option<Result<T, BadVariable>>, in_file: T) -> T {
        match given {
            None => in_file,
            given => self.accept(given).unwrap_or_default(),
        }
    }

    pub(super) fn into_list(self) -> Vec<Note> {
        self.0
    }
}

pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, "?")
}
