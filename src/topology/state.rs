//! States of nodes and devices (spec-ops.md 1.3).

use std::fmt;
use std::str::FromStr;

/// Whether a node or device takes new bricks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EntryState {
    /// Takes new bricks.
    #[default]
    Online,
    /// Keeps its bricks, takes no new ones.
    Offline,
    /// Emptied, or given up.
    Failed,
}

/// The text is none of the three states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not valid state")]
pub struct NotAState(pub String);

impl EntryState {
    /// The word used in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for EntryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EntryState {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        match text {
            "online" => Ok(Self::Online),
            "offline" => Ok(Self::Offline),
            "failed" => Ok(Self::Failed),
            _ => Err(NotAState(text.to_owned())),
        }
    }
}
