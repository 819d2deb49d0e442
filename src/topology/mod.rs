//! The things that are stored and the rules between their fields. Pure: no I/O, no clock (spec-ops.md section 1).

mod names;
mod options;
mod state;
mod tags;

pub use names::{brick_device_node, brick_lv, brick_mount, brick_path, mounts_of_device, thin_pool, volume_group};
pub use options::VolumeOptions;
pub use state::{EntryState, NotAState};
pub use tags::{Tags, merged_tags};

use crate::ids::{BrickId, ClusterId, DeviceId, NodeId, OpId, VolumeId};
use crate::units::{Gib, Kib};

/// A group of nodes that share volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// May hold file volumes.
    pub file: bool,
    /// May hold block hosting volumes.
    pub block: bool,
}

/// A storage node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Failure domain, 1 and up.
    pub zone: i64,
    /// Whether new bricks may be placed on it.
    pub state: EntryState,
    /// Host names for SSH; only the first is used.
    pub manage: Vec<String>,
    /// Host names for gluster; only the first is used.
    pub storage: Vec<String>,
    /// Tags set by the administrator.
    pub tags: Tags,
}

impl Node {
    /// Where commands for this node are sent.
    pub fn manage_host(&self) -> &str {
        self.manage.first().map_or("", String::as_str)
    }

    /// The name gluster knows this node by.
    pub fn storage_host(&self) -> &str {
        self.storage.first().map_or("", String::as_str)
    }
}

/// A raw disk with one volume group on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id; the volume group is `vg_<id>`.
    pub id: DeviceId,
    /// The node it is in.
    pub node: NodeId,
    /// The name it was added by, `/dev/sdb` or a `/dev/disk/by-*` link.
    pub name: String,
    /// Whether new bricks may be placed on it.
    pub state: EntryState,
    /// Tags set by the administrator; they win over the node's.
    pub tags: Tags,
    /// Size of the volume group.
    pub total: Kib,
    /// What no thin pool has taken.
    pub free: Kib,
    /// What thin pools and their metadata have taken.
    pub used: Kib,
    /// Extent size of the volume group: pools are multiples of it.
    pub extent: Kib,
    /// UUID of the physical volume, empty if unknown (old records).
    pub pv_uuid: String,
    /// Other names of the disk.
    pub paths: Vec<String>,
}

/// What a brick is for. The numbers are the stored ones (spec-ops.md 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BrickKind {
    /// From a record older than the distinction.
    Unknown = 0,
    /// Holds data.
    #[default]
    Normal = 1,
    /// Holds names and metadata only.
    Arbiter = 2,
}

impl BrickKind {
    /// The kind with this stored number; unknown numbers count as unknown.
    pub const fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Normal,
            2 => Self::Arbiter,
            _ => Self::Unknown,
        }
    }
}

/// One thin logical volume with a file system: one brick of one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brick {
    /// Its id.
    pub id: BrickId,
    /// The volume it belongs to.
    pub volume: VolumeId,
    /// The device it is on.
    pub device: DeviceId,
    /// The node that device is in.
    pub node: NodeId,
    /// The directory gluster uses, on the node.
    pub path: String,
    /// Size of the file system's logical volume.
    pub size: Kib,
    /// Size of the thin pool.
    pub pool_size: Kib,
    /// Size of the thin pool's metadata.
    pub pool_metadata_size: Kib,
    /// Name of the thin pool in the device's volume group.
    pub thin_pool: String,
    /// Name of the logical volume in the device's volume group.
    pub lv: String,
    /// Data or arbiter.
    pub kind: BrickKind,
    /// The operation that is creating or deleting it.
    pub pending: Option<OpId>,
}

/// How a volume survives the loss of bricks (spec-ops.md section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every brick is needed.
    None,
    /// Each set holds so many copies. `None`: the request left it out, which means 2 but is reported as left out.
    Replicate(Option<u32>),
    /// Each set holds `data` + `redundancy` bricks.
    Disperse {
        /// Bricks' worth of data.
        data: u32,
        /// Bricks that may be lost.
        redundancy: u32,
    },
}

impl Durability {
    /// Number of bricks in one set.
    pub const fn bricks_in_set(self) -> u32 {
        match self {
            Self::None => 1,
            Self::Replicate(Some(copies)) => copies,
            Self::Replicate(None) => 2,
            Self::Disperse { data, redundancy } => data + redundancy,
        }
    }

    /// Number of bricks of a set that carry data: a set's size is divided by it.
    pub const fn data_bricks(self) -> u32 {
        match self {
            Self::None | Self::Replicate(_) => 1,
            Self::Disperse { data, .. } => data,
        }
    }
}

/// The numbers of a durability as the client sent them, 0 for those left out. Clients read all of them again, those of
/// the other durabilities too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DurabilityNumbers {
    /// Copies.
    pub replica: i64,
    /// Bricks' worth of data.
    pub data: i64,
    /// Bricks that may be lost.
    pub redundancy: i64,
}

impl DurabilityNumbers {
    /// The same numbers, but for those that this durability has itself.
    #[must_use]
    pub fn with(self, durability: Durability) -> Self {
        match durability {
            Durability::None => self,
            Durability::Replicate(copies) => Self { replica: copies.unwrap_or(0).into(), ..self },
            Durability::Disperse { data, redundancy } => {
                Self { data: data.into(), redundancy: redundancy.into(), ..self }
            }
        }
    }
}

/// A gluster volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Its id.
    pub id: VolumeId,
    /// The cluster it is in.
    pub cluster: ClusterId,
    /// The name gluster knows it by.
    pub name: String,
    /// Size as requested, expansions included.
    pub size: Gib,
    /// How it survives the loss of bricks.
    pub durability: Durability,
    /// What the request said about that.
    pub durability_numbers: DurabilityNumbers,
    /// Group that owns the brick directories; 0 leaves root.
    pub gid: i64,
    /// Gluster options as stored and reported, in order; empty strings are kept.
    pub options: VolumeOptions,
    /// Holds block volumes.
    pub block: bool,
    /// Thin pools are larger than their bricks, for snapshots.
    pub snapshot: bool,
    /// By how much; 1 when `snapshot` is off.
    pub snapshot_factor: f32,
    /// The clusters the request named, as sent.
    pub requested_clusters: Vec<String>,
    /// The operation that is creating or deleting it.
    pub pending: Option<OpId>,
}
