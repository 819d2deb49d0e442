//! Disks: physical volumes and volume groups.

use serde::Deserialize;

use super::{NodeError, Nodes, answer, says_missing};
use crate::exec::{Cmd, Output};
use crate::ids::DeviceId;
use crate::topology::{Device, mounts_of_device, volume_group};
use crate::units::Kib;

/// What a node says of a device that is set up (spec-ops.md 1.6 and 6.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Size of the volume group.
    pub total: Kib,
    /// What is left of it.
    pub free: Kib,
    /// What is allocated.
    pub used: Kib,
    /// Extent size.
    pub extent: Kib,
    /// UUID of the physical volume.
    pub pv_uuid: String,
    /// All names of the disk.
    pub paths: Vec<String>,
}

/// Where to find a device again (spec-ops.md 6.6, "handle path").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceHandle {
    id: DeviceId,
    pv_uuid: String,
    paths: Vec<String>,
}

impl DeviceHandle {
    /// The handle of a device as stored.
    pub fn of(device: &Device) -> Self {
        let paths = if device.paths.is_empty() { vec![device.name.clone()] } else { device.paths.clone() };
        Self { id: device.id, pv_uuid: device.pv_uuid.clone(), paths }
    }

    fn path(&self) -> String {
        if self.pv_uuid.is_empty() {
            self.paths.first().cloned().unwrap_or_default()
        } else {
            format!("/dev/disk/by-id/lvm-pv-uuid-{}", self.pv_uuid)
        }
    }
}

/// Why a device could not be set up.
#[derive(Debug)]
pub struct SetupFailure {
    /// What failed.
    pub error: NodeError,
    /// What it has left on the disk.
    pub left: SetupLeft,
}

/// What a failed set-up has left on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupLeft {
    /// Nothing of ours: what is there was there before.
    Nothing,
    /// A physical volume of ours, perhaps in its volume group.
    Ours,
    /// Nobody knows how far it got.
    Unknown,
}

/// Why a device could not be taken down.
#[derive(Debug)]
pub struct TeardownFailure {
    /// What failed.
    pub error: NodeError,
    /// The node was not reached: the device is as it was.
    pub nothing_removed: bool,
}

impl From<NodeError> for TeardownFailure {
    fn from(error: NodeError) -> Self {
        Self { error, nothing_removed: false }
    }
}

/// What LVM says of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PvState {
    /// No physical volume.
    NoPv,
    /// A physical volume with this UUID, in this volume group (empty: in none).
    Pv {
        /// Its UUID.
        uuid: String,
        /// Its volume group.
        vg: String,
    },
}

#[derive(Deserialize)]
struct Report {
    report: Vec<ReportTables>,
}

#[derive(Deserialize)]
struct ReportTables {
    #[serde(default)]
    pv: Vec<PvRow>,
    #[serde(default)]
    vg: Vec<PvRow>,
}

#[derive(Deserialize)]
struct PvRow {
    #[serde(default)]
    pv_uuid: String,
    #[serde(default)]
    vg_name: String,
}

/// The only physical volume of a `pvs` or `vgs` report (spec-ops.md 6.8).
fn only_pv(json: &str) -> Result<PvRow, String> {
    let report: Report = serde_json::from_str(json).map_err(|e| format!("Failed to parse output: {e}"))?;
    let [tables]: [ReportTables; 1] =
        report.report.try_into().map_err(|_| "Expected exactly 1 report in output".to_owned())?;
    let rows = if tables.pv.is_empty() { tables.vg } else { tables.pv };
    let [row]: [PvRow; 1] = rows.try_into().map_err(|_| "Expected exactly 1 PV or 1 VG in output".to_owned())?;
    Ok(row)
}

/// All names of a disk, from `udevadm info --query=symlink` (spec-ops.md 6.8).
fn disk_paths(symlinks: &str, name: &str) -> Vec<String> {
    let mut paths: Vec<String> = symlinks
        .split_whitespace()
        .map(|link| format!("/dev/{link}"))
        .filter(|path| !path.starts_with("/dev/disk/by-id/lvm-pv-uuid-"))
        .collect();
    if !paths.iter().any(|path| path == name) {
        paths.push(name.to_owned());
    }
    paths
}

struct Extents {
    size: Kib,
    total: u64,
    allocated: u64,
    free: u64,
}

/// The sizes in a line of `vgdisplay -c` (spec-ops.md 6.8).
fn extents(line: &str) -> Result<Extents, String> {
    let invalid = || "vgdisplay returned an invalid string".to_owned();
    let fields: Vec<&str> = line.trim().split(':').collect();
    if fields.len() < 17 {
        return Err(invalid());
    }
    let number = |i: usize| fields.get(i).and_then(|field| field.parse::<u64>().ok()).ok_or_else(invalid);
    Ok(Extents { size: Kib(number(12)?), total: number(13)?, allocated: number(14)?, free: number(15)? })
}

impl Nodes {
    fn pvs(&self, path: &str) -> Cmd {
        self.lvm().args(["pvs", "-o", "pv_name,pv_uuid,vg_name", "--reportformat=json", path])
    }

    /// Makes a volume group of a whole disk, after wiping what is on it if `destroy` says so, and reads what came of it.
    pub async fn device_setup(
        &self,
        host: &str,
        id: DeviceId,
        name: &str,
        destroy: bool,
    ) -> Result<DeviceFacts, SetupFailure> {
        let mut commands = Vec::new();
        if destroy {
            commands.push(Cmd::new("wipefs").args(["--all", name]).timeout(5 * super::MINUTE));
        }
        commands.push(
            self.lvm()
                .args(["pvcreate", "-qq", "--metadatasize=128M"])
                .arg(format!("--dataalignment={}", self.settings.pv_data_alignment))
                .single(name),
        );
        commands.push(
            self.lvm()
                .args(["vgcreate", "-qq"])
                .arg(format!("--physicalextentsize={}", self.settings.vg_physical_extent_size))
                .args([self.autobackup().to_owned(), volume_group(id), name.to_owned()]),
        );
        if let Err(error) = self.run(host, &commands).await {
            let left = match &error {
                // What pvcreate refuses was there before, unless the disk has just been wiped.
                NodeError::Exit { command, .. } if command.contains("lvm vgcreate ") => SetupLeft::Ours,
                NodeError::Exit { command, .. } if destroy && command.contains("lvm pvcreate ") => SetupLeft::Ours,
                NodeError::Exit { .. } => SetupLeft::Nothing,
                other if other.nothing_ran() => SetupLeft::Nothing,
                _ => SetupLeft::Unknown,
            };
            return Err(SetupFailure { error, left });
        }
        self.device_facts(host, id, name).await.map_err(|error| SetupFailure { error, left: SetupLeft::Ours })
    }

    /// Reads sizes, UUID and names of a device that is set up.
    pub async fn device_info(&self, host: &str, handle: &DeviceHandle) -> Result<DeviceFacts, NodeError> {
        let handle = self.complete(host, handle).await;
        self.device_facts(host, handle.id, &handle.path()).await
    }

    /// As [`Nodes::device_info`], by a name of the disk.
    pub async fn device_facts(&self, host: &str, id: DeviceId, path: &str) -> Result<DeviceFacts, NodeError> {
        let pvs = self.pvs(path);
        let udev = self.wrapped("/usr/bin/udevadm").args(["info", "--query=symlink"]).arg(format!("--name={path}"));
        let report = self.run_one(host, pvs.clone()).await?;
        let pv = only_pv(&report.stdout).map_err(|what| answer(host, &pvs, what))?;
        let paths = match self.run_one(host, udev).await {
            Ok(Output { stdout, .. }) => disk_paths(&stdout, path),
            Err(error) if error.is_transport() => return Err(error),
            // A host without udev: the name it was added by has to do.
            Err(_) => vec![path.to_owned()],
        };
        let vgdisplay = self.lvm().args(["vgdisplay", "-c"]).arg(volume_group(id));
        let line = self.run_one(host, vgdisplay.clone()).await?;
        let extents = extents(&line.stdout).map_err(|what| answer(host, &vgdisplay, what))?;
        if extents.total != extents.allocated.saturating_add(extents.free) || extents.size == Kib::ZERO {
            return Err(answer(host, &vgdisplay, "vgdisplay returned an invalid string"));
        }
        let (pv_uuid, paths) = if self.settings.disk_identity { (pv.pv_uuid, paths) } else { Default::default() };
        let size = |count: u64| Kib(count.saturating_mul(extents.size.0));
        Ok(DeviceFacts {
            total: size(extents.total),
            free: size(extents.free),
            used: size(extents.allocated),
            extent: extents.size,
            pv_uuid,
            paths,
        })
    }

    /// Asks for the UUID if the record is too old to have it. A failure leaves the handle as it is.
    async fn complete(&self, host: &str, handle: &DeviceHandle) -> DeviceHandle {
        let mut handle = handle.clone();
        if handle.pv_uuid.is_empty() {
            let vg = volume_group(handle.id);
            let vgs = self.lvm().args(["vgs", "-o", "pv_name,pv_uuid,vg_name", "--reportformat=json", &vg]);
            if let Ok(output) = self.run_one(host, vgs).await {
                handle.pv_uuid = only_pv(&output.stdout).map(|pv| pv.pv_uuid).unwrap_or_default();
            }
        }
        handle
    }

    /// What LVM says of a disk: for the reason of a failed set-up, and for recovery.
    pub async fn pv_state(&self, host: &str, path: &str) -> Result<PvState, NodeError> {
        let pvs = self.pvs(path);
        match self.run_one(host, pvs.clone()).await {
            Ok(output) => only_pv(&output.stdout)
                .map(|pv| PvState::Pv { uuid: pv.pv_uuid, vg: pv.vg_name })
                .map_err(|what| answer(host, &pvs, what)),
            Err(error) if says_missing(&error) => Ok(PvState::NoPv),
            Err(error) => Err(error),
        }
    }

    /// The volume group of a device exists.
    pub async fn vg_exists(&self, host: &str, id: DeviceId) -> Result<bool, NodeError> {
        let vgs = self.lvm().args(["vgs", "--noheadings", "--options=vg_name"]).arg(volume_group(id));
        match self.run_one(host, vgs).await {
            Ok(_) => Ok(true),
            Err(error) if says_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the volume group and the physical volume from a disk (spec-ops.md 6.6). A volume group that is already gone
    /// counts as removed.
    pub async fn device_teardown(&self, host: &str, handle: &DeviceHandle) -> Result<(), TeardownFailure> {
        let handle = self.complete(host, handle).await;
        let vg = volume_group(handle.id);
        let path = handle.path();
        let commands = [self.lvm().args(["vgremove", "-qq", &vg]), self.pvremove(&path)];
        if let Err(error) = self.run(host, &commands).await {
            let nothing_removed = error.nothing_ran();
            let gone = !error.is_transport()
                && !self.vg_exists(host, handle.id).await?
                && self.orphan_gone(host, &path, &handle).await?;
            if !gone {
                let text = format!("Failed to delete device {path} with id {} on host {host}: {error}", handle.id);
                return Err(TeardownFailure { error: error.worded(text), nothing_removed });
            }
        }
        Ok(self.remove_mounts(host, handle.id).await?)
    }

    /// After the volume group has gone: removes the physical volume too, unless another volume group has taken the disk.
    async fn orphan_gone(&self, host: &str, path: &str, handle: &DeviceHandle) -> Result<bool, NodeError> {
        match self.pv_state(host, path).await? {
            PvState::NoPv => Ok(true),
            PvState::Pv { uuid, vg } if vg.is_empty() && (handle.pv_uuid.is_empty() || uuid == handle.pv_uuid) => {
                Ok(self.run_one(host, self.pvremove(path)).await.is_ok())
            }
            PvState::Pv { .. } => Ok(true),
        }
    }

    /// As [`Nodes::device_teardown`] for a disk or node that is lost: tries, and never fails.
    pub async fn device_forget(&self, host: &str, handle: &DeviceHandle) {
        let handle = self.complete(host, handle).await;
        // What fails is in the log; the administrator has said that the device is lost.
        let _ = self.remove_mounts(host, handle.id).await;
        let vg = volume_group(handle.id);
        let removed = self.run_one(host, self.lvm().args(["vgremove", "-qq", &vg])).await;
        // By a name alone, another physical volume could be found once the volume group has gone.
        if removed.is_ok() || !handle.pv_uuid.is_empty() {
            let _ = self.run_one(host, self.pvremove(&handle.path())).await;
        }
    }

    /// Takes a physical volume without a volume group from a disk.
    pub async fn pv_remove(&self, host: &str, path: &str) -> Result<(), NodeError> {
        self.run_one(host, self.pvremove(path)).await.map(drop)
    }

    fn pvremove(&self, path: &str) -> Cmd {
        self.lvm().args(["pvremove", "-qq"]).single(path)
    }

    /// The folder of mount points may be missing (no brick was ever made): that is success.
    async fn remove_mounts(&self, host: &str, id: DeviceId) -> Result<(), NodeError> {
        self.folder_remove(host, &mounts_of_device(id)).await
    }
}

#[cfg(test)]
mod reading {
    use super::*;

    #[test]
    fn answers_of_lvm_and_udev() {
        let pv = only_pv(r#"{"report":[{"pv":[{"pv_name":"/dev/sdb","pv_uuid":"u-1","vg_name":"vg_x"}]}]}"#).unwrap();
        assert_eq!((pv.pv_uuid.as_str(), pv.vg_name.as_str()), ("u-1", "vg_x"));
        assert_eq!(only_pv(r#"{"report":[]}"#).err().unwrap(), "Expected exactly 1 report in output");
        assert_eq!(only_pv(r#"{"report":[{}]}"#).err().unwrap(), "Expected exactly 1 PV or 1 VG in output");
        assert_eq!(
            disk_paths("disk/by-path/x disk/by-id/lvm-pv-uuid-u-1\n", "/dev/sdb"),
            ["/dev/disk/by-path/x", "/dev/sdb"]
        );
        let read = extents("  vg_x:r/w:772:-1:0:0:0:-1:0:1:1:104722432:4096:25567:13:25554:uuid\n").unwrap();
        assert_eq!((read.size, read.total, read.allocated, read.free), (Kib(4096), 25567, 13, 25554));
        assert!(extents("nonsense").is_err());
    }
}
