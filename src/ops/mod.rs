//! The operations: what clients ask for, in terms of the store and the nodes. All undo and all recovery live here.
//!
//! Each operation runs as the engine does it (`engine.rs`): one transaction that plans it and takes its space, commands
//! on nodes with no transaction open, one transaction that makes it visible. What fails or is cut off is resolved from
//! what the nodes say: undone, or brought to its end.

mod admission;
mod bricks;
mod clusters;
mod device_add;
mod device_delete;
mod device_resync;
mod engine;
mod error;
mod health;
mod hosts;
mod node_add;
mod node_delete;
mod placing;
mod plan;
mod recovery;
mod stages;
mod states;
mod tags;
#[cfg(test)]
mod tests;
mod volume_create;
mod volume_delete;
mod volume_expand;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::task::TaskTracker;

pub use clusters::ClusterFlags;
pub use device_add::DeviceAdd;
pub use error::OpError;
pub use health::Health;
pub use node_add::NodeAdd;
pub use tags::TagsChange;
pub use volume_create::VolumeCreate;

use crate::exec::Nodes;
use crate::ids::{ClusterId, JobId};
use crate::placement::Limits;
use crate::store::Store;

/// What the configuration says about operations.
#[derive(Debug, Clone)]
pub struct OpsSettings {
    /// Limits on sizes and bricks.
    pub limits: Limits,
    /// Most volumes of a cluster, pending ones included; `None` is no limit.
    pub max_volumes_per_cluster: Option<u64>,
    /// Most operations at once; `None` is no limit.
    pub max_inflight: Option<u64>,
    /// How often a volume that could not be made on the nodes is tried again on others.
    pub volume_create_retries: u32,
    /// Put before the options of each request.
    pub pre_request_options: Vec<String>,
    /// Put after the options of each request.
    pub post_request_options: Vec<String>,
    /// Added to those of block hosting volumes.
    pub block_hosting_options: Vec<String>,
}

/// The reference's (spec-ops.md appendix B).
impl Default for OpsSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_volumes_per_cluster: Some(1000),
            max_inflight: Some(8),
            volume_create_retries: 4,
            pre_request_options: Vec::new(),
            post_request_options: Vec::new(),
            block_hosting_options: Vec::new(),
        }
    }
}

/// The operations on one store and its nodes. Cheap to clone: all clones are the same.
#[derive(Clone)]
pub struct Ops(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    nodes: Arc<Nodes>,
    settings: OpsSettings,
    admission: admission::Admission,
    health: Health,
    /// Of two nodes added to an empty cluster at once, the second has to see the first.
    peer_changes: hosts::Turns<ClusterId>,
    /// A disk that two requests add at once, perhaps by two names, becomes one device.
    device_adds: hosts::Turns<String>,
    tasks: TaskTracker,
}

/// How long answers of the queue are kept.
const JOBS_KEPT: Duration = Duration::from_secs(24 * 3600);

impl Ops {
    /// Operations on this store and these nodes.
    pub fn new(store: Arc<Store>, nodes: Arc<Nodes>, settings: OpsSettings) -> Self {
        let admission = admission::Admission::new(settings.max_inflight);
        Self(Arc::new(Inner {
            store,
            nodes,
            settings,
            admission,
            health: Health::default(),
            peer_changes: hosts::Turns::default(),
            device_adds: hosts::Turns::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The store behind the operations, to read from.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What is known of which nodes are up.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    fn nodes(&self) -> &Nodes {
        &self.0.nodes
    }

    fn settings(&self) -> &OpsSettings {
        &self.0.settings
    }

    /// How many operations this process works on. A client may have its answer a moment before the operation ends.
    pub fn under_way(&self) -> usize {
        self.0.admission.tracked()
    }

    /// Refuses new operations, and waits until those under way have ended, but no longer than `limit`. Returns how many
    /// are left for recovery.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.0.admission.close();
        self.0.tasks.close();
        let _ = tokio::time::timeout(limit, self.0.tasks.wait()).await;
        self.0.tasks.len()
    }

    /// A job that is answered at once: the change was made in the transaction that stored the answer.
    async fn job_done(
        &self,
        change: impl FnOnce(&crate::store::Tx<'_>) -> Result<crate::store::Outcome, OpError> + Send + 'static,
    ) -> Result<JobId, OpError> {
        let job = JobId::random();
        self.store_write(move |tx| {
            let outcome = change(tx)?;
            tx.add_job(job, now())?;
            tx.finish_job(job, &outcome, now())?;
            Ok(job)
        })
        .await
    }

    /// Reads with refusals of its own.
    fn store_read<T>(&self, query: impl FnOnce(&crate::store::Tx<'_>) -> Result<T, OpError>) -> Result<T, OpError> {
        self.0.store.read(|tx| Ok(query(tx)))?
    }

    async fn store_write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&crate::store::Tx<'_>) -> Result<T, OpError> + Send + 'static,
    ) -> Result<T, OpError> {
        self.0.store.write(change).await
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}
