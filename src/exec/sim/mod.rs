//! Simulated storage nodes.
//!
//! `Sim` reads the very command lines that real nodes are sent, and keeps in memory what LVM, the kernel and glusterd
//! would: disks, volume groups, thin volumes, mounts, fstab lines, pools and volumes. It refuses what they refuse, in
//! their words. Tests compare it with the store; as executor `mock` it lets a server run with nothing installed.
//!
//! Nodes and disks appear when they are first named. A command is carried out at once, under the lock of its node; a
//! gluster command under the lock of all pools, and of one node at a time while it looks there. No lock is held over
//! an await.

mod gluster;
mod host;
mod lvm;
mod mounts;
mod packed;
mod snapshots;
#[cfg(test)]
mod tests;
mod volumes;
mod xml;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Cmd, Output, Transport, TransportError, TransportErrorKind};
use crate::units::Gib;
use gluster::{Brick, Gluster, Options, Status, Volume};
use host::{Host, clean, output};
use packed::Packed;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All nodes by manage name.
struct Hosts {
    device_size: Gib,
    tolerant: bool,
    map: Mutex<HashMap<String, Arc<Mutex<Host>>>>,
}

impl Hosts {
    fn get(&self, name: &str) -> Arc<Mutex<Host>> {
        let mut map = lock(&self.map);
        if let Some(host) = map.get(name) {
            return Arc::clone(host);
        }
        let host = Arc::new(Mutex::new(Host::new(self.device_size, self.tolerant)));
        map.insert(name.to_owned(), Arc::clone(&host));
        host
    }

    /// Looks at, or changes, one node. Not to be called from within itself.
    fn with<R>(&self, name: &str, look: impl FnOnce(&mut Host) -> R) -> R {
        look(&mut lock(&self.get(name)))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = lock(&self.map).keys().cloned().collect();
        names.sort_unstable();
        names
    }
}

struct Inner {
    hosts: Hosts,
    gluster: Mutex<Gluster>,
}

/// Simulated storage nodes; clones are the same nodes.
#[derive(Clone)]
pub struct Sim(Arc<Inner>);

/// A brick that exists before the simulation starts.
#[derive(Debug, Clone, Copy)]
pub struct AdoptedBrick<'a> {
    /// Its volume group.
    pub vg: &'a str,
    /// Its thin pool; several bricks may share one.
    pub pool: &'a str,
    /// Data of the pool in KiB.
    pub pool_kib: u64,
    /// Metadata of the pool in KiB.
    pub meta_kib: u64,
    /// Its logical volume.
    pub lv: &'a str,
    /// Size of the logical volume in KiB.
    pub size_kib: u64,
    /// Where it is mounted; the brick itself is the directory `brick` below.
    pub mount: &'a str,
}

/// A gluster volume that exists, and is started, before the simulation starts.
#[derive(Debug, Clone, Copy)]
pub struct AdoptedVolume<'a> {
    /// Its name.
    pub name: &'a str,
    /// Copies; 1 for a plain or dispersed volume.
    pub replica: usize,
    /// 1 if the last brick of each set is an arbiter.
    pub arbiter: usize,
    /// Bricks of a dispersed set and how many of them may fail.
    pub disperse: Option<(usize, usize)>,
    /// `storage host:path`, in order.
    pub bricks: &'a [String],
    /// Options, without those that gluster sets itself.
    pub options: &'a [(String, String)],
}

impl Sim {
    /// Nodes whose disks have this size.
    pub fn new(device_size: Gib) -> Self {
        Self::build(device_size, false)
    }

    /// Nodes that also take what the reference's mock takes and real nodes refuse: a disk again that is in use, which is
    /// another disk of that name then, and any name and option for a volume.
    pub fn tolerant(device_size: Gib) -> Self {
        Self::build(device_size, true)
    }

    fn build(device_size: Gib, tolerant: bool) -> Self {
        let hosts = Hosts { device_size, tolerant, map: Mutex::new(HashMap::new()) };
        Self(Arc::new(Inner { hosts, gluster: Mutex::new(Gluster::default()) }))
    }

    /// Runs one command on the node with this manage name, as a shell there would. A node without power answers too;
    /// it is `Transport::run` that does not reach it.
    pub fn exec(&self, host: &str, argv: &[&str]) -> Output {
        let argv = match argv {
            ["sudo", rest @ ..] => rest,
            argv => argv,
        };
        if let ["gluster" | "/usr/sbin/gluster", words @ ..] = argv {
            return output(lock(&self.0.gluster).run(&self.0.hosts, host, words));
        }
        output(self.0.hosts.with(host, |host| host.run(argv)))
    }

    /// Starts or stops glusterd on a node; its brick processes go on.
    pub fn set_glusterd(&self, host: &str, up: bool) {
        let mut gluster = lock(&self.0.gluster);
        self.0.hosts.with(host, |host| host.glusterd = up);
        if up {
            gluster.catch_up(&self.0.hosts, host);
        }
    }

    /// Pulls a node's plug: it is not reached, and its mounts and processes are gone.
    pub fn power_off(&self, host: &str) {
        let _gluster = lock(&self.0.gluster);
        self.0.hosts.with(host, Host::power_off);
    }

    /// Boots a node: its fstab is mounted, and glusterd starts if it is enabled.
    pub fn power_on(&self, host: &str) {
        let mut gluster = lock(&self.0.gluster);
        let runs = self.0.hosts.with(host, |host| {
            host.power_on();
            host.glusterd
        });
        if runs {
            gluster.catch_up(&self.0.hosts, host);
        }
    }

    /// Puts something on a disk that LVM will not overwrite before `wipefs`.
    pub fn put_data(&self, host: &str, device: &str) {
        self.0.hosts.with(host, |host| host.put_data(device));
    }

    /// Lets `volume heal info` report so many entries for a brick, named as in `volume info`.
    pub fn set_heal_entries(&self, volume: &str, brick: &str, entries: u64) {
        for pool in lock(&self.0.gluster).pools.values_mut() {
            for known in pool.volumes.get_mut(volume).into_iter().flat_map(|volume| &mut volume.bricks) {
                if known.name() == brick {
                    known.pending_heals = entries;
                }
            }
        }
    }

    /// A device that was added before: its volume group has `total_kib`, all free until bricks are adopted. Without a
    /// PV UUID it gets a new one.
    pub fn adopt_device(&self, host: &str, dev: &str, vg: &str, pv_uuid: &str, total_kib: u64, extent_kib: u64) {
        self.0.hosts.with(host, |host| host.adopt_device(dev, vg, pv_uuid, total_kib, extent_kib));
    }

    /// A brick that was created before, mounted and with its line in fstab. Its device comes first.
    pub fn adopt_brick(&self, host: &str, brick: &AdoptedBrick<'_>) {
        let point = clean(brick.mount);
        self.0.hosts.with(host, |host| {
            host.adopt_lv(brick.vg, (brick.pool, brick.pool_kib, brick.meta_kib), brick.lv, brick.size_kib);
            let device = format!("/dev/mapper/{}", lvm::mapper_name(brick.vg, brick.lv));
            let options = "rw,inode64,noatime,nouuid";
            host.make_dirs(&point);
            if host.attach(&device, &point, options).is_ok()
                && !point.starts_with("/run/gluster/")
                && let Some(table) = host.tables.get_mut("/etc/fstab")
            {
                table.push(&format!("{device} {point} xfs {options} 1 2"));
            }
        });
    }

    /// Two nodes that are in one pool already, by manage name.
    pub fn adopt_peer(&self, host: &str, peer: &str) {
        lock(&self.0.gluster).join(host, peer);
    }

    /// A volume that was created before, in the pool of its first brick's node. Its bricks and peers come first.
    pub fn adopt_volume(&self, volume: &AdoptedVolume<'_>) {
        let mut gluster = lock(&self.0.gluster);
        let bricks: Vec<Brick> = volume
            .bricks
            .iter()
            .filter_map(|brick| {
                let at = brick.find(":/")?;
                let (address, path) = (brick.get(..at)?, brick.get(at + 1..)?);
                Some(Brick {
                    node: gluster.node_of(address),
                    address: gluster.address(address),
                    path: Packed::new(&clean(path)),
                    device: None,
                    pending_heals: 0,
                })
            })
            .collect();
        let Some(first) = bricks.first().map(|brick| brick.node.clone()) else { return };
        let (disperse, redundancy) = volume.disperse.unwrap_or_default();
        let mut known = Volume {
            name: volume.name.to_owned(),
            id: gluster::uuid().into(),
            status: Status::Started,
            replica: volume.replica.max(1),
            arbiter: volume.arbiter,
            disperse,
            redundancy,
            bricks,
            options: Options::default(),
            snapshots: 0,
            leaving: Vec::new(),
        };
        volumes::set_defaults(&mut known);
        volume.options.iter().for_each(|(key, value)| known.options.set(key, value));
        if let Some(mut scene) = gluster.scene(&self.0.hosts, &first) {
            scene.enter_bricks(&known.id, &known.bricks);
            scene.start_bricks(&known);
            scene.pool.volumes.insert(volume.name.to_owned(), known);
        }
    }

    /// The state as text, in an order that does not depend on how it came about. Left out: directories on the nodes'
    /// own filesystems other than those for bricks, which are made on the way and harmless.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        let gluster = lock(&self.0.gluster);
        for name in self.0.hosts.names() {
            let _ = writeln!(text, "host {name}");
            self.0.hosts.with(&name, |host| dump_host(host, &mut text));
        }
        let mut pools: Vec<_> = (gluster.pools.values())
            .filter(|pool| pool.members.len() > 1 || !pool.volumes.is_empty())
            .map(|pool| {
                let mut members = pool.members.clone();
                members.sort_unstable();
                (members.join(" "), pool)
            })
            .collect();
        pools.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (members, pool) in pools {
            let _ = writeln!(text, "pool {members}");
            for volume in pool.volumes.values() {
                let _ = writeln!(
                    text,
                    "  volume {} {} {} replica {} arbiter {} disperse {}+{}",
                    volume.name,
                    volume.kind().1,
                    volume.status.name(),
                    volume.replica,
                    volume.arbiter,
                    volume.disperse - volume.redundancy,
                    volume.redundancy
                );
                for brick in &volume.bricks {
                    let _ = writeln!(text, "    brick {}", brick.name());
                }
                for (key, value) in volume.options.iter() {
                    let _ = writeln!(text, "    option {key} {value}");
                }
            }
            for (name, snapshot) in &pool.snapshots {
                let _ = writeln!(text, "  snapshot {name} of {}", snapshot.volume);
            }
        }
        text
    }

    /// What bricks and volumes have left: thin volumes, pools, mounts, fstab lines, directories of bricks, gluster
    /// volumes and snapshots. Physical volumes and volume groups do not count.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let gluster = lock(&self.0.gluster);
        for name in self.0.hosts.names() {
            self.0.hosts.with(&name, |host| {
                for (vg_name, vg) in &host.vgs {
                    left.extend(vg.pools.keys().map(|pool| format!("{name}: pool {vg_name}/{pool}")));
                    left.extend(vg.lvs.keys().map(|lv| format!("{name}: volume {vg_name}/{lv}")));
                }
                left.extend(host.mounts.keys().map(|point| format!("{name}: mount {point}")));
                for (file, table) in &host.tables {
                    left.extend(table.lines().map(|line| format!("{name}: {file}: {line}")));
                }
                left.extend(host.brick_dirs().map(|path| format!("{name}: directory {path}")));
            });
        }
        for pool in gluster.pools.values() {
            left.extend(pool.volumes.keys().map(|volume| format!("gluster volume {volume}")));
            left.extend(pool.snapshots.keys().map(|snapshot| format!("gluster snapshot {snapshot}")));
        }
        left.sort_unstable();
        left
    }

    /// Whether nothing is left over.
    pub fn is_clean(&self) -> bool {
        self.leftovers().is_empty()
    }
}

fn dump_host(host: &Host, text: &mut String) {
    if !host.powered || !host.glusterd {
        let _ = writeln!(text, "  powered {} glusterd {}", host.powered, host.glusterd);
    }
    let mut lines = Vec::new();
    for (name, disk) in &host.disks {
        let mut line = format!("  disk {name} {} KiB", disk.kib);
        if let Some(pv) = &disk.pv {
            let _ = write!(line, " pv {} vg {}", pv.uuid, pv.vg.as_deref().unwrap_or("-"));
        }
        lines.push(line);
    }
    for (name, vg) in &host.vgs {
        lines.push(format!("  vg {name} {} of {} extents free", vg.free, vg.extents));
        for (pool_name, pool) in &vg.pools {
            let (data, meta) = (pool.data, pool.meta);
            lines.push(format!("  vg {name} pool {pool_name} {data}+{meta} extents, {} volumes", pool.thins));
        }
        for (lv_name, lv) in &vg.lvs {
            let fs = if lv.fs.is_some() { "xfs" } else { "empty" };
            lines.push(format!("  vg {name} volume {lv_name} {} KiB in {} {fs}", lv.kib, lv.pool));
            for (path, dir) in lv.fs.iter().flat_map(host::Tree::dirs) {
                let access = dir.access.as_deref();
                let gid = access.and_then(|access| access.gid).map_or_else(|| "-".to_owned(), |gid| gid.to_string());
                let mode = access.and_then(|access| access.mode.as_deref()).unwrap_or("-");
                let volume = dir.volume.as_deref().unwrap_or("-");
                lines.push(format!(
                    "  vg {name} volume {lv_name} directory {path} group {gid} mode {mode} of gluster volume {volume}"
                ));
            }
        }
    }
    for (point, mount) in &host.mounts {
        lines.push(format!("  mount {point} {}/{} {}", mount.vg, mount.lv, mount.options));
    }
    for (file, table) in &host.tables {
        lines.extend(table.lines().map(|line| format!("  {file}: {line}")));
    }
    lines.extend(host.brick_dirs().map(|path| format!("  directory {path}")));
    lines.sort_unstable();
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}

#[async_trait]
impl Transport for Sim {
    async fn run(&self, host: &str, commands: &[Cmd]) -> Result<Vec<Output>, TransportError> {
        let mut outputs = Vec::with_capacity(commands.len());
        for cmd in commands {
            if !self.0.hosts.with(host, |host| host.powered) {
                let (kind, command) = if outputs.is_empty() {
                    (TransportErrorKind::Connect, None)
                } else {
                    (TransportErrorKind::Dropped, Some(cmd.line()))
                };
                let message = format!("{host}: connection timed out");
                return Err(TransportError { kind, host: host.to_owned(), command, message });
            }
            let output = self.exec(host, &cmd.argv());
            let failed = output.status != 0;
            outputs.push(output);
            if failed {
                break;
            }
        }
        Ok(outputs)
    }

    fn introduce(&self, manage: &str, storage: &str) {
        lock(&self.0.gluster).introduce(manage, storage);
    }
}
