//! A new volume (spec-ops.md 5.3 and 9.1).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::bricks::{NewBricks, PlacedBrick, load, reserve, show};
use super::hosts::manage_hosts;
use super::placing::{Demand, NotPlaced};
use super::stages::{Cause, Failure, Resolution, Stages};
use super::{OpError, Ops};
use crate::exec::NodeError;
use crate::exec::nodes::VolumeSpec;
use crate::ids::{BrickId, ClusterId, DeviceId, JobId, OpId, VolumeId};
use crate::placement::{PlannedBrick, check_volume_size};
use crate::store::{Outcome, StoreError, Tx};
use crate::topology::{Durability, DurabilityNumbers, Volume, VolumeOptions};
use crate::units::Gib;

/// A checked request for a volume.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeCreate {
    /// Size of the data.
    pub size: Gib,
    /// Clusters to choose from, in order, as the client sent them; empty for all.
    pub clusters: Vec<String>,
    /// Its name; empty for `vol_<id>`.
    pub name: String,
    /// How it survives the loss of bricks.
    pub durability: Durability,
    /// What the request said about that, to be told again.
    pub durability_numbers: DurabilityNumbers,
    /// Group that owns the brick directories.
    pub gid: i64,
    /// Options of the request alone.
    pub options: Vec<String>,
    /// It is to hold block volumes.
    pub block: bool,
    /// Factor for the thin pools, if snapshots are wanted.
    pub snapshot_factor: Option<f32>,
}

/// The plan of a new volume. All else is in the pending rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeCreatePlan {
    volume: VolumeId,
    bricks: NewBricks,
    retries_left: u32,
    /// Devices on which an attempt has failed.
    avoid: Vec<DeviceId>,
    /// Clusters to choose from when it is tried again.
    candidates: Vec<ClusterId>,
    /// The record that was rolled back, for another attempt.
    #[serde(skip)]
    removed: Option<Box<Volume>>,
}

/// What block volumes may use of a hosting volume, and what is kept back (spec-ops.md 2.6).
pub fn block_space(size: Gib) -> (Gib, Gib) {
    let free = size.0.saturating_mul(98) / 100;
    (Gib(free), Gib(size.0 - free))
}

impl Ops {
    /// Starts the creation of a volume. Refusals in the reference's order (spec-api.md 1.9).
    pub async fn volume_create(&self, request: VolumeCreate) -> Result<JobId, OpError> {
        let known: Vec<ClusterId> = self.store().read(|tx| tx.clusters())?.iter().map(|cluster| cluster.id).collect();
        if known.is_empty() {
            return Err(OpError::Invalid("No clusters configured".to_owned()));
        }
        let candidates = if request.clusters.is_empty() {
            known
        } else {
            let listed = request.clusters.iter().map(|text| {
                text.parse()
                    .ok()
                    .filter(|id| known.contains(id))
                    .ok_or_else(|| OpError::Invalid(format!("Cluster id {text} not found")))
            });
            listed.collect::<Result<_, _>>()?
        };
        check_volume_size(request.size, request.durability, &self.settings().limits)
            .map_err(|error| OpError::Invalid(error.to_string()))?;
        self.start(true, move |ops, tx, op| {
            build(ops, tx, op, request, candidates)
                .map_err(|error| error.while_building("Failed to allocate new volume"))
        })
        .await
    }
}

fn build(
    ops: &Ops,
    tx: &Tx<'_>,
    op: OpId,
    request: VolumeCreate,
    candidates: Vec<ClusterId>,
) -> Result<VolumeCreatePlan, OpError> {
    let id = VolumeId::random();
    let settings = ops.settings();
    let mut options = settings.pre_request_options.clone();
    if request.block {
        options.extend(settings.block_hosting_options.iter().cloned());
    }
    options.extend(request.options);
    options.extend(settings.post_request_options.iter().cloned());
    let mut volume = Volume {
        id,
        // Until one is chosen.
        cluster: ClusterId::from_bytes([0; 16]),
        name: if request.name.is_empty() { format!("vol_{id}") } else { request.name },
        size: request.size,
        durability: request.durability,
        durability_numbers: request.durability_numbers,
        gid: request.gid,
        options: VolumeOptions(options),
        block: request.block,
        snapshot: request.snapshot_factor.is_some(),
        snapshot_factor: request.snapshot_factor.unwrap_or(1.0),
        requested_clusters: request.clusters,
        pending: Some(op),
    };
    let (cluster, planned) = choose(ops, tx, &volume, &candidates, &[])?;
    volume.cluster = cluster;
    let (free, reserved) = if volume.block { block_space(volume.size) } else { (Gib(0), Gib(0)) };
    tx.add_volume(&volume, free, reserved)?;
    let bricks = reserve(tx, op, id, &planned)?;
    Ok(VolumeCreatePlan {
        volume: id,
        bricks: NewBricks::new(bricks),
        retries_left: settings.volume_create_retries,
        avoid: Vec::new(),
        candidates,
        removed: None,
    })
}

/// Errors of several clusters as one text (spec-ops.md 3.1): a single one stands for itself.
fn combined(prefix: &str, errors: &[(ClusterId, String)]) -> OpError {
    OpError::Failed(match errors {
        [] => "No space".to_owned(),
        [(_, only)] => only.clone(),
        several => {
            let lines: Vec<_> = several.iter().map(|(id, error)| format!("\nCluster {id}: {error}")).collect();
            format!("{prefix}{}", lines.concat())
        }
    })
}

/// The first cluster that takes the whole volume, and where its bricks go.
fn choose(
    ops: &Ops,
    tx: &Tx<'_>,
    volume: &Volume,
    candidates: &[ClusterId],
    avoid: &[DeviceId],
) -> Result<(ClusterId, Vec<PlannedBrick>), OpError> {
    let mut eligible = Vec::new();
    let mut errors = Vec::new();
    for id in candidates {
        let Some(cluster) = tx.cluster(*id)? else { continue };
        let count = tx.volume_count(*id)?;
        let refusal = if !cluster.file && !cluster.block {
            Some("Cluster has disabled all volume types".to_owned())
        } else if if volume.block { !cluster.block } else { !cluster.file } {
            Some("Cluster does not support requested volume type".to_owned())
        } else if tx.volume_name_taken(*id, &volume.name)? {
            Some(format!("Volume name '{}' already in use", volume.name))
        } else {
            ops.settings()
                .max_volumes_per_cluster
                .filter(|limit| u64::try_from(count).is_ok_and(|count| count >= *limit))
                .map(|limit| format!("Cluster has {count} volumes and limit is {limit}"))
        };
        match refusal {
            None => eligible.push(*id),
            Some(text) => errors.push((*id, text)),
        }
    }
    if eligible.is_empty() {
        return Err(combined("No eligible cluster for volume", &errors));
    }
    errors.clear();
    let demand = Demand {
        size: volume.size.to_kib(),
        durability: volume.durability,
        snapshot_factor: volume.snapshot_factor,
        options: &volume.options,
        existing_bricks: 0,
        avoid,
    };
    use crate::placement::PlacementError::{NoNodes, NoOnlineDevices};
    for id in eligible {
        match ops.place(tx, id, &demand) {
            Ok(planned) => return Ok((id, planned)),
            Err(NotPlaced::Refused(error)) if error.is_no_fit() || matches!(error, NoNodes | NoOnlineDevices) => {
                errors.push((id, error.into_no_space().to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(combined("Unable to create volume on any cluster:", &errors))
}

/// Gluster did nothing on this host, and another may be asked.
fn may_ask_another(error: &NodeError) -> bool {
    error.nothing_ran()
        || matches!(error, NodeError::Exit { stderr, .. } if stderr.contains("Please check if gluster daemon is operational"))
}

/// What gluster is told of a volume's bricks, or of those that are added.
pub fn spec(volume: &Volume, bricks: &[PlacedBrick]) -> VolumeSpec {
    VolumeSpec {
        id: volume.id,
        name: volume.name.clone(),
        durability: volume.durability,
        arbiter: volume.options.arbiter(),
        bricks: bricks.iter().map(PlacedBrick::address).collect(),
        options: volume.options.clone(),
    }
}

impl Ops {
    pub(super) fn load_volume(&self, id: VolumeId, bricks: &[BrickId]) -> Result<(Volume, Vec<PlacedBrick>), Failure> {
        let loaded = self.store().read(|tx| Ok((tx.volume(id)?, load(tx, bricks)?)))?;
        match loaded {
            (Some(volume), bricks) => Ok((volume, bricks)),
            (None, _) => Err(Failure::Text(super::error::ID_NOT_FOUND.to_owned())),
        }
    }

    /// Waits until gluster is at rest with a volume, if a command may still be at work on it.
    pub(super) async fn settle(&self, hosts: &[String], volume: &Volume, cause: Cause<'_>) -> Result<(), NodeError> {
        if cause.is_uncertain() {
            let nodes = self.nodes();
            let settle = |host| nodes.volume_settle(volume.cluster, host, &volume.name);
            Self::try_on_hosts(hosts, |_| true, settle).await?;
        }
        Ok(())
    }

    /// Asks a host of the first brick, then the others where nothing has run, to change gluster's volumes.
    pub(super) async fn on_gluster<'a, F>(hosts: &'a [String], call: impl Fn(&'a str) -> F) -> Result<(), NodeError>
    where
        F: Future<Output = Result<(), NodeError>>,
    {
        Self::try_on_hosts(hosts, may_ask_another, call).await
    }
}

#[async_trait]
impl Stages for VolumeCreatePlan {
    async fn exec(&mut self, ops: &Ops, _: OpId) -> Result<(), Failure> {
        let (volume, bricks) = ops.load_volume(self.volume, &self.bricks.ids)?;
        self.bricks.make(ops, &bricks, volume.gid).await?;
        let nodes = ops.cluster_nodes(volume.cluster)?;
        let hosts = manage_hosts(&nodes, bricks.first().map(|placed| placed.manage.as_str()));
        let spec = spec(&volume, &bricks);
        self.bricks.hand_over();
        Ok(Ops::on_gluster(&hosts, |host| ops.nodes().volume_create(volume.cluster, host, &spec)).await?)
    }

    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError> {
        show(tx, &self.bricks.ids)?;
        tx.set_volume_pending(self.volume, None)?;
        Ok(Outcome::Resource(format!("/volumes/{}", self.volume)))
    }

    async fn resolve(&mut self, ops: &Ops, _: OpId, cause: Cause<'_>) -> Result<Resolution, Failure> {
        let (volume, bricks) = ops.load_volume(self.volume, &self.bricks.ids)?;
        if self.bricks.may_be_known_to_gluster() {
            let hosts = manage_hosts(&ops.cluster_nodes(volume.cluster)?, None);
            ops.settle(&hosts, &volume, cause).await?;
            ops.volume_remove_if_ours(&hosts, &volume, &bricks).await?;
        }
        self.bricks.unmake(ops, &bricks).await?;
        Ok(Resolution::Undone)
    }

    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        self.bricks.release(tx)?;
        self.removed = tx.volume(self.volume)?.map(Box::new);
        tx.remove_volume(self.volume)
    }

    fn plan_again(&mut self, ops: &Ops, tx: &Tx<'_>, op: OpId, failure: &Failure) -> Result<bool, OpError> {
        let Some(mut volume) = self.removed.take().map(|volume| *volume) else { return Ok(false) };
        let Failure::Node(error, device) = failure else { return Ok(false) };
        let Some(left) = self.retries_left.checked_sub(1) else { return Ok(false) };
        let mut unreachable = None;
        match device.map_or(Ok(None), |id| tx.device(id))? {
            Some(device) if error.nothing_ran() => {
                self.avoid.extend(tx.devices(device.node)?.iter().map(|device| device.id));
                unreachable = Some(device.node);
            }
            _ => self.avoid.extend(device),
        }
        let (cluster, planned) = choose(ops, tx, &volume, &self.candidates, &self.avoid)?;
        // Without this node it does not fit, and it cannot be reached: an attempt would only make bricks on the others
        // and take them away again.
        if planned.iter().any(|brick| Some(brick.node) == unreachable) {
            return Ok(false);
        }
        volume.cluster = cluster;
        let (free, reserved) = if volume.block { block_space(volume.size) } else { (Gib(0), Gib(0)) };
        tx.add_volume(&volume, free, reserved)?;
        self.bricks = NewBricks::new(reserve(tx, op, self.volume, &planned)?);
        self.retries_left = left;
        Ok(true)
    }
}
