//! Store = nodes: what the store says there is, line by line against what the simulated nodes have.

use std::collections::{BTreeMap, BTreeSet};

use heketi::exec::sim::Sim;
use heketi::store::Store;
use heketi::topology::{Durability, brick_device_node, brick_mount, volume_group};

use crate::world::all_bricks;

/// The nodes' state as facts: one line each, none of which depends on chance or on how it came about.
fn found(sim: &Sim) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let (mut host, mut volume) = (String::new(), String::new());
    for line in sim.dump().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["host", name] => (*name).clone_into(&mut host),
            // A disk without a physical volume is as it came.
            ["disk", _, _, "KiB"] => {}
            ["disk", name, _, "KiB", "pv", uuid, "vg", vg] => {
                facts.insert(format!("{host}: disk {name} is physical volume {uuid} of {vg}"));
            }
            ["vg", vg, "volume", lv, "directory", path, "group", gid, "mode", mode, "of", .., id] => {
                let used = if *id == "-" { "unused" } else { "used" };
                facts.insert(format!("{host}: directory {path} on {vg}/{lv}, group {gid}, mode {mode}, {used}"));
            }
            ["pool", members @ ..] => {
                facts.insert(format!("peers {}", members.join(" ")));
            }
            ["volume", name, ..] => {
                (*name).clone_into(&mut volume);
                facts.insert(line.trim().to_owned());
            }
            ["brick", brick] => {
                facts.insert(format!("brick of {volume}: {brick}"));
            }
            // Gluster sets others by itself.
            ["option", key @ ("user.heketi.id" | "features.shard"), value] => {
                facts.insert(format!("option of {volume}: {key} {value}"));
            }
            ["option", ..] => {}
            _ => {
                facts.insert(format!("{host}: {}", line.trim()));
            }
        }
    }
    facts
}

/// What there should be, and rows that should not be.
fn wanted(store: &Store) -> (BTreeSet<String>, Vec<String>) {
    let mut facts = BTreeSet::new();
    let mut wrong = Vec::new();
    store
        .read(|tx| {
            let nodes = tx.all_nodes()?;
            let devices = tx.all_devices()?;
            let bricks = all_bricks(tx)?;
            let volumes = tx.all_volumes()?;
            let hosts: BTreeMap<_, _> = nodes.iter().map(|node| (node.id, node)).collect();
            for device in &devices {
                let Some(node) = hosts.get(&device.node) else {
                    wrong.push(format!("pending: device {} or its node", device.name));
                    continue;
                };
                if tx.device(device.id)?.is_none() {
                    wrong.push(format!("pending: device {} of {}", device.name, node.manage_host()));
                }
                let (host, vg) = (node.manage_host(), volume_group(device.id));
                let uuid = &device.pv_uuid;
                facts.insert(format!("{host}: disk {} is physical volume {uuid} of {vg}", device.name));
                let (free, total) = (device.free.0 / device.extent.0, device.total.0 / device.extent.0);
                facts.insert(format!("{host}: vg {vg} {free} of {total} extents free"));
            }
            let devices: BTreeMap<_, _> = devices.iter().map(|device| (device.id, device)).collect();
            let by_id: BTreeMap<_, _> = volumes.iter().map(|volume| (volume.id, volume)).collect();
            for brick in &bricks {
                if brick.pending.is_some() {
                    wrong.push(format!("pending: brick {}", brick.id));
                }
                let (Some(node), Some(device)) = (hosts.get(&brick.node), devices.get(&brick.device)) else {
                    wrong.push(format!("brick {} is on no node that clients see", brick.id));
                    continue;
                };
                let (host, vg, extent) = (node.manage_host(), volume_group(device.id), device.extent.0);
                let (data, meta) = (brick.pool_size.0 / extent, brick.pool_metadata_size.0 / extent);
                facts.insert(format!("{host}: vg {vg} pool {} {data}+{meta} extents, 1 volumes", brick.thin_pool));
                let kib = brick.size.0.div_ceil(extent) * extent;
                facts.insert(format!("{host}: vg {vg} volume {} {kib} KiB in {} xfs", brick.lv, brick.thin_pool));
                let gid = by_id[&brick.volume].gid;
                let (gid, mode) = if gid == 0 { ("-".into(), "-") } else { (gid.to_string(), "2775") };
                let lv = &brick.lv;
                facts.insert(format!("{host}: directory /brick on {vg}/{lv}, group {gid}, mode {mode}, used"));
                let (point, options) = (brick_mount(device.id, brick.id), "rw,inode64,noatime,nouuid");
                facts.insert(format!("{host}: mount {point} {vg}/{lv} {options}"));
                facts.insert(format!("{host}: directory {point}"));
                let node_name = brick_device_node(device.id, brick.id);
                facts.insert(format!("{host}: /etc/fstab: {node_name} {point} xfs {options} 1 2"));
                let name = &by_id[&brick.volume].name;
                facts.insert(format!("brick of {name}: {}:{}", node.storage_host(), brick.path));
            }
            for volume in &volumes {
                if volume.pending.is_some() {
                    wrong.push(format!("pending: volume {}", volume.name));
                }
                let count = bricks.iter().filter(|brick| brick.volume == volume.id).count();
                let several = if count > volume.durability.bricks_in_set() as usize { "Distributed-" } else { "" };
                let arbiter = usize::from(volume.options.arbiter());
                let kind = match volume.durability {
                    Durability::None | Durability::Replicate(Some(1)) => {
                        "Distribute Started replica 1 arbiter 0 disperse 0+0".to_owned()
                    }
                    Durability::Replicate(_) => format!(
                        "{several}Replicate Started replica {} arbiter {arbiter} disperse 0+0",
                        volume.durability.bricks_in_set()
                    ),
                    Durability::Disperse { data, redundancy } => {
                        format!("{several}Disperse Started replica 1 arbiter 0 disperse {data}+{redundancy}")
                    }
                };
                facts.insert(format!("volume {} {kind}", volume.name));
                facts.insert(format!("option of {}: user.heketi.id {}", volume.name, volume.id));
                for (key, value) in volume.options.for_gluster().filter(|(key, _)| *key == "features.shard") {
                    facts.insert(format!("option of {}: {key} {value}", volume.name));
                }
            }
            for cluster in tx.clusters()? {
                let mut peers: Vec<_> = nodes.iter().filter(|node| node.cluster == cluster.id).collect();
                peers.sort_by_key(|node| node.manage_host());
                let used = bricks.iter().any(|brick| peers.iter().any(|node| node.id == brick.node));
                if peers.len() > 1 || used {
                    let names: Vec<_> = peers.iter().map(|node| node.manage_host()).collect();
                    facts.insert(format!("peers {}", names.join(" ")));
                }
            }
            Ok(())
        })
        .unwrap();
    (facts, wrong)
}

/// Every difference, as a line that says which side lacks what.
pub fn differences(store: &Store, sim: &Sim) -> Vec<String> {
    let found = found(sim);
    let (wanted, mut wrong) = wanted(store);
    wrong.extend(wanted.difference(&found).map(|fact| format!("missing on the nodes: {fact}")));
    wrong.extend(found.difference(&wanted).map(|fact| format!("not in the store: {fact}")));
    wrong
}
