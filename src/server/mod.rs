//! From a configuration to a running server, and to its orderly end.

mod logging;
mod simulation;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use logging::start_log;

use crate::config::{Config, DefaultState, Executor, Note};
use crate::exec::ssh::SshTransport;
use crate::exec::{Nodes, Transport, sim::Sim};
use crate::http::{App, Keys, serve};
use crate::ops::{Ops, OpsSettings};
use crate::store::Store;
use crate::{background, config::LogLevel};

/// How long operations under way may take to end after a signal. What is not done then is left to recovery.
const DRAIN: Duration = Duration::from_secs(20);
/// How long answers under way may take after that.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// Reads the configuration file.
pub fn read_config(file: &Path, env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<(Config, Vec<Note>)> {
    let text = std::fs::read(file).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        anyhow::anyhow!("Unable to open config file {0}: open {0}: {why}", file.display())
    })?;
    let (config, mut notes) = Config::read(&String::from_utf8_lossy(&text), env)?;
    if config.jwt.keys_in_file && readable_by_all(file) {
        let text = format!("{} holds the keys of the API and is readable by all users", file.display());
        notes.push(Note { level: LogLevel::Warning, text });
    }
    Ok((config, notes))
}

fn readable_by_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|data| data.permissions().mode() & 0o004 != 0)
}

fn settings(config: &Config) -> OpsSettings {
    OpsSettings {
        limits: config.limits.clone(),
        max_volumes_per_cluster: config.max_volumes_per_cluster,
        max_inflight: config.max_inflight_operations,
        volume_create_retries: config.volume_create_retries,
        pre_request_options: config.pre_request_volume_options.clone(),
        post_request_options: config.post_request_volume_options.clone(),
        block_hosting_options: config.block.hosting_volume_options.clone(),
    }
}

/// What the configuration asks for and this version does not do is refused, not ignored.
fn refuse_what_is_missing(config: &Config) -> anyhow::Result<()> {
    if config.tls.is_some() {
        bail!("enable_tls: this version does not serve TLS yet; put a TLS proxy in front of it");
    }
    if config.db_read_only {
        bail!("db_read_only: this version cannot serve a read-only database yet");
    }
    if config.default_state != DefaultState::Normal {
        bail!("default_state: this version knows the state normal only");
    }
    Ok(())
}

fn open_store(config: &Config) -> anyhow::Result<Arc<Store>> {
    let (store, created) = Store::open(&config.db).context("Unable to start application")?;
    if created {
        tracing::warn!("NEW DATABASE: {} did not exist and was created, with nothing in it", config.db.display());
    }
    Ok(Arc::new(store))
}

/// How nodes are reached, before anything is asked of them.
enum Ways {
    Ssh(SshTransport),
    Simulated(Sim),
}

impl Ways {
    fn open(config: &Config) -> anyhow::Result<Self> {
        match &config.executor {
            Executor::Mock { device_size } => Ok(Self::Simulated(Sim::tolerant(*device_size))),
            Executor::Ssh(ssh) => Ok(Self::Ssh(SshTransport::new(ssh.clone()).context("Unable to start application")?)),
        }
    }

    fn nodes(self, config: &Config, store: &Store) -> anyhow::Result<Arc<Nodes>> {
        let mut commands = config.commands.clone();
        let transport: Arc<dyn Transport> = match self {
            Self::Simulated(sim) => {
                commands.disk_identity = false;
                simulation::rebuild(&sim, store).context("Unable to start application")?;
                tracing::warn!("the storage nodes are simulated: nothing is stored anywhere");
                Arc::new(sim)
            }
            Self::Ssh(ssh) => Arc::new(ssh),
        };
        Ok(Arc::new(Nodes::new(transport, commands)))
    }
}

fn keys(config: &Config) -> anyhow::Result<Option<Keys>> {
    config.require_jwt_keys()?;
    let jwt = &config.jwt;
    Ok(config.auth_enabled.then(|| {
        let leeway = i64::try_from(jwt.iat_leeway).unwrap_or(i64::MAX);
        Keys::new(jwt.admin_key.as_bytes(), jwt.user_key.as_bytes(), leeway)
    }))
}

/// The number of a port or service. What is wrong is told in the reference's words.
fn port_number(port: &str, services: &str) -> anyhow::Result<u16> {
    if port.is_empty() {
        return Ok(0);
    }
    if port.contains(':') {
        bail!("listen tcp: address :{port}: too many colons in address");
    }
    if port.bytes().all(|byte| byte.is_ascii_digit()) {
        return port.parse().map_err(|_| anyhow::anyhow!("listen tcp: address {port}: invalid port"));
    }
    let named = services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (name, number) = (words.next()?, words.next()?);
        let number = number.strip_suffix("/tcp")?;
        (name == port || words.any(|alias| alias == port)).then(|| number.parse().ok())?
    });
    named.ok_or_else(|| anyhow::anyhow!("listen tcp: lookup tcp/{port}: unknown port"))
}

async fn listen(port: &str) -> anyhow::Result<TcpListener> {
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let number = port_number(port, &services).context("HTTP Server error")?;
    // All interfaces of both families where the system has IPv6, else IPv4.
    let bound = match TcpListener::bind(("::", number)).await {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", number)).await,
        other => other,
    };
    bound.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => "address already in use".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        anyhow::anyhow!("HTTP Server error: listen tcp :{port}: bind: {why}")
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Asks the reference to leave its maintenance states. Ours has none yet, and must not die of it.
    _leave_maintenance: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _leave_maintenance: signal(SignalKind::user_defined2())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until a signal ends it. Operations under way are given time to end; the rest is left to recovery.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    refuse_what_is_missing(&config)?;
    // In the reference's order; and a bad SSH key leaves no new database behind.
    let ways = Ways::open(&config)?;
    let store = open_store(&config)?;
    let keys = keys(&config)?;
    let nodes = ways.nodes(&config, &store)?;
    let ops = Ops::new(Arc::clone(&store), nodes, settings(&config));
    let unresolved = ops.take_over().await.context("Unable to start application")?;
    if unresolved > 0 {
        tracing::warn!("{unresolved} operations were cut off by the end of the last server; they are being resolved");
    }
    let listener = listen(&config.port).await?;
    let port = listener.local_addr()?.port();
    let mut timers = tokio::task::JoinSet::new();
    if config.cleaner.enabled {
        timers.spawn(background::clean_operations(ops.clone(), config.cleaner.start, config.cleaner.refresh));
    }
    if config.health_monitor.enabled {
        let monitor = &config.health_monitor;
        timers.spawn(background::watch_nodes(ops.clone(), monitor.start, monitor.refresh));
    }
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, App::new(ops.clone(), keys), async {
        // An error means that the sender is gone, which is the end too.
        let _ = ended.await;
    }));
    println!("Listening on port {port}");
    // Not under systemd: nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    signals.wait().await;
    println!("Shutting down...");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    timers.shutdown().await;
    let left = tokio::select! {
        left = ops.drain(DRAIN) => left,
        // Whoever signals twice is in a hurry.
        () = signals.wait() => 1,
    };
    if left > 0 {
        tracing::warn!("operations were still under way; they are resolved at the next start");
    }
    drop(end);
    let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::port_number;

    #[test]
    fn ports_are_numbers_or_names_of_services() {
        let services = "# names\nhttp 80/tcp www # WorldWideWeb\ntftp 69/udp\nhttp-alt 8080/tcp webcache\n";
        for (port, number) in [("", 0), ("8080", 8080), ("http", 80), ("www", 80), ("webcache", 8080)] {
            assert_eq!(port_number(port, services).unwrap(), number, "{port}");
        }
        for (port, why) in [
            (":80", "listen tcp: address ::80: too many colons in address"),
            ("65536", "listen tcp: address 65536: invalid port"),
            ("tftp", "listen tcp: lookup tcp/tftp: unknown port"),
            ("-1", "listen tcp: lookup tcp/-1: unknown port"),
        ] {
            assert_eq!(port_number(port, services).unwrap_err().to_string(), why);
        }
    }
}
