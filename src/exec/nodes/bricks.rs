//! Bricks: thin logical volumes with a file system, mounted for gluster.

use super::{MINUTE, NodeError, Nodes, answer, says_missing};
use crate::exec::Cmd;
use crate::topology::{Brick, BrickKind, brick_device_node, brick_mount, volume_group};

/// What the destruction of a brick freed (spec-ops.md 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaimed {
    /// The thin pool is gone: its space is free again.
    Space,
    /// The thin pool holds other logical volumes (a clone or its origin), and stays until the last of them goes.
    PoolShared,
}

/// `mount` prints lines such as `/dev/x on /y type xfs (...)`.
fn is_mounted(listing: &str, mount: &str) -> bool {
    listing.lines().any(|line| {
        line.split_once(" on ").is_some_and(|(_, rest)| {
            rest.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with(" type "))
        })
    })
}

/// Mount point of a brick whose path may be that of a clone.
fn mount_of(brick: &Brick) -> String {
    match brick.path.strip_suffix("/brick") {
        Some(mount) => mount.to_owned(),
        None if brick.path.is_empty() => brick_mount(brick.device, brick.id),
        None => brick.path.clone(),
    }
}

/// A clone's mount is gluster's own: it is not in fstab.
fn mounted_by_gluster(brick: &Brick) -> bool {
    brick.path.starts_with("/run/gluster/") || brick.path.starts_with("/var/run/gluster/")
}

/// Why a brick could not be made.
#[derive(Debug)]
pub struct BrickFailure {
    /// What failed.
    pub error: NodeError,
    /// Not one command has run: there is surely nothing of the brick on its node.
    pub nothing_made: bool,
}

impl From<NodeError> for BrickFailure {
    fn from(error: NodeError) -> Self {
        Self { error, nothing_made: false }
    }
}

impl Nodes {
    /// Makes the logical volume in a new thin pool, formats and mounts it, and makes the folder that gluster is given.
    pub async fn brick_create(&self, host: &str, brick: &Brick, gid: i64) -> Result<(), BrickFailure> {
        let command = |program: &str| Cmd::new(program).timeout(10 * MINUTE);
        let mount = brick_mount(brick.device, brick.id);
        let node = brick_device_node(brick.device, brick.id);
        let vg = volume_group(brick.device);
        let arbiter = brick.kind == BrickKind::Arbiter;
        let chunk = if arbiter { "256K" } else { &self.settings.lv_chunk_size };
        let mut mkfs = command("mkfs.xfs").args(["-i", if arbiter { "maxpct=100" } else { "size=512" }]);
        if let Some((width, unit)) = self.settings.xfs_stripe.filter(|_| !arbiter) {
            mkfs = mkfs.arg("-d").arg(format!("su={unit},sw={width}"));
        }
        let make = [
            command("mkdir").args(["-p", &mount]),
            self.lvm()
                .timeout(10 * MINUTE)
                .args(["lvcreate", "-qq", self.autobackup(), "--poolmetadatasize"])
                .arg(format!("{}K", brick.pool_metadata_size.0))
                .args(["--chunksize", chunk, "--size"])
                .arg(format!("{}K", brick.pool_size.0))
                .arg("--thin")
                .arg(format!("{vg}/{}", brick.thin_pool))
                .arg("--virtualsize")
                .arg(format!("{}K", brick.size.0))
                .args(["--name", &brick.lv]),
            mkfs.args(["-n", "size=8192", &node]),
        ];
        self.run(host, &make).await.map_err(|error| BrickFailure { nothing_made: error.nothing_ran(), error })?;
        let options = &self.settings.mount_options;
        {
            let _turn = self.fstab.lock(host.to_owned()).await;
            let line = format!("{node} {mount} xfs {options} 1 2");
            let program = format!("BEGIN {{print \"{line}\" >> \"{}\"}}", self.settings.fstab);
            self.run_one(host, command("awk").double(program)).await?;
        }
        let mut use_it = vec![command("mount").args(["-o", options, &node, &mount]), command("mkdir").arg(&brick.path)];
        if gid != 0 {
            use_it.push(command("chown").arg(format!(":{gid}")).arg(&brick.path));
            use_it.push(command("chmod").arg("2775").arg(&brick.path));
        }
        self.run(host, &use_it).await?;
        Ok(())
    }

    /// Makes sure that nothing of the brick is left on the node. What is already gone counts as removed.
    pub async fn brick_destroy(&self, host: &str, brick: &Brick) -> Result<Reclaimed, NodeError> {
        let mount = mount_of(brick);
        let vg = volume_group(brick.device);
        let still_mounted = self.unmount(host, &mount).await?;
        if !mounted_by_gluster(brick) {
            let _turn = self.fstab.lock(host.to_owned()).await;
            let sed = Cmd::new("sed")
                .arg("-i.save")
                .double(format!("/brick_{}/d", brick.id))
                .arg(&self.settings.fstab)
                .timeout(5 * MINUTE);
            match self.run_one(host, sed).await {
                // Sed found no file: it is made by the first brick that gets as far.
                Err(NodeError::Exit { status: 2, .. }) if !self.exists(host, "-e", &self.settings.fstab).await? => {}
                other => drop(other?),
            }
        }
        if let Some(busy) = still_mounted {
            return Err(busy);
        }
        self.lv_remove(host, &vg, &brick.lv).await?;
        let reclaimed = self.pool_remove(host, &vg, &brick.thin_pool).await?;
        self.folder_remove(host, &mount).await?;
        Ok(reclaimed)
    }

    /// Makes sure that an empty folder is gone. One that somebody has put something into is left, with a warning.
    pub(super) async fn folder_remove(&self, host: &str, path: &str) -> Result<(), NodeError> {
        let error = match self.run_one(host, Cmd::new("rmdir").arg(path).timeout(5 * MINUTE).quiet()).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let NodeError::Exit { stderr, .. } = &error else { return Err(error) };
        if stderr.contains("No such file") {
            return Ok(());
        }
        if stderr.contains("not empty") {
            tracing::warn!(host, path, "a folder for mounts holds something and is left: {}", error.report());
            return Ok(());
        }
        if self.exists(host, "-d", path).await? { Err(error) } else { Ok(()) }
    }

    /// Asks `test` for a file (`-e`) or folder (`-d`). Words differ between languages; an exit status of 1 does not: there
    /// is none.
    async fn exists(&self, host: &str, what: &str, path: &str) -> Result<bool, NodeError> {
        match self.run_one(host, Cmd::new("test").arg(what).arg(path).timeout(5 * MINUTE).quiet()).await {
            Err(NodeError::Exit { status: 1, .. }) => Ok(false),
            Err(error) if error.is_transport() => Err(error),
            _ => Ok(true),
        }
    }

    /// `Some` is why it could not be unmounted though it is mounted.
    async fn unmount(&self, host: &str, mount: &str) -> Result<Option<NodeError>, NodeError> {
        let umount = Cmd::new("umount").arg(mount).timeout(5 * MINUTE).quiet();
        let error = match self.run_one(host, umount).await {
            Ok(_) => return Ok(None),
            Err(error) if error.is_transport() => return Err(error),
            Err(error) => error,
        };
        let listing = self.run_one(host, Cmd::new("mount").timeout(5 * MINUTE).quiet()).await;
        match listing {
            Ok(output) if !is_mounted(&output.stdout, mount) => Ok(None),
            Err(error) if error.is_transport() => Err(error),
            _ => {
                tracing::warn!(host, mount, "cannot unmount: {}", error.report());
                if self.settings.debug_umount_failures
                    && let Ok(output) = self.run_one(host, Cmd::new("lsof").arg(mount).timeout(5 * MINUTE)).await
                {
                    tracing::warn!(host, mount, "held open by:\n{}", output.stdout);
                }
                Ok(Some(error))
            }
        }
    }

    async fn lv_remove(&self, host: &str, vg: &str, lv: &str) -> Result<(), NodeError> {
        let remove = self.lvm().args(["lvremove", self.autobackup(), "-f"]).arg(format!("{vg}/{lv}"));
        match self.run_one(host, remove).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_transport() => Err(error),
            Err(error) => {
                if self.lv_exists(host, vg, lv).await? {
                    Err(error)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Whether a volume group lists a logical volume. A volume group that is gone lists none.
    pub async fn lv_exists(&self, host: &str, vg: &str, lv: &str) -> Result<bool, NodeError> {
        let list = self.lvm().args(["lvs", "--noheadings", "--all", "--options=lv_name", vg]);
        match self.run_one(host, list).await {
            Ok(output) => Ok(output.stdout.lines().any(|line| line.trim().trim_matches(['[', ']']) == lv)),
            Err(error) if says_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn pool_remove(&self, host: &str, vg: &str, pool: &str) -> Result<Reclaimed, NodeError> {
        let name = format!("{vg}/{pool}");
        let count = self.lvm().args(["lvs", "--noheadings", "--options=thin_count", &name]);
        match self.run_one(host, count.clone()).await {
            Ok(output) => {
                let text = output.stdout.trim();
                let volumes: u64 = text.parse().map_err(|_| {
                    answer(
                        host,
                        &count,
                        format!("Unable to determine number of logical volumes in thin pool {name} on host {host}"),
                    )
                })?;
                if volumes > 0 {
                    return Ok(Reclaimed::PoolShared);
                }
            }
            Err(error) if error.is_transport() => return Err(error),
            Err(error) => {
                if self.lv_exists(host, vg, pool).await? {
                    let text =
                        format!("Unable to determine number of logical volumes in thin pool {name} on host {host}");
                    return Err(error.worded(text));
                }
                return Ok(Reclaimed::Space);
            }
        }
        self.lv_remove(host, vg, pool).await?;
        Ok(Reclaimed::Space)
    }
}

#[cfg(test)]
mod reading {
    use super::is_mounted;

    #[test]
    fn a_mount_is_matched_whole() {
        let listing = "/dev/a on /m/vg_1/brick_1 type xfs (rw)\n/dev/b on /m/vg_1/brick_12 type xfs (rw)\n";
        assert!(is_mounted(listing, "/m/vg_1/brick_1"));
        assert!(!is_mounted(listing, "/m/vg_1/brick_"));
        assert!(!is_mounted(listing, "/m/vg_1"));
    }
}

#[cfg(test)]
mod removing {
    use std::sync::Arc;

    use super::super::{CommandSettings, Nodes, Reclaimed};
    use crate::exec::sim::Sim;
    use crate::ids::{BrickId, DeviceId, NodeId, VolumeId};
    use crate::topology::{Brick, BrickKind, brick_lv, brick_path, thin_pool};
    use crate::units::{Gib, Kib};

    #[tokio::test]
    async fn an_fstab_that_no_brick_has_made_yet_holds_nothing_up() {
        let settings = CommandSettings { fstab: "/var/lib/heketi/fstab".to_owned(), ..CommandSettings::default() };
        let nodes = Nodes::new(Arc::new(Sim::new(Gib(10))), settings);
        let (device, id) = (DeviceId::random(), BrickId::random());
        nodes.device_setup("m1", device, "/dev/sdb", false).await.unwrap();
        let brick = Brick {
            id,
            volume: VolumeId::random(),
            device,
            node: NodeId::random(),
            path: brick_path(device, id),
            size: Gib(1).to_kib(),
            pool_size: Gib(1).to_kib(),
            pool_metadata_size: Kib(8192),
            thin_pool: thin_pool(id),
            lv: brick_lv(id),
            kind: BrickKind::Normal,
            pending: None,
        };
        assert_eq!(nodes.brick_destroy("m1", &brick).await.unwrap(), Reclaimed::Space);
        nodes.brick_create("m1", &brick, 0).await.unwrap();
        assert_eq!(nodes.brick_destroy("m1", &brick).await.unwrap(), Reclaimed::Space);
    }
}
