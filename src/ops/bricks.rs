//! Bricks of an operation: reading them with the names of their nodes, making and removing them all at once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Ops;
use super::stages::Failure;
use crate::exec::nodes::{BrickAddress, BrickFailure, Reclaimed};
use crate::ids::{BrickId, NodeId, OpId, VolumeId};
use crate::placement::PlannedBrick;
use crate::store::{StoreError, Tx};
use crate::topology::{Brick, Node, brick_lv, brick_path, thin_pool};

/// A brick and the names of its node.
#[derive(Debug, Clone)]
pub struct PlacedBrick {
    pub brick: Brick,
    /// Where commands are sent.
    pub manage: String,
    /// What gluster calls the node.
    pub storage: String,
}

impl PlacedBrick {
    pub fn address(&self) -> BrickAddress {
        BrickAddress { storage: self.storage.clone(), path: self.brick.path.clone() }
    }
}

/// The bricks with these ids, in this order. One that is not there any more is left out.
pub fn load(tx: &Tx<'_>, ids: &[BrickId]) -> Result<Vec<PlacedBrick>, StoreError> {
    let mut nodes: HashMap<NodeId, Node> = HashMap::new();
    let mut bricks = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(brick) = tx.brick(*id)? else { continue };
        let node = match nodes.get(&brick.node) {
            Some(node) => node.clone(),
            None => tx.node_or_pending(brick.node)?.ok_or_else(|| StoreError::Damaged {
                table: "bricks",
                what: format!("brick {id} is on no known node"),
            })?,
        };
        bricks.push(PlacedBrick {
            manage: node.manage_host().to_owned(),
            storage: node.storage_host().to_owned(),
            brick,
        });
        nodes.insert(node.id, node);
    }
    Ok(bricks)
}

/// Inserts planned bricks as pending and takes their space.
pub fn reserve(tx: &Tx<'_>, op: OpId, volume: VolumeId, planned: &[PlannedBrick]) -> Result<Vec<BrickId>, StoreError> {
    for plan in planned {
        tx.take_space(plan.device, plan.pool_size.plus(plan.pool_metadata_size))?;
        tx.add_brick(&Brick {
            id: plan.id,
            volume,
            device: plan.device,
            node: plan.node,
            path: brick_path(plan.device, plan.id),
            size: plan.size,
            pool_size: plan.pool_size,
            pool_metadata_size: plan.pool_metadata_size,
            thin_pool: thin_pool(plan.id),
            lv: brick_lv(plan.id),
            kind: plan.kind,
            pending: Some(op),
        })?;
    }
    Ok(planned.iter().map(|plan| plan.id).collect())
}

/// Shows bricks to clients.
pub fn show(tx: &Tx<'_>, ids: &[BrickId]) -> Result<(), StoreError> {
    ids.iter().try_for_each(|id| tx.set_brick_pending(*id, None))
}

/// Removes bricks from the store and gives back the space of those whose thin pool is gone. Bricks that `reclaimed` does
/// not name were never made.
pub fn release(tx: &Tx<'_>, ids: &[BrickId], reclaimed: &HashMap<BrickId, Reclaimed>) -> Result<(), StoreError> {
    for id in ids {
        let Some(brick) = tx.brick(*id)? else { continue };
        tx.remove_brick(*id)?;
        if reclaimed.get(id) != Some(&Reclaimed::PoolShared) {
            tx.release_space(brick.device, brick.pool_size.plus(brick.pool_metadata_size))?;
        }
    }
    Ok(())
}

/// The bricks that a volume is to get, and what is known of them beside the store. After a crash nothing is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NewBricks {
    /// In gluster's order: set after set.
    pub ids: Vec<BrickId>,
    /// Surely nothing of these is on their nodes.
    #[serde(skip)]
    untouched: Vec<BrickId>,
    /// Gluster has surely not heard of any.
    #[serde(skip)]
    unknown_to_gluster: bool,
    #[serde(skip)]
    reclaimed: HashMap<BrickId, Reclaimed>,
}

impl NewBricks {
    /// Bricks that have just been reserved.
    pub fn new(ids: Vec<BrickId>) -> Self {
        Self { ids, ..Self::default() }
    }

    /// Makes all of them at once, and waits for all, whatever happens to one. The first failure counts.
    pub async fn make(&mut self, ops: &Ops, bricks: &[PlacedBrick], gid: i64) -> Result<(), Failure> {
        self.unknown_to_gluster = true;
        let mut runs = tokio::task::JoinSet::new();
        for placed in bricks.iter().cloned() {
            let ops = ops.clone();
            runs.spawn(async move {
                let result = ops.nodes().brick_create(&placed.manage, &placed.brick, gid).await;
                (placed, result)
            });
        }
        let mut failure = None;
        while let Some(run) = runs.join_next().await {
            let Ok((placed, result)) = run else {
                failure.get_or_insert_with(|| Failure::Text("internal error while making a brick".to_owned()));
                continue;
            };
            if let Err(BrickFailure { error, nothing_made }) = result {
                tracing::error!(brick = %placed.brick.id, "cannot make the brick: {}", error.report());
                if nothing_made {
                    self.untouched.push(placed.brick.id);
                }
                failure.get_or_insert(Failure::Node(error, Some(placed.brick.device)));
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// From here on gluster may know them.
    pub const fn hand_over(&mut self) {
        self.unknown_to_gluster = false;
    }

    /// Gluster may have heard of some.
    pub const fn may_be_known_to_gluster(&self) -> bool {
        !self.unknown_to_gluster
    }

    /// Makes sure that nothing is left of them on any node.
    pub async fn unmake(&mut self, ops: &Ops, bricks: &[PlacedBrick]) -> Result<(), Failure> {
        let left: Vec<_> = bricks.iter().filter(|placed| !self.untouched.contains(&placed.brick.id)).cloned().collect();
        self.reclaimed = ops.destroy_bricks(&left).await?;
        Ok(())
    }

    /// Removes them from the store, after `unmake`.
    pub fn release(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        release(tx, &self.ids, &self.reclaimed)
    }
}

impl Ops {
    /// Makes sure that nothing is left of any of the bricks. Tries all, whatever happens to one.
    pub(super) async fn destroy_bricks(&self, bricks: &[PlacedBrick]) -> Result<HashMap<BrickId, Reclaimed>, Failure> {
        let mut runs = tokio::task::JoinSet::new();
        for placed in bricks.iter().cloned() {
            let ops = self.clone();
            runs.spawn(async move {
                let result = ops.nodes().brick_destroy(&placed.manage, &placed.brick).await;
                (placed.brick, result)
            });
        }
        let mut reclaimed = HashMap::new();
        let mut failure = None;
        while let Some(run) = runs.join_next().await {
            match run {
                Ok((brick, Ok(what))) => {
                    reclaimed.insert(brick.id, what);
                }
                Ok((brick, Err(error))) => {
                    tracing::error!(brick = %brick.id, "cannot remove the brick: {}", error.report());
                    failure.get_or_insert(Failure::Node(error, Some(brick.device)));
                }
                Err(_) => {
                    failure.get_or_insert_with(|| Failure::Text("internal error while removing a brick".to_owned()));
                }
            }
        }
        failure.map_or(Ok(reclaimed), Err)
    }
}
