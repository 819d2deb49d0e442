//! Simulated nodes forget everything when the server ends. At start they are given back what the database says, while the
//! server answers already: commands wait for it.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

use anyhow::Context;
use async_trait::async_trait;
use tokio::sync::watch;

use crate::exec::sim::{AdoptedBrick, AdoptedVolume, Sim};
use crate::exec::{Cmd, Output, Transport, TransportError, TransportErrorKind};
use crate::ids::{ClusterId, DeviceId, NodeId, VolumeId};
use crate::store::{Store, StoreError, Tx};
use crate::topology::{Durability, Node, Volume, brick_mount, volume_group};

/// How far the nodes have been given back what they held.
#[derive(Debug, Clone)]
enum Progress {
    UnderWay,
    Done,
    Failed(String),
}

/// Simulated nodes that may not be complete yet.
pub struct Simulated {
    sim: Arc<Sim>,
    progress: watch::Receiver<Progress>,
}

impl Simulated {
    /// Starts to give the nodes back what the store holds at this moment.
    pub fn restore(sim: Sim, store: Arc<Store>) -> anyhow::Result<Self> {
        let sim = Arc::new(sim);
        let (tell, progress) = watch::channel(Progress::UnderWay);
        let (began, beginning) = mpsc::channel();
        let restored = Arc::clone(&sim);
        let restore = move || {
            let result = store.read(|tx| {
                // From here on the snapshot stands, whatever the server changes.
                let nodes = tx.all_nodes()?;
                let _ = began.send(());
                rebuild(&restored, tx, nodes)
            });
            let _ = tell.send(match result {
                Ok(()) => Progress::Done,
                Err(error) => {
                    tracing::error!("the simulated nodes cannot be given back what they held: {error}");
                    Progress::Failed(error.to_string())
                }
            });
        };
        std::thread::Builder::new()
            .name("simulation".to_owned())
            .spawn(restore)
            .context("Unable to start application")?;
        // An error means that it has failed already, which commands will tell.
        let _ = beginning.recv();
        Ok(Self { sim, progress })
    }
}

#[async_trait]
impl Transport for Simulated {
    async fn run(&self, host: &str, commands: &[Cmd]) -> Result<Vec<Output>, TransportError> {
        let mut progress = self.progress.clone();
        let cause = match progress.wait_for(|progress| !matches!(progress, Progress::UnderWay)).await.as_deref() {
            Ok(Progress::Failed(cause)) => cause.clone(),
            Ok(_) => String::new(),
            Err(_) => "its thread has ended".to_owned(),
        };
        if cause.is_empty() {
            return self.sim.run(host, commands).await;
        }
        Err(TransportError {
            kind: TransportErrorKind::Connect,
            host: host.to_owned(),
            command: None,
            message: format!("{host}: the simulated node was not given back what it held: {cause}"),
        })
    }

    fn introduce(&self, manage: &str, storage: &str) {
        self.sim.introduce(manage, storage);
    }
}

/// Gives the nodes all that the store shows to clients. What is pending was under way and is gone with the old nodes.
fn rebuild(sim: &Sim, tx: &Tx<'_>, nodes: Vec<Node>) -> Result<(), StoreError> {
    let nodes: HashMap<NodeId, Node> = nodes.into_iter().map(|node| (node.id, node)).collect();
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
