//! From a configuration to a running server, and to its orderly end.

mod logging;
mod simulation;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use sd_notify::NotifyState;
use tokio::net::TcpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

pub use logging::start_log;
use simulation::Simulated;

use crate::config::{Config, DefaultState, Executor, JobSettings, Note};
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
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

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

/// The way to the nodes, without talking to any.
enum Way {
    Simulated(Sim),
    Ssh(SshTransport),
}

impl Way {
    /// Reads the key of SSH.
    fn new(config: &Config) -> anyhow::Result<Self> {
        match &config.executor {
            Executor::Mock { device_size } => Ok(Self::Simulated(Sim::tolerant(*device_size))),
            Executor::Ssh(ssh) => {
                let ssh = SshTransport::new(ssh.clone()).context("Unable to start application")?;
                Ok(Self::Ssh(ssh))
            }
        }
    }

    fn into_nodes(self, config: &Config, store: &Arc<Store>) -> anyhow::Result<Arc<Nodes>> {
        let mut commands = config.commands.clone();
        let transport: Arc<dyn Transport> = match self {
            Self::Simulated(sim) => {
                commands.disk_identity = false;
                tracing::warn!("the storage nodes are simulated: nothing is stored anywhere");
                Arc::new(Simulated::restore(sim, Arc::clone(store))?)
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

/// Takes the port. Clients find nobody there until `listen`.
fn take_port(port: &str) -> anyhow::Result<TcpSocket> {
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let number = port_number(port, &services).context("HTTP Server error")?;
    let take = |socket: std::io::Result<TcpSocket>, address: IpAddr| {
        let socket = socket?;
        // Connections of the last server may linger.
        socket.set_reuseaddr(true)?;
        socket.bind((address, number).into())?;
        Ok(socket)
    };
    // All interfaces of both families where the system has IPv6, else IPv4.
    let taken = match take(TcpSocket::new_v6(), Ipv6Addr::UNSPECIFIED.into()) {
        Err(error) if !is_taken(&error) => take(TcpSocket::new_v4(), Ipv4Addr::UNSPECIFIED.into()),
        other => other,
    };
    taken.map_err(|error| no_port(port, &error))
}

fn is_taken(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::AddrInUse
}

/// In the reference's words.
fn no_port(port: &str, error: &std::io::Error) -> anyhow::Error {
    let why = match error.kind() {
        std::io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    anyhow::anyhow!("HTTP Server error: listen tcp :{port}: bind: {why}")
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user2: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            // Ends the reference as well, but at once and without a word.
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for a signal that asks for the end.
    async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => return,
                // Ends the reference's maintenance states.
                _ = self.user2.recv() => tracing::info!("SIGUSR2: the state is normal already"),
            }
        }
    }
}

/// Says it to whoever started the server; nobody may be there to read it.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Serves until a signal ends it. Operations under way are given time to end; the rest is left to recovery.
///
/// All that can be wrong with the configuration, its files and the port shows before the database is touched, and
/// nothing that another server may be doing is called cut off before its database and port are ours.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    refuse_what_is_missing(&config)?;
    let keys = keys(&config)?;
    let way = Way::new(&config)?;
    let socket = take_port(&config.port)?;
    let port = socket.local_addr()?.port();
    let store = open_store(&config)?;
    let nodes = way.into_nodes(&config, &store)?;
    let listener = socket.listen(BACKLOG).map_err(|error| no_port(&config.port, &error))?;
    let ops = Ops::new(store, nodes, settings(&config));
    let unresolved = ops.take_over().await.context("Unable to start application")?;
    if unresolved > 0 {
        tracing::warn!(
            "{unresolved} operations were cut off by the end of the last server; {}",
            match &config.cleaner {
                JobSettings { enabled: false, .. } =>
                    "disable_background_cleaner is set, so they stay as they are".to_owned(),
                JobSettings { start: Duration::ZERO, .. } => "they are being resolved".to_owned(),
                cleaner =>
                    format!("they are resolved in {} s (start_time_background_cleaner)", cleaner.start.as_secs()),
            }
        );
    }
    let (end, ended) = oneshot::channel::<()>();
    let app = App::new(ops.clone(), keys);
    let serving = tokio::spawn(async move {
        let ended = async {
            // An error means that the sender is gone, which is the end too.
            let _ = ended.await;
        };
        serve(listener, app, ended).await;
    });
    say(&format!("Listening on port {port}"));
    // Not under systemd: nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let timers = start_timers(&config, &ops);
    signals.end().await;
    say("Shutting down...");
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    tokio::select! {
        () = finish(ops, timers, end, serving) => {}
        // Whoever signals twice is in a hurry.
        () = signals.end() => tracing::warn!("a second signal: operations under way are resolved at the next start"),
    }
    Ok(())
}

/// What the server does by itself.
fn start_timers(config: &Config, ops: &Ops) -> JoinSet<()> {
    let mut timers = JoinSet::new();
    timers.spawn(background::forget_old_answers(ops.clone()));
    let cleaner = &config.cleaner;
    if cleaner.enabled {
        timers.spawn(background::clean_operations(ops.clone(), cleaner.start, cleaner.refresh));
    }
    let monitor = &config.health_monitor;
    if monitor.enabled {
        timers.spawn(background::watch_nodes(ops.clone(), monitor.start, monitor.refresh));
    }
    timers
}

/// Lets operations under way come to their end, still answering about them, and then the answers.
async fn finish(ops: Ops, mut timers: JoinSet<()>, end: oneshot::Sender<()>, serving: JoinHandle<()>) {
    timers.shutdown().await;
    let left = ops.drain(DRAIN).await;
    if left > 0 {
        tracing::warn!("{left} operations are still under way; they are resolved at the next start");
    }
    drop(end);
    let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
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
