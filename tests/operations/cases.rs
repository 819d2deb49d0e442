//! One operation each, from what it needs to what its answer means.

use heketi::ids::{ClusterId, DeviceId, JobId, NodeId, VolumeId};
use heketi::ops::{ClusterFlags, OpError, Ops, VolumeCreate};
use heketi::store::Outcome;
use heketi::topology::{Durability, DurabilityNumbers, mounts_of_device};
use heketi::units::Gib;

use crate::world::{World, device_request, node_request};

/// A volume to make.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub durability: Durability,
    pub gib: u64,
    pub gid: i64,
    pub options: &'static [&'static str],
}

impl Shape {
    pub const fn new(durability: Durability, gib: u64) -> Self {
        Self { durability, gib, gid: 0, options: &[] }
    }

    pub fn request(self, name: &str) -> VolumeCreate {
        VolumeCreate {
            size: Gib(self.gib),
            clusters: Vec::new(),
            name: name.to_owned(),
            durability: self.durability,
            durability_numbers: DurabilityNumbers::default(),
            gid: self.gid,
            options: self.options.iter().map(|option| (*option).to_owned()).collect(),
            block: false,
            snapshot_factor: None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Case {
    FirstNodeAdd,
    NodeAdd,
    NodeDelete,
    DeviceAdd,
    /// The disk has data on it.
    DeviceAddDestroy,
    DeviceDelete,
    DeviceForget,
    DeviceResync,
    Create(Shape),
    Expand(Shape, u64),
    Delete(Shape),
}

/// What the operation is done to.
#[derive(Debug, Clone, Copy)]
pub enum Subject {
    Nothing,
    Cluster(ClusterId),
    Node(NodeId),
    Device(DeviceId),
    Volume(VolumeId),
}

/// A node beyond those of the cluster, and a disk beyond those in use.
const NEW_HOST: &str = "m9";
const NEW_DISK: &str = "/dev/sdx";

impl Case {
    /// Makes what the operation needs.
    pub fn prepare(self, world: &World) -> Subject {
        match self {
            Self::FirstNodeAdd => {
                let flags = ClusterFlags { file: true, block: false };
                let cluster = world.run(|ops| async move { ops.cluster_create(flags).await.unwrap().id });
                Subject::Cluster(cluster)
            }
            Self::NodeAdd => Subject::Cluster(world.cluster),
            Self::NodeDelete => {
                world.must(world.add_node(NEW_HOST));
                Subject::Node(world.node(NEW_HOST).unwrap())
            }
            Self::DeviceAdd => Subject::Node(world.node("m1").unwrap()),
            Self::DeviceAddDestroy => {
                world.sim.put_data("m1", NEW_DISK);
                Subject::Node(world.node("m1").unwrap())
            }
            Self::DeviceDelete | Self::DeviceForget => {
                world.must(world.add_device("m1", NEW_DISK));
                let device = world.device("m1", NEW_DISK).unwrap();
                // A brick was on it once: its folder is there.
                let point = mounts_of_device(device);
                assert_eq!(world.sim.exec("m1", &["mkdir", "-p", &point]).status, 0);
                world.give_up(device);
                Subject::Device(device)
            }
            Self::DeviceResync => Subject::Device(world.device("m1", "/dev/sdb").unwrap()),
            Self::Create(_) => Subject::Nothing,
            Self::Expand(shape, _) | Self::Delete(shape) => {
                let request = shape.request("");
                world.must(world.run(|ops| async move { ops.volume_create(request).await }));
                Subject::Volume(world.volumes()[0])
            }
        }
    }

    pub async fn start(self, ops: Ops, subject: Subject) -> Result<JobId, OpError> {
        match (self, subject) {
            (Self::FirstNodeAdd | Self::NodeAdd, Subject::Cluster(cluster)) => {
                ops.node_add(node_request(cluster, NEW_HOST)).await
            }
            (Self::NodeDelete, Subject::Node(node)) => ops.node_delete(node).await,
            (Self::DeviceAdd, Subject::Node(node)) => ops.device_add(device_request(node, NEW_DISK, false)).await,
            (Self::DeviceAddDestroy, Subject::Node(node)) => ops.device_add(device_request(node, NEW_DISK, true)).await,
            (Self::DeviceDelete, Subject::Device(device)) => ops.device_delete(device, false).await,
            (Self::DeviceForget, Subject::Device(device)) => ops.device_delete(device, true).await,
            (Self::DeviceResync, Subject::Device(device)) => ops.device_resync(device).await,
            (Self::Create(shape), _) => ops.volume_create(shape.request("")).await,
            (Self::Expand(_, by), Subject::Volume(volume)) => ops.volume_expand(volume, Gib(by)).await,
            (Self::Delete(_), Subject::Volume(volume)) => ops.volume_delete(volume).await,
            other => panic!("no such case: {other:?}"),
        }
    }

    /// Whether the store shows what the operation was to bring about.
    pub fn came_true(self, world: &World, subject: Subject) -> bool {
        let store = world.store();
        match (self, subject) {
            (Self::FirstNodeAdd | Self::NodeAdd, Subject::Cluster(cluster)) => {
                let nodes = store.read(|tx| tx.nodes(cluster)).unwrap();
                nodes.iter().any(|node| node.manage_host() == NEW_HOST)
            }
            (Self::NodeDelete, Subject::Node(node)) => store.read(|tx| tx.node(node)).unwrap().is_none(),
            (Self::DeviceAdd | Self::DeviceAddDestroy, _) => world.device("m1", NEW_DISK).is_some(),
            (Self::DeviceDelete | Self::DeviceForget, Subject::Device(device)) => {
                store.read(|tx| tx.device(device)).unwrap().is_none()
            }
            (Self::Create(_), _) => !world.volumes().is_empty(),
            (Self::Expand(shape, by), Subject::Volume(volume)) => {
                let volume = store.read(|tx| tx.volume(volume)).unwrap().unwrap();
                assert!([shape.gib, shape.gib + by].contains(&volume.size.0), "an odd size: {}", volume.size);
                volume.size.0 == shape.gib + by
            }
            (Self::Delete(_), Subject::Volume(volume)) => store.read(|tx| tx.volume(volume)).unwrap().is_none(),
            _ => true,
        }
    }

    /// The answer says what has happened.
    pub fn check_answer(self, world: &World, subject: Subject, outcome: &Outcome) -> Result<(), String> {
        let came_true = self.came_true(world, subject);
        match outcome {
            Outcome::Running => Err("no answer".to_owned()),
            Outcome::Error(text) if matches!(self, Self::DeviceResync) || !came_true => {
                if text.trim().is_empty() {
                    Err("an error without a text".to_owned())
                } else {
                    Ok(())
                }
            }
            Outcome::Error(text) => Err(format!("the client was told that it failed ({text}), but it is done")),
            Outcome::Resource(_) | Outcome::Nothing if came_true => Ok(()),
            Outcome::Resource(_) | Outcome::Nothing => {
                Err("the client was told that it is done, but it is not".to_owned())
            }
        }
    }

    /// Folders that should have gone and are still there. They are not in the simulation's dump.
    pub fn folders_left(self, world: &World, subject: Subject) -> Vec<String> {
        match subject {
            Subject::Device(device) if self.came_true(world, subject) => {
                let path = mounts_of_device(device);
                let there = world.sim.exec("m1", &["rmdir", &path]).status == 0;
                if there { vec![format!("left: m1: folder {path}")] } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    /// Whether the administrator has said that what fails on the node is to be left there.
    pub const fn gives_the_disk_up(self) -> bool {
        matches!(self, Self::DeviceForget)
    }
}

pub const NONE: Shape = Shape::new(Durability::None, 2);
pub const REPLICA_1: Shape = Shape::new(Durability::Replicate(Some(1)), 2);
pub const REPLICA_2: Shape = Shape::new(Durability::Replicate(Some(2)), 2);
pub const REPLICA_3: Shape = Shape { gid: 2001, ..Shape::new(Durability::Replicate(Some(3)), 2) };
pub const ARBITER: Shape = Shape {
    options: &["user.heketi.arbiter true", "user.heketi.average-file-size 4", "features.shard on"],
    ..Shape::new(Durability::Replicate(Some(3)), 2)
};
pub const DISPERSE: Shape = Shape::new(Durability::Disperse { data: 2, redundancy: 1 }, 4);
/// Larger than the largest brick: several sets.
pub const TWO_SETS: Shape = Shape { options: &["features.shard on"], ..Shape::new(Durability::Replicate(Some(2)), 8) };
