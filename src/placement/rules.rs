//! Which devices may be used, and which of them together (spec-ops.md 3.5, 3.6, 9.2).

use super::{DeviceView, NodeView, PlacementError};
use crate::topology::VolumeOptions;

/// The tag that says what a device may hold of volumes with arbiter bricks (spec-ops.md 3.5).
const ARBITER_TAG: &str = "arbiter";

/// The value of a tag that counts for a device: the device's own, else its node's (spec-ops.md 1.5).
fn effective_tag<'a>(node: &'a NodeView, device: &'a DeviceView, name: &str) -> Option<&'a str> {
    device.tags.get(name).or_else(|| node.tags.get(name)).map(String::as_str)
}

/// Whether bricks of one set have to be in different zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoneChecking {
    None,
    Strict,
}

impl ZoneChecking {
    /// The volume's choice, else the server's. Anything but `strict` checks nothing, unknown words included.
    pub(super) fn of(options: &VolumeOptions, server: &str) -> Self {
        if options.zone_checking().unwrap_or(server) == "strict" { Self::Strict } else { Self::None }
    }
}

/// The rule of `user.heketi.device-tag-match`: devices whose tag has, or has not, this value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TagRule<'a> {
    name: &'a str,
    equal: bool,
    value: &'a str,
}

/// The characters of `[a-zA-Z0-9.-_]`, where `.-_` is a range: it has `=` but not `-`.
const fn in_tag_class(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'.'..=b'_')
}

fn is_tag_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(in_tag_class)
}

impl<'a> TagRule<'a> {
    /// The rule of a volume, if it has one.
    pub(super) fn of(options: &'a VolumeOptions) -> Result<Option<Self>, PlacementError> {
        options
            .device_tag_match()
            .map(|text| Self::parse(text).ok_or_else(|| PlacementError::TagRule(text.to_owned())))
            .transpose()
    }

    /// Reads `^([a-zA-Z0-9.-_]+)(\!?=)([a-zA-Z0-9.-_]+)$` with a greedy first group: the last `=` with a value counts,
    /// unless there is a `!`, which neither name nor value may have.
    fn parse(text: &'a str) -> Option<Self> {
        let (name, equal, value) = if let Some((name, value)) = text.split_once("!=") {
            (name, false, value)
        } else {
            // The value may end with, or be, `=` itself: the operator is looked for before the last character.
            let last = text.char_indices().next_back()?.0;
            let at = text.get(..last)?.rfind('=')?;
            (text.get(..at)?, true, text.get(at + 1..)?)
        };
        (is_tag_word(name) && is_tag_word(value)).then_some(Self { name, equal, value })
    }

    /// Whether the device may be used. A missing tag has the value "".
    pub(super) fn accepts(self, node: &NodeView, device: &DeviceView) -> bool {
        (effective_tag(node, device, self.name).unwrap_or("") == self.value) == self.equal
    }
}

/// What a device may hold of a volume with arbiter bricks: for each kind of brick `None` if it may not, else how much
/// it is meant for it, 0 before 1 (spec-ops.md 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Roles {
    pub(super) data: Option<u8>,
    pub(super) arbiter: Option<u8>,
}

impl Roles {
    /// Of a volume without arbiter bricks: its placement does not look at the tag.
    pub(super) const ANY_DATA: Self = Self { data: Some(0), arbiter: None };

    /// Of a volume with them.
    pub(super) fn by_tag(node: &NodeView, device: &DeviceView) -> Self {
        match effective_tag(node, device, ARBITER_TAG) {
            Some("required") => Self { data: None, arbiter: Some(0) },
            Some("disabled") => Self { data: Some(0), arbiter: None },
            _ => Self { data: Some(1), arbiter: Some(1) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_rules_are_read_like_the_reference_regex() {
        let rule = |name, equal, value| Some(TagRule { name, equal, value });
        for (text, expected) in [
            ("a=b", rule("a", true, "b")),
            ("a!=b", rule("a", false, "b")),
            ("a=b=c", rule("a=b", true, "c")),
            ("a=b=", rule("a", true, "b=")),
            ("a==", rule("a", true, "=")),
            ("===", rule("=", true, "=")),
            ("a!=b=c", rule("a", false, "b=c")),
            ("A.b/c:d;<e>?@[\\]^_=x", rule("A.b/c:d;<e>?@[\\]^_", true, "x")),
            ("a-b=c", None),
            ("a=b-c", None),
            ("a=", None),
            ("=b", None),
            ("==", None),
            ("!=b", None),
            ("a!=", None),
            ("a!=b!=c", None),
            ("a!b=c", None),
            ("a", None),
            ("a=b ", None),
            ("a=\u{e9}", None),
            ("a=b\n", None),
        ] {
            assert_eq!(TagRule::parse(text), expected, "{text:?}");
        }
    }
}
