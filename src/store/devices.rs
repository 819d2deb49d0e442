//! Devices and their space.

use rusqlite::{OptionalExtension, Row};

use super::sql_types::{from_json, to_json};
use super::{StoreError, Tx};
use crate::ids::{ClusterId, DeviceId, NodeId, OpId};
use crate::topology::{Device, EntryState, Tags};
use crate::units::Kib;

const COLUMNS: &str = "id, node, name, state, tags, total, free, used, extent, pv_uuid, paths";

fn device(row: &Row<'_>) -> Result<Device, StoreError> {
    Ok(Device {
        id: row.get(0)?,
        node: row.get(1)?,
        name: row.get(2)?,
        state: row.get(3)?,
        tags: from_json("devices", row.get_ref(4)?)?,
        total: row.get(5)?,
        free: row.get(6)?,
        used: row.get(7)?,
        extent: row.get(8)?,
        pv_uuid: row.get(9)?,
        paths: from_json("devices", row.get_ref(10)?)?,
    })
}

/// What placement has to know of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSpace {
    /// Its id.
    pub id: DeviceId,
    /// The node it is in.
    pub node: NodeId,
    /// Whether new bricks may be placed on it.
    pub state: EntryState,
    /// Its own tags.
    pub tags: Tags,
    /// Size of the volume group.
    pub total: Kib,
    /// What no thin pool has taken.
    pub free: Kib,
    /// Extent size of the volume group.
    pub extent: Kib,
}

impl Tx<'_> {
    fn query_devices(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Device>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut devices = Vec::new();
        while let Some(row) = rows.next()? {
            devices.push(device(row)?);
        }
        Ok(devices)
    }

    /// One device that clients see.
    pub fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM devices WHERE id = ?1 AND pending IS NULL");
        Ok(self.query_devices(&sql, [id])?.pop())
    }

    /// One device, whatever is under way with it.
    pub fn device_or_pending(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        Ok(self.query_devices(&format!("SELECT {COLUMNS} FROM devices WHERE id = ?1"), [id])?.pop())
    }

    /// The operation that is adding or removing the device, if there is one.
    pub fn device_pending(&self, id: DeviceId) -> Result<Option<OpId>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT pending FROM devices WHERE id = ?1")?;
        Ok(statement.query_row([id], |row| row.get(0)).optional()?.flatten())
    }

    /// The devices of a node that clients see, by ascending id.
    pub fn devices(&self, node: NodeId) -> Result<Vec<Device>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM devices WHERE node = ?1 AND pending IS NULL ORDER BY id");
        self.query_devices(&sql, [node])
    }

    /// All devices of all clusters, pending ones included, by ascending id.
    pub fn all_devices(&self) -> Result<Vec<Device>, StoreError> {
        self.query_devices(&format!("SELECT {COLUMNS} FROM devices ORDER BY id"), [])
    }

    /// What is free of each of the cluster's devices that clients see, by node and then by ascending id.
    pub fn free_spaces(&self, cluster: ClusterId) -> Result<Vec<Kib>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.free FROM nodes n JOIN devices d ON d.node = n.id
             WHERE n.cluster = ?1 AND n.pending IS NULL AND d.pending IS NULL ORDER BY n.id, d.id",
        )?;
        let rows = statement.query_map([cluster], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The devices of a cluster that clients see, as placement sees them, by node and then by ascending id.
    pub(super) fn read_device_spaces(&self, cluster: ClusterId) -> Result<Vec<DeviceSpace>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.id, d.node, d.state, d.tags, d.total, d.free, d.extent
             FROM nodes n JOIN devices d ON d.node = n.id
             WHERE n.cluster = ?1 AND n.pending IS NULL AND d.pending IS NULL ORDER BY n.id, d.id",
        )?;
        let mut rows = statement.query([cluster])?;
        let mut devices = Vec::new();
        while let Some(row) = rows.next()? {
            devices.push(DeviceSpace {
                id: row.get(0)?,
                node: row.get(1)?,
                state: row.get(2)?,
                tags: from_json("devices", row.get_ref(3)?)?,
                total: row.get(4)?,
                free: row.get(5)?,
                extent: row.get(6)?,
            });
        }
        Ok(devices)
    }

    /// Adds a device.
    pub fn add_device(&self, device: &Device, pending: Option<OpId>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO devices (id, node, name, state, tags, total, free, used, extent, pv_uuid, paths, pending)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute((
                device.id,
                device.node,
                &device.name,
                device.state,
                to_json("devices", &device.tags)?,
                device.total,
                device.free,
                device.used,
                device.extent,
                &device.pv_uuid,
                to_json("devices", &device.paths)?,
                pending,
            ))?;
        Ok(())
    }

    /// Replaces what the node says of a device: sizes, extent size, UUID and paths.
    pub fn set_device_facts(&self, device: &Device) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE devices SET total = ?2, free = ?3, used = ?4, extent = ?5, pv_uuid = ?6, paths = ?7 WHERE id = ?1",
            )?
            .execute((
                device.id,
                device.total,
                device.free,
                device.used,
                device.extent,
                &device.pv_uuid,
                to_json("devices", &device.paths)?,
            ))?;
        Ok(())
    }

    /// Removes a device that holds no bricks.
    pub fn remove_device(&self, id: DeviceId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM devices WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Says which operation is adding or removing the device; `None` shows it to clients.
    pub fn set_device_pending(&self, id: DeviceId, pending: Option<OpId>) -> Result<(), StoreError> {
        self.connection.prepare_cached("UPDATE devices SET pending = ?2 WHERE id = ?1")?.execute((id, pending))?;
        Ok(())
    }

    /// Sets the state of a device.
    pub fn set_device_state(&self, id: DeviceId, state: EntryState) -> Result<(), StoreError> {
        self.connection.prepare_cached("UPDATE devices SET state = ?2 WHERE id = ?1")?.execute((id, state))?;
        Ok(())
    }

    /// Replaces the tags of a device.
    pub fn set_device_tags(&self, id: DeviceId, tags: &Tags) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE devices SET tags = ?2 WHERE id = ?1")?
            .execute((id, to_json("devices", tags)?))?;
        Ok(())
    }

    /// Takes space for a thin pool. More than is free is refused by the database.
    pub fn take_space(&self, id: DeviceId, size: Kib) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE devices SET free = free - ?2, used = used + ?2 WHERE id = ?1")?
            .execute((id, size))?;
        Ok(())
    }

    /// Gives back what a thin pool had taken. Never more than is in use: a resync may have counted already.
    pub fn release_space(&self, id: DeviceId, size: Kib) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE devices SET free = free + min(?2, used), used = used - min(?2, used) WHERE id = ?1",
            )?
            .execute((id, size))?;
        Ok(())
    }

    /// The device holds bricks, pending ones included.
    pub fn device_has_bricks(&self, id: DeviceId) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM bricks WHERE device = ?1)")?;
        Ok(statement.query_row([id], |row| row.get(0))?)
    }

    /// There is a device whose PV UUID is not known, besides those that are being added.
    pub fn has_device_without_uuid(&self) -> Result<bool, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM devices WHERE pv_uuid = '' AND pending IS NULL)")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// The device with this PV UUID, pending ones included.
    pub fn device_with_uuid(&self, pv_uuid: &str) -> Result<Option<DeviceId>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM devices WHERE pv_uuid = ?1 LIMIT 1")?;
        Ok(statement.query_row([pv_uuid], |row| row.get(0)).optional()?)
    }
}
