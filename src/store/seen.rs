//! What has been read of a cluster's nodes, so that it need not be read again before it changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::OptionalExtension;

use super::devices::DeviceSpace;
use super::{StoreError, Tx};
use crate::ids::ClusterId;
use crate::topology::Node;

/// The nodes and devices of a cluster that clients see, at one version of them.
#[derive(Debug)]
pub struct ClusterNodes {
    /// The nodes, by ascending id.
    pub nodes: Vec<Node>,
    /// Their devices, by node and then by ascending id. `free` is what it was when they were read.
    pub devices: Vec<DeviceSpace>,
}

/// The last version read of each cluster's nodes. The version is in the database and changes in the transaction that
/// changes them, so a snapshot or transaction that finds the same version would read the same.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<ClusterId, (i64, Arc<ClusterNodes>)>>);

impl Seen {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterId, (i64, Arc<ClusterNodes>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tx<'_> {
    /// The nodes and devices of a cluster that clients see.
    pub fn cluster_nodes(&self, cluster: ClusterId) -> Result<Arc<ClusterNodes>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT nodes_version FROM clusters WHERE id = ?1")?;
        let version: Option<i64> = statement.query_row([cluster], |row| row.get(0)).optional()?;
        if let Some((seen, nodes)) = self.seen.lock().get(&cluster)
            && Some(*seen) == version
        {
            return Ok(Arc::clone(nodes));
        }
        let read = Arc::new(ClusterNodes { nodes: self.nodes(cluster)?, devices: self.read_device_spaces(cluster)? });
        match version {
            Some(version) => drop(self.seen.lock().insert(cluster, (version, Arc::clone(&read)))),
            None => drop(self.seen.lock().remove(&cluster)),
        }
        Ok(read)
    }
}
