//! Retries of a creation when a node cannot be reached, on simulated nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ClusterFlags, DeviceAdd, NodeAdd, Ops, OpsSettings, VolumeCreate};
use crate::exec::inject::{Action, Inject, Rule};
use crate::exec::sim::Sim;
use crate::exec::{CommandSettings, Nodes};
use crate::ids::JobId;
use crate::store::{Outcome, Store};
use crate::topology::{Durability, DurabilityNumbers, Tags};
use crate::units::Gib;

struct World {
    ops: Ops,
    sim: Sim,
    faults: Inject<Sim>,
    _folder: tempfile::TempDir,
}

impl World {
    /// Nodes `m1` and up, with two devices each.
    async fn new(nodes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("heketi.db")).unwrap();
        let sim = Sim::new(Gib(100));
        let faults = Inject::new(sim.clone());
        let settings = OpsSettings::default();
        let nodes_of_it = Nodes::new(Arc::new(faults.clone()), CommandSettings::default());
        let ops = Ops::new(Arc::new(store), Arc::new(nodes_of_it), settings);
        let world = Self { ops, sim, faults, _folder: folder };
        let cluster = world.ops.cluster_create(ClusterFlags { file: true, block: true }).await.unwrap().id;
        for i in 1..=nodes {
            let node = NodeAdd {
                cluster: cluster.to_string(),
                zone: 1,
                manage: vec![format!("m{i}")],
                storage: vec![format!("s{i}")],
                tags: Tags::default(),
            };
            let Outcome::Resource(path) = world.end(world.ops.node_add(node).await.unwrap()).await else {
                panic!("node {i} was not added")
            };
            for disk in ["/dev/sdb", "/dev/sdc"] {
                let device = DeviceAdd {
                    node: path.trim_start_matches("/nodes/").to_owned(),
                    name: disk.to_owned(),
                    destroy_data: false,
                    tags: Tags::default(),
                };
                assert_eq!(world.end(world.ops.device_add(device).await.unwrap()).await, Outcome::Nothing);
            }
        }
        world.faults.take_lines();
        world
    }

    async fn end(&self, job: JobId) -> Outcome {
        let start = Instant::now();
        loop {
            match self.ops.store().read(|tx| tx.job(job)).unwrap().unwrap() {
                Outcome::Running => {}
                outcome => return outcome,
            }
            assert!(start.elapsed() < Duration::from_secs(30), "the job does not end");
            tokio::task::yield_now().await;
        }
    }

    async fn create_replica_3(&self) -> Outcome {
        let request = VolumeCreate {
            size: Gib(10),
            name: String::new(),
            clusters: Vec::new(),
            durability: Durability::Replicate(Some(3)),
            durability_numbers: DurabilityNumbers::default(),
            gid: 0,
            options: Vec::new(),
            block: false,
            snapshot_factor: None,
        };
        self.end(self.ops.volume_create(request).await.unwrap()).await
    }

    fn ran(&self, part: &str) -> usize {
        self.faults.lines().iter().filter(|(_, line)| line.contains(part)).count()
    }
}

#[tokio::test]
async fn a_create_that_needs_an_unreachable_node_is_tried_once() {
    let world = World::new(3).await;
    let clean = world.sim.dump();
    world.faults.add(Rule::every(Action::Refuse).on_host("m3"));
    let Outcome::Error(text) = world.create_replica_3().await else { panic!("a replica set on two nodes") };
    assert!(text.contains("m3"), "{text}");
    assert_eq!(world.ran("lvcreate"), 2, "the bricks of the two other nodes, once");
    assert_eq!(world.sim.dump(), clean);
}

#[tokio::test]
async fn a_create_that_can_do_without_an_unreachable_node_does() {
    let world = World::new(4).await;
    world.faults.add(Rule::every(Action::Refuse).on_host("m3"));
    assert!(matches!(world.create_replica_3().await, Outcome::Resource(_)));
    assert!(world.ran("lvcreate") <= 2 + 3, "the second attempt avoids both disks of the node");
}
