//! The configuration: one immutable [`Config`] made from the text of `heketi.json` and the environment (spec-api.md 5,
//! spec-ops.md 6.2, 6.3 and appendix B). Nothing here is global or does I/O: the caller reads the file and logs the
//! [`Note`]s.
//!
//! A variable that is set and not empty beats its key. Keys match in any case, `null` is absence, unknown keys are
//! skipped, a value of the wrong type is an error. A malformed number or boolean in the environment is only noted.

mod executor;
mod glusterfs;
mod notes;
mod reader;
mod server;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::exec::CommandSettings;
use crate::placement::Limits;
pub use executor::Executor;
pub use glusterfs::{BlockSettings, JobSettings};
pub use notes::{LogLevel, Note};
use notes::{Notes, one_line};
use reader::{Env, Section};
pub use server::{DefaultState, JwtSettings, Secret, TlsSettings};

/// Everything the operator may set.
#[derive(Debug, Clone)]
pub struct Config {
    /// TCP port or service name to listen on, on all interfaces; empty picks a free port. Key `port`, variable
    /// `HEKETI_HTTP_PORT`, default empty.
    pub port: String,
    /// Whether requests need a token. Always true here: the command line's `--disable-auth` alone clears it, and the key
    /// `use_auth` has no effect.
    pub auth_enabled: bool,
    /// Keys and clock tolerance of tokens.
    pub jwt: JwtSettings,
    /// Certificate to serve HTTPS with, none for plain HTTP. Key `enable_tls`, default false.
    pub tls: Option<TlsSettings>,
    /// Serve profiling routes. Key `profiling`, variable `HEKETI_PROFILING` (any text turns it on), default false.
    pub profiling: bool,
    /// Admin state at start. Key `default_state`, variable `HEKETI_DEFAULT_STATE`, default `normal`.
    pub default_state: DefaultState,
    /// Log level of the application. Key `glusterfs.loglevel`, variable `HEKETI_GLUSTERAPP_LOGLEVEL`, default `info`.
    pub log_level: LogLevel,
    /// How commands reach nodes. Key `glusterfs.executor`, variable `HEKETI_EXECUTOR`, default `ssh`.
    pub executor: Executor,
    /// What commands look like, whatever the executor. Keys of `glusterfs.sshexec`, with the variables that beat them;
    /// defaults are those of [`CommandSettings::default`], also for 0 and the empty string:
    ///
    /// - `fstab` (`HEKETI_FSTAB`), `mountopts` (`HEKETI_MOUNT_OPTS`), `lvm_wrapper` (`HEKETI_LVM_WRAPPER`),
    ///   `snapshot_limit` (`HEKETI_SNAPSHOT_LIMIT`), `gluster_cli_timeout` (`HEKETI_GLUSTER_CLI_TIMEOUT`),
    ///   `debug_umount_failures` (`HEKETI_DEBUG_UMOUNT_FAILURES`);
    /// - `backup_lvm_metadata`, `pv_data_alignment`, `vg_physicalextentsize`, `lv_chunksize`, `xfs_sw`, `xfs_su`;
    /// - variable `HEKETI_GLUSTERAPP_REBALANCE_ON_EXPANSION` alone: the key `rebalance_on_expansion` has no effect.
    pub commands: CommandSettings,
    /// Database file. Key `glusterfs.db`, variable `HEKETI_DB_PATH`, default `heketi.db` in the working directory.
    pub db: PathBuf,
    /// Never write to the database. Key `glusterfs.db_read_only`, default false.
    pub db_read_only: bool,
    /// Limits on sizes and counts of bricks. Keys `glusterfs.brick_min_size_gb` (1), `brick_max_size_gb` (4096),
    /// `max_bricks_per_volume` (32), `average_file_size_kb` (64; 0 is the default for all four), and `zone_checking`
    /// (`none`) with variable `HEKETI_ZONE_CHECKING`.
    pub limits: Limits,
    /// Options put before those of a request. Key `glusterfs.pre_request_volume_options` (comma list), variable
    /// `HEKETI_PRE_REQUEST_VOLUME_OPTIONS`, default none.
    pub pre_request_volume_options: Vec<String>,
    /// Options put after those of a request. Key `glusterfs.post_request_volume_options` (comma list), variable
    /// `HEKETI_POST_REQUEST_VOLUME_OPTIONS`, default none.
    pub post_request_volume_options: Vec<String>,
    /// Most volumes of one cluster, none for no limit. Key `glusterfs.max_volumes_per_cluster`, variable
    /// `HEKETI_GLUSTER_MAX_VOLUMES_PER_CLUSTER`; 0 is the default 1000, a negative number is no limit.
    pub max_volumes_per_cluster: Option<u64>,
    /// Block volumes.
    pub block: BlockSettings,
    /// Most operations at a time, none for no limit. Key `glusterfs.max_inflight_operations`, variable
    /// `HEKETI_MAX_INFLIGHT_OPERATIONS` (negative: no limit); 0 is the default 8.
    pub max_inflight_operations: Option<u64>,
    /// How often a failed volume creation is tried again. Key `glusterfs.operation_retry_limits.volume_create`, default
    /// 4, also for 0 and less.
    pub volume_create_retries: u32,
    /// Node health monitor. Keys `glusterfs.disable_monitor_gluster_nodes` (false; variable
    /// `HEKETI_DISABLE_HEALTH_MONITOR`, exactly `true`), `start_time_monitor_gluster_nodes` (10 s) and
    /// `refresh_time_monitor_gluster_nodes` (120 s).
    pub health_monitor: JobSettings,
    /// Background cleaner of left-over operations. Keys `glusterfs.disable_background_cleaner` (false; variable
    /// `HEKETI_DISABLE_BACKGROUND_CLEANER`, exactly `true`), `start_time_background_cleaner` (60 s) and
    /// `refresh_time_background_cleaner` (3600 s).
    pub cleaner: JobSettings,
}

/// Why there is no configuration. Shows as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a key of a wrong type.
    #[error("Unable to parse configuration: {0}")]
    Parse(String),
    /// A value that cannot be used.
    #[error("{0}")]
    Invalid(String),
}

impl ConfigError {
    fn parse(text: &str) -> Self {
        Self::Parse(one_line(text))
    }

    fn invalid(text: &str) -> Self {
        Self::Invalid(one_line(text))
    }

    /// What the reference only finds when it sets up its application, and says so.
    fn at_start(self) -> Self {
        match self {
            Self::Invalid(text) => Self::Invalid(format!("Unable to start application: {text}")),
            parse => parse,
        }
    }
}

impl Config {
    /// Reads the text of `heketi.json`, lets the environment override it, and tells what is to be logged about it, in
    /// the reference's words.
    pub fn read(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(Self, Vec<Note>), ConfigError> {
        let value = reader::first_value(text)?;
        let root = Section::root(&value, Env(env))?;
        let app = root.section("glusterfs")?;
        if !app.is_present() {
            return Err(ConfigError::parse("the object glusterfs is missing"));
        }
        let ssh = app.section("sshexec")?;
        let db = PathBuf::from(app.text_env("db", "HEKETI_DB_PATH")?.unwrap_or_else(|| "heketi.db".to_owned()));

        // Notes come in the order of these lines.
        let mut notes = Notes::default();
        server::note_what_has_no_effect(&root, &mut notes)?;
        let config = Self {
            port: root.text_env("port", "HEKETI_HTTP_PORT")?.unwrap_or_default(),
            auth_enabled: true,
            jwt: JwtSettings::read(&root, &mut notes)?,
            tls: TlsSettings::read(&root)?,
            profiling: root.flag("profiling")? || root.env.is_set("HEKETI_PROFILING"),
            default_state: DefaultState::read(&root)?,
            log_level: LogLevel::read(&app, &mut notes)?,
            executor: Executor::read(&app, &db, &mut notes).map_err(ConfigError::at_start)?,
            commands: executor::read_commands(&ssh, &mut notes)?,
            db_read_only: app.flag("db_read_only")?,
            limits: glusterfs::read_limits(&app, &mut notes)?,
            pre_request_volume_options: glusterfs::read_options(
                &app,
                "pre_request_volume_options",
                "HEKETI_PRE_REQUEST_VOLUME_OPTIONS",
                "Pre Request Volume Options",
                &mut notes,
            )?,
            post_request_volume_options: glusterfs::read_options(
                &app,
                "post_request_volume_options",
                "HEKETI_POST_REQUEST_VOLUME_OPTIONS",
                "Post Request Volume Options",
                &mut notes,
            )?,
            max_volumes_per_cluster: glusterfs::read_max_volumes(&app, &mut notes)?,
            block: BlockSettings::read(&app, &ssh, &mut notes)?,
            max_inflight_operations: glusterfs::read_max_inflight(&app, &mut notes)?,
            volume_create_retries: glusterfs::read_volume_create_retries(&app)?,
            health_monitor: JobSettings::health_monitor(&app)?,
            cleaner: JobSettings::cleaner(&app)?,
            db,
        };
        Ok((config, notes.into_list()))
    }

    /// Fails unless tokens can be checked: with authentication on, both keys must be set.
    pub fn require_jwt_keys(&self) -> Result<(), ConfigError> {
        if self.auth_enabled && (self.jwt.admin_key.is_empty() || self.jwt.user_key.is_empty()) {
            return Err(ConfigError::invalid("Missing JWT information in config file"));
        }
        Ok(())
    }
}
