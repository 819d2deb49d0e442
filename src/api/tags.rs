//! Changes of tags on the wire (spec-api.md 1.7).

use super::validation::{Invalid, rules};
use super::{Body, NotParsed};
use crate::topology::Tags;

/// How tags change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagsChangeType {
    /// These and no others.
    Set,
    /// These besides those that are there.
    Update,
    /// Without those of these names.
    Delete,
}

/// `POST /nodes/{id}/tags` and `POST /devices/{id}/tags`.
#[derive(Debug, Clone)]
pub struct TagsChangeRequest {
    /// The tags.
    pub tags: Tags,
    change_type: String,
}

impl TagsChangeRequest {
    /// Reads it from a body.
    pub fn read(body: &Body) -> Result<Self, NotParsed> {
        Ok(Self { tags: body.map("tags")?, change_type: body.text("change_type")? })
    }

    /// How they change, or what is wrong.
    pub fn check(&self) -> Result<TagsChangeType, Invalid> {
        let mut invalid = Invalid::default();
        let change = match self.change_type.as_str() {
            "set" => Some(TagsChangeType::Set),
            "update" => Some(TagsChangeType::Update),
            "delete" => Some(TagsChangeType::Delete),
            _ => None,
        };
        if change.is_none() {
            let message = rules::required(&self.change_type).unwrap_or_else(|| "must be a valid value".to_owned());
            invalid.check("change_type", Some(message));
        }
        invalid.check("tags", rules::tags(&self.tags));
        match change {
            Some(change) => invalid.result().map(|()| change),
            None => Err(invalid),
        }
    }
}
