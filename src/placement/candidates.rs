//! The devices that rules leave for a request, and what each attempt needs to know of them.

use std::collections::HashMap;
use std::ops::Range;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::rules::{Roles, TagRule, ZoneChecking};
use super::{ClusterView, DeviceView, NodeView, Refusal, Request, Space, space_needed};
use crate::topology::{BrickKind, EntryState};
use crate::units::Kib;

/// The element, or the default beyond the end.
pub(super) fn at<T: Copy + Default>(list: &[T], index: usize) -> T {
    list.get(index).copied().unwrap_or_default()
}

/// Changes the element, if there is one.
pub(super) fn update<T>(list: &mut [T], index: usize, change: impl FnOnce(&mut T)) {
    if let Some(element) = list.get_mut(index) {
        change(element);
    }
}

/// What steers the choice of devices beside space.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) zones: ZoneChecking,
    pub(super) tag: Option<TagRule<'a>>,
    /// The volume has the arbiter option: devices' arbiter tags count.
    pub(super) arbiter_tags: bool,
    /// Nodes that the last health check found down are used, after all others.
    pub(super) down_nodes: bool,
}

/// Why the device takes no brick, size aside.
pub(super) fn refusal(
    node: &NodeView,
    device: &DeviceView,
    request: &Request<'_>,
    tag: Option<TagRule<'_>>,
) -> Option<Refusal> {
    if node.state != EntryState::Online {
        Some(Refusal::Node(node.state))
    } else if device.state != EntryState::Online {
        Some(Refusal::Device(device.state))
    } else if request.avoid.contains(&device.id) {
        Some(Refusal::Avoided)
    } else if tag.is_some_and(|rule| !rule.accepts(node, device)) {
        Some(Refusal::Tag)
    } else {
        None
    }
}

/// A device that may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) node: &'a NodeView,
    pub(super) device: &'a DeviceView,
    pub(super) node_index: usize,
    pub(super) zone_index: usize,
    /// Bricks of one set are in different groups: zones if those are checked, else nodes.
    pub(super) group: usize,
    pub(super) roles: Roles,
    pub(super) down: bool,
    /// Decides between equals.
    pub(super) tie: u64,
    /// What is left of the device, in this attempt.
    pub(super) free: Kib,
    /// What a data brick of this attempt takes.
    pub(super) data: Space,
    /// What an arbiter brick of this attempt takes.
    pub(super) arbiter: Space,
}

impl Candidate<'_> {
    /// What a brick takes and how well it belongs here, if it may be here at all.
    pub(super) const fn role(&self, kind: BrickKind) -> Option<(u8, Space)> {
        let (rank, space) = match kind {
            BrickKind::Arbiter => (self.roles.arbiter, self.arbiter),
            BrickKind::Normal | BrickKind::Unknown => (self.roles.data, self.data),
        };
        match rank {
            Some(rank) => Some((rank, space)),
            None => None,
        }
    }

    /// How many bricks of the kind could be put here, if they were alone.
    pub(super) fn slots(&self, kind: BrickKind) -> u64 {
        let Some((_, space)) = self.role(kind) else { return 0 };
        self.free.0.saturating_sub(1).checked_div(space.total().0).unwrap_or(0)
    }
}

/// What is left of a node or zone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fill {
    free: u64,
    total: u64,
}

impl Fill {
    #[expect(clippy::cast_precision_loss, reason = "it only ranks")]
    pub(super) fn free_share(self) -> f64 {
        self.free as f64 / self.total.max(1) as f64
    }
}

/// The devices that may be used, and the sums over their nodes and zones.
#[derive(Debug, Clone)]
pub(super) struct Candidates<'a> {
    pub(super) list: Vec<Candidate<'a>>,
    /// By node: where its devices are in the list.
    pub(super) of_node: Vec<Range<usize>>,
    pub(super) nodes: Vec<Fill>,
    pub(super) zones: Vec<Fill>,
    pub(super) groups: usize,
}

impl<'a> Candidates<'a> {
    /// What the rules leave of the cluster.
    pub(super) fn collect(view: &'a ClusterView, request: &Request<'_>, rules: Rules<'_>) -> Self {
        let mut rng = StdRng::from_seed(request.seed);
        let mut zone_indexes = HashMap::new();
        let mut found = Self { list: Vec::new(), of_node: Vec::new(), nodes: Vec::new(), zones: Vec::new(), groups: 0 };
        for (node_index, node) in view.nodes.iter().enumerate() {
            let next = zone_indexes.len();
            let zone_index = *zone_indexes.entry(node.zone).or_insert(next);
            let start = found.list.len();
            found.nodes.push(Fill::default());
            found.zones.resize(zone_indexes.len(), Fill::default());
            for device in &node.devices {
                let tie = rng.next_u64();
                if (node.known_down && !rules.down_nodes) || refusal(node, device, request, rules.tag).is_some() {
                    continue;
                }
                for (fills, index) in [(&mut found.nodes, node_index), (&mut found.zones, zone_index)] {
                    update(fills, index, |fill| {
                        fill.free = fill.free.saturating_add(device.free.0);
                        fill.total = fill.total.saturating_add(device.total.0);
                    });
                }
                let none = Space { pool: Kib::ZERO, metadata: Kib::ZERO };
                found.list.push(Candidate {
                    node,
                    device,
                    node_index,
                    zone_index,
                    group: if rules.zones == ZoneChecking::Strict { zone_index } else { node_index },
                    roles: if rules.arbiter_tags { Roles::by_tag(node, device) } else { Roles::ANY_DATA },
                    down: node.known_down,
                    tie,
                    free: device.free,
                    data: none,
                    arbiter: none,
                });
            }
            found.of_node.push(start..found.list.len());
        }
        found.groups = found.nodes.len().max(found.zones.len());
        found
    }

    /// Sets what bricks of these sizes take on each device.
    pub(super) fn set_sizes(&mut self, data: Kib, arbiter: Option<Kib>, factor: f32) {
        let spaces_for = |extent| {
            let data = space_needed(data, factor, extent);
            (data, arbiter.map_or(data, |arbiter| space_needed(arbiter, factor, extent)))
        };
        let mut last: Option<(Kib, (Space, Space))> = None;
        for candidate in &mut self.list {
            let extent = candidate.device.extent;
            let spaces = match last {
                Some((of, spaces)) if of == extent => spaces,
                _ => spaces_for(extent),
            };
            last = Some((extent, spaces));
            (candidate.data, candidate.arbiter) = spaces;
        }
    }

    /// Room for bricks in each group, never more than one for each set.
    pub(super) fn room(&self, kinds: &[BrickKind]) -> Vec<u64> {
        let mut room = vec![0_u64; self.groups];
        for candidate in &self.list {
            let slots = kinds.iter().map(|kind| candidate.slots(*kind)).max().unwrap_or(0);
            update(&mut room, candidate.group, |sum| *sum = sum.saturating_add(slots));
        }
        room
    }

    /// Takes space for a brick.
    pub(super) fn take(&mut self, index: usize, kind: BrickKind) {
        let Some(candidate) = self.list.get_mut(index) else { return };
        let Some((_, space)) = candidate.role(kind) else { return };
        let taken = space.total();
        candidate.free = candidate.free.minus(taken);
        for (fills, index) in [(&mut self.nodes, candidate.node_index), (&mut self.zones, candidate.zone_index)] {
            update(fills, index, |fill| fill.free = fill.free.saturating_sub(taken.0));
        }
    }
}
