//! The durable form of operations: what is stored before the first command is sent, and read again by recovery.

use serde::{Deserialize, Serialize};

use super::device_add::DeviceAddPlan;
use super::device_delete::DeviceDeletePlan;
use super::node_add::NodeAddPlan;
use super::node_delete::NodeDeletePlan;
use super::stages::Stages;
use super::volume_create::VolumeCreatePlan;
use super::volume_delete::VolumeDeletePlan;
use super::volume_expand::VolumeExpandPlan;

/// All that an operation could ever leave on a node follows from its plan and the pending rows that name it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// A new volume.
    VolumeCreate(VolumeCreatePlan),
    /// A volume that goes.
    VolumeDelete(VolumeDeletePlan),
    /// More bricks for a volume.
    VolumeExpand(VolumeExpandPlan),
    /// A new node.
    NodeAdd(NodeAddPlan),
    /// A node that goes.
    NodeDelete(NodeDeletePlan),
    /// A new device.
    DeviceAdd(DeviceAddPlan),
    /// A device that goes.
    DeviceDelete(DeviceDeletePlan),
}

macro_rules! plans {
    ($($kind:ident($plan:ident),)*) => {$(
        impl From<$plan> for Plan {
            fn from(plan: $plan) -> Self {
                Self::$kind(plan)
            }
        }
    )*};
}

plans! {
    VolumeCreate(VolumeCreatePlan),
    VolumeDelete(VolumeDeletePlan),
    VolumeExpand(VolumeExpandPlan),
    NodeAdd(NodeAddPlan),
    NodeDelete(NodeDeletePlan),
    DeviceAdd(DeviceAddPlan),
    DeviceDelete(DeviceDeletePlan),
}

impl Plan {
    /// Its stored number. Those below 100 are the reference's (spec-ops.md 5.2); it has none for nodes and devices.
    pub const fn kind(&self) -> i64 {
        match self {
            Self::VolumeCreate(_) => 1,
            Self::VolumeDelete(_) => VolumeDeletePlan::KIND,
            Self::VolumeExpand(_) => 3,
            Self::NodeAdd(_) => 101,
            Self::NodeDelete(_) => NodeDeletePlan::KIND,
            Self::DeviceAdd(_) => 103,
            Self::DeviceDelete(_) => DeviceDeletePlan::KIND,
        }
    }

    /// What it is called in the log.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::VolumeCreate(_) => "Create Volume",
            Self::VolumeDelete(_) => "Delete Volume",
            Self::VolumeExpand(_) => "Expand Volume",
            Self::NodeAdd(_) => "Add Node",
            Self::NodeDelete(_) => "Delete Node",
            Self::DeviceAdd(_) => "Add Device",
            Self::DeviceDelete(_) => "Delete Device",
        }
    }

    pub(super) fn stages(&mut self) -> &mut dyn Stages {
        match self {
            Self::VolumeCreate(plan) => plan,
            Self::VolumeDelete(plan) => plan,
            Self::VolumeExpand(plan) => plan,
            Self::NodeAdd(plan) => plan,
            Self::NodeDelete(plan) => plan,
            Self::DeviceAdd(plan) => plan,
            Self::DeviceDelete(plan) => plan,
        }
    }
}
