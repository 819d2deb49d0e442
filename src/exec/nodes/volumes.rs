//! Gluster volumes.

use std::time::Duration;

use super::{NodeError, Nodes, answer, xml};
use crate::exec::{Cmd, Output};
use crate::ids::{ClusterId, VolumeId};
use crate::topology::{Durability, VolumeOptions};

/// A brick as gluster names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrickAddress {
    /// Storage host name of its node.
    pub storage: String,
    /// Directory on that node.
    pub path: String,
}

impl std::fmt::Display for BrickAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.storage, self.path)
    }
}

/// What gluster has to know to make or grow a volume.
#[derive(Debug, Clone)]
pub struct VolumeSpec {
    /// Stored with the volume as `user.heketi.id`.
    pub id: VolumeId,
    /// Its name.
    pub name: String,
    /// How it survives the loss of bricks.
    pub durability: Durability,
    /// The last brick of each set holds metadata only.
    pub arbiter: bool,
    /// Its bricks, or those to add, set after set.
    pub bricks: Vec<BrickAddress>,
    /// Its options; not used to grow it.
    pub options: VolumeOptions,
}

/// What gluster says of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFacts {
    /// It is started.
    pub started: bool,
    /// Its bricks as `host:path`, in gluster's order.
    pub bricks: Vec<String>,
}

/// What the deletion of a volume came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroyed {
    /// It was there.
    Now,
    /// This host does not know it: it is gone, or the host is not in the pool.
    NotKnown,
}

impl VolumeSpec {
    fn sets(&self) -> impl Iterator<Item = &[BrickAddress]> {
        self.bricks.chunks(self.durability.bricks_in_set().max(1) as usize)
    }

    /// How many sets one `add-brick` takes (spec-ops.md 6.7).
    const fn sets_in_a_command(&self) -> usize {
        match self.durability {
            Durability::None => 15,
            Durability::Replicate(_) => 5,
            Durability::Disperse { .. } => 1,
        }
    }

    fn type_words(&self) -> Vec<String> {
        match self.durability {
            // Gluster knows no volume of one copy: that is a plain one.
            Durability::None | Durability::Replicate(Some(1)) => Vec::new(),
            Durability::Replicate(_) => {
                let mut words = vec!["replica".to_owned(), self.durability.bricks_in_set().to_string()];
                if self.arbiter {
                    words.extend(["arbiter".to_owned(), "1".to_owned()]);
                }
                words
            }
            Durability::Disperse { data, redundancy } => {
                vec!["disperse-data".to_owned(), data.to_string(), "redundancy".to_owned(), redundancy.to_string()]
            }
        }
    }
}

/// How often a command is sent again that glusterd refused because somebody else's change was under way.
const LOCKED_OUT_RETRIES: u32 = 6;

/// Glusterd refused before it did anything: another change, not ours, holds the cluster or the volume.
fn locked_out(error: &NodeError) -> bool {
    matches!(error, NodeError::Exit { stderr, .. }
        if stderr.contains("Another transaction is in progress") || stderr.contains("Locking failed on"))
}

impl Nodes {
    /// Runs a command that changes the cluster; the caller holds the cluster's turn.
    async fn change(&self, host: &str, command: Cmd) -> Result<Output, NodeError> {
        let mut wait = Duration::from_millis(250);
        for _ in 0..LOCKED_OUT_RETRIES {
            match self.run_one(host, command.clone()).await {
                Err(error) if locked_out(&error) => {
                    tracing::info!(host, "glusterd is busy with another change; trying again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                other => return other,
            }
        }
        self.run_one(host, command).await
    }

    fn add_bricks(&self, name: &str, bricks: &[BrickAddress]) -> Cmd {
        self.gluster()
            .args(["volume", "add-brick", name])
            .args(bricks.iter().map(BrickAddress::to_string))
            .trailing_blank()
    }

    /// Makes and starts a volume (spec-ops.md 6.7): the first set by `create`, the others by `add-brick`, all options in
    /// one `set`.
    pub async fn volume_create(&self, cluster: ClusterId, host: &str, spec: &VolumeSpec) -> Result<(), NodeError> {
        let _turn = self.gluster.lock(cluster).await;
        let mut sets = spec.sets();
        let first = sets.next().unwrap_or_default();
        let create = self
            .gluster()
            .args(["volume", "create", &spec.name])
            .args(spec.type_words())
            .args(first.iter().map(BrickAddress::to_string))
            .trailing_blank();
        self.change(host, create).await?;
        self.complete_volume(host, spec, first.len()).await.map_err(NodeError::after_others)
    }

    /// The bricks after the first ones, the options, and the start.
    async fn complete_volume(&self, host: &str, spec: &VolumeSpec, made: usize) -> Result<(), NodeError> {
        let rest = spec.bricks.get(made..).unwrap_or_default();
        for bricks in rest.chunks(spec.sets_in_a_command() * made.max(1)) {
            self.change(host, self.add_bricks(&spec.name, bricks)).await?;
        }
        let mut set = self.gluster().args(["volume", "set", &spec.name]);
        for (key, value) in spec.options.for_gluster() {
            if value.is_empty() {
                // Gluster refuses it; among others, the next key would be its value.
                self.change(host, self.gluster().args(["volume", "set", &spec.name, key])).await?;
            } else if key == "group" {
                // Gluster takes a group only by itself.
                self.change(host, self.gluster().args(["volume", "set", &spec.name, key, value])).await?;
            } else {
                set = set.args([key, value]);
            }
        }
        self.change(host, set.arg("user.heketi.id").arg(spec.id.to_string())).await?;
        self.change(host, self.gluster().args(["volume", "start", &spec.name])).await.map(drop)
    }

    /// Adds bricks to a volume.
    pub async fn volume_expand(&self, cluster: ClusterId, host: &str, spec: &VolumeSpec) -> Result<(), NodeError> {
        let _turn = self.gluster.lock(cluster).await;
        let set = spec.durability.bricks_in_set().max(1) as usize;
        let mut commands =
            spec.bricks.chunks(spec.sets_in_a_command() * set).map(|bricks| self.add_bricks(&spec.name, bricks));
        if let Some(first) = commands.next() {
            self.change(host, first).await?;
        }
        for command in commands {
            self.change(host, command).await.map_err(NodeError::after_others)?;
        }
        Ok(())
    }

    /// Spreads old data over new bricks, if the configuration says so. A failure is logged only: the volume is larger
    /// all the same, and gluster can be told again at any time.
    pub async fn volume_rebalance(&self, cluster: ClusterId, host: &str, name: &str) {
        if self.settings.rebalance_on_expansion {
            let _turn = self.gluster.lock(cluster).await;
            if let Err(error) = self.change(host, self.gluster().args(["volume", "rebalance", name, "start"])).await {
                tracing::warn!(volume = name, "no rebalance after the expansion: {}", error.report());
            }
        }
    }

    /// Deletes a volume, unless gluster on this host does not know it.
    pub async fn volume_destroy(&self, cluster: ClusterId, host: &str, name: &str) -> Result<Destroyed, NodeError> {
        let _turn = self.gluster.lock(cluster).await;
        // A volume that is stopped or gone refuses this; the next command tells.
        if let Err(error) = self.change(host, self.gluster().args(["volume", "stop", name, "force"])).await
            && error.is_transport()
        {
            return Err(error);
        }
        match self.change(host, self.gluster().args(["volume", "delete", name])).await {
            Ok(_) => Ok(Destroyed::Now),
            Err(error) if error.is_transport() => Err(error),
            Err(error) => {
                if self.volume_names(host).await?.iter().any(|known| known == name) {
                    let text = format!("Unable to delete volume {name}: {error}");
                    Err(error.worded(text))
                } else {
                    Ok(Destroyed::NotKnown)
                }
            }
        }
    }

    /// Starts a volume; one that is started already is left so.
    pub async fn volume_start(&self, cluster: ClusterId, host: &str, name: &str) -> Result<(), NodeError> {
        let _turn = self.gluster.lock(cluster).await;
        self.change(host, self.gluster().args(["volume", "start", name, "force"])).await.map(drop)
    }

    /// Waits until gluster is through with any change of this volume that may still be under way, its creation included.
    /// What gluster says of the volume before that may change by itself: of a command whose connection broke, nobody
    /// knows whether glusterd still works on it.
    pub async fn volume_settle(&self, cluster: ClusterId, host: &str, name: &str) -> Result<(), NodeError> {
        let _turn = self.gluster.lock(cluster).await;
        // Changes nothing, but takes the lock of the volume first; what it says after that does not matter.
        match self.change(host, self.gluster().args(["volume", "status", name])).await {
            Err(error) if error.is_transport() || locked_out(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of all volumes.
    pub async fn volume_names(&self, host: &str) -> Result<Vec<String>, NodeError> {
        let output = self.run_one(host, self.gluster().args(["volume", "list"])).await?;
        // Without volumes it says "No volumes present in cluster": no volume can have such a name.
        Ok(output.stdout.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
    }

    /// What gluster says of a volume; `None` if it does not know it.
    pub async fn volume_info(&self, host: &str, name: &str) -> Result<Option<VolumeFacts>, NodeError> {
        let info = self.gluster().args(["volume", "info", name, "--xml"]);
        let output = match self.run_one(host, info.clone()).await {
            Ok(output) => output,
            Err(error) if error.is_transport() => return Err(error),
            Err(error) => {
                return if self.volume_names(host).await?.iter().any(|known| known == name) {
                    Err(error.worded(format!("Unable to get volume info of volume name: {name}")))
                } else {
                    Ok(None)
                };
            }
        };
        let read = xml::read(&output.stdout).map_err(|what| {
            answer(host, &info, what).worded(format!("Unable to determine volume info of volume name: {name}"))
        })?;
        if let Some(volume) = read.vol_info.volumes.volume.into_iter().find(|volume| volume.name == name) {
            return Ok(Some(VolumeFacts {
                started: volume.status_str == "Started",
                bricks: volume.bricks.brick.into_iter().map(|brick| brick.name).collect(),
            }));
        }
        if read.op_ret != 0 && !read.op_errstr.contains("does not exist") {
            return Err(answer(host, &info, format!("Unable to get info for {name}: {}", read.op_errstr)));
        }
        Ok(None)
    }
}
