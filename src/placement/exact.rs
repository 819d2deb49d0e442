//! Sets with arbiter bricks, where data and arbiter bricks compete for devices and choosing one after another fails.
//!
//! Which device holds how many bricks of each kind is found by dynamic programming, first over the devices of a group
//! (a node, or a zone if zones are checked), then over the groups. A group may have at most one brick of each set, so
//! it has at most as many bricks as there are sets; that is all that is needed: the bipartite multigraph of groups and
//! the places of a set then has no degree above the number of sets, so its edges can be coloured with that many
//! colours (König), and each colour is a set. The colours are taken off one by one, in each set using every group that
//! has as many bricks left as there are sets left.

use super::candidates::{Candidate, Candidates, at, update};
use super::choose::{Pick, Shape};
use crate::topology::BrickKind;

/// For each number of arbiter bricks, how many data bricks fit beside them. It ends where arbiter bricks do not fit.
type Table = Vec<u64>;

/// How many bricks of each kind go somewhere.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    data: u64,
    arbiters: u64,
}

impl Share {
    fn of(self, kind: BrickKind) -> u64 {
        if kind == BrickKind::Arbiter { self.arbiters } else { self.data }
    }

    fn take(&mut self, kind: BrickKind) {
        let count = if kind == BrickKind::Arbiter { &mut self.arbiters } else { &mut self.data };
        *count = count.saturating_sub(1);
    }

    fn bricks(self) -> u64 {
        self.data.saturating_add(self.arbiters)
    }
}

/// What fits on a device, up to one brick of each set.
fn device_table(candidate: &Candidate<'_>, sets: u64) -> Table {
    let room = candidate.free.0.saturating_sub(1);
    let arbiter = candidate.role(BrickKind::Arbiter).map(|(_, space)| space.total().0);
    let data = candidate.role(BrickKind::Normal).map(|(_, space)| space.total().0);
    let mut table = Table::new();
    for arbiters in 0..=sets {
        let left = match arbiter {
            Some(size) => size.checked_mul(arbiters).and_then(|taken| room.checked_sub(taken)),
            None => (arbiters == 0).then_some(room),
        };
        let Some(left) = left else { break };
        table.push(data.and_then(|size| left.checked_div(size)).unwrap_or(0).min(sets));
    }
    table
}

/// What fits on both, up to these numbers of arbiter and data bricks.
fn add(one: &Table, other: &Table, most: Share) -> Table {
    let mut sum = Table::new();
    for (arbiters, data) in one.iter().enumerate() {
        for (more_arbiters, more_data) in other.iter().enumerate() {
            let index = arbiters + more_arbiters;
            if index as u64 > most.arbiters {
                break;
            }
            if sum.len() <= index {
                sum.resize(index + 1, 0);
            }
            update(&mut sum, index, |best: &mut u64| *best = (*best).max((data + more_data).min(most.data)));
        }
    }
    sum
}

/// What fits on the first none, one, two, … and all of them.
fn sums(tables: &[Table], most: Share) -> Vec<Table> {
    let mut sums = vec![vec![0]];
    for table in tables {
        let sum = sums.last().map(|last| add(last, table, most)).unwrap_or_default();
        sums.push(sum);
    }
    sums
}

/// Shares bricks out, as evenly as the tables allow; `None` if they do not fit.
fn share_out(tables: &[Table], sums: &[Table], mut left: Share) -> Option<Vec<Share>> {
    let mut shares = vec![Share::default(); tables.len()];
    for (index, table) in tables.iter().enumerate().rev() {
        let parts = index as u64 + 1;
        let before = sums.get(index)?;
        let fair = Share { data: left.data.div_ceil(parts), arbiters: left.arbiters.div_ceil(parts) };
        let options = table.iter().zip(0_u64..).filter_map(|(data, arbiters)| {
            let others = left.arbiters.checked_sub(arbiters)?;
            let others = *before.get(usize::try_from(others).ok()?)?;
            let least = left.data.saturating_sub(others);
            (least <= *data).then(|| Share { data: fair.data.clamp(least, *data), arbiters })
        });
        let share = options.min_by_key(|share| share.arbiters.abs_diff(fair.arbiters))?;
        let share = Share { data: share.data.min(left.data), ..share };
        left = Share { data: left.data - share.data, arbiters: left.arbiters - share.arbiters };
        update(&mut shares, index, |entry| *entry = share);
    }
    (left.bricks() == 0).then_some(shares)
}

/// How many bricks of each kind each candidate gets.
fn share_among_devices(candidates: &Candidates<'_>, shape: Shape) -> Option<Vec<Share>> {
    let mut members = vec![Vec::new(); candidates.groups];
    for (index, candidate) in candidates.list.iter().enumerate() {
        update(&mut members, candidate.group, |group| {
            group.push((index, device_table(candidate, shape.sets)));
        });
    }
    let in_group = Share { data: shape.sets, arbiters: shape.sets };
    let groups: Vec<(Vec<usize>, Vec<Table>, Vec<Table>)> = members
        .into_iter()
        .map(|members| {
            let (indexes, tables): (Vec<_>, Vec<_>) = members.into_iter().unzip();
            let sums = sums(&tables, in_group);
            (indexes, tables, sums)
        })
        .collect();
    let tables: Vec<Table> = groups
        .iter()
        .map(|(_, _, sums)| {
            let all = sums.last().into_iter().flatten();
            // One brick of each set and group, of whatever kind.
            all.zip(0_u64..).map(|(data, arbiters)| (*data).min(shape.sets.saturating_sub(arbiters))).collect()
        })
        .collect();
    let wanted = Share { data: shape.sets.saturating_mul(shape.data), arbiters: shape.sets };
    let by_group = share_out(&tables, &sums(&tables, wanted), wanted)?;
    let mut shares = vec![Share::default(); candidates.list.len()];
    for ((indexes, tables, sums), wanted) in groups.iter().zip(by_group) {
        for (index, share) in indexes.iter().zip(share_out(tables, sums, wanted)?) {
            update(&mut shares, *index, |entry| *entry = share);
        }
    }
    Some(shares)
}

/// The groups of one set: of its arbiter brick, then of its data bricks.
fn groups_of_set(groups: &[Share], sets_left: u64, data: usize) -> Option<Vec<usize>> {
    let mut arbiters: Vec<usize> = (0..groups.len()).filter(|group| at(groups, *group).arbiters > 0).collect();
    arbiters.sort_by_key(|group| std::cmp::Reverse(at(groups, *group).bricks()));
    arbiters.into_iter().find_map(|arbiter| {
        let mut others: Vec<usize> =
            (0..groups.len()).filter(|group| *group != arbiter && at(groups, *group).data > 0).collect();
        others.sort_by_key(|group| std::cmp::Reverse(at(groups, *group).bricks()));
        others.truncate(data);
        let mut chosen = vec![arbiter];
        chosen.extend(others);
        // No group may be left with more bricks than there are sets.
        let mut urgent = (0..groups.len()).filter(|group| at(groups, *group).bricks() >= sets_left);
        let all_urgent = urgent.all(|group| chosen.contains(&group));
        (chosen.len() == data + 1 && all_urgent).then_some(chosen)
    })
}

/// The member of the group with bricks of the kind to take that has the largest share of its space left.
fn member(candidates: &Candidates<'_>, shares: &[Share], group: usize, kind: BrickKind) -> Option<usize> {
    let free = |candidate: &Candidate<'_>| {
        u128::from(candidate.free.0).saturating_mul(1 << 32) / u128::from(candidate.device.total.0.max(1))
    };
    let members = candidates.list.iter().enumerate().filter(|(_, candidate)| candidate.group == group);
    let members = members.filter(|(index, _)| at(shares, *index).of(kind) > 0);
    members.max_by_key(|(_, candidate)| free(candidate)).map(|(index, _)| index)
}

/// Chooses the devices of all bricks; `None` only if there is no way to place them.
pub(super) fn choose(candidates: &Candidates<'_>, shape: Shape) -> Option<Vec<Pick>> {
    let mut candidates = candidates.clone();
    let mut shares = share_among_devices(&candidates, shape)?;
    let mut groups = vec![Share::default(); candidates.groups];
    for (candidate, share) in candidates.list.iter().zip(&shares) {
        update(&mut groups, candidate.group, |group| {
            group.data = group.data.saturating_add(share.data);
            group.arbiters = group.arbiters.saturating_add(share.arbiters);
        });
    }
    let data = usize::try_from(shape.data).ok()?;
    let mut picks = Vec::new();
    for sets_left in (1..=shape.sets).rev() {
        let mut set = Vec::new();
        for (position, group) in groups_of_set(&groups, sets_left, data)?.into_iter().enumerate() {
            let kind = if position == 0 { BrickKind::Arbiter } else { BrickKind::Normal };
            let index = member(&candidates, &shares, group, kind)?;
            update(&mut shares, index, |share| share.take(kind));
            update(&mut groups, group, |share| share.take(kind));
            candidates.take(index, kind);
            set.push(Pick { candidate: index, kind });
        }
        set.rotate_left(1);
        picks.append(&mut set);
    }
    Some(picks)
}
