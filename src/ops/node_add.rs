//! A new node (spec-api.md 1.7, spec-ops.md section 8).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::hosts::{Turn, manage_hosts};
use super::stages::{Cause, Failure, Resolution, Stages};
use super::{OpError, Ops};
use crate::exec::nodes::Probed;
use crate::ids::{ClusterId, JobId, NodeId, OpId};
use crate::store::{HostnameKind, Outcome, StoreError, Tx};
use crate::topology::{EntryState, Node, Tags};

/// A checked request for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAdd {
    /// The cluster it shall belong to, as the client sent it.
    pub cluster: String,
    /// Failure domain.
    pub zone: i64,
    /// Host names for SSH.
    pub manage: Vec<String>,
    /// Host names for gluster.
    pub storage: Vec<String>,
    /// Its tags.
    pub tags: Tags,
}

/// The plan of a new node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeAddPlan {
    node: NodeId,
    cluster: ClusterId,
    manage: String,
    storage: String,
    #[serde(skip)]
    turn: Turn,
    #[serde(skip)]
    probe: Probe,
}

/// What the probe may have left in gluster's pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Probe {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Nothing was sent.
    NotSent,
    /// The node was in the pool before.
    WasMember,
    /// The node was not in the pool before, and is now, or half.
    Ours,
}

fn check_hostnames(tx: &Tx<'_>, manage: &[String], storage: &[String]) -> Result<(), OpError> {
    for (kind, hosts) in [(HostnameKind::Manage, manage), (HostnameKind::Storage, storage)] {
        for host in hosts {
            if let Some(owner) = tx.hostname_owner(kind, host)? {
                // The reference's text ends in a line end of its own.
                return Err(OpError::Conflict(format!("Hostname {host} already used by node with id {owner}\n")));
            }
        }
    }
    Ok(())
}

impl Ops {
    /// Starts the addition of a node.
    pub async fn node_add(&self, request: NodeAdd) -> Result<JobId, OpError> {
        let unknown = || OpError::NotFound("Cluster id does not exist".to_owned());
        let cluster: ClusterId = request.cluster.parse().map_err(|_| unknown())?;
        let members = self.store_read(|tx| {
            tx.cluster(cluster)?.ok_or_else(unknown)?;
            check_hostnames(tx, &request.manage, &request.storage)?;
            Ok(tx.nodes(cluster)?)
        })?;
        let manage = request.manage.first().cloned().unwrap_or_default();
        let storage = request.storage.first().cloned().unwrap_or_default();
        self.nodes().introduce(&manage, &storage);
        if members.is_empty() {
            self.nodes().glusterd_check(&manage).await.map_err(|error| {
                tracing::error!("the new node cannot be used: {}", error.report());
                OpError::Invalid("New Node doesn't have glusterd running".to_owned())
            })?;
        } else if self.verified_host(&members).await.is_none() {
            return Err(OpError::Invalid("None of the nodes in cluster has glusterd running".to_owned()));
        }
        self.start(false, move |_, tx, op| {
            tx.cluster(cluster)?.ok_or_else(unknown)?;
            check_hostnames(tx, &request.manage, &request.storage)?;
            let node = Node {
                id: NodeId::random(),
                cluster,
                zone: request.zone,
                state: EntryState::Online,
                manage: request.manage,
                storage: request.storage,
                tags: request.tags,
            };
            tx.add_node(&node, Some(op))?;
            Ok(NodeAddPlan { node: node.id, cluster, manage, storage, turn: Turn::default(), probe: Probe::NotSent })
        })
        .await
    }
}

impl NodeAddPlan {
    async fn take_back(&self, ops: &Ops) -> Result<Resolution, Failure> {
        let members = ops.store().read(|tx| tx.nodes(self.cluster))?;
        let hosts = manage_hosts(&members, None);
        let nodes = ops.nodes();
        let detach = |host| nodes.peer_detach(self.cluster, host, &self.storage);
        if !hosts.is_empty()
            && let Err(error) = Ops::try_on_hosts(&hosts, |_| true, detach).await
            && Ops::try_on_hosts(&hosts, |_| true, |host| nodes.peer_listed(host, &self.storage)).await?
        {
            return Err(error.into());
        }
        Ok(Resolution::Undone)
    }
}

#[async_trait]
impl Stages for NodeAddPlan {
    async fn exec(&mut self, ops: &Ops, _: OpId) -> Result<(), Failure> {
        self.probe = Probe::NotSent;
        self.turn.take(&ops.0.peer_changes, self.cluster).await;
        let members = ops.store().read(|tx| tx.nodes(self.cluster))?;
        if members.is_empty() {
            return Ok(());
        }
        let Some(host) = ops.verified_host(&members).await else {
            return Err(Failure::Text("None of the nodes in cluster has glusterd running".to_owned()));
        };
        let probed = ops.nodes().peer_probe(self.cluster, &host, &self.storage).await;
        self.probe = match &probed {
            Ok(Probed::Joined) => Probe::Ours,
            Ok(Probed::WasMember) => Probe::WasMember,
            Err(error) if error.nothing_ran() => Probe::NotSent,
            Err(error) if error.is_transport() => Probe::Unknown,
            // A member would not have been refused; and what is refused may all the same be half in the pool.
            Err(_) => Probe::Ours,
        };
        probed?;
        Ok(ops.nodes().snapshot_limit(self.cluster, &host).await?)
    }

    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError> {
        tx.set_node_pending(self.node, None)?;
        Ok(Outcome::Resource(format!("/nodes/{}", self.node)))
    }

    /// A node of which nobody knows whether it was a member before must not be thrown out of the pool: the addition goes
    /// forward, which a member does not notice.
    async fn resolve(&mut self, ops: &Ops, op: OpId, _: Cause<'_>) -> Result<Resolution, Failure> {
        match self.probe {
            Probe::NotSent | Probe::WasMember => Ok(Resolution::Undone),
            Probe::Ours => self.take_back(ops).await,
            Probe::Unknown => match self.exec(ops, op).await {
                Ok(()) => Ok(Resolution::Done),
                Err(_) if self.probe == Probe::Ours => self.take_back(ops).await,
                Err(failure) => Err(failure),
            },
        }
    }

    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        tx.remove_node(self.node)
    }
}
