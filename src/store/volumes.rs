//! Volumes.

use rusqlite::{OptionalExtension, Row};

use super::sql_types::{from_json, to_json};
use super::{StoreError, Tx};
use crate::ids::{ClusterId, OpId, VolumeId};
use crate::topology::{Durability, DurabilityNumbers, Volume, VolumeOptions};
use crate::units::Gib;

const COLUMNS: &str = "id, cluster, name, size_gib, durability, replica, disperse_data, disperse_redundancy, gid, options, \
                       block, snapshot, snapshot_factor, requested_clusters, pending";

fn volume(row: &Row<'_>) -> Result<Volume, StoreError> {
    let number = |column: usize| row.get::<_, Option<i64>>(column).map(Option::unwrap_or_default);
    let numbers = DurabilityNumbers { replica: number(5)?, data: number(6)?, redundancy: number(7)? };
    let small = |number: i64| u32::try_from(number).map_err(|e| StoreError::damaged("volumes", e));
    let durability = match row.get_ref(4)?.as_str().map_err(|e| StoreError::damaged("volumes", e))? {
        "none" => Durability::None,
        "replicate" => Durability::Replicate(Some(small(numbers.replica)?).filter(|copies| *copies > 0)),
        "disperse" => Durability::Disperse { data: small(numbers.data)?, redundancy: small(numbers.redundancy)? },
        other => return Err(StoreError::damaged("volumes", format!("unknown durability {other}"))),
    };
    Ok(Volume {
        id: row.get(0)?,
        cluster: row.get(1)?,
        name: row.get(2)?,
        size: row.get(3)?,
        durability,
        durability_numbers: numbers,
        gid: row.get(8)?,
        options: VolumeOptions(from_json("volumes", row.get_ref(9)?)?),
        block: row.get(10)?,
        snapshot: row.get(11)?,
        snapshot_factor: row.get(12)?,
        requested_clusters: from_json("volumes", row.get_ref(13)?)?,
        pending: row.get(14)?,
    })
}

impl Tx<'_> {
    /// One volume, whatever is under way with it: look at its `pending`.
    pub fn volume(&self, id: VolumeId) -> Result<Option<Volume>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM volumes WHERE id = ?1"))?;
        let mut rows = statement.query([id])?;
        rows.next()?.map(volume).transpose()
    }

    /// All volumes of all clusters, pending ones included, by ascending id.
    pub fn all_volumes(&self) -> Result<Vec<Volume>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM volumes ORDER BY id"))?;
        let mut rows = statement.query([])?;
        let mut volumes = Vec::new();
        while let Some(row) = rows.next()? {
            volumes.push(volume(row)?);
        }
        Ok(volumes)
    }

    /// A volume of the cluster has this name, pending ones included.
    pub fn volume_name_taken(&self, cluster: ClusterId, name: &str) -> Result<bool, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM volumes WHERE cluster = ?1 AND name = ?2)")?;
        Ok(statement.query_row((cluster, name), |row| row.get(0))?)
    }

    /// Adds a volume. Of a block hosting volume, `free` and `reserved` are what block volumes may use and may not.
    pub fn add_volume(&self, volume: &Volume, free: Gib, reserved: Gib) -> Result<(), StoreError> {
        let durability = match volume.durability {
            Durability::None => "none",
            Durability::Replicate(_) => "replicate",
            Durability::Disperse { .. } => "disperse",
        };
        // The durability is read from them again.
        let numbers = volume.durability_numbers.with(volume.durability);
        let DurabilityNumbers { replica, data, redundancy } = numbers;
        self.connection
            .prepare_cached(
                "INSERT INTO volumes (id, cluster, name, size_gib, durability, replica, disperse_data, disperse_redundancy,
                     gid, options, block, snapshot, snapshot_factor, requested_clusters, block_free_gib,
                     block_reserved_gib, pending)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            )?
            .execute(rusqlite::params![
                volume.id,
                volume.cluster,
                volume.name,
                volume.size,
                durability,
                replica,
                data,
                redundancy,
                volume.gid,
                to_json("volumes", &volume.options.0)?,
                volume.block,
                volume.snapshot,
                volume.snapshot_factor,
                to_json("volumes", &volume.requested_clusters)?,
                free,
                reserved,
                volume.pending,
            ])?;
        Ok(())
    }

    /// What block volumes may use of a hosting volume, and what is kept back.
    pub fn block_space(&self, id: VolumeId) -> Result<Option<(Gib, Gib)>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT block_free_gib, block_reserved_gib FROM volumes WHERE id = ?1")?;
        Ok(statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    /// Adds to the size of a volume, and to what block volumes may use of it and may not.
    pub fn grow_volume(&self, id: VolumeId, by: Gib, free: Gib, reserved: Gib) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE volumes SET size_gib = size_gib + ?2, block_free_gib = block_free_gib + ?3,
                     block_reserved_gib = block_reserved_gib + ?4 WHERE id = ?1",
            )?
            .execute((id, by, free, reserved))?;
        Ok(())
    }

    /// Says which operation is making or removing the volume; `None` shows it to clients.
    pub fn set_volume_pending(&self, id: VolumeId, pending: Option<OpId>) -> Result<(), StoreError> {
        self.connection.prepare_cached("UPDATE volumes SET pending = ?2 WHERE id = ?1")?.execute((id, pending))?;
        Ok(())
    }

    /// Removes a volume that has no bricks any more.
    pub fn remove_volume(&self, id: VolumeId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM volumes WHERE id = ?1")?.execute([id])?;
        Ok(())
    }
}
