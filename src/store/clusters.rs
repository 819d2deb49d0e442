//! Clusters.

use rusqlite::OptionalExtension;

use super::{StoreError, Tx};
use crate::ids::{ClusterId, NodeId, VolumeId};
use crate::topology::Cluster;

impl Tx<'_> {
    /// All clusters, by ascending id.
    pub fn clusters(&self) -> Result<Vec<Cluster>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id, file, block FROM clusters ORDER BY id")?;
        let rows =
            statement.query_map([], |row| Ok(Cluster { id: row.get(0)?, file: row.get(1)?, block: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One cluster, if there is such a one.
    pub fn cluster(&self, id: ClusterId) -> Result<Option<Cluster>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT file, block FROM clusters WHERE id = ?1")?;
        Ok(statement.query_row([id], |row| Ok(Cluster { id, file: row.get(0)?, block: row.get(1)? })).optional()?)
    }

    /// Adds a cluster without nodes.
    pub fn add_cluster(&self, cluster: &Cluster) -> Result<(), StoreError> {
        self.connection.prepare_cached("INSERT INTO clusters (id, file, block) VALUES (?1, ?2, ?3)")?.execute((
            cluster.id,
            cluster.file,
            cluster.block,
        ))?;
        Ok(())
    }

    /// Says what the cluster may hold; `false` if there is no such cluster.
    pub fn set_cluster_flags(&self, cluster: &Cluster) -> Result<bool, StoreError> {
        let changed = self
            .connection
            .prepare_cached("UPDATE clusters SET file = ?2, block = ?3 WHERE id = ?1")?
            .execute((cluster.id, cluster.file, cluster.block))?;
        Ok(changed > 0)
    }

    /// Removes a cluster that holds nothing any more.
    pub fn remove_cluster(&self, id: ClusterId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM clusters WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Number of volumes in the cluster, pending ones included.
    pub fn volume_count(&self, id: ClusterId) -> Result<i64, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT volume_count FROM clusters WHERE id = ?1")?;
        Ok(statement.query_row([id], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// The cluster holds nodes or volumes, pending ones included.
    pub fn cluster_in_use(&self, id: ClusterId) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM nodes WHERE cluster = ?1) OR EXISTS (SELECT 1 FROM volumes WHERE cluster = ?1)",
        )?;
        Ok(statement.query_row([id], |row| row.get(0))?)
    }

    /// The nodes of a cluster that clients see, by ascending id.
    pub fn node_ids(&self, id: ClusterId) -> Result<Vec<NodeId>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id FROM nodes WHERE cluster = ?1 AND pending IS NULL ORDER BY id")?;
        let rows = statement.query_map([id], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The volumes of a cluster, or of all, that clients see, by ascending id.
    pub fn volume_ids(&self, cluster: Option<ClusterId>) -> Result<Vec<VolumeId>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id FROM volumes WHERE (?1 IS NULL OR cluster = ?1) AND pending IS NULL ORDER BY id",
        )?;
        let rows = statement.query_map([cluster], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
