//! Why a request was refused or failed, by the kind of answer it gets.

use crate::store::StoreError;

/// A refusal. `Display` is the client's text.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// Something named in the request does not exist (404).
    #[error("{0}")]
    NotFound(String),
    /// The request asks for what cannot be (400).
    #[error("{0}")]
    Invalid(String),
    /// The request collides with what exists (409).
    #[error("{0}")]
    Conflict(String),
    /// As many operations as allowed are under way (429).
    #[error("Server busy. Retry operation later.")]
    Busy,
    /// It could not be done (500).
    #[error("{0}")]
    Failed(String),
    /// The database refused (500).
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The reference's text for something that another operation is working on (spec-ops.md appendix A).
pub const IN_USE: &str = "The target exists, contains other items, or is in use.";
/// The reference's text for an id that names nothing.
pub const ID_NOT_FOUND: &str = "Id not found";

impl OpError {
    /// The id names nothing.
    pub fn id_not_found() -> Self {
        Self::NotFound(ID_NOT_FOUND.to_owned())
    }

    /// A failure whose text begins with what was being set up (spec-ops.md 5.7). Refusals keep their own text.
    #[must_use]
    pub fn while_building(self, prefix: &str) -> Self {
        match self {
            Self::Failed(text) => Self::Failed(format!("{prefix}: {text}")),
            Self::Store(error) => Self::Failed(format!("{prefix}: {error}")),
            other => other,
        }
    }
}
