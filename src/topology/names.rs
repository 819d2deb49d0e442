//! Names and paths of what exists on a node (spec-ops.md 6.4). They are the reference's, so that an old cluster goes on.

use crate::ids::{BrickId, DeviceId};

/// Volume group of a device.
pub fn volume_group(device: DeviceId) -> String {
    format!("vg_{device}")
}

/// Thin pool of a new brick. Old bricks may have another one: always use the stored name where there is one.
pub fn thin_pool(brick: BrickId) -> String {
    format!("tp_{brick}")
}

/// Logical volume of a new brick. A clone's differs: always use the stored name where there is one.
pub fn brick_lv(brick: BrickId) -> String {
    format!("brick_{brick}")
}

/// Where the volume groups' mount points are: one folder a device.
pub fn mounts_of_device(device: DeviceId) -> String {
    format!("/var/lib/heketi/mounts/vg_{device}")
}

/// Mount point of a brick.
pub fn brick_mount(device: DeviceId, brick: BrickId) -> String {
    format!("/var/lib/heketi/mounts/vg_{device}/brick_{brick}")
}

/// The directory below the mount point that gluster is given: an unmounted brick then lacks it, and is not written to.
pub fn brick_path(device: DeviceId, brick: BrickId) -> String {
    format!("/var/lib/heketi/mounts/vg_{device}/brick_{brick}/brick")
}

/// Device node of a brick's logical volume.
pub fn brick_device_node(device: DeviceId, brick: BrickId) -> String {
    format!("/dev/mapper/vg_{device}-brick_{brick}")
}
