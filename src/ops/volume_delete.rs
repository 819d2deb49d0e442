//! A volume that goes (spec-ops.md 5.3). It goes forward: once gluster has forgotten it, nothing brings it back.

use std::collections::HashMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::bricks::release;
use super::error::IN_USE;
use super::hosts::manage_hosts;
use super::stages::{Cause, Failure, Resolution, Stages};
use super::{OpError, Ops};
use crate::exec::nodes::Reclaimed;
use crate::ids::{BrickId, JobId, OpId, VolumeId};
use crate::store::{Outcome, StoreError, Tx};

/// The volume that the reference keeps its own database in.
const DATABASE_VOLUME: &str = "heketidbstorage";

/// The plan of a deletion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeDeletePlan {
    volume: VolumeId,
    bricks: Vec<BrickId>,
    /// It is not the first attempt.
    #[serde(skip)]
    taken_up: bool,
    /// Gluster knows the volume no more.
    #[serde(skip)]
    forgotten: bool,
    #[serde(skip)]
    reclaimed: HashMap<BrickId, Reclaimed>,
}

impl Ops {
    /// Starts the deletion of a volume, or takes up one that could not be finished.
    pub async fn volume_delete(&self, id: VolumeId) -> Result<JobId, OpError> {
        let volume = self.store().read(|tx| tx.volume(id))?.ok_or_else(OpError::id_not_found)?;
        if volume.name == DATABASE_VOLUME {
            return Err(OpError::Conflict("Cannot delete volume containing the Heketi database".to_owned()));
        }
        let op = self.unfinished(volume.pending, VolumeDeletePlan::KIND)?.unwrap_or_else(OpId::random);
        let slot = self.0.admission.enter(op)?;
        self.start_in(slot, op, move |_, tx, op| {
            build(tx, op, id).map_err(|error| error.while_building("Failed to set up volume delete"))
        })
        .await
    }
}

fn build(tx: &Tx<'_>, op: OpId, id: VolumeId) -> Result<VolumeDeletePlan, OpError> {
    let volume = tx.volume(id)?.ok_or_else(OpError::id_not_found)?;
    let bricks = tx.bricks_of_volume(id)?;
    // Pending by this very operation: it is taken up again.
    let in_use = |pending: Option<OpId>| pending.is_some_and(|by| by != op);
    if in_use(volume.pending) || bricks.iter().any(|brick| in_use(brick.pending)) {
        return Err(OpError::Failed(IN_USE.to_owned()));
    }
    tx.set_volume_pending(id, Some(op))?;
    for brick in &bricks {
        tx.set_brick_pending(brick.id, Some(op))?;
    }
    let bricks = bricks.into_iter().map(|brick| brick.id).collect();
    // Gluster may have forgotten the volume before, and somebody may have given its name to another.
    let taken_up = volume.pending.is_some();
    Ok(VolumeDeletePlan { volume: id, bricks, taken_up, forgotten: false, reclaimed: HashMap::new() })
}

impl VolumeDeletePlan {
    /// The stored number of such operations.
    pub const KIND: i64 = 2;
}

#[async_trait]
impl Stages for VolumeDeletePlan {
    async fn exec(&mut self, ops: &Ops, _: OpId) -> Result<(), Failure> {
        let (volume, bricks) = ops.load_volume(self.volume, &self.bricks)?;
        let hosts = manage_hosts(&ops.cluster_nodes(volume.cluster)?, None);
        if self.taken_up {
            ops.volume_remove_if_ours(&hosts, &volume, &bricks).await?;
        } else {
            ops.volume_remove(&hosts, &volume).await?;
        }
        self.forgotten = true;
        self.reclaimed = ops.destroy_bricks(&bricks).await?;
        Ok(())
    }

    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError> {
        release(tx, &self.bricks, &self.reclaimed)?;
        tx.remove_volume(self.volume)?;
        Ok(Outcome::Nothing)
    }

    async fn resolve(&mut self, ops: &Ops, op: OpId, cause: Cause<'_>) -> Result<Resolution, Failure> {
        // No node could be asked to forget the volume (bricks have a device): it is as it was, and stays seen.
        if let Cause::Failed(Failure::Node(error, None)) = cause
            && error.nothing_ran()
        {
            return Ok(Resolution::Undone);
        }
        let Cause::Failed(_) = cause else {
            self.taken_up = true;
            self.exec(ops, op).await?;
            return Ok(Resolution::Done);
        };
        let (volume, _) = ops.load_volume(self.volume, &[])?;
        let hosts = manage_hosts(&ops.cluster_nodes(volume.cluster)?, None);
        ops.settle(&hosts, &volume, cause).await?;
        let facts = ops.volume_facts(&hosts, &volume.name).await?;
        // Once bricks have been touched there is no way back, whatever a host says now.
        match facts.filter(|_| !self.forgotten) {
            // Gluster refused, because of snapshots or a peer that is down. It was stopped for that; its users want it back.
            Some(facts) => {
                if !facts.started {
                    let start = |host| ops.nodes().volume_start(volume.cluster, host, &volume.name);
                    Ops::try_on_hosts(&hosts, |_| true, start).await?;
                }
                Ok(Resolution::Undone)
            }
            None => Err(Failure::Text("bricks are left of a volume that gluster has forgotten".to_owned())),
        }
    }

    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        for brick in &self.bricks {
            tx.set_brick_pending(*brick, None)?;
        }
        tx.set_volume_pending(self.volume, None)
    }
}
