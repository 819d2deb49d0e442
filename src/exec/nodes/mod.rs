//! Typed calls to storage nodes: each is the reference's command or batch of commands (spec-ops.md 6.6 and 6.7) and the
//! reading of its answer. Calls do one thing, are safe to repeat where they make things go away, and undo nothing.

mod bricks;
mod devices;
mod error;
mod peers;
mod volumes;
mod xml;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use bricks::{BrickFailure, Reclaimed};
pub use devices::{DeviceFacts, DeviceHandle, PvState, SetupFailure, SetupLeft, TeardownFailure};
pub use error::NodeError;
pub use peers::Probed;
pub use volumes::{BrickAddress, Destroyed, VolumeFacts, VolumeSpec};

use super::{Cmd, CommandSettings, Output, Transport};
use crate::ids::ClusterId;

/// Locks made on first use, one a key. They are few: one a host or a cluster.
struct Locks<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K: std::hash::Hash + Eq> Locks<K> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Waits for its turn, in the order of asking.
    async fn lock(&self, key: K) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        lock.lock_owned().await
    }
}

/// The storage nodes.
pub struct Nodes {
    transport: Arc<dyn Transport>,
    settings: CommandSettings,
    /// Glusterd takes one change at a time in a cluster and refuses the others; we queue instead.
    gluster: Locks<ClusterId>,
    /// A line appended to fstab while `sed -i` rewrites it is lost.
    fstab: Locks<String>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Nodes {
    /// Nodes behind this transport, with the parts of command lines that the configuration gives.
    pub fn new(transport: Arc<dyn Transport>, settings: CommandSettings) -> Self {
        Self { transport, settings, gluster: Locks::new(), fstab: Locks::new() }
    }

    /// Tells the transport by which name gluster knows a host.
    pub fn introduce(&self, manage: &str, storage: &str) {
        self.transport.introduce(manage, storage);
    }

    /// Runs the commands in order; the first that fails is the error.
    async fn run(&self, host: &str, commands: &[Cmd]) -> Result<Vec<Output>, NodeError> {
        for command in commands {
            tracing::debug!(host, command = %command, "will run");
        }
        let outputs = match self.transport.run(host, commands).await {
            Ok(outputs) => outputs,
            Err(error) => {
                tracing::warn!(host, kind = ?error.kind, command = error.command, "{error}");
                return Err(error.into());
            }
        };
        for (command, output) in commands.iter().zip(&outputs) {
            if output.status != 0 {
                let error = NodeError::Exit {
                    host: host.to_owned(),
                    command: command.line(),
                    status: output.status,
                    stderr: output.stderr.clone(),
                };
                if command.is_quiet() {
                    tracing::debug!(host, command = %command, status = output.status, "failed");
                } else {
                    tracing::warn!(host, command = %command, status = output.status,
                        stdout = output.stdout.trim_end(), stderr = output.stderr.trim_end(), "failed");
                }
                return Err(error);
            }
            if command.is_quiet() {
                tracing::debug!(host, command = %command, "ran");
            } else {
                tracing::debug!(host, command = %command, stdout = output.stdout.trim_end(),
                    stderr = output.stderr.trim_end(), "ran");
            }
        }
        if outputs.len() < commands.len() {
            let command = commands.get(outputs.len()).map(Cmd::line).unwrap_or_default();
            return Err(NodeError::Answer {
                host: host.to_owned(),
                command,
                what: "the command did not run".to_owned(),
            });
        }
        Ok(outputs)
    }

    /// Runs one command.
    async fn run_one(&self, host: &str, command: Cmd) -> Result<Output, NodeError> {
        let mut outputs = self.run(host, std::slice::from_ref(&command)).await?;
        outputs.pop().ok_or_else(|| answer(host, &command, "no output"))
    }

    /// `[wrapper] /usr/sbin/lvm ...`
    fn lvm(&self) -> Cmd {
        self.wrapped("/usr/sbin/lvm").timeout(5 * MINUTE)
    }

    fn wrapped(&self, program: &str) -> Cmd {
        let mut words = self.settings.lvm_wrapper.split_whitespace();
        match words.next() {
            Some(wrapper) => Cmd::new(wrapper).args(words).arg(program),
            None => Cmd::new(program),
        }
    }

    /// `gluster --mode=script --timeout=T ...`. The limit is a little longer than gluster's own, so that gluster's
    /// answer arrives (spec-ops.md 6.3).
    fn gluster(&self) -> Cmd {
        let timeout = self.settings.gluster_cli_timeout;
        Cmd::new("gluster")
            .arg("--mode=script")
            .arg(format!("--timeout={timeout}"))
            .timeout(MINUTE * (1 + timeout.saturating_add(1) / 60).max(10))
    }

    fn autobackup(&self) -> &'static str {
        if self.settings.backup_lvm_metadata { "--autobackup=y" } else { "--autobackup=n" }
    }
}

fn answer(host: &str, command: &Cmd, what: impl std::fmt::Display) -> NodeError {
    NodeError::Answer { host: host.to_owned(), command: command.line(), what: what.to_string() }
}

/// Exit status of LVM's commands when they ran and refused. A missing program, sudo or wrapper has others.
const LVM_REFUSED: u32 = 5;

/// A listing of LVM's says that something does not exist.
fn says_missing(error: &NodeError) -> bool {
    match error {
        NodeError::Exit { status: LVM_REFUSED, stderr, .. } => {
            let stderr = stderr.to_lowercase();
            stderr.contains("not found") || stderr.contains("failed to find")
        }
        _ => false,
    }
}

#[cfg(test)]
mod limits {
    use super::*;
    use crate::exec::sim::Sim;
    use crate::units::Gib;

    #[test]
    fn a_command_may_take_longer_than_gluster_waits_for_it() {
        for (timeout, minutes) in [(1, 10), (600, 11), (3600, 61), (u32::MAX, 71_582_789)] {
            let settings = CommandSettings { gluster_cli_timeout: timeout, ..CommandSettings::default() };
            let nodes = Nodes::new(Arc::new(Sim::new(Gib(1))), settings);
            assert_eq!(nodes.gluster().limit(), MINUTE * minutes, "{timeout}");
        }
    }
}
