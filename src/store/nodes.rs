//! Nodes and the host names they have claimed.

use rusqlite::{OptionalExtension, Row};

use super::sql_types::{from_json, to_json};
use super::{StoreError, Tx};
use crate::ids::{ClusterId, NodeId, OpId};
use crate::topology::{EntryState, Node, Tags};

/// What a host name is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostnameKind {
    /// Commands are sent there.
    Manage,
    /// Gluster knows the node by it.
    Storage,
}

impl HostnameKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Manage => "manage",
            Self::Storage => "storage",
        }
    }
}

const COLUMNS: &str = "id, cluster, zone, state, manage, storage, tags";

fn node(row: &Row<'_>) -> Result<Node, StoreError> {
    Ok(Node {
        id: row.get(0)?,
        cluster: row.get(1)?,
        zone: row.get(2)?,
        state: row.get(3)?,
        manage: from_json("nodes", row.get_ref(4)?)?,
        storage: from_json("nodes", row.get_ref(5)?)?,
        tags: from_json("nodes", row.get_ref(6)?)?,
    })
}

impl Tx<'_> {
    /// One node that clients see.
    pub fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM nodes WHERE id = ?1 AND pending IS NULL"))?;
        let mut rows = statement.query([id])?;
        rows.next()?.map(node).transpose()
    }

    /// One node, whatever is under way with it.
    pub fn node_or_pending(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM nodes WHERE id = ?1"))?;
        let mut rows = statement.query([id])?;
        rows.next()?.map(node).transpose()
    }

    /// The nodes of a cluster that clients see, by ascending id.
    pub fn nodes(&self, cluster: ClusterId) -> Result<Vec<Node>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM nodes WHERE cluster = ?1 AND pending IS NULL ORDER BY id"
        ))?;
        let mut rows = statement.query([cluster])?;
        let mut nodes = Vec::new();
        while let Some(row) = rows.next()? {
            nodes.push(node(row)?);
        }
        Ok(nodes)
    }

    /// The nodes of a cluster that operations of this kind hold, by ascending id.
    pub fn nodes_of_operations(&self, cluster: ClusterId, kind: i64) -> Result<Vec<Node>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM nodes
             WHERE cluster = ?1 AND pending IN (SELECT id FROM operations WHERE kind = ?2) ORDER BY id"
        ))?;
        let mut rows = statement.query((cluster, kind))?;
        let mut nodes = Vec::new();
        while let Some(row) = rows.next()? {
            nodes.push(node(row)?);
        }
        Ok(nodes)
    }

    /// The first storage host names of a cluster's nodes, by the nodes' ascending ids.
    pub fn storage_hosts(&self, cluster: ClusterId) -> Result<Vec<String>, StoreError> {
        Ok(self.cluster_nodes(cluster)?.nodes.iter().map(|node| node.storage_host().to_owned()).collect())
    }

    /// All nodes of all clusters that clients see, by ascending id.
    pub fn all_nodes(&self) -> Result<Vec<Node>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM nodes WHERE pending IS NULL ORDER BY id"))?;
        let mut rows = statement.query([])?;
        let mut nodes = Vec::new();
        while let Some(row) = rows.next()? {
            nodes.push(node(row)?);
        }
        Ok(nodes)
    }

    /// Adds a node and claims its host names, which must be free: see [`Tx::hostname_owner`].
    pub fn add_node(&self, node: &Node, pending: Option<OpId>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO nodes (id, cluster, zone, state, manage, storage, tags, pending)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                node.id,
                node.cluster,
                node.zone,
                node.state,
                to_json("nodes", &node.manage)?,
                to_json("nodes", &node.storage)?,
                to_json("nodes", &node.tags)?,
                pending,
            ))?;
        for (kind, hosts) in [(HostnameKind::Manage, &node.manage), (HostnameKind::Storage, &node.storage)] {
            for host in hosts {
                // A request may name the same host twice for the same use.
                self.connection
                    .prepare_cached(
                        "INSERT INTO hostnames (kind, host, node) VALUES (?1, ?2, ?3)
                         ON CONFLICT (kind, host) DO UPDATE SET node = node WHERE node = excluded.node",
                    )?
                    .execute((kind.as_str(), host, node.id))?;
            }
        }
        Ok(())
    }

    /// The node that has claimed a host name, pending ones included.
    pub fn hostname_owner(&self, kind: HostnameKind, host: &str) -> Result<Option<NodeId>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT node FROM hostnames WHERE kind = ?1 AND host = ?2")?;
        Ok(statement.query_row((kind.as_str(), host), |row| row.get(0)).optional()?)
    }

    /// Removes a node that has no devices, and frees its host names.
    pub fn remove_node(&self, id: NodeId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM nodes WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Says which operation is adding or removing the node; `None` shows it to clients.
    pub fn set_node_pending(&self, id: NodeId, pending: Option<OpId>) -> Result<(), StoreError> {
        self.connection.prepare_cached("UPDATE nodes SET pending = ?2 WHERE id = ?1")?.execute((id, pending))?;
        Ok(())
    }

    /// Sets the state of a node.
    pub fn set_node_state(&self, id: NodeId, state: EntryState) -> Result<(), StoreError> {
        self.connection.prepare_cached("UPDATE nodes SET state = ?2 WHERE id = ?1")?.execute((id, state))?;
        Ok(())
    }

    /// Replaces the tags of a node.
    pub fn set_node_tags(&self, id: NodeId, tags: &Tags) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE nodes SET tags = ?2 WHERE id = ?1")?
            .execute((id, to_json("nodes", tags)?))?;
        Ok(())
    }

    /// The node has devices, pending ones included.
    pub fn node_has_devices(&self, id: NodeId) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM devices WHERE node = ?1)")?;
        Ok(statement.query_row([id], |row| row.get(0))?)
    }
}
