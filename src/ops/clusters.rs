//! Clusters: nothing of them is on a node, so all of it is one transaction (spec-api.md 1.6).

use super::{OpError, Ops};
use crate::ids::ClusterId;
use crate::topology::Cluster;

/// What a cluster may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterFlags {
    /// File volumes.
    pub file: bool,
    /// Block hosting volumes.
    pub block: bool,
}

impl Ops {
    /// Adds a cluster.
    pub async fn cluster_create(&self, flags: ClusterFlags) -> Result<Cluster, OpError> {
        let cluster = Cluster { id: ClusterId::random(), file: flags.file, block: flags.block };
        self.store_write(move |tx| {
            tx.add_cluster(&cluster)?;
            Ok(cluster)
        })
        .await
    }

    /// Says what a cluster may hold. What it holds already stays.
    pub async fn cluster_set_flags(&self, id: ClusterId, flags: ClusterFlags) -> Result<(), OpError> {
        self.store_write(move |tx| {
            let changed = tx.set_cluster_flags(&Cluster { id, file: flags.file, block: flags.block })?;
            if changed { Ok(()) } else { Err(OpError::id_not_found()) }
        })
        .await
    }

    /// Removes a cluster without nodes and volumes.
    pub async fn cluster_delete(&self, id: ClusterId) -> Result<(), OpError> {
        self.store_write(move |tx| {
            if tx.cluster(id)?.is_none() {
                return Err(OpError::id_not_found());
            }
            if tx.cluster_in_use(id)? {
                let text = format!("Unable to delete cluster [{id}] because it contains volumes and/or nodes");
                return Err(OpError::Conflict(text));
            }
            Ok(tx.remove_cluster(id)?)
        })
        .await
    }
}
