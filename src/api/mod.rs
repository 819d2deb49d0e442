//! What goes over the wire: requests as they are read and checked, answers as they are written (spec-api.md 1.3, 1.4 and
//! section 9). Shared by the server and its clients.

mod body;
mod clusters;
mod devices;
pub mod go_json;
mod json;
mod nodes;
mod states;
mod tags;
#[cfg(test)]
mod tests;
mod validation;
mod volumes;

pub use body::{Body, NotParsed};
pub use clusters::{ClusterFlagsRequest, ClusterInfoResponse, ClusterListResponse};
pub use devices::{BrickInfo, DeviceAddRequest, DeviceDeleteRequest, DeviceInfoResponse, StorageSize};
pub use json::{JSON_TYPE, to_json};
pub use nodes::{HostAddresses, NodeAddRequest, NodeInfoResponse};
pub use states::StateRequest;
pub use tags::{TagsChangeRequest, TagsChangeType};
pub use validation::Invalid;
pub use volumes::{
    BlockInfo, DisperseInfo, DurabilityInfo, GlusterMount, Mount, ReplicateInfo, SnapshotInfo, VolumeCreateRequest,
    VolumeExpandRequest, VolumeInfoResponse, VolumeListResponse,
};
