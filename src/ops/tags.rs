//! Tags of nodes and devices (spec-ops.md 1.5).

use super::{OpError, Ops};
use crate::ids::{DeviceId, NodeId};
use crate::topology::Tags;

/// How tags change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagsChange {
    /// These and no others.
    Set(Tags),
    /// These besides those that are there.
    Update(Tags),
    /// Without those of these names.
    Delete(Vec<String>),
}

impl TagsChange {
    fn apply(self, mut tags: Tags) -> Tags {
        match self {
            Self::Set(new) => return new,
            Self::Update(new) => tags.extend(new),
            Self::Delete(names) => tags.retain(|name, _| !names.contains(name)),
        }
        tags
    }
}

impl Ops {
    /// Changes the tags of a node, and returns what they are now.
    pub async fn node_set_tags(&self, id: NodeId, change: TagsChange) -> Result<Tags, OpError> {
        self.store_write(move |tx| {
            let node = tx.node(id)?.ok_or_else(OpError::id_not_found)?;
            let tags = change.apply(node.tags);
            tx.set_node_tags(id, &tags)?;
            Ok(tags)
        })
        .await
    }

    /// Changes the tags of a device, and returns what they are now.
    pub async fn device_set_tags(&self, id: DeviceId, change: TagsChange) -> Result<Tags, OpError> {
        self.store_write(move |tx| {
            let device = tx.device(id)?.ok_or_else(OpError::id_not_found)?;
            let tags = change.apply(device.tags);
            tx.set_device_tags(id, &tags)?;
            Ok(tags)
        })
        .await
    }
}
