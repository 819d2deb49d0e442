//! Which nodes were found up or down. Only a hint: nodes that are not known count as up (spec-ops.md 3.8).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Ops;
use crate::ids::NodeId;
use crate::topology::EntryState;

const KEPT: Duration = Duration::from_secs(2 * 3600);

/// What the last checks found.
#[derive(Default)]
pub struct Health(Mutex<HashMap<NodeId, (bool, Instant)>>);

impl Health {
    /// The last check found the node down.
    pub fn is_down(&self, node: NodeId) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&node)
            .is_some_and(|(up, when)| !up && when.elapsed() < KEPT)
    }

    fn set(&self, node: NodeId, up: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(node, (up, Instant::now()));
        known.retain(|_, (_, when)| when.elapsed() < KEPT);
    }
}

impl Ops {
    /// Checks glusterd on all online nodes at once. A node that hangs delays its own answer, and the next round.
    pub async fn refresh_health(&self) {
        let nodes = match self.store().read(|tx| tx.all_nodes()) {
            Ok(nodes) => nodes,
            Err(error) => {
                tracing::warn!("the node health check cannot read the database: {error}");
                return;
            }
        };
        tracing::info!("Starting Node Health Status refresh");
        let mut checks = tokio::task::JoinSet::new();
        for node in nodes.into_iter().filter(|node| node.state == EntryState::Online) {
            let ops = self.clone();
            checks.spawn(async move {
                let up = ops.nodes().glusterd_check(node.manage_host()).await.is_ok();
                tracing::info!("Periodic health check status: node {} up={up}", node.id);
                ops.health().set(node.id, up);
            });
        }
        while checks.join_next().await.is_some() {}
    }
}
