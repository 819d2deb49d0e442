//! What the configuration says about commands and connections (spec-ops.md 6.2 and 6.3).

use std::path::PathBuf;

/// The parts of command lines that the operator may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// File on the node that brick mounts are entered in.
    pub fstab: String,
    /// Options of brick mounts.
    pub mount_options: String,
    /// Most snapshots of a volume; set after each peer probe when above 0.
    pub snapshot_limit: i64,
    /// Spread old data over new bricks after an expansion.
    pub rebalance_on_expansion: bool,
    /// Let LVM back its metadata up after each change.
    pub backup_lvm_metadata: bool,
    /// `gluster --timeout=`, in seconds.
    pub gluster_cli_timeout: u32,
    /// `pvcreate --dataalignment=`.
    pub pv_data_alignment: String,
    /// `vgcreate --physicalextentsize=`.
    pub vg_physical_extent_size: String,
    /// `lvcreate --chunksize` of data bricks; arbiter bricks always have 256K.
    pub lv_chunk_size: String,
    /// Stripe width and unit of `mkfs.xfs -d`; used when both are set.
    pub xfs_stripe: Option<(i64, i64)>,
    /// Run `lsof` when an unmount fails, for the log.
    pub debug_umount_failures: bool,
    /// Put before lvm and udevadm, empty for none.
    pub lvm_wrapper: String,
    /// Read the PV UUID and the other names of a disk. Off for simulated disks, which have none in the reference.
    pub disk_identity: bool,
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self {
            fstab: "/etc/fstab".to_owned(),
            mount_options: "rw,inode64,noatime,nouuid".to_owned(),
            snapshot_limit: 0,
            rebalance_on_expansion: true,
            backup_lvm_metadata: false,
            gluster_cli_timeout: 600,
            pv_data_alignment: "256K".to_owned(),
            vg_physical_extent_size: "4M".to_owned(),
            lv_chunk_size: "256K".to_owned(),
            xfs_stripe: None,
            debug_umount_failures: false,
            lvm_wrapper: String::new(),
            disk_identity: true,
        }
    }
}

/// How nodes are reached by SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSettings {
    /// Private key file, read at start.
    pub keyfile: PathBuf,
    /// User to log in as.
    pub user: String,
    /// TCP port.
    pub port: u16,
    /// Run commands under sudo.
    pub sudo: bool,
    /// Files of host keys that are the only ones accepted. Empty: trust on first use, remembered in `trust_file`.
    pub known_hosts: Vec<PathBuf>,
    /// Where keys seen first are remembered.
    pub trust_file: PathBuf,
}
