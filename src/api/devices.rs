//! Devices and bricks on the wire (spec-api.md 1.8).

use serde::Serialize;

use super::validation::{Invalid, rules};
use super::{Body, NotParsed};
use crate::topology::{Brick, Device, Tags};
use crate::units::Kib;

/// `POST /devices`.
#[derive(Debug, Clone)]
pub struct DeviceAddRequest {
    /// Its name on the node.
    pub name: String,
    /// The node it is in.
    pub node: String,
    /// Its tags.
    pub tags: Tags,
    /// Wipe what is on it, if that is safe.
    pub destroy_data: bool,
}

impl DeviceAddRequest {
    /// Reads it from a body.
    pub fn read(body: &Body) -> Result<Self, NotParsed> {
        Ok(Self {
            name: body.text("name")?,
            node: body.text("node")?,
            tags: body.map("tags")?,
            destroy_data: body.flag("destroydata")?,
        })
    }

    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        invalid.check("name", rules::device_name(&self.name));
        invalid.check("node", rules::id(&self.node));
        invalid.check("tags", rules::tags(&self.tags));
        invalid.result()
    }
}

/// `DELETE /devices/{id}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeviceDeleteRequest {
    /// The disk or its node is lost: what cannot be removed from it is left.
    pub force_forget: bool,
}

impl DeviceDeleteRequest {
    /// Reads it from a body.
    pub fn read(body: &Body) -> Result<Self, NotParsed> {
        Ok(Self { force_forget: body.flag("forceforget")? })
    }
}

/// Sizes of a device in KiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StorageSize {
    /// Size of its volume group.
    pub total: Kib,
    /// What no thin pool has taken.
    pub free: Kib,
    /// What thin pools have taken.
    pub used: Kib,
}

/// A brick.
#[derive(Debug, Clone, Serialize)]
pub struct BrickInfo {
    /// Its id.
    pub id: String,
    /// Its directory on the node.
    pub path: String,
    /// The device it is on.
    pub device: String,
    /// The node it is on.
    pub node: String,
    /// The volume it belongs to.
    pub volume: String,
    /// Size in KiB.
    pub size: Kib,
}

impl From<Brick> for BrickInfo {
    fn from(brick: Brick) -> Self {
        Self {
            id: brick.id.to_string(),
            path: brick.path,
            device: brick.device.to_string(),
            node: brick.node.to_string(),
            volume: brick.volume.to_string(),
            size: brick.size,
        }
    }
}

/// A device and its bricks.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceInfoResponse {
    /// The name it was added by.
    pub name: String,
    /// Its tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Its sizes.
    pub storage: StorageSize,
    /// Its id.
    pub id: String,
    /// Its other names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// UUID of its physical volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pv_uuid: String,
    /// `online`, `offline` or `failed`.
    pub state: &'static str,
    /// Its bricks, by ascending id.
    pub bricks: Vec<BrickInfo>,
}

impl DeviceInfoResponse {
    /// A device and the bricks that clients see.
    pub fn new(device: Device, bricks: Vec<Brick>) -> Self {
        Self {
            name: device.name,
            tags: device.tags,
            storage: StorageSize { total: device.total, free: device.free, used: device.used },
            id: device.id.to_string(),
            paths: device.paths,
            pv_uuid: device.pv_uuid,
            state: device.state.as_str(),
            bricks: bricks.into_iter().map(BrickInfo::from).collect(),
        }
    }
}
