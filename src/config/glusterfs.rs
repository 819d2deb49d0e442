//! The object `glusterfs` of the file (spec-api.md 5.3, spec-ops.md appendix B), its executors aside.

use std::time::Duration;

use super::ConfigError;
use super::notes::Notes;
use super::reader::Section;
use crate::placement::Limits;
use crate::units::{Gib, Kib};

/// When a background job runs (spec-api.md 10.2 and 10.3). 0 seconds is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSettings {
    /// Run it at all.
    pub enabled: bool,
    /// Time from start to the first pass.
    pub start: Duration,
    /// Time between passes.
    pub refresh: Duration,
}

impl JobSettings {
    pub(super) fn health_monitor(app: &Section<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            enabled: !disabled(app, "disable_monitor_gluster_nodes", "HEKETI_DISABLE_HEALTH_MONITOR")?,
            start: seconds(app, "start_time_monitor_gluster_nodes", 10)?,
            refresh: seconds(app, "refresh_time_monitor_gluster_nodes", 120)?,
        })
    }

    pub(super) fn cleaner(app: &Section<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            enabled: !disabled(app, "disable_background_cleaner", "HEKETI_DISABLE_BACKGROUND_CLEANER")?,
            // What a crash left is seen to at once, unless the operator wants time for a look.
            start: seconds(app, "start_time_background_cleaner", 0)?,
            refresh: seconds(app, "refresh_time_background_cleaner", 3600)?,
        })
    }
}

fn disabled(app: &Section<'_>, key: &str, variable: &str) -> Result<bool, ConfigError> {
    Ok(app.flag(key)? || app.env.text(variable).as_deref() == Some("true"))
}

fn seconds(app: &Section<'_>, key: &str, default: u32) -> Result<Duration, ConfigError> {
    let seconds = Some(app.uint32(key)?).filter(|seconds| *seconds > 0).unwrap_or(default);
    Ok(Duration::from_secs(seconds.into()))
}

/// Block volumes (spec-ops.md 10.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSettings {
    /// Create hosting volumes when there is no room. Key `glusterfs.auto_create_block_hosting_volume`, variable
    /// `HEKETI_AUTO_CREATE_BLOCK_HOSTING_VOLUME`, default false.
    pub auto_create_hosting_volume: bool,
    /// Size of such volumes. Key `glusterfs.block_hosting_volume_size`, variable `HEKETI_BLOCK_HOSTING_VOLUME_SIZE`,
    /// default 1024, also for 0 and less.
    pub hosting_volume_size: Gib,
    /// Their options. Key `glusterfs.block_hosting_volume_options` (comma list), variable
    /// `HEKETI_BLOCK_HOSTING_VOLUME_OPTIONS`, default `group gluster-block`.
    pub hosting_volume_options: Vec<String>,
    /// Preallocation of block volumes. Key `glusterfs.sshexec.block_prealloc`, variable
    /// `HEKETI_BLOCK_VOLUME_DEFAULT_PREALLOC`, default `full`.
    pub prealloc: String,
}

impl BlockSettings {
    pub(super) fn read(app: &Section<'_>, ssh: &Section<'_>, notes: &mut Notes) -> Result<Self, ConfigError> {
        let prealloc = read_prealloc(ssh, notes)?;
        let auto_create_hosting_volume = notes.accept_or_reset(
            app.env.boolean("HEKETI_AUTO_CREATE_BLOCK_HOSTING_VOLUME"),
            app.flag("auto_create_block_hosting_volume")?,
        );
        if auto_create_hosting_volume {
            notes.info("Block: Auto Create Block Hosting Volume set to true".to_owned());
        }
        let size = notes
            .accept_or_reset(app.env.int("HEKETI_BLOCK_HOSTING_VOLUME_SIZE"), app.int("block_hosting_volume_size")?);
        let size = u64::try_from(size).ok().filter(|size| *size > 0);
        if let Some(size) = size {
            notes.info(format!("Block: New Block Hosting Volume size {size} GB"));
        }
        let options = app.text_env("block_hosting_volume_options", "HEKETI_BLOCK_HOSTING_VOLUME_OPTIONS")?;
        if let Some(options) = &options {
            notes.info(format!("Block: New Block Hosting Volume Options: {options}"));
        }
        Ok(Self {
            auto_create_hosting_volume,
            hosting_volume_size: Gib(size.unwrap_or(1024)),
            hosting_volume_options: comma_list(options.as_deref().unwrap_or("group gluster-block")),
            prealloc,
        })
    }
}

fn read_prealloc(ssh: &Section<'_>, notes: &mut Notes) -> Result<String, ConfigError> {
    let given = ssh.text_env("block_prealloc", "HEKETI_BLOCK_VOLUME_DEFAULT_PREALLOC")?;
    let prealloc = given.unwrap_or_else(|| "full".to_owned());
    if prealloc.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
        return Ok(prealloc);
    }
    notes.warn(format!("block_prealloc may only have letters, digits, - and _, not '{prealloc}'; taken as full"));
    Ok("full".to_owned())
}

/// The reference lets negative numbers through and then can place nothing; here they are errors.
pub(super) fn read_limits(app: &Section<'_>, notes: &mut Notes) -> Result<Limits, ConfigError> {
    let mut positive = |key: &str, default: u64, note: fn(u64) -> String| match app.uint(key)? {
        0 => Ok::<_, ConfigError>(default),
        number => {
            notes.info(note(number));
            Ok(number)
        }
    };
    let max_bricks = positive("max_bricks_per_volume", 32, |n| format!("Adv: Max bricks per volume set to {n}"))?;
    let max_size = positive("brick_max_size_gb", 4096, |n| format!("Adv: Max brick size {n} GB"))?;
    let min_size = positive("brick_min_size_gb", 1, |n| format!("Adv: Min brick size {n} GB"))?;
    let file_size = positive("average_file_size_kb", 64, |n| format!("Average file size on volumes set to {n} KiB"))?;
    if min_size > max_size {
        notes.warn("brick_min_size_gb is above brick_max_size_gb: no volume can be placed".to_owned());
    }
    Ok(Limits {
        brick_min: Gib(min_size).to_kib(),
        brick_max: Gib(max_size).to_kib(),
        max_bricks_per_volume: u32::try_from(max_bricks).unwrap_or(u32::MAX),
        average_file_size: Kib(file_size),
        zone_checking: read_zone_checking(app, notes)?,
    })
}

fn read_zone_checking(app: &Section<'_>, notes: &mut Notes) -> Result<String, ConfigError> {
    let none = "none".to_owned();
    let Some(name) = app.text_env("zone_checking", "HEKETI_ZONE_CHECKING")? else { return Ok(none) };
    notes.info(format!("Zone checking: '{name}'"));
    if matches!(name.as_str(), "none" | "strict") {
        return Ok(name);
    }
    notes.warn(format!("zone_checking is neither none nor strict but '{name}'; taken as none"));
    Ok(none)
}

pub(super) fn read_options(
    app: &Section<'_>,
    key: &str,
    variable: &str,
    title: &str,
    notes: &mut Notes,
) -> Result<Vec<String>, ConfigError> {
    let list = app.text_env(key, variable)?.unwrap_or_default();
    if !list.is_empty() {
        notes.info(format!("{title}: {list}"));
    }
    Ok(comma_list(&list))
}

/// Items are kept as they are, and an empty list has one empty item: clients see the list so (spec-ops.md 9.2).
fn comma_list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

pub(super) fn read_max_volumes(app: &Section<'_>, notes: &mut Notes) -> Result<Option<u64>, ConfigError> {
    const DEFAULT: u64 = 1000;
    let in_file = app.int("max_volumes_per_cluster")?;
    let configured = notes.accept_or_reset(app.env.int("HEKETI_GLUSTER_MAX_VOLUMES_PER_CLUSTER"), in_file);
    let (limit, note) = match u64::try_from(configured) {
        Err(_) => (None, format!("is removed as it is set to {configured}")),
        Ok(0) => (Some(DEFAULT), format!("is set to default value of {DEFAULT}")),
        Ok(limit) => (Some(limit), format!("is set to {limit}")),
    };
    notes.info(format!("Volumes per cluster limit {note}"));
    Ok(limit)
}

/// Only the environment can have a negative number.
pub(super) fn read_max_inflight(app: &Section<'_>, notes: &mut Notes) -> Result<Option<u64>, ConfigError> {
    let in_file = app.uint("max_inflight_operations")?;
    let limit = match notes.accept(app.env.int("HEKETI_MAX_INFLIGHT_OPERATIONS")) {
        Some(number) => u64::try_from(number).ok(),
        None => Some(in_file),
    };
    Ok(limit.map(|limit| if limit == 0 { 8 } else { limit }))
}

pub(super) fn read_volume_create_retries(app: &Section<'_>) -> Result<u32, ConfigError> {
    let retries = app.section("operation_retry_limits")?.int("volume_create")?;
    Ok(if retries <= 0 { 4 } else { u32::try_from(retries).unwrap_or(u32::MAX) })
}
