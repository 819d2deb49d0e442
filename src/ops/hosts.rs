//! Which node is asked for what (spec-ops.md 6.5).

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use super::Ops;
use super::bricks::PlacedBrick;
use crate::exec::NodeError;
use crate::exec::nodes::{Destroyed, VolumeFacts};
use crate::ids::ClusterId;
use crate::store::StoreError;
use crate::topology::{EntryState, Node, Volume};

/// One turn at a time for each cluster or node.
pub struct Turns<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Turns<K> {
    async fn lock(&self, key: K) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        turn.lock_owned().await
    }
}

/// A turn that a plan holds, until what it has done is on the disk: whoever comes next has to see it.
#[derive(Debug, Default)]
pub struct Turn(Option<tokio::sync::OwnedMutexGuard<()>>);

impl Turn {
    /// Waits for the turn, unless it is held already.
    pub async fn take<K: Eq + Hash>(&mut self, turns: &Turns<K>, key: K) {
        if self.0.is_none() {
            self.0 = Some(turns.lock(key).await);
        }
    }
}

impl Clone for Turn {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Several hosts were asked, and none could do it.
fn combined(errors: Vec<(String, NodeError)>, total: usize) -> NodeError {
    let mut errors = errors;
    let Some((_, first)) = errors.first().cloned() else {
        return NodeError::Answer {
            host: String::new(),
            command: String::new(),
            what: format!("no hosts available ({total} total)"),
        };
    };
    if errors.len() == 1 {
        return first;
    }
    let text = if errors.iter().all(|(_, error)| error.to_string() == first.to_string()) {
        format!("All {} hosts: {first}", errors.len())
    } else {
        errors.sort_by(|a, b| a.0.cmp(&b.0));
        errors.iter().map(|(host, error)| format!("Host {host}: {error}")).collect::<Vec<_>>().join("\n")
    };
    // Whoever asks whether anything has run has to learn of the one host where it may have.
    let worst = |(_, error): &(String, NodeError)| (!error.nothing_ran(), error.is_transport());
    let cause = errors.into_iter().max_by_key(worst).map_or(first, |(_, error)| error);
    cause.worded(text)
}

impl Ops {
    /// The nodes of a cluster, those known to be down last.
    pub(super) fn cluster_nodes(&self, cluster: ClusterId) -> Result<Vec<Node>, StoreError> {
        let mut nodes = self.store().read(|tx| tx.nodes(cluster))?;
        nodes.sort_by_key(|node| self.health().is_down(node.id));
        Ok(nodes)
    }

    /// Asks the hosts in order until one succeeds. `go_on` says after which failures the next one may be asked.
    pub(super) async fn try_on_hosts<'a, T, F>(
        hosts: &'a [String],
        go_on: impl Fn(&NodeError) -> bool,
        call: impl Fn(&'a str) -> F,
    ) -> Result<T, NodeError>
    where
        F: Future<Output = Result<T, NodeError>>,
    {
        let mut errors = Vec::new();
        for host in hosts {
            match call(host).await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    let stop = !go_on(&error);
                    errors.push((host.clone(), error));
                    if stop {
                        break;
                    }
                }
            }
        }
        Err(combined(errors, hosts.len()))
    }

    /// That a host does not know a volume, while others do not answer, proves nothing if it knows no other host either: it
    /// has been set up anew, or has fallen out of the pool.
    async fn is_believable(&self, host: &str, all: &[String]) -> Result<bool, NodeError> {
        Ok(all.len() == 1 || self.nodes().has_peers(host).await?)
    }

    /// Whether the hosts that do not know a volume are enough to say that it is gone, given what the others failed with.
    async fn is_gone(
        &self,
        hosts: &[String],
        ignorant: &[String],
        errors: &mut Vec<(String, NodeError)>,
    ) -> Result<bool, NodeError> {
        if errors.is_empty() {
            return Ok(true);
        }
        for host in ignorant {
            match self.is_believable(host, hosts).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => errors.push((host.clone(), error)),
            }
        }
        Ok(false)
    }

    /// What gluster says of a volume. `None` only if no host that answers knows it, and one of them can be believed.
    pub(super) async fn volume_facts(&self, hosts: &[String], name: &str) -> Result<Option<VolumeFacts>, NodeError> {
        let (mut ignorant, mut errors) = (Vec::new(), Vec::new());
        for host in hosts {
            match self.nodes().volume_info(host, name).await {
                Ok(Some(facts)) => return Ok(Some(facts)),
                Ok(None) => ignorant.push(host.clone()),
                Err(error) => errors.push((host.clone(), error)),
            }
        }
        if self.is_gone(hosts, &ignorant, &mut errors).await? { Ok(None) } else { Err(combined(errors, hosts.len())) }
    }

    /// Makes sure that gluster does not know a volume: see [`Ops::volume_facts`].
    pub(super) async fn volume_remove(&self, hosts: &[String], volume: &Volume) -> Result<(), NodeError> {
        let (mut ignorant, mut errors) = (Vec::new(), Vec::new());
        for host in hosts {
            match self.nodes().volume_destroy(volume.cluster, host, &volume.name).await {
                Ok(Destroyed::Now) => return Ok(()),
                Ok(Destroyed::NotKnown) => ignorant.push(host.clone()),
                Err(error) => errors.push((host.clone(), error)),
            }
        }
        // Who refused, or may be at it still, knows the volume.
        let known = errors.iter().any(|(_, error)| !error.nothing_ran());
        if !known && self.is_gone(hosts, &ignorant, &mut errors).await? {
            Ok(())
        } else {
            Err(combined(errors, hosts.len()))
        }
    }

    /// Removes the gluster volume if it has our bricks: one that had the name before, or was given it since, is not ours to
    /// delete.
    pub(super) async fn volume_remove_if_ours(
        &self,
        hosts: &[String],
        volume: &Volume,
        bricks: &[PlacedBrick],
    ) -> Result<(), NodeError> {
        let Some(facts) = self.volume_facts(hosts, &volume.name).await? else { return Ok(()) };
        // The path alone has the ids of device and brick.
        let path = |name: &String| name.split_once(':').map(|(_, path)| path.to_owned());
        let ours = |name: &String| path(name).is_some_and(|path| bricks.iter().any(|placed| placed.brick.path == path));
        if facts.bricks.iter().any(ours) {
            self.volume_remove(hosts, volume).await
        } else {
            tracing::warn!(
                volume = volume.name,
                "gluster has a volume of this name that is not ours; it is left alone"
            );
            Ok(())
        }
    }

    /// The first online node, by ascending id, on which glusterd answers.
    pub(super) async fn verified_host(&self, nodes: &[Node]) -> Option<String> {
        for node in nodes.iter().filter(|node| node.state == EntryState::Online) {
            if self.nodes().glusterd_check(node.manage_host()).await.is_ok() {
                return Some(node.manage_host().to_owned());
            }
        }
        None
    }
}

/// Manage host names of nodes, with `first` in front.
pub fn manage_hosts(nodes: &[Node], first: Option<&str>) -> Vec<String> {
    let mut hosts: Vec<String> = first.into_iter().map(str::to_owned).collect();
    for node in nodes {
        if !hosts.iter().any(|host| host == node.manage_host()) {
            hosts.push(node.manage_host().to_owned());
        }
    }
    hosts
}
