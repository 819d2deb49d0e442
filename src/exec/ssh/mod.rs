//! Commands over SSH: one kept connection per node, several commands at once on it.
//!
//! A command is sent at most once. It is tried on a second connection only when the first was lost before the command
//! was handed to it.

mod connection;
mod host_keys;
mod key;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use russh::keys::PrivateKey;
use tokio::sync::{Semaphore, watch};

use self::connection::{Connection, Outcome};
use self::host_keys::HostKeys;
pub use self::key::SshSetupError;
use super::cmd::single_quote;
use super::{Cmd, Output, SshSettings, Transport, TransportError, TransportErrorKind};

/// Commands at once on one connection; sshd allows 10 sessions unless told otherwise.
const CHANNELS: usize = 8;
/// Longest line that a node's kernel takes as one argument.
const LINE_LIMIT: usize = 128 * 1024 - 1;
/// Longest part of a command shown in a message.
const SHOWN: usize = 2000;

/// How long to wait for what.
#[derive(Debug, Clone)]
struct Timing {
    /// For a connection, from the name to the login; and for a node to answer a request to open a channel.
    connect: Duration,
    /// Between signs of life.
    keepalive: Duration,
    /// For further output after the exit status.
    drain: Duration,
    /// For a node that refuses channels while none of ours is in use.
    refused: Duration,
    /// For a node to let go of a channel that we closed.
    let_go: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            keepalive: Duration::from_secs(15),
            drain: Duration::from_secs(3),
            refused: Duration::from_secs(10),
            let_go: Duration::from_secs(5),
        }
    }
}

/// What all connections have in common.
struct Shared {
    settings: SshSettings,
    key: Arc<PrivateKey>,
    host_keys: HostKeys,
    timing: Timing,
    closed: AtomicBool,
}

/// What went wrong, before it is known for which command.
#[derive(Debug, Clone)]
struct Failure {
    kind: TransportErrorKind,
    text: String,
    /// Where, as `address:port`.
    address: String,
}

impl Failure {
    fn connect(text: String, address: &str) -> Self {
        Self { kind: TransportErrorKind::Connect, text, address: address.to_owned() }
    }

    fn into_error(self, host: &str, command: &str) -> TransportError {
        // Where nothing ran, the command adds nothing.
        let message = match self.kind {
            TransportErrorKind::Timeout | TransportErrorKind::Dropped => {
                format!("{host}: {} ({}): [{}]", self.text, self.address, one_line(&shorten(command)))
            }
            _ => format!("{host}: {} ({})", self.text, self.address),
        };
        TransportError {
            kind: self.kind,
            host: host.to_owned(),
            command: Some(command.to_owned()),
            message: one_line(&message),
        }
    }
}

type Attempt = Option<Result<Arc<Connection>, Failure>>;

/// The connection to a host, or the attempt to make one.
#[derive(Default)]
struct Slot {
    live: Option<Arc<Connection>>,
    attempt: Option<watch::Receiver<Attempt>>,
    /// There was a connection before.
    known: bool,
}

/// One host that commands go to.
struct Host {
    name: String,
    /// Handed out in the order of asking.
    channels: Arc<Semaphore>,
    slot: Mutex<Slot>,
}

/// Runs commands on nodes by SSH.
pub struct SshTransport {
    shared: Arc<Shared>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl SshTransport {
    /// Reads the key and looks at the files of host keys; connects to nobody yet.
    pub fn new(settings: SshSettings) -> Result<Self, SshSetupError> {
        Self::with_timing(settings, Timing::default())
    }

    fn with_timing(settings: SshSettings, timing: Timing) -> Result<Self, SshSetupError> {
        let key = Arc::new(key::load(&settings.keyfile)?);
        let host_keys = HostKeys::new(settings.known_hosts.clone(), settings.trust_file.clone())?;
        Ok(Self {
            shared: Arc::new(Shared { settings, key, host_keys, timing, closed: AtomicBool::new(false) }),
            hosts: Mutex::new(HashMap::new()),
        })
    }

    /// Ends all connections; for shutdown. Commands that still run are given up, and no more are taken.
    pub async fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let hosts: Vec<Arc<Host>> = lock(&self.hosts).drain().map(|(_, host)| host).collect();
        let mut ends = tokio::task::JoinSet::new();
        for host in hosts {
            if let Some(connection) = lock(&host.slot).live.take() {
                ends.spawn(async move { connection.close().await });
            }
        }
        ends.join_all().await;
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = lock(&self.hosts);
        if let Some(host) = hosts.get(name) {
            return Arc::clone(host);
        }
        let host = Arc::new(Host {
            name: name.to_owned(),
            channels: Arc::new(Semaphore::new(CHANNELS)),
            slot: Mutex::default(),
        });
        hosts.insert(name.to_owned(), Arc::clone(&host));
        host
    }

    /// The line as it is given to the user's login shell on the node.
    fn wrap(&self, command: &str) -> String {
        let mut line = String::with_capacity(command.len() + 32);
        line.push_str("/bin/bash -c ");
        if self.shared.settings.sudo {
            single_quote(&format!("sudo {command}"), &mut line);
        } else {
            single_quote(command, &mut line);
        }
        line
    }

    async fn run_one(&self, host: &Arc<Host>, cmd: &Cmd) -> Result<Output, TransportError> {
        let command = cmd.line();
        let line = self.wrap(&command);
        let address = format!("{}:{}", host.name, self.shared.settings.port);
        // A node answers either with the end of the connection, and of all that runs on it.
        if line.contains('\0') || line.len() > LINE_LIMIT {
            let text = if line.len() > LINE_LIMIT {
                "command not sent: it is too long"
            } else {
                "command not sent: it holds a zero byte"
            };
            return Err(Failure::connect(text.to_owned(), &address).into_error(&host.name, &command));
        }
        // A task of its own, so that a caller that goes away leaves neither a channel open nor a command unwatched.
        let task = {
            let (host, shared) = (Arc::clone(host), Arc::clone(&self.shared));
            let limit = cmd.limit();
            tokio::spawn(async move { host.execute(&shared, &line, limit).await })
        };
        let result = task.await.unwrap_or_else(|error| {
            Err(Failure {
                kind: TransportErrorKind::Dropped,
                text: format!("the task was lost ({error}); the command may have done its work"),
                address,
            })
        });
        result.map_err(|failure| failure.into_error(&host.name, &command))
    }
}

#[async_trait]
impl Transport for SshTransport {
    async fn run(&self, host: &str, commands: &[Cmd]) -> Result<Vec<Output>, TransportError> {
        let host = self.host(host);
        let mut outputs = Vec::with_capacity(commands.len());
        for cmd in commands {
            let output = self.run_one(&host, cmd).await?;
            let stop = output.status != 0;
            outputs.push(output);
            if stop {
                break;
            }
        }
        Ok(outputs)
    }
}

impl Host {
    async fn execute(self: Arc<Self>, shared: &Arc<Shared>, line: &str, limit: Duration) -> Result<Output, Failure> {
        let mut again = true;
        loop {
            // Before the connection, so that one that died during the wait is not used. Never closed.
            let Ok(permit) = Arc::clone(&self.channels).acquire_owned().await else {
                return Err(self.closed(shared));
            };
            let connection = self.connection(shared).await?;
            match connection.run(shared, line, limit, permit).await {
                Outcome::Ran(output) => return Ok(output),
                Outcome::NotSent(failure) if again && !shared.closed.load(Ordering::SeqCst) => {
                    tracing::debug!("{}: {}, connecting again", self.name, failure.text);
                    again = false;
                }
                Outcome::NotSent(failure) | Outcome::Failed(failure) => return Err(failure),
            }
        }
    }

    fn closed(&self, shared: &Shared) -> Failure {
        Failure::connect(
            "not connected, the server is shutting down".to_owned(),
            &format!("{}:{}", self.name, shared.settings.port),
        )
    }

    /// The kept connection, or a new one. Those who ask while it is being made share the attempt and its failure.
    async fn connection(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<Arc<Connection>, Failure> {
        if shared.closed.load(Ordering::SeqCst) {
            return Err(self.closed(shared));
        }
        let mut attempt = {
            let mut slot = lock(&self.slot);
            if let Some(live) = slot.live.as_ref().filter(|live| live.is_usable()) {
                return Ok(Arc::clone(live));
            }
            slot.live = None;
            match &slot.attempt {
                Some(attempt) if attempt.has_changed().is_ok() => attempt.clone(),
                _ => {
                    let (sender, receiver) = watch::channel(None);
                    slot.attempt = Some(receiver.clone());
                    tokio::spawn(Arc::clone(self).connect(Arc::clone(shared), sender));
                    receiver
                }
            }
        };
        match attempt.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err(Failure::connect(
                "the attempt to connect was given up".to_owned(),
                &format!("{}:{}", self.name, shared.settings.port),
            )),
        }
    }

    async fn connect(self: Arc<Self>, shared: Arc<Shared>, sender: watch::Sender<Attempt>) {
        let result = Connection::open(&shared, &self.name).await.map(Arc::new);
        let late = {
            let mut slot = lock(&self.slot);
            slot.attempt = None;
            if let Ok(connection) = &result {
                if slot.known {
                    tracing::info!("{}: connected again to {}", self.name, connection.address());
                } else {
                    tracing::info!("{}: connected to {}", self.name, connection.address());
                }
                slot.known = true;
                slot.live = Some(Arc::clone(connection));
            }
            // `close` sets the flag first and takes the connection after: one of the two of us sees the other.
            shared.closed.load(Ordering::SeqCst)
        };
        if late && let Ok(connection) = &result {
            connection.close().await;
        }
        sender.send_replace(Some(result));
    }
}

/// Poisoning tells nothing here: no critical section leaves anything half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Text from elsewhere on one line and without control characters.
fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}
