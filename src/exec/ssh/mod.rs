//! Commands over SSH: one kept connection per node, several commands at once on it.
//!
//! A command is sent at most once. It is tried on a second connection only when the first was lost before the command
//! was handed to it.

mod connection;
mod host_keys;
mod key;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use russh::keys::PrivateKey;
use tokio::sync::{OnceCell, Semaphore};

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
    /// For a node to let go of a channel that we closed, or to take one after it refused.
    patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            keepalive: Duration::from_secs(15),
            drain: Duration::from_secs(3),
            patience: Duration::from_secs(10),
        }
    }
}

/// What all connections have in common.
struct Shared {
    settings: SshSettings,
    key: Arc<PrivateKey>,
    host_keys: HostKeys,
    timing: Timing,
}

/// What went wrong, before it is known for which command.
#[derive(Debug, Clone)]
struct Failure {
    kind: TransportErrorKind,
    text: String,
}

impl Failure {
    fn new(kind: TransportErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    fn connect(text: impl Into<String>) -> Self {
        Self::new(TransportErrorKind::Connect, text)
    }

    fn into_error(self, host: &str, port: u16, command: String) -> TransportError {
        let mut message = format!("{host}:{port}: {}", self.text);
        // Where nothing ran, the command adds nothing.
        if matches!(self.kind, TransportErrorKind::Timeout | TransportErrorKind::Dropped) {
            let shown: String = command.chars().take(SHOWN).collect();
            let more = if shown.len() < command.len() { "..." } else { "" };
            message.push_str(&format!(": [{shown}{more}]"));
        }
        TransportError { kind: self.kind, host: host.to_owned(), command: Some(command), message: one_line(&message) }
    }
}

/// A connection, or the attempt to make one that all who need it wait for.
type Attempt = Arc<OnceCell<Result<Arc<Connection>, Failure>>>;

/// One host that commands go to.
struct Host {
    name: String,
    /// Handed out in the order of asking; never closed.
    channels: Arc<Semaphore>,
    attempt: Mutex<Attempt>,
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
        let shared = Arc::new(Shared { settings, key, host_keys, timing });
        Ok(Self { shared, hosts: Mutex::default() })
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = lock(&self.hosts);
        Arc::clone(hosts.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Host {
                name: name.to_owned(),
                channels: Arc::new(Semaphore::new(CHANNELS)),
                attempt: Mutex::default(),
            })
        }))
    }

    /// The line as it is given to the user's login shell on the node. Only the first word of the command is under sudo,
    /// so that rules in sudoers can name the programs.
    fn wrap(&self, command: &str) -> String {
        let mut line = "/bin/bash -c ".to_owned();
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
        // A node answers either with the end of the connection, and of all that runs on it.
        let result = if line.len() > LINE_LIMIT {
            Err(Failure::connect("command not sent: it is too long"))
        } else if line.contains('\0') {
            Err(Failure::connect("command not sent: it holds a zero byte"))
        } else {
            // A task of its own, so that a caller that goes away leaves neither a channel open nor a command unwatched.
            let (host, shared, limit) = (Arc::clone(host), Arc::clone(&self.shared), cmd.limit());
            tokio::spawn(async move { host.execute(&shared, &line, limit).await }).await.unwrap_or_else(|error| {
                let text = format!("the task was lost ({error}); the command may have done its work");
                Err(Failure::new(TransportErrorKind::Dropped, text))
            })
        };
        result.map_err(|failure| failure.into_error(&host.name, self.shared.settings.port, command))
    }
}

#[async_trait]
impl Transport for SshTransport {
    async fn run(&self, host: &str, commands: &[Cmd]) -> Result<Vec<Output>, TransportError> {
        let host = self.host(host);
        let mut outputs = Vec::with_capacity(commands.len());
        for cmd in commands {
            let output = self.run_one(&host, cmd).await.map_err(|mut error| {
                // Nothing of this command ran, but those before it did.
                if error.nothing_ran() && !outputs.is_empty() {
                    error.kind = TransportErrorKind::Dropped;
                }
                error
            })?;
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
    async fn execute(&self, shared: &Arc<Shared>, line: &str, limit: Duration) -> Result<Output, Failure> {
        let mut again = true;
        loop {
            // Before the connection, so that one that died during the wait is not used.
            let permit = Arc::clone(&self.channels)
                .acquire_owned()
                .await
                .map_err(|error| Failure::connect(error.to_string()))?;
            let connection = self.connection(shared).await?;
            match connection.run(shared, line, limit, permit).await {
                Outcome::Ran(output) => return Ok(output),
                Outcome::NotSent(failure) if again => {
                    tracing::debug!("{}: {}, connecting again", self.name, failure.text);
                    again = false;
                }
                Outcome::NotSent(failure) | Outcome::Failed(failure) => return Err(failure),
            }
        }
    }

    /// The kept connection, or a new one. Those who ask while it is being made share the attempt and its failure.
    async fn connection(&self, shared: &Arc<Shared>) -> Result<Arc<Connection>, Failure> {
        let attempt = {
            let mut attempt = lock(&self.attempt);
            let usable = |made: &Result<Arc<Connection>, Failure>| made.as_ref().is_ok_and(|c| c.is_usable());
            if attempt.get().is_some_and(|made| !usable(made)) {
                *attempt = Attempt::default();
            }
            Arc::clone(&attempt)
        };
        attempt.get_or_init(|| async { Connection::open(shared, &self.name).await.map(Arc::new) }).await.clone()
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
