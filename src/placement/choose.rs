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

/// The best device of a node for one kind of brick. Within a node, what tags set aside for the kind comes first, then
/// space is used evenly.
#[derive(Debug, Clone, Copy)]
struct Favourite<'a> {
    index: usize,
    candidate: Candidate<'a>,
    rank: u8,
    /// The share of the device that would be left, so that small devices do not fill up first.
    free: f64,
}

impl<'a> Favourite<'a> {
    #[expect(clippy::cast_precision_loss, reason = "it only ranks")]
    fn new(index: usize, candidate: &Candidate<'a>, kind: BrickKind) -> Option<Self> {
        let (rank, space) = candidate.role(kind).filter(|(_, space)| space.fits_in(candidate.free))?;
        let free = candidate.free.minus(space.total()).0 as f64 / candidate.device.total.0.max(1) as f64;
        Some(Self { index, candidate: *candidate, rank, free })
    }

    fn compare_in_node(&self, other: &Self) -> Ordering {
        (self.rank.cmp(&other.rank))
            .then_with(|| other.free.total_cmp(&self.free))
            .then_with(|| self.candidate.tie.cmp(&other.candidate.tie))
    }

    /// The smaller one is better. Nodes thought to be down come last, then what tags set aside for the kind comes
    /// first, then sets spread over zones, then space is used evenly, first of the device, then of its zone and node.
    fn compare(&self, other: &Self, set: &CurrentSet, candidates: &Candidates<'_>) -> Ordering {
        let order = |it: &Self| (it.candidate.down, it.rank, at(&set.in_zone, it.candidate.zone_index));
        let zone = |it: &Self| at(&candidates.zones, it.candidate.zone_index).free_share();
        let node = |it: &Self| at(&candidates.nodes, it.candidate.node_index).free_share();
        (order(self).cmp(&order(other)))
            .then_with(|| other.free.total_cmp(&self.free))
            .then_with(|| zone(other).total_cmp(&zone(self)))
            .then_with(|| node(other).total_cmp(&node(self)))
            .then_with(|| self.candidate.tie.cmp(&other.candidate.tie))
    }
}

/// A choice under way: the candidates with what is left of them, and each node's favourites, so that a brick costs a
/// look at each node rather than at each device.
struct Choice<'a> {
    candidates: Candidates<'a>,
    data: Vec<Option<Favourite<'a>>>,
    arbiter: Vec<Option<Favourite<'a>>>,
    set: CurrentSet,
}

impl<'a> Choice<'a> {
    fn new(candidates: Candidates<'a>) -> Self {
        let nodes = candidates.nodes.len();
        let set = CurrentSet::new(&candidates);
        let mut choice = Self { candidates, data: vec![None; nodes], arbiter: vec![None; nodes], set };
        (0..nodes).for_each(|node| choice.find_favourites(node));
        choice
    }

    fn find_favourites(&mut self, node: usize) {
        let range = self.candidates.of_node.get(node).cloned().unwrap_or_default();
        let start = range.start;
        let devices = self.candidates.list.get(range).unwrap_or_default();
        let favourite = |kind| {
            let all = (start..).zip(devices).filter_map(|(index, device)| Favourite::new(index, device, kind));
            all.min_by(Favourite::compare_in_node)
        };
        update(&mut self.data, node, |entry| *entry = favourite(BrickKind::Normal));
        update(&mut self.arbiter, node, |entry| *entry = favourite(BrickKind::Arbiter));
    }

    /// Places a brick of the set on the best device, among those in groups that `allowed` lets pass. Also tells the
    /// group.
    fn place(&mut self, kind: BrickKind, allowed: impl Fn(usize) -> bool) -> Option<(Pick, usize)> {
        let favourites = if kind == BrickKind::Arbiter { &self.arbiter } else { &self.data };
        let free = |group| !at(&self.set.used, group) && allowed(group);
        let best = favourites
            .iter()
            .flatten()
            .filter(|it| free(it.candidate.group))
            .min_by(|one, other| one.compare(other, &self.set, &self.candidates))?;
        let (index, candidate) = (best.index, best.candidate);
        self.set.add(&candidate);
        self.candidates.take(index, kind);
        self.find_favourites(candidate.node_index);
        Some((Pick { candidate: index, kind }, candidate.group))
    }
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
fn uniform(candidates: Candidates<'_>, mut room: Vec<u64>, shape: Shape) -> Option<Vec<Pick>> {
    let mut picks = Vec::new();
    let mut choice = Choice::new(candidates);
    for sets in (1..=shape.sets).rev() {
        choice.set.clear();
        let mut spare = room_within(&room, sets - 1).saturating_sub((sets - 1).saturating_mul(shape.data));
        for _ in 0..shape.data {
            let (pick, group) = choice.place(BrickKind::Normal, |group| spare > 0 || at(&room, group) >= sets)?;
            update(&mut room, group, |room| {
                if *room < sets {
                    spare = spare.saturating_sub(1);
                }
                *room = room.saturating_sub(1);
            });
            picks.push(pick);
        }
    }
    Some(picks)
}

/// Places sets with arbiter bricks without looking ahead: the arbiter first, then the data (spec-ops.md 3.5).
fn greedy_with_arbiters(candidates: Candidates<'_>, shape: Shape) -> Option<Vec<Pick>> {
    let mut picks = Vec::new();
    let mut choice = Choice::new(candidates);
    for _ in 0..shape.sets {
        choice.set.clear();
        let (arbiter, _) = choice.place(BrickKind::Arbiter, |_| true)?;
        for _ in 0..shape.data {
            picks.push(choice.place(BrickKind::Normal, |_| true)?.0);
        }
        picks.push(arbiter);
    }
    Some(picks)
}
