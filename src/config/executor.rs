//! How commands reach nodes and what they look like (spec-api.md 5.4, spec-ops.md 6.2 and 6.3).

use std::path::{Path, PathBuf};

use super::ConfigError;
use super::notes::Notes;
use super::reader::Section;
use crate::exec::{CommandSettings, SshSettings};
use crate::units::Gib;

/// How commands reach nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executor {
    /// `ssh`, or nothing. Keys `keyfile` (required; variable `HEKETI_SSH_KEYFILE`), `user` (`heketi`;
    /// `HEKETI_SSH_USER`), `port` (`22`; `HEKETI_SSH_PORT`) and `sudo` (false) of `glusterfs.sshexec`; and host keys from
    /// the files of variable `SSH_KNOWN_HOSTS` (separated by `:`) or else of our own key `known_hosts` (one or a list).
    Ssh(SshSettings),
    /// `mock`: a simulation.
    Mock {
        /// Size of the devices it makes up. Variable `HEKETI_MOCK_DEVICE_SIZE_GB`, default 500.
        device_size: Gib,
    },
}

impl Executor {
    pub(super) fn read(app: &Section<'_>, db: &Path, notes: &mut Notes) -> Result<Self, ConfigError> {
        // Read whatever the executor, so that wrong types show.
        let ssh = RawSsh::read(&app.section("sshexec")?)?;
        match app.text_env("executor", "HEKETI_EXECUTOR")?.as_deref() {
            None | Some("ssh") => ssh.checked(db, notes).map(Self::Ssh),
            Some("mock") => {
                let size = notes.accept(app.env.uint("HEKETI_MOCK_DEVICE_SIZE_GB")).filter(|size| *size > 0);
                Ok(Self::Mock { device_size: Gib(size.unwrap_or(500)) })
            }
            Some(name @ ("kube" | "kubernetes" | "inject/ssh" | "inject/mock")) => {
                Err(ConfigError::invalid(&format!("executor {name} is not supported: use ssh or mock")))
            }
            Some(other) => Err(ConfigError::invalid(&format!("invalid executor: {other}"))),
        }
    }
}

/// SSH settings as given.
struct RawSsh {
    keyfile: Option<String>,
    user: Option<String>,
    port: Option<String>,
    sudo: bool,
    known_hosts: Vec<String>,
}

impl RawSsh {
    fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let in_file = section.texts("known_hosts")?;
        Ok(Self {
            keyfile: section.text_env("keyfile", "HEKETI_SSH_KEYFILE")?,
            user: section.text_env("user", "HEKETI_SSH_USER")?,
            port: section.text_env("port", "HEKETI_SSH_PORT")?,
            sudo: section.flag("sudo")?,
            known_hosts: match section.env.text("SSH_KNOWN_HOSTS") {
                Some(list) => list.split(':').map(str::to_owned).collect(),
                None => in_file,
            },
        })
    }

    fn checked(self, db: &Path, notes: &mut Notes) -> Result<SshSettings, ConfigError> {
        let keyfile =
            self.keyfile.ok_or_else(|| ConfigError::invalid("Missing ssh private key file in configuration"))?;
        let port = self.port.as_deref().unwrap_or("22");
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            ConfigError::invalid(&format!("invalid ssh port: '{port}' is not a number from 1 to 65535"))
        })?;
        let known_hosts: Vec<_> =
            self.known_hosts.into_iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect();
        let trust_file = db.with_file_name("heketi_known_hosts");
        if known_hosts.is_empty() {
            notes.info(format!(
                "no SSH_KNOWN_HOSTS specified, trusting ssh host keys on first use and keeping them in {}",
                trust_file.display()
            ));
        }
        Ok(SshSettings {
            keyfile: keyfile.into(),
            user: self.user.unwrap_or_else(|| "heketi".to_owned()),
            port,
            sudo: self.sudo,
            known_hosts,
            trust_file,
        })
    }
}

/// Keys of `sshexec` by their names and variables in spec-ops.md 6.3; defaults are those of [`CommandSettings`].
pub(super) fn read_commands(section: &Section<'_>, notes: &mut Notes) -> Result<CommandSettings, ConfigError> {
    let env = section.env;
    let defaults = CommandSettings::default();
    // The file's value has no effect; only its type matters.
    section.flag("rebalance_on_expansion")?;
    let snapshot_limit = section.int("snapshot_limit")?;
    let timeout = section.uint32("gluster_cli_timeout")?;
    let debug_umount_failures = section.flag("debug_umount_failures")?;
    let stripe = (section.int_or_remark("xfs_sw", notes)?, section.int_or_remark("xfs_su", notes)?);
    Ok(CommandSettings {
        disk_identity: true,
        fstab: section.text_env("fstab", "HEKETI_FSTAB")?.unwrap_or(defaults.fstab),
        mount_options: section.text_env("mountopts", "HEKETI_MOUNT_OPTS")?.unwrap_or(defaults.mount_options),
        // A malformed variable is passed over in silence.
        snapshot_limit: env.int("HEKETI_SNAPSHOT_LIMIT").and_then(Result::ok).unwrap_or(snapshot_limit),
        rebalance_on_expansion: notes
            .accept(env.boolean("HEKETI_GLUSTERAPP_REBALANCE_ON_EXPANSION"))
            .unwrap_or(defaults.rebalance_on_expansion),
        backup_lvm_metadata: section.flag("backup_lvm_metadata")?,
        gluster_cli_timeout: Some(notes.accept(env.uint("HEKETI_GLUSTER_CLI_TIMEOUT")).unwrap_or(timeout))
            .filter(|seconds| *seconds > 0)
            .unwrap_or(defaults.gluster_cli_timeout),
        pv_data_alignment: section.text("pv_data_alignment")?.unwrap_or(defaults.pv_data_alignment),
        vg_physical_extent_size: section.text("vg_physicalextentsize")?.unwrap_or(defaults.vg_physical_extent_size),
        lv_chunk_size: section.text("lv_chunksize")?.unwrap_or(defaults.lv_chunk_size),
        xfs_stripe: Some(stripe).filter(|(width, unit)| *width != 0 && *unit != 0),
        debug_umount_failures: notes
            .accept(env.boolean("HEKETI_DEBUG_UMOUNT_FAILURES"))
            .unwrap_or(debug_umount_failures),
        lvm_wrapper: section.text_env("lvm_wrapper", "HEKETI_LVM_WRAPPER")?.unwrap_or(defaults.lvm_wrapper),
    })
}
