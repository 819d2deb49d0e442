//! Tests of placement: examples of the spec, rules one by one, and properties.

mod examples;
mod properties;
mod speed;

use super::*;
use crate::topology::{Tags, VolumeOptions};

/// 1 GiB.
const GIB: u64 = 1024 * 1024;

fn limits() -> Limits {
    Limits::default()
}

fn device(number: usize, total: u64, free: u64) -> DeviceView {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&(number as u64).to_be_bytes());
    DeviceView {
        id: DeviceId::from_bytes(id),
        state: EntryState::Online,
        total: Kib(total),
        free: Kib(free),
        extent: Kib(4096),
        tags: Tags::new(),
    }
}

fn node(number: usize, zone: i64, frees: &[u64]) -> NodeView {
    let devices = frees.iter().enumerate().map(|(index, free)| device(number * 1000 + index, 10_000 * GIB, *free));
    NodeView {
        id: NodeId::from_bytes([u8::try_from(number).unwrap(); 16]),
        zone,
        state: EntryState::Online,
        known_down: false,
        tags: Tags::new(),
        devices: devices.collect(),
    }
}

/// A cluster of nodes given by their zone and what is left of each device.
fn cluster(nodes: &[(i64, &[u64])]) -> ClusterView {
    ClusterView { nodes: nodes.iter().enumerate().map(|(number, (zone, frees))| node(number, *zone, frees)).collect() }
}

fn options(list: &[&str]) -> VolumeOptions {
    VolumeOptions(list.iter().map(|option| (*option).to_owned()).collect())
}

fn request(size: u64, durability: Durability, options: &VolumeOptions) -> Request<'_> {
    Request {
        size: Kib(size),
        durability,
        snapshot_factor: 1.0,
        options,
        existing_bricks: 0,
        avoid: &[],
        seed: [7; 32],
    }
}

const REPLICA_3: Durability = Durability::Replicate(Some(3));

/// Takes the space of a plan.
fn apply(view: &mut ClusterView, plan: &[PlannedBrick]) {
    for brick in plan {
        let devices = view.nodes.iter_mut().flat_map(|node| &mut node.devices);
        let device = devices.into_iter().find(|device| device.id == brick.device).unwrap();
        let taken = brick.pool_size.plus(brick.pool_metadata_size);
        assert!(device.free > taken, "no space: {} of {}", taken, device.free);
        device.free = device.free.minus(taken);
    }
}
