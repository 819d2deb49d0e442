//! From the store to placement and back.

use super::{OpError, Ops};
use crate::ids::{ClusterId, DeviceId};
use crate::placement::{ClusterView, DeviceView, NodeView, PlacementError, PlannedBrick, Request, place};
use crate::store::{StoreError, Tx};
use crate::topology::{Durability, VolumeOptions};
use crate::units::Kib;

/// What is to be placed, whatever the cluster.
pub struct Demand<'a> {
    pub size: Kib,
    pub durability: Durability,
    pub snapshot_factor: f32,
    pub options: &'a VolumeOptions,
    pub existing_bricks: u32,
    pub avoid: &'a [DeviceId],
}

/// Why a demand was not placed.
pub enum NotPlaced {
    /// This cluster does not take it.
    Refused(PlacementError),
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for NotPlaced {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NotPlaced> for OpError {
    fn from(error: NotPlaced) -> Self {
        match error {
            NotPlaced::Refused(error) => Self::Failed(error.to_string()),
            NotPlaced::Store(error) => Self::Store(error),
        }
    }
}

impl Ops {
    fn view(&self, tx: &Tx<'_>, cluster: ClusterId) -> Result<ClusterView, StoreError> {
        let known = tx.cluster_nodes(cluster)?;
        let free = tx.free_spaces(cluster)?;
        if free.len() != known.devices.len() {
            let what = format!("cluster {cluster}: the version of its nodes is out of step with them");
            return Err(StoreError::Damaged { table: "clusters", what });
        }
        let mut spaces = known.devices.iter().zip(free).peekable();
        let nodes = known
            .nodes
            .iter()
            .map(|node| {
                let mut devices = Vec::new();
                while let Some((space, free)) = spaces.next_if(|(space, _)| space.node == node.id) {
                    devices.push(DeviceView {
                        id: space.id,
                        state: space.state,
                        total: space.total,
                        free,
                        extent: space.extent,
                        tags: space.tags.clone(),
                    });
                }
                NodeView {
                    id: node.id,
                    zone: node.zone,
                    state: node.state,
                    known_down: self.health().is_down(node.id),
                    tags: node.tags.clone(),
                    devices,
                }
            })
            .collect();
        Ok(ClusterView { nodes })
    }

    /// Places a demand in one cluster. Devices to avoid are used after all when it does not fit without them.
    pub(super) fn place(
        &self,
        tx: &Tx<'_>,
        cluster: ClusterId,
        demand: &Demand<'_>,
    ) -> Result<Vec<PlannedBrick>, NotPlaced> {
        let view = self.view(tx, cluster)?;
        let try_with = |avoid: &[DeviceId]| {
            let request = Request {
                size: demand.size,
                durability: demand.durability,
                snapshot_factor: demand.snapshot_factor,
                options: demand.options,
                existing_bricks: demand.existing_bricks,
                avoid,
                seed: rand::random(),
            };
            place(&view, &request, &self.settings().limits)
        };
        let mut placed = try_with(demand.avoid);
        if placed.is_err() && !demand.avoid.is_empty() {
            placed = try_with(&[]);
        }
        placed.map_err(|error| {
            match error.report() {
                Some(report) => tracing::warn!(%cluster, "{error}: {report}"),
                None => tracing::warn!(%cluster, "{error}"),
            }
            NotPlaced::Refused(error)
        })
    }
}
