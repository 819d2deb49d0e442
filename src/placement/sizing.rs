//! How large things are: thin pools, arbiter bricks, the smallest volume (spec-ops.md 2.3 to 2.5).

use super::Limits;
use crate::topology::Durability;
use crate::units::{Gib, Kib};

/// Most metadata a thin pool gets (spec-ops.md 2.4).
const MAX_POOL_METADATA: Kib = Kib(16 * 1024 * 1024);

/// Share of a pool that its metadata takes (spec-ops.md 2.4).
const POOL_METADATA_SHARE: f64 = 0.005;

/// Smallest arbiter brick. The reference has 16 MiB (spec-ops.md 2.5), but mkfs.xfs has refused file systems below
/// 300 MiB since xfsprogs 5.19: a documented departure.
pub const SMALLEST_ARBITER_BRICK: Kib = Kib(300 * 1024);

/// What a brick takes from its device (spec-ops.md 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of the thin pool.
    pub pool: Kib,
    /// Size of the thin pool's metadata.
    pub metadata: Kib,
}

impl Space {
    /// All that the device's free space goes down by.
    pub const fn total(self) -> Kib {
        self.pool.plus(self.metadata)
    }

    /// Whether a device with so much free space takes the brick: an exact fit is refused (spec-ops.md 1.6).
    pub fn fits_in(self, free: Kib) -> bool {
        free > self.total()
    }
}

/// What a brick of this size takes on a device with this extent size (spec-ops.md 2.4). The float steps are the
/// reference's, since what is given back later has to be what was taken.
pub fn space_needed(brick: Kib, factor: f32, extent: Kib) -> Space {
    let pool = Kib((brick.0 as f64 * f64::from(factor)) as u64).round_up_to(extent);
    let metadata = Kib((pool.0 as f64 * POOL_METADATA_SHARE) as u64).min(MAX_POOL_METADATA).round_up_to(extent);
    Space { pool, metadata }
}

/// Size of the arbiter brick beside data bricks of this size; `None` if they are smaller than the average file
/// (spec-ops.md 2.5).
pub fn arbiter_brick(data: Kib, average_file_size: Kib) -> Option<Kib> {
    let average = average_file_size.0.max(1);
    (data.0 >= average).then(|| Kib(data.0 / average).max(SMALLEST_ARBITER_BRICK))
}

/// Size of the smallest volume that can be created (spec-ops.md 2.3).
pub fn smallest_volume(durability: Durability, limits: &Limits) -> Kib {
    Kib(limits.brick_min.0.saturating_mul(u64::from(durability.data_bricks())))
}

/// The volume is smaller than the smallest one (spec-ops.md 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Requested volume size ({} GB) is smaller than the minimum supported volume size ({})",
    size.0, smallest.0
)]
pub struct VolumeTooSmall {
    /// What was asked for.
    pub size: Gib,
    /// What is possible.
    pub smallest: Kib,
}

/// Refuses a new volume that is too small (spec-ops.md 2.3). Expansions have no such check.
///
/// # Errors
/// If it is.
pub fn check_volume_size(size: Gib, durability: Durability, limits: &Limits) -> Result<(), VolumeTooSmall> {
    let smallest = smallest_volume(durability, limits);
    if size.to_kib() < smallest { Err(VolumeTooSmall { size, smallest }) } else { Ok(()) }
}
