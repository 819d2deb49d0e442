//! How commands reach a node.

use async_trait::async_trait;

use super::Cmd;

/// What a command that ran to its end left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit status; 0 is success. A command ended by a signal has 128 + the signal's number.
    pub status: u32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Why it is not known what a command did, or why it did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// No connection: nothing ran.
    Connect,
    /// The node's host key is not the expected one: nothing ran.
    HostKey,
    /// The node refused our key: nothing ran.
    Auth,
    /// The command took longer than its limit: it may still be running.
    Timeout,
    /// The connection broke while the command ran: it may have done its work.
    Dropped,
}

/// A command that did not run to its end, as far as we can tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// What happened.
    pub kind: TransportErrorKind,
    /// The node, as named in its first manage host name.
    pub host: String,
    /// The command, if one was under way.
    pub command: Option<String>,
    /// One line for the operator, naming the node and the cause.
    pub message: String,
}

impl TransportError {
    /// Nothing of the whole batch ran on the node, so another node may be asked instead.
    pub const fn nothing_ran(&self) -> bool {
        matches!(self.kind, TransportErrorKind::Connect | TransportErrorKind::HostKey | TransportErrorKind::Auth)
    }
}

/// A way to run commands on nodes: SSH, simulated nodes, or fault injection around either.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Runs the commands one after the other on `host`, each within its own limit, and stops after the first that
    /// exits with a status other than 0. The outputs are those of the commands that ran. A command that may have run is
    /// never sent again.
    async fn run(&self, host: &str, commands: &[Cmd]) -> Result<Vec<Output>, TransportError>;

    /// Tells that the node with this manage host name is known to gluster by that storage host name. Only simulated
    /// nodes have no other way to know.
    fn introduce(&self, _manage: &str, _storage: &str) {}
}
