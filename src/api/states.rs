//! Changes of state on the wire (spec-api.md 1.7).

use super::validation::Invalid;
use super::{Body, NotParsed};
use crate::topology::EntryState;

/// `POST /nodes/{id}/state` and `POST /devices/{id}/state`.
#[derive(Debug, Clone)]
pub struct StateRequest {
    state: String,
    heal_check: String,
}

impl StateRequest {
    /// Reads it from a body.
    pub fn read(body: &Body) -> Result<Self, NotParsed> {
        Ok(Self { state: body.text("state")?, heal_check: body.text("healcheck")? })
    }

    /// The new state, or what is wrong. The switch for heal checks is looked at first, and alone.
    pub fn check(&self) -> Result<EntryState, Invalid> {
        let mut invalid = Invalid::default();
        if !matches!(self.heal_check.as_str(), "" | "enable" | "disable") {
            invalid.check("healcheck", Some(format!("{} is not valid heal info check", self.heal_check)));
            return Err(invalid);
        }
        if self.state.is_empty() {
            invalid.check("state", Some("cannot be blank".to_owned()));
            return Err(invalid);
        }
        self.state.parse().map_err(|error: crate::topology::NotAState| {
            invalid.check("state", Some(error.to_string()));
            invalid
        })
    }
}
