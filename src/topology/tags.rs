//! Tags of nodes and devices (spec-ops.md 1.5).

use std::collections::BTreeMap;

/// Names and values, in the order of the names.
pub type Tags = BTreeMap<String, String>;

/// The tags that count for a device: its node's, overlaid by its own.
pub fn merged_tags(node: &Tags, device: &Tags) -> Tags {
    let mut tags = node.clone();
    tags.extend(device.iter().map(|(name, value)| (name.clone(), value.clone())));
    tags
}
