//! Volumes on the wire (spec-api.md 1.9).

use std::collections::BTreeMap;

use serde::Serialize;

use super::validation::{Invalid, rules};
use super::{Body, BrickInfo, NotParsed};

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Copies of each set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplicateInfo {
    /// How many; 0 if the request left it out.
    #[serde(skip_serializing_if = "is_zero")]
    pub replica: i64,
}

/// Erasure coding of each set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DisperseInfo {
    /// Bricks' worth of data.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bricks that may be lost.
    #[serde(skip_serializing_if = "is_zero")]
    pub redundancy: i64,
}

/// How a volume survives the loss of bricks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DurabilityInfo {
    /// `none`, `replicate` or `disperse`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Of `replicate`.
    pub replicate: ReplicateInfo,
    /// Of `disperse`.
    pub disperse: DisperseInfo,
}

/// Room for snapshots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct SnapshotInfo {
    /// Whether there is any.
    pub enable: bool,
    /// Thin pools are this many times as large as their bricks.
    pub factor: f32,
}

/// `POST /volumes`.
#[derive(Debug, Clone)]
pub struct VolumeCreateRequest {
    /// GiB.
    pub size: i64,
    /// Clusters to choose from.
    pub clusters: Vec<String>,
    /// Its name; may be empty.
    pub name: String,
    /// How it survives the loss of bricks.
    pub durability: DurabilityInfo,
    /// Group that owns the brick directories.
    pub gid: i64,
    /// Gluster options.
    pub options: Vec<String>,
    /// It is to hold block volumes.
    pub block: bool,
    /// Room for snapshots.
    pub snapshot: SnapshotInfo,
}

impl VolumeCreateRequest {
    /// Reads it from a body.
    pub fn read(body: &Body) -> Result<Self, NotParsed> {
        let durability = body.section("durability")?;
        let disperse = durability.section("disperse")?;
        let snapshot = body.section("snapshot")?;
        Ok(Self {
            size: body.int("size")?,
            clusters: body.texts("clusters")?,
            name: body.text("name")?,
            durability: DurabilityInfo {
                kind: durability.text("type")?,
                replicate: ReplicateInfo { replica: durability.section("replicate")?.int("replica")? },
                disperse: DisperseInfo { data: disperse.int("data")?, redundancy: disperse.int("redundancy")? },
            },
            gid: body.int("gid")?,
            options: body.texts("glustervolumeoptions")?,
            block: body.flag("block")?,
            snapshot: SnapshotInfo { enable: snapshot.flag("enable")?, factor: snapshot.float("factor")? },
        })
    }

    /// Says what is wrong with it. The rules that come after this one have texts of their own.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        invalid.check("size", rules::positive(self.size));
        invalid.check("name", rules::name(&self.name));
        invalid.result()
    }
}

/// `POST /volumes/{id}/expand`.
#[derive(Debug, Clone, Copy)]
pub struct VolumeExpandRequest {
    /// GiB to add.
    pub expand_size: i64,
}

impl VolumeExpandRequest {
    /// Reads it from a body.
    pub fn read(body: &Body) -> Result<Self, NotParsed> {
        Ok(Self { expand_size: body.int("expand_size")? })
    }

    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        invalid.check("expand_size", rules::positive(self.expand_size));
        invalid.result()
    }
}

/// `GET /volumes`.
#[derive(Debug, Clone, Serialize)]
pub struct VolumeListResponse {
    /// All volumes, by ascending id.
    pub volumes: Vec<String>,
}

/// What a client needs to mount it.
#[derive(Debug, Clone, Serialize)]
pub struct GlusterMount {
    /// Storage host names of all nodes of its cluster.
    pub hosts: Vec<String>,
    /// `host:name`.
    pub device: String,
    /// `backup-volfile-servers`.
    pub options: BTreeMap<&'static str, String>,
}

/// Ways to mount it.
#[derive(Debug, Clone, Serialize)]
pub struct Mount {
    /// By FUSE.
    pub glusterfs: GlusterMount,
}

/// Of a block hosting volume.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BlockInfo {
    /// GiB that block volumes may use.
    #[serde(rename = "freesize", skip_serializing_if = "is_zero")]
    pub free_size: i64,
    /// GiB that they may not use.
    #[serde(rename = "reservedsize", skip_serializing_if = "is_zero")]
    pub reserved_size: i64,
}

/// A volume.
#[derive(Debug, Clone, Serialize)]
pub struct VolumeInfoResponse {
    /// GiB, expansions included.
    pub size: u64,
    /// Its name.
    pub name: String,
    /// How it survives the loss of bricks.
    pub durability: DurabilityInfo,
    /// Group that owns the brick directories.
    #[serde(skip_serializing_if = "is_zero")]
    pub gid: i64,
    /// Its options, those of the configuration included.
    #[serde(rename = "glustervolumeoptions", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// It holds block volumes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub block: bool,
    /// Room for snapshots.
    pub snapshot: SnapshotInfo,
    /// Its id.
    pub id: String,
    /// The cluster it is in.
    pub cluster: String,
    /// How to mount it.
    pub mount: Mount,
    /// Of a block hosting volume.
    #[serde(rename = "blockinfo")]
    pub block_info: BlockInfo,
    /// Its bricks, by ascending id.
    pub bricks: Vec<BrickInfo>,
}
