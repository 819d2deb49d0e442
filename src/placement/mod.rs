//! Where bricks go and how large they are: pure, deterministic for a given view, request and seed (spec-ops.md
//! sections 2 and 3). Constraints are the reference's; among placements that satisfy them we prefer the one that keeps
//! devices and zones evenly filled (users.md 1.10).
//!
//! Where we depart from the reference: it walks a shuffled ring and gives up at a dead end, we find a placement
//! whenever there is one; a node that the last health check found down is used only if it does not fit otherwise,
//! rather than never; arbiter bricks have at least 300 MiB; and the arbiter option makes arbiter bricks of three-way
//! replicated volumes only (quirk Q18).

mod candidates;
mod choose;
mod error;
mod exact;
mod report;
mod rules;
mod sets;
mod sizing;
#[cfg(test)]
mod tests;

pub use error::PlacementError;
pub use report::{Attempt, Refusal, Report};
pub use sets::{BrickSetGenerator, BrickSets};
pub use sizing::{
    SMALLEST_ARBITER_BRICK, Space, VolumeTooSmall, arbiter_brick, check_volume_size, smallest_volume, space_needed,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use candidates::{Candidate, Candidates, Rules};
use choose::{Pick, Shape};
use rules::{TagRule, ZoneChecking};

use crate::ids::{BrickId, DeviceId, NodeId};
use crate::topology::{BrickKind, Durability, EntryState, Tags};
use crate::units::{Gib, Kib};

/// The limits of the server's configuration that bear on sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Smallest data brick, inclusive.
    pub brick_min: Kib,
    /// Largest brick, inclusive.
    pub brick_max: Kib,
    /// Most bricks of one volume.
    pub max_bricks_per_volume: u32,
    /// Average file size that an arbiter brick is sized for, unless the volume says otherwise.
    pub average_file_size: Kib,
    /// Zone checking unless the volume says otherwise: `none` or `strict`.
    pub zone_checking: String,
}

/// The reference's (spec-ops.md 2.1).
impl Default for Limits {
    fn default() -> Self {
        Self {
            brick_min: Gib(1).to_kib(),
            brick_max: Gib(4096).to_kib(),
            max_bricks_per_volume: 32,
            average_file_size: Kib(64),
            zone_checking: "none".to_owned(),
        }
    }
}

/// A device as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// Its id.
    pub id: DeviceId,
    /// Only online devices are used.
    pub state: EntryState,
    /// Size of the volume group.
    pub total: Kib,
    /// What is left of it.
    pub free: Kib,
    /// Pools are multiples of this.
    pub extent: Kib,
    /// The device's own tags.
    pub tags: Tags,
}

/// A node as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Failure domain.
    pub zone: i64,
    /// Only online nodes are used.
    pub state: EntryState,
    /// The last health check found it down. Unknown counts as up.
    pub known_down: bool,
    /// The node's own tags.
    pub tags: Tags,
    /// Its devices, by ascending id.
    pub devices: Vec<DeviceView>,
}

/// A cluster as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterView {
    /// Its nodes, by ascending id.
    pub nodes: Vec<NodeView>,
}

/// What is to be placed: a new volume, or what an expansion adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// Size to place, of the data alone.
    pub size: Kib,
    /// How it survives the loss of bricks.
    pub durability: Durability,
    /// Thin pools are this many times as large as their bricks.
    pub snapshot_factor: f32,
    /// Options of the volume; some steer placement.
    pub options: &'a crate::topology::VolumeOptions,
    /// Bricks the volume has already; they count against the limit.
    pub existing_bricks: u32,
    /// Devices to leave out, such as one that just failed.
    pub avoid: &'a [DeviceId],
    /// Everything random is drawn from this.
    pub seed: [u8; 32],
}

/// One brick of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBrick {
    /// Its new id.
    pub id: BrickId,
    /// Where it goes.
    pub device: DeviceId,
    /// The node of that device.
    pub node: NodeId,
    /// Size of the logical volume.
    pub size: Kib,
    /// Size of the thin pool.
    pub pool_size: Kib,
    /// Size of the thin pool's metadata.
    pub pool_metadata_size: Kib,
    /// Data or arbiter.
    pub kind: BrickKind,
}

/// Bricks of one set. A replica count of 0 means the default (spec-ops.md section 4).
const fn set_size(durability: Durability) -> u32 {
    match durability {
        Durability::Replicate(Some(0)) => Durability::Replicate(None).bricks_in_set(),
        other => other.bricks_in_set(),
    }
}

/// Places all bricks of the request, in the first way to cut it that fits (spec-ops.md 2.2, section 3). The bricks
/// are in gluster's order, set after set, each set's arbiter brick last.
///
/// # Errors
/// If it does not fit or cannot be placed at all.
pub fn place(view: &ClusterView, request: &Request<'_>, limits: &Limits) -> Result<Vec<PlannedBrick>, PlacementError> {
    let tag = TagRule::of(request.options);
    let mut attempts = Attempts {
        view,
        request,
        limits,
        rules: Rules {
            zones: ZoneChecking::of(request.options, &limits.zone_checking),
            tag: tag.as_ref().ok().copied().flatten(),
            arbiter_tags: request.options.arbiter(),
            down_nodes: false,
        },
        // Told only once the request is known not to be too large or too small for any cluster, as the reference does.
        usable: tag.and_then(|_| check_devices(view)),
    };
    let placed = attempts.run();
    if placed.is_err() && view.nodes.iter().any(|node| node.known_down) {
        attempts.rules.down_nodes = true;
        return attempts.run();
    }
    placed
}

/// Refuses a cluster where nothing can be placed, whatever the request (spec-ops.md 3.1).
fn check_devices(view: &ClusterView) -> Result<(), PlacementError> {
    if view.nodes.is_empty() {
        return Err(PlacementError::NoNodes);
    }
    let mut online = view.nodes.iter().filter(|node| node.state == EntryState::Online).flat_map(|node| &node.devices);
    if online.any(|device| device.state == EntryState::Online) { Ok(()) } else { Err(PlacementError::NoOnlineDevices) }
}

/// The ways to cut a request, tried one after another.
struct Attempts<'a> {
    view: &'a ClusterView,
    request: &'a Request<'a>,
    limits: &'a Limits,
    rules: Rules<'a>,
    usable: Result<(), PlacementError>,
}

impl Attempts<'_> {
    fn run(&self) -> Result<Vec<PlannedBrick>, PlacementError> {
        let request = self.request;
        let set_size = u64::from(set_size(request.durability));
        let arbiter =
            request.options.arbiter() && matches!(request.durability, Durability::Replicate(_)) && set_size == 3;
        let mut candidates = None;
        let mut report = Report { strict_zones: self.rules.zones == ZoneChecking::Strict, ..Report::default() };
        for BrickSets { sets, brick } in BrickSetGenerator::new(request.size, request.durability, self.limits) {
            let bricks = sets.saturating_mul(set_size);
            let mut attempt = Attempt { sets, brick, arbiter: None, bricks, room: None };
            let of_volume = bricks.saturating_add(u64::from(request.existing_bricks));
            if of_volume > u64::from(self.limits.max_bricks_per_volume) {
                report.add_attempt(attempt);
                self.report_devices(&mut report, candidates.as_ref(), arbiter);
                return Err(PlacementError::MaxBricks(Box::new(report)));
            }
            self.usable.clone()?;
            if arbiter {
                attempt.arbiter = Some(self.arbiter_brick(brick)?);
            }
            let candidates = candidates.get_or_insert_with(|| Candidates::collect(self.view, request, self.rules));
            candidates.set_sizes(brick, attempt.arbiter, request.snapshot_factor);
            let shape = Shape { sets, data: set_size.saturating_sub(u64::from(arbiter)), arbiter };
            match choose::choose(candidates, shape) {
                Ok(picks) => return Ok(self.plan(candidates, &picks, &attempt)),
                Err(room) => report.add_attempt(Attempt { room: Some(room), ..attempt }),
            }
        }
        self.report_devices(&mut report, candidates.as_ref(), arbiter);
        Err(PlacementError::MinBrickSize(Box::new(report)))
    }

    fn arbiter_brick(&self, brick: Kib) -> Result<Kib, PlacementError> {
        let average = self.request.options.average_file_size_kib().map_or(self.limits.average_file_size, Kib);
        arbiter_brick(brick, average).ok_or(PlacementError::AverageFileSize { average, brick })
    }

    fn plan(&self, candidates: &Candidates<'_>, picks: &[Pick], attempt: &Attempt) -> Vec<PlannedBrick> {
        // The numbers that decide between equal devices come from another stream.
        let mut seed = self.request.seed;
        seed.iter_mut().for_each(|byte| *byte = !*byte);
        let mut rng = StdRng::from_seed(seed);
        let brick = |pick: &Pick| {
            let candidate = candidates.list.get(pick.candidate)?;
            let (_, space) = candidate.role(pick.kind)?;
            Some(PlannedBrick {
                id: BrickId::from_bytes(rng.random()),
                device: candidate.device.id,
                node: candidate.node.id,
                size: attempt.arbiter.filter(|_| pick.kind == BrickKind::Arbiter).unwrap_or(attempt.brick),
                pool_size: space.pool,
                pool_metadata_size: space.metadata,
                kind: pick.kind,
            })
        };
        picks.iter().filter_map(brick).collect()
    }

    /// Says of each device why it takes no brick of the size last tried, if one was.
    fn report_devices(&self, report: &mut Report, candidates: Option<&Candidates<'_>>, arbiter: bool) {
        let Some(candidates) = candidates else { return };
        let mut candidates = candidates.list.iter().peekable();
        for node in &self.view.nodes {
            for device in &node.devices {
                let refusal = match candidates.next_if(|candidate| candidate.device.id == device.id) {
                    Some(candidate) => too_small(candidate, arbiter),
                    None => candidates::refusal(node, device, self.request, self.rules.tag),
                };
                report.add_device(device.id, refusal);
            }
        }
    }
}

/// Why the device does not even take the smallest brick that it may hold.
fn too_small(candidate: &Candidate<'_>, arbiter: bool) -> Option<Refusal> {
    let kinds: &[BrickKind] = if arbiter { &[BrickKind::Normal, BrickKind::Arbiter] } else { &[BrickKind::Normal] };
    let spaces = kinds.iter().filter_map(|kind| candidate.role(*kind)).map(|(_, space)| space);
    match spaces.min_by_key(|space| space.total()) {
        Some(space) if space.fits_in(candidate.free) => None,
        Some(space) => Some(Refusal::Space { free: candidate.free, needed: space.total() }),
        None => Some(Refusal::ArbiterTag),
    }
}
