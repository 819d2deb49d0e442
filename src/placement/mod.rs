//! Where bricks go and how large they are: pure, deterministic for a given view, request and seed (spec-ops.md
//! sections 2 and 3). Constraints are the reference's; among placements that satisfy them we prefer the one that keeps
//! devices and zones evenly filled (users.md 1.10).

use crate::ids::{BrickId, DeviceId, NodeId};
use crate::topology::{BrickKind, Durability, EntryState, Tags};
use crate::units::Kib;

/// The limits of the server's configuration that bear on sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Smallest data brick, inclusive.
    pub brick_min: Kib,
    /// Largest brick, inclusive.
    pub brick_max: Kib,
    /// Most bricks of one volume.
    pub max_bricks_per_volume: u32,
    /// Average file size that an arbiter brick is sized for, unless the volume says otherwise.
    pub average_file_size: Kib,
    /// Zone checking unless the volume says otherwise: `none` or `strict`.
    pub zone_checking: String,
}

/// A device as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// Its id.
    pub id: DeviceId,
    /// Only online devices are used.
    pub state: EntryState,
    /// Size of the volume group.
    pub total: Kib,
    /// What is left of it.
    pub free: Kib,
    /// Pools are multiples of this.
    pub extent: Kib,
    /// The device's own tags.
    pub tags: Tags,
}

/// A node as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Failure domain.
    pub zone: i64,
    /// Only online nodes are used.
    pub state: EntryState,
    /// The last health check found it down. Unknown counts as up.
    pub known_down: bool,
    /// The node's own tags.
    pub tags: Tags,
    /// Its devices, by ascending id.
    pub devices: Vec<DeviceView>,
}

/// A cluster as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterView {
    /// Its nodes, by ascending id.
    pub nodes: Vec<NodeView>,
}

/// What is to be placed: a new volume, or what an expansion adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// Size to place, of the data alone.
    pub size: Kib,
    /// How it survives the loss of bricks.
    pub durability: Durability,
    /// Thin pools are this many times as large as their bricks.
    pub snapshot_factor: f32,
    /// Options of the volume; some steer placement.
    pub options: &'a crate::topology::VolumeOptions,
    /// Bricks the volume has already; they count against the limit.
    pub existing_bricks: u32,
    /// Devices to leave out, such as one that just failed.
    pub avoid: &'a [DeviceId],
    /// Everything random is drawn from this.
    pub seed: [u8; 32],
}

/// One brick of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBrick {
    /// Its new id.
    pub id: BrickId,
    /// Where it goes.
    pub device: DeviceId,
    /// The node of that device.
    pub node: NodeId,
    /// Size of the logical volume.
    pub size: Kib,
    /// Size of the thin pool.
    pub pool_size: Kib,
    /// Size of the thin pool's metadata.
    pub pool_metadata_size: Kib,
    /// Data or arbiter.
    pub kind: BrickKind,
}
