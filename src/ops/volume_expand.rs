//! More bricks for a volume (spec-ops.md 5.3).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::bricks::{NewBricks, PlacedBrick, reserve, show};
use super::hosts::manage_hosts;
use super::placing::Demand;
use super::stages::{Cause, Failure, Resolution, Stages};
use super::volume_create::{block_space, spec};
use super::{OpError, Ops, error::IN_USE};
use crate::ids::{JobId, OpId, VolumeId};
use crate::store::{Outcome, StoreError, Tx};
use crate::units::Gib;

/// The plan of an expansion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeExpandPlan {
    volume: VolumeId,
    bricks: NewBricks,
    by: Gib,
}

impl Ops {
    /// Starts the expansion of a volume by this size.
    pub async fn volume_expand(&self, id: VolumeId, by: Gib) -> Result<JobId, OpError> {
        if self.store().read(|tx| tx.volume(id))?.is_none() {
            return Err(OpError::id_not_found());
        }
        self.start(true, move |ops, tx, op| {
            build(ops, tx, op, id, by).map_err(|error| error.while_building("Failed to allocate volume expansion"))
        })
        .await
    }
}

fn build(ops: &Ops, tx: &Tx<'_>, op: OpId, id: VolumeId, by: Gib) -> Result<VolumeExpandPlan, OpError> {
    let volume = tx.volume(id)?.ok_or_else(OpError::id_not_found)?;
    if volume.pending.is_some() {
        return Err(OpError::Failed(IN_USE.to_owned()));
    }
    let demand = Demand {
        size: by.to_kib(),
        durability: volume.durability,
        snapshot_factor: volume.snapshot_factor,
        options: &volume.options,
        existing_bricks: tx.brick_count(id)?,
        avoid: &[],
    };
    let planned = ops.place(tx, volume.cluster, &demand)?;
    let bricks = reserve(tx, op, id, &planned)?;
    Ok(VolumeExpandPlan { volume: id, bricks: NewBricks::new(bricks), by })
}

#[async_trait]
impl Stages for VolumeExpandPlan {
    async fn exec(&mut self, ops: &Ops, _: OpId) -> Result<(), Failure> {
        let (volume, bricks) = ops.load_volume(self.volume, &self.bricks.ids)?;
        self.bricks.make(ops, &bricks, volume.gid).await?;
        let nodes = ops.cluster_nodes(volume.cluster)?;
        let hosts = manage_hosts(&nodes, bricks.first().map(|placed| placed.manage.as_str()));
        let spec = spec(&volume, &bricks);
        self.bricks.hand_over();
        Ops::on_gluster(&hosts, |host| ops.nodes().volume_expand(volume.cluster, host, &spec)).await?;
        if let Some(host) = hosts.first() {
            ops.nodes().volume_rebalance(volume.cluster, host, &volume.name).await;
        }
        Ok(())
    }

    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError> {
        show(tx, &self.bricks.ids)?;
        let block = tx.volume(self.volume)?.is_some_and(|volume| volume.block);
        let (free, reserved) = if block { block_space(self.by) } else { (Gib(0), Gib(0)) };
        tx.grow_volume(self.volume, self.by, free, reserved)?;
        Ok(Outcome::Resource(format!("/volumes/{}", self.volume)))
    }

    /// Once gluster has one of the new bricks, clients may have written to it: then the expansion goes forward.
    async fn resolve(&mut self, ops: &Ops, _: OpId, cause: Cause<'_>) -> Result<Resolution, Failure> {
        let (volume, bricks) = ops.load_volume(self.volume, &self.bricks.ids)?;
        if self.bricks.may_be_known_to_gluster() {
            let hosts = manage_hosts(&ops.cluster_nodes(volume.cluster)?, None);
            ops.settle(&hosts, &volume, cause).await?;
            let facts = ops.volume_facts(&hosts, &volume.name).await?;
            let known = facts.map(|facts| facts.bricks).unwrap_or_default();
            let (added, missing): (Vec<PlacedBrick>, Vec<_>) =
                bricks.iter().cloned().partition(|placed| known.contains(&placed.address().to_string()));
            if !added.is_empty() {
                if !missing.is_empty() {
                    let rest = spec(&volume, &missing);
                    Ops::on_gluster(&hosts, |host| ops.nodes().volume_expand(volume.cluster, host, &rest)).await?;
                }
                if let Some(host) = hosts.first() {
                    ops.nodes().volume_rebalance(volume.cluster, host, &volume.name).await;
                }
                return Ok(Resolution::Done);
            }
        }
        self.bricks.unmake(ops, &bricks).await?;
        Ok(Resolution::Undone)
    }

    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        self.bricks.release(tx)
    }
}
