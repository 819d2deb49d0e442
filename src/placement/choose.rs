//! Which device each brick goes to, as evenly as the rules allow.

use std::cmp::Ordering;

use super::candidates::{Candidate, Candidates, at, update};
use super::exact;
use crate::topology::BrickKind;

/// What an attempt has to place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// How many sets.
    pub(super) sets: u64,
    /// Data bricks of each set.
    pub(super) data: u64,
    /// Whether each set has an arbiter brick too.
    pub(super) arbiter: bool,
}

/// A brick's device, by its place among the candidates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) candidate: usize,
    pub(super) kind: BrickKind,
}

/// What is known of the set being placed.
#[derive(Debug)]
struct CurrentSet {
    /// By group: has a brick of the set.
    used: Vec<bool>,
    /// By zone: how many bricks of the set it has.
    in_zone: Vec<u32>,
}

impl CurrentSet {
    fn new(candidates: &Candidates<'_>) -> Self {
        Self { used: vec![false; candidates.groups], in_zone: vec![0; candidates.zones.len()] }
    }

    fn clear(&mut self) {
        self.used.fill(false);
        self.in_zone.fill(0);
    }

    fn add(&mut self, candidate: &Candidate<'_>) {
        update(&mut self.used, candidate.group, |used| *used = true);
        update(&mut self.in_zone, candidate.zone_index, |count| *count += 1);
    }
}

/// How good a device is for a brick: the smallest rank is the best. Nodes thought to be down come last, then what
/// tags set aside for the kind comes first, then sets spread over zones, then space is used evenly, first of the
/// device, then of its zone and node.
struct Rank<'a> {
    order: (bool, u8, u32),
    free: f64,
    candidate: &'a Candidate<'a>,
}

impl<'a> Rank<'a> {
    #[expect(clippy::cast_precision_loss, reason = "it only ranks")]
    fn of(set: &CurrentSet, candidate: &'a Candidate<'a>, kind: BrickKind) -> Option<Self> {
        let (rank, space) = candidate.role(kind)?;
        if !space.fits_in(candidate.free) {
            return None;
        }
        Some(Self {
            order: (candidate.down, rank, at(&set.in_zone, candidate.zone_index)),
            // What would be left, so that small devices do not fill up first.
            free: candidate.free.minus(space.total()).0 as f64 / candidate.device.total.0.max(1) as f64,
            candidate,
        })
    }

    fn compare(&self, other: &Self, candidates: &Candidates<'_>) -> Ordering {
        let zone = |rank: &Self| at(&candidates.zones, rank.candidate.zone_index).free_share();
        let node = |rank: &Self| at(&candidates.nodes, rank.candidate.node_index).free_share();
        self.order
            .cmp(&other.order)
            .then_with(|| other.free.total_cmp(&self.free))
            .then_with(|| zone(other).total_cmp(&zone(self)))
            .then_with(|| node(other).total_cmp(&node(self)))
            .then_with(|| self.candidate.tie.cmp(&other.candidate.tie))
    }
}

/// The best device for a brick of the set, among those in groups that `allowed` lets pass.
fn best(
    candidates: &Candidates<'_>,
    set: &CurrentSet,
    kind: BrickKind,
    allowed: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut best: Option<(usize, Rank<'_>)> = None;
    for (index, candidate) in candidates.list.iter().enumerate() {
        if at(&set.used, candidate.group) || !allowed(candidate.group) {
            continue;
        }
        let Some(rank) = Rank::of(set, candidate, kind) else { continue };
        if best.as_ref().is_none_or(|(_, other)| rank.compare(other, candidates) == Ordering::Less) {
            best = Some((index, rank));
        }
    }
    best.map(|(index, _)| index)
}

/// Chooses the devices of all bricks, set after set in gluster's order.
///
/// # Errors
/// Only if there is no way to place them: for how many of them there would be room.
pub(super) fn choose(candidates: &Candidates<'_>, shape: Shape) -> Result<Vec<Pick>, u64> {
    let data = &[BrickKind::Normal];
    let room = candidates.room(data);
    let room_of_data = room_within(&room, shape.sets);
    if room_of_data < shape.sets.saturating_mul(shape.data) {
        return Err(room_of_data);
    }
    if !shape.arbiter {
        return uniform(candidates.clone(), room, shape).ok_or(room_of_data);
    }
    let room_of_arbiters = room_within(&candidates.room(&[BrickKind::Arbiter]), shape.sets);
    let room_of_all = room_within(&candidates.room(&[BrickKind::Normal, BrickKind::Arbiter]), shape.sets);
    let room_of_all = room_of_all.min(room_of_arbiters.saturating_add(shape.sets.saturating_mul(shape.data)));
    if room_of_all < shape.sets.saturating_mul(shape.data.saturating_add(1)) {
        return Err(room_of_all);
    }
    greedy_with_arbiters(candidates.clone(), shape).or_else(|| exact::choose(candidates, shape)).ok_or(room_of_all)
}

/// For how many bricks there is room if each group has at most one brick of each set.
fn room_within(room: &[u64], sets: u64) -> u64 {
    room.iter().fold(0, |sum: u64, room| sum.saturating_add((*room).min(sets)))
}

/// Places bricks that are all alike. With `m` sets of `k` bricks to go, they can be placed if and only if
/// `Σ min(room of group, m) >= m * k`. A brick in a group with room for all `m` sets costs nothing of what the sets
/// after this one need, any other costs one: so the rule says how many others this set may have, and the choice is
/// free within it and never has to be taken back.
fn uniform(mut candidates: Candidates<'_>, mut room: Vec<u64>, shape: Shape) -> Option<Vec<Pick>> {
    let kind = BrickKind::Normal;
    let mut picks = Vec::new();
    let mut set = CurrentSet::new(&candidates);
    for sets in (1..=shape.sets).rev() {
        set.clear();
        let mut spare = room_within(&room, sets - 1).saturating_sub((sets - 1).saturating_mul(shape.data));
        for _ in 0..shape.data {
            let index = best(&candidates, &set, kind, |group| spare > 0 || at(&room, group) >= sets)?;
            let candidate = candidates.list.get(index)?;
            set.add(candidate);
            update(&mut room, candidate.group, |room| {
                if *room < sets {
                    spare = spare.saturating_sub(1);
                }
                *room = room.saturating_sub(1);
            });
            candidates.take(index, kind);
            picks.push(Pick { candidate: index, kind });
        }
    }
    Some(picks)
}

/// Places sets with arbiter bricks without looking ahead: the arbiter first, then the data (spec-ops.md 3.5).
fn greedy_with_arbiters(mut candidates: Candidates<'_>, shape: Shape) -> Option<Vec<Pick>> {
    let mut picks = Vec::new();
    let mut set = CurrentSet::new(&candidates);
    let mut pick = |set: &mut CurrentSet, kind| {
        let index = best(&candidates, set, kind, |_| true)?;
        set.add(candidates.list.get(index)?);
        candidates.take(index, kind);
        Some(Pick { candidate: index, kind })
    };
    for _ in 0..shape.sets {
        set.clear();
        let arbiter = pick(&mut set, BrickKind::Arbiter)?;
        for _ in 0..shape.data {
            picks.push(pick(&mut set, BrickKind::Normal)?);
        }
        picks.push(arbiter);
    }
    Some(picks)
}
