//! A node that goes (spec-api.md 1.7).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::IN_USE;
use super::hosts::{Turn, manage_hosts};
use super::stages::{Cause, Failure, Resolution, Stages};
use super::{OpError, Ops};
use crate::exec::NodeError;
use crate::ids::{ClusterId, JobId, NodeId, OpId};
use crate::store::{Outcome, StoreError, Tx};
use crate::topology::Node;

/// The plan of a node's removal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeDeletePlan {
    node: NodeId,
    cluster: ClusterId,
    manage: String,
    storage: String,
    #[serde(skip)]
    turn: Turn,
}

fn check(tx: &Tx<'_>, id: NodeId) -> Result<NodeDeletePlan, OpError> {
    let node = tx.node(id)?.ok_or_else(OpError::id_not_found)?;
    if tx.node_has_devices(id)? {
        return Err(OpError::Conflict(format!("Unable to delete node [{id}] because it contains devices")));
    }
    Ok(NodeDeletePlan {
        node: id,
        cluster: node.cluster,
        manage: node.manage_host().to_owned(),
        storage: node.storage_host().to_owned(),
        turn: Turn::default(),
    })
}

impl Ops {
    /// Starts the removal of a node without devices.
    pub async fn node_delete(&self, id: NodeId) -> Result<JobId, OpError> {
        if self.store().read(|tx| Ok(tx.node(id)?.is_none() && tx.node_or_pending(id)?.is_some()))? {
            return Err(OpError::Conflict(IN_USE.to_owned()));
        }
        self.store_read(|tx| check(tx, id))?;
        self.start(false, move |_, tx, op| {
            let plan = check(tx, id)?;
            tx.set_node_pending(id, Some(op))?;
            Ok(plan)
        })
        .await
    }
}

impl NodeDeletePlan {
    /// The stored number of such operations.
    pub const KIND: i64 = 102;

    /// All that are in gluster's pool beside it: those that are going as well are so until they have gone.
    fn others(&self, ops: &Ops) -> Result<Vec<Node>, StoreError> {
        let mut others = ops.store().read(|tx| {
            let mut nodes = tx.nodes(self.cluster)?;
            nodes.extend(tx.nodes_of_operations(self.cluster, Self::KIND)?);
            Ok(nodes)
        })?;
        others.retain(|node| node.id != self.node);
        Ok(others)
    }
}

#[async_trait]
impl Stages for NodeDeletePlan {
    async fn exec(&mut self, ops: &Ops, _: OpId) -> Result<(), Failure> {
        // A node that is being added is in the pool, and not seen by us: it could be the only one left to ask.
        self.turn.take(&ops.0.peer_changes, self.cluster).await;
        let others = self.others(ops)?;
        if others.is_empty() {
            return Ok(());
        }
        let hosts = manage_hosts(&others, None);
        let nodes = ops.nodes();
        let detach = |host| nodes.peer_detach(self.cluster, host, &self.storage);
        let refused = match Ops::try_on_hosts(&hosts, NodeError::nothing_ran, detach).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // A node that is lost for good has to go too. Gluster asks for `force` then, and still refuses while the node
        // holds bricks of a volume. One that merely does not let us in may be alive.
        let lost = || async {
            let check = nodes.glusterd_check(&self.manage).await;
            check.is_err_and(|error| error.is_down_or_refused())
        };
        if !refused.is_transport() && lost().await {
            let force = |host| nodes.peer_detach_dead(self.cluster, host, &self.storage);
            return Ok(Ops::try_on_hosts(&hosts, NodeError::nothing_ran, force).await?);
        }
        Err(refused.into())
    }

    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError> {
        tx.remove_node(self.node)?;
        Ok(Outcome::Nothing)
    }

    /// A refusal leaves the node in gluster's pool and in the store. What is not sure is asked for again: of a node that
    /// is gone already gluster says so.
    async fn resolve(&mut self, ops: &Ops, op: OpId, cause: Cause<'_>) -> Result<Resolution, Failure> {
        if let Cause::Failed(Failure::Node(error, _)) = cause
            && error.nothing_ran()
        {
            return Ok(Resolution::Undone);
        }
        let refused = match self.exec(ops, op).await {
            Ok(()) => return Ok(Resolution::Done),
            Err(Failure::Node(error, _)) if !error.is_transport() => error,
            Err(failure) => return Err(failure),
        };
        let refused_before = matches!(cause, Cause::Failed(Failure::Node(error, _)) if !error.is_transport());
        if !refused_before {
            let others = self.others(ops)?;
            let hosts = manage_hosts(&others, None);
            let nodes = ops.nodes();
            if !Ops::try_on_hosts(&hosts, |_| true, |host| nodes.peer_listed(host, &self.storage)).await? {
                // It may have gone with the lost answer: gluster will say so another time.
                return Err(refused.into());
            }
        }
        tracing::warn!(node = %self.node, "the node stays: {}", refused.report());
        Ok(Resolution::Undone)
    }

    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        tx.set_node_pending(self.node, None)
    }
}
