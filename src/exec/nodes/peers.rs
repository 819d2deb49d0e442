//! Gluster's pool of peers.

use super::{MINUTE, NodeError, Nodes};
use crate::exec::Cmd;
use crate::ids::ClusterId;

/// What a probe has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probed {
    /// It is in the pool now.
    Joined,
    /// It was in the pool before.
    WasMember,
}

impl Nodes {
    /// Fails unless glusterd runs on the host.
    pub async fn glusterd_check(&self, host: &str) -> Result<(), NodeError> {
        let command = Cmd::new("systemctl").arg("status").arg("glusterd").timeout(10 * MINUTE).quiet();
        self.run_one(host, command).await.map(drop)
    }

    /// Adds the node with this storage name to the pool of `host`. A member is left as it is.
    pub async fn peer_probe(&self, cluster: ClusterId, host: &str, storage: &str) -> Result<Probed, NodeError> {
        let _turn = self.gluster.lock(cluster).await;
        let output = self.run_one(host, self.gluster().args(["peer", "probe", storage])).await?;
        Ok(if output.stdout.contains("already in peer list") || output.stdout.contains("localhost not needed") {
            Probed::WasMember
        } else {
            Probed::Joined
        })
    }

    /// Sets the most snapshots of a volume, if the configuration has an opinion.
    pub async fn snapshot_limit(&self, cluster: ClusterId, host: &str) -> Result<(), NodeError> {
        let limit = self.settings.snapshot_limit;
        if limit > 0 {
            let _turn = self.gluster.lock(cluster).await;
            let config = self.gluster().args(["snapshot", "config", "snap-max-hard-limit"]).arg(limit.to_string());
            self.run_one(host, config).await?;
        }
        Ok(())
    }

    /// Whether gluster on `host` lists the node with this storage name among its peers.
    pub async fn peer_listed(&self, host: &str, storage: &str) -> Result<bool, NodeError> {
        let output = self.run_one(host, self.gluster().args(["pool", "list"])).await?;
        Ok(output.stdout.split_whitespace().any(|word| word == storage))
    }

    /// Whether gluster on `host` lists any other node.
    pub async fn has_peers(&self, host: &str) -> Result<bool, NodeError> {
        let output = self.run_one(host, self.gluster().args(["pool", "list"])).await?;
        // A heading, the host itself, and one line for each other.
        Ok(output.stdout.lines().filter(|line| !line.trim().is_empty()).count() > 2)
    }

    /// Removes the node with this storage name from the pool of `host`. One that is no member counts as removed.
    pub async fn peer_detach(&self, cluster: ClusterId, host: &str, storage: &str) -> Result<(), NodeError> {
        let _turn = self.gluster.lock(cluster).await;
        match self.run_one(host, self.gluster().args(["peer", "detach", storage])).await {
            Ok(_) => Ok(()),
            Err(NodeError::Exit { stderr, .. }) if stderr.contains("not part of cluster") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// As [`Nodes::peer_detach`], for a node that does not answer. Gluster refuses it while bricks of the node are in use.
    pub async fn peer_detach_dead(&self, cluster: ClusterId, host: &str, storage: &str) -> Result<(), NodeError> {
        let _turn = self.gluster.lock(cluster).await;
        self.run_one(host, self.gluster().args(["peer", "detach", storage, "force"])).await.map(drop)
    }
}
