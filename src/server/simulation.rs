//! Simulated nodes forget everything when the server ends. At start they are given back what the database says.

use std::collections::HashMap;

use crate::exec::Transport;
use crate::exec::sim::{AdoptedBrick, AdoptedVolume, Sim};
use crate::ids::{ClusterId, DeviceId, NodeId, VolumeId};
use crate::store::{Store, StoreError};
use crate::topology::{Durability, Node, Volume, brick_mount, volume_group};

/// Gives the nodes all that the store shows to clients. What is pending was under way and is gone with the old nodes.
pub fn rebuild(sim: &Sim, store: &Store) -> Result<(), StoreError> {
    store.read(|tx| {
        let nodes: HashMap<NodeId, Node> = tx.all_nodes()?.into_iter().map(|node| (node.id, node)).collect();
        let mut first_of: HashMap<ClusterId, String> = HashMap::new();
        let mut by_id: Vec<&Node> = nodes.values().collect();
        by_id.sort_by_key(|node| node.id);
        for node in by_id {
            sim.introduce(node.manage_host(), node.storage_host());
            let first = first_of.entry(node.cluster).or_insert_with(|| node.manage_host().to_owned());
            if first != node.manage_host() {
                sim.adopt_peer(first, node.manage_host());
            }
        }
        let mut hosts: HashMap<DeviceId, &Node> = HashMap::new();
        for device in tx.all_devices()? {
            let Some(node) = nodes.get(&device.node).filter(|_| device.total.0 > 0) else { continue };
            hosts.insert(device.id, node);
            let vg = volume_group(device.id);
            sim.adopt_device(node.manage_host(), &device.name, &vg, &device.pv_uuid, device.total.0, device.extent.0);
        }
        // Both by the ids of volumes; bricks are many and are not held all at once.
        let mut volumes = tx.all_volumes()?.into_iter();
        let mut bricks_of: Option<(VolumeId, Vec<String>)> = None;
        tx.each_brick(|brick| {
            let Some(node) = hosts.get(&brick.device).filter(|_| brick.pending.is_none()) else { return };
            if let Some((volume, bricks)) = bricks_of.take_if(|(volume, _)| *volume != brick.volume) {
                adopt_volume(sim, &mut volumes, volume, &bricks);
            }
            sim.adopt_brick(
                node.manage_host(),
                &AdoptedBrick {
                    vg: &volume_group(brick.device),
                    pool: &brick.thin_pool,
                    pool_kib: brick.pool_size.0,
                    meta_kib: brick.pool_metadata_size.0,
                    lv: &brick.lv,
                    size_kib: brick.size.0,
                    mount: brick.path.strip_suffix("/brick").unwrap_or(&brick_mount(brick.device, brick.id)),
                },
            );
            let address = format!("{}:{}", node.storage_host(), brick.path);
            bricks_of.get_or_insert_with(|| (brick.volume, Vec::new())).1.push(address);
        })?;
        if let Some((volume, bricks)) = bricks_of {
            adopt_volume(sim, &mut volumes, volume, &bricks);
        }
        Ok(())
    })
}

/// Gives the nodes the volume with this id. Those before it have no bricks.
fn adopt_volume(sim: &Sim, volumes: &mut impl Iterator<Item = Volume>, id: VolumeId, bricks: &[String]) {
    let Some(volume) = volumes.find(|volume| volume.id == id).filter(|volume| volume.pending.is_none()) else { return };
    let options: Vec<(String, String)> = volume
        .options
        .for_gluster()
        .filter(|(key, _)| *key != "group")
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    sim.adopt_volume(&AdoptedVolume {
        name: &volume.name,
        replica: match volume.durability {
            Durability::Replicate(_) => volume.durability.bricks_in_set() as usize,
            _ => 1,
        },
        arbiter: usize::from(volume.options.arbiter()),
        disperse: match volume.durability {
            Durability::Disperse { data, redundancy } => Some(((data + redundancy) as usize, redundancy as usize)),
            _ => None,
        },
        bricks,
        options: &options,
    });
}
