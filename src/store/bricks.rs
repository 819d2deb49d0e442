//! Bricks. A path or name that follows from the ids is not stored, but made when the row is read.

use rusqlite::{OptionalExtension, Row};

use super::{StoreError, Tx};
use crate::ids::{BrickId, DeviceId, OpId, VolumeId};
use crate::topology::{Brick, BrickKind, brick_lv, brick_path, thin_pool};

const SELECT: &str = "SELECT b.id, b.volume, b.device, d.node, b.size, b.pool_size, b.pool_metadata_size, b.path, \
                      b.thin_pool, b.lv, b.kind, b.pending FROM bricks b JOIN devices d ON d.id = b.device";

fn brick(row: &Row<'_>) -> rusqlite::Result<Brick> {
    let id: BrickId = row.get(0)?;
    let device: DeviceId = row.get(2)?;
    let path: Option<String> = row.get(7)?;
    let pool: Option<String> = row.get(8)?;
    let lv: Option<String> = row.get(9)?;
    Ok(Brick {
        id,
        volume: row.get(1)?,
        device,
        node: row.get(3)?,
        size: row.get(4)?,
        pool_size: row.get(5)?,
        pool_metadata_size: row.get(6)?,
        path: path.unwrap_or_else(|| brick_path(device, id)),
        thin_pool: pool.unwrap_or_else(|| thin_pool(id)),
        lv: lv.unwrap_or_else(|| brick_lv(id)),
        kind: BrickKind::from_number(row.get(10)?),
        pending: row.get(11)?,
    })
}

impl Tx<'_> {
    fn query_bricks(&self, condition: &str, parameters: impl rusqlite::Params) -> Result<Vec<Brick>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{SELECT} {condition}"))?;
        let rows = statement.query_map(parameters, brick)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One brick, whatever is under way with it.
    pub fn brick(&self, id: BrickId) -> Result<Option<Brick>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{SELECT} WHERE b.id = ?1"))?;
        Ok(statement.query_row([id], brick).optional()?)
    }

    /// The bricks of a volume, pending ones included, by ascending id.
    pub fn bricks_of_volume(&self, id: VolumeId) -> Result<Vec<Brick>, StoreError> {
        self.query_bricks("WHERE b.volume = ?1 ORDER BY b.id", [id])
    }

    /// The bricks on a device, pending ones included, by ascending id.
    pub fn bricks_of_device(&self, id: DeviceId) -> Result<Vec<Brick>, StoreError> {
        self.query_bricks("WHERE b.device = ?1 ORDER BY b.id", [id])
    }

    /// Looks at all bricks, pending ones included, one after the other by ascending ids of their volumes, then their own.
    pub fn each_brick(&self, mut look: impl FnMut(Brick)) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{SELECT} ORDER BY b.volume, b.id"))?;
        for found in statement.query_map([], brick)? {
            look(found?);
        }
        Ok(())
    }

    /// Number of bricks of a volume, pending ones included.
    pub fn brick_count(&self, id: VolumeId) -> Result<u32, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT count(*) FROM bricks WHERE volume = ?1")?;
        Ok(statement.query_row([id], |row| row.get(0))?)
    }

    /// A brick of the volume is being made or removed.
    pub fn volume_has_pending_bricks(&self, id: VolumeId) -> Result<bool, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM bricks WHERE volume = ?1 AND pending IS NOT NULL)")?;
        Ok(statement.query_row([id], |row| row.get(0))?)
    }

    /// Adds a brick. Its space is taken by [`Tx::take_space`].
    pub fn add_brick(&self, brick: &Brick) -> Result<(), StoreError> {
        let unless = |value: &str, derived: String| (value != derived).then(|| value.to_owned());
        self.connection
            .prepare_cached(
                "INSERT INTO bricks (id, volume, device, size, pool_size, pool_metadata_size, path, thin_pool, lv, kind, pending)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute((
                brick.id,
                brick.volume,
                brick.device,
                brick.size,
                brick.pool_size,
                brick.pool_metadata_size,
                unless(&brick.path, brick_path(brick.device, brick.id)),
                unless(&brick.thin_pool, thin_pool(brick.id)),
                unless(&brick.lv, brick_lv(brick.id)),
                brick.kind as i64,
                brick.pending,
            ))?;
        Ok(())
    }

    /// Removes a brick. Its space is given back by [`Tx::release_space`].
    pub fn remove_brick(&self, id: BrickId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM bricks WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Says which operation is making or removing a brick; `None` shows it to clients.
    pub fn set_brick_pending(&self, id: BrickId, pending: Option<OpId>) -> Result<(), StoreError> {
        self.connection.prepare_cached("UPDATE bricks SET pending = ?2 WHERE id = ?1")?.execute((id, pending))?;
        Ok(())
    }
}
