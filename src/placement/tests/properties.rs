//! What holds whatever the cluster: rules are kept, and a placement is found if there is one.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;

/// Bricks of 512 MiB and up, so that tiny devices make interesting clusters.
fn small_limits() -> Limits {
    Limits { brick_min: Kib(GIB / 2), brick_max: Kib(4 * GIB), max_bricks_per_volume: 12, ..limits() }
}

const ARBITER_TAGS: [Option<&str>; 4] = [None, None, Some("required"), Some("disabled")];

/// Up to 5 nodes in up to 3 zones with up to 3 devices; here and there something is tagged, down or offline.
fn clusters() -> impl Strategy<Value = ClusterView> {
    let any_device = (0..5 * GIB, prop::sample::select(vec![0_u64, 4096, 65536]), 0..4_usize, 0..20_u8);
    let any_node = (0..3_i64, prop::collection::vec(any_device, 0..=3), 0..20_u8);
    prop::collection::vec(any_node, 1..=5).prop_map(|nodes| {
        let mut view = ClusterView::default();
        for (number, (zone, devices, odd)) in nodes.into_iter().enumerate() {
            let frees: Vec<u64> = devices.iter().map(|device| device.0).collect();
            let mut node = node(number, zone, &frees);
            node.known_down = odd == 0;
            node.state = if odd == 1 { EntryState::Offline } else { EntryState::Online };
            for (view, (_, extent, arbiter, odd)) in node.devices.iter_mut().zip(devices) {
                view.total = Kib(5 * GIB);
                view.extent = Kib(extent);
                view.state = if odd == 0 { EntryState::Failed } else { EntryState::Online };
                if let Some(value) = ARBITER_TAGS[arbiter] {
                    view.tags.insert("arbiter".to_owned(), value.to_owned());
                }
                if odd == 1 {
                    view.tags.insert("tier".to_owned(), "slow".to_owned());
                }
            }
            view.nodes.push(node);
        }
        view
    })
}

fn durabilities() -> impl Strategy<Value = Durability> {
    prop::sample::select(vec![
        Durability::None,
        Durability::Replicate(None),
        REPLICA_3,
        REPLICA_3,
        REPLICA_3,
        Durability::Disperse { data: 2, redundancy: 1 },
    ])
}

fn option_lists() -> impl Strategy<Value = VolumeOptions> {
    let all =
        ["user.heketi.arbiter true", "user.heketi.zone-checking strict", "user.heketi.device-tag-match tier!=slow"];
    (prop::sample::subsequence(all.to_vec(), 0..=3), 1..=4_u64).prop_map(|(mut list, average)| {
        let average = format!("user.heketi.average-file-size {average}");
        list.push(&average);
        options(&list)
    })
}

/// Reads the rules once more, as simply as can be.
fn usable(node: &NodeView, device: &DeviceView, kind: BrickKind, options: &VolumeOptions) -> bool {
    let tag = |name| device.tags.get(name).map(String::as_str);
    let arbiter = tag("arbiter").filter(|_| options.arbiter());
    node.state == EntryState::Online
        && device.state == EntryState::Online
        && (options.device_tag_match().is_none() || tag("tier") != Some("slow"))
        && arbiter != Some(if kind == BrickKind::Arbiter { "disabled" } else { "required" })
}

/// One device of a brute force search: its group, what is left, what bricks take.
struct Flat {
    group: u64,
    data: Option<u64>,
    arbiter: Option<u64>,
}

/// Whether the sets can be placed, by trying everything.
fn possible(
    flat: &[Flat],
    free: &mut Vec<u64>,
    set: &mut Vec<BrickKind>,
    kinds: &[BrickKind],
    used: &mut Vec<u64>,
    sets: u64,
    failed: &mut HashSet<(u64, Vec<u64>)>,
) -> bool {
    let Some(kind) = set.pop() else {
        if sets == 1 {
            return true;
        }
        if failed.contains(&(sets, free.clone())) {
            return false;
        }
        let fits = possible(flat, free, &mut kinds.to_vec(), kinds, &mut Vec::new(), sets - 1, failed);
        if !fits {
            failed.insert((sets, free.clone()));
        }
        return fits;
    };
    for (index, device) in flat.iter().enumerate() {
        let needed = if kind == BrickKind::Arbiter { device.arbiter } else { device.data };
        let Some(needed) = needed.filter(|needed| free[index] > *needed) else { continue };
        // Data bricks of a set are alike: only one order of them is tried.
        let ordered = kind == BrickKind::Arbiter
            || used.iter().skip(usize::from(kinds.contains(&BrickKind::Arbiter))).all(|g| *g < device.group);
        if used.contains(&device.group) || !ordered {
            continue;
        }
        free[index] -= needed;
        used.push(device.group);
        let fits = possible(flat, free, set, kinds, used, sets, failed);
        used.pop();
        free[index] += needed;
        if fits {
            set.push(kind);
            return true;
        }
    }
    set.push(kind);
    false
}

/// The way to cut the volume that fits, found by trying everything; nodes thought to be down included or not.
fn brute_force(view: &ClusterView, request: &Request<'_>, limits: &Limits, down: bool) -> Option<BrickSets> {
    let size = request.durability.bricks_in_set();
    let arbiter = request.options.arbiter() && request.durability == REPLICA_3;
    let mut kinds = vec![BrickKind::Normal; size as usize];
    if arbiter {
        kinds[size as usize - 1] = BrickKind::Arbiter;
    }
    let strict = request.options.zone_checking() == Some("strict");
    BrickSetGenerator::new(request.size, request.durability, limits)
        .take_while(|sets| sets.sets * u64::from(size) <= u64::from(limits.max_bricks_per_volume))
        .find(|sets| {
            let arbiter_size =
                arbiter_brick(sets.brick, Kib(request.options.average_file_size_kib().unwrap())).unwrap();
            let mut flat = Vec::new();
            let mut free = Vec::new();
            for (number, node) in view.nodes.iter().enumerate().filter(|(_, node)| down || !node.known_down) {
                for device in &node.devices {
                    let needed = |kind, size| {
                        let space = space_needed(size, request.snapshot_factor, device.extent);
                        usable(node, device, kind, request.options).then_some(space.total().0)
                    };
                    flat.push(Flat {
                        group: if strict { node.zone.unsigned_abs() } else { number as u64 },
                        data: needed(BrickKind::Normal, sets.brick),
                        arbiter: needed(BrickKind::Arbiter, arbiter_size),
                    });
                    free.push(device.free.0);
                }
            }
            let mut failed = HashSet::new();
            possible(&flat, &mut free, &mut kinds.clone(), &kinds, &mut Vec::new(), sets.sets, &mut failed)
        })
}

/// All the rules that a plan has to keep.
fn check_plan(view: &ClusterView, request: &Request<'_>, limits: &Limits, plan: &[PlannedBrick]) {
    let size = request.durability.bricks_in_set() as usize;
    let arbiter = request.options.arbiter() && request.durability == REPLICA_3;
    assert_eq!(plan.len() % size, 0);
    assert!(plan.len() as u64 <= u64::from(limits.max_bricks_per_volume));
    assert_eq!(plan.iter().map(|brick| brick.id).collect::<BTreeSet<_>>().len(), plan.len(), "ids differ");
    let data = request.durability.data_bricks();
    let sets = plan.len() / size;
    let brick_size = plan[0].size;
    assert!(brick_size >= limits.brick_min && brick_size <= limits.brick_max);
    // Rounding down costs less than one KiB for each data brick.
    let placed = brick_size.0 * sets as u64 * u64::from(data);
    assert!(placed <= request.size.0 && request.size.0 - placed < sets as u64 * u64::from(data));
    for set in plan.chunks(size) {
        let mut nodes = BTreeSet::new();
        let mut zones = BTreeSet::new();
        for (position, brick) in set.iter().enumerate() {
            let kind = if arbiter && position == 2 { BrickKind::Arbiter } else { BrickKind::Normal };
            let node = view.nodes.iter().find(|node| node.id == brick.node).unwrap();
            let device = node.devices.iter().find(|device| device.id == brick.device).unwrap();
            assert!(usable(node, device, kind, request.options));
            assert!(nodes.insert(node.id), "two bricks of a set on a node");
            let new_zone = zones.insert(node.zone);
            assert!(new_zone || request.options.zone_checking() != Some("strict"), "two bricks of a set in a zone");
            assert_eq!(brick.kind, kind);
            if kind == BrickKind::Normal {
                assert_eq!(brick.size, brick_size);
            }
            let space = space_needed(brick.size, request.snapshot_factor, device.extent);
            assert_eq!((brick.pool_size, brick.pool_metadata_size), (space.pool, space.metadata));
        }
    }
    apply(&mut view.clone(), plan);
}

/// Shares of what is used of each device, the least and the most.
fn used_shares(view: &ClusterView) -> (f64, f64) {
    let devices = view.nodes.iter().flat_map(|node| &node.devices);
    devices
        .map(|device| 1.0 - device.free.0 as f64 / device.total.0 as f64)
        .fold((1.0, 0.0), |(least, most), share| (share.min(least), share.max(most)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn rules_are_kept_and_whatever_is_possible_is_found(
        view in clusters(),
        size in GIB / 2..12 * GIB,
        durability in durabilities(),
        options in option_lists(),
        factor in prop::sample::select(vec![1.0_f32, 1.1, 1.5]),
        seed: [u8; 32],
    ) {
        let limits = small_limits();
        let request = Request { snapshot_factor: factor, seed, ..request(size, durability, &options) };
        let found = place(&view, &request, &limits);
        prop_assert_eq!(&found, &place(&view, &request, &limits), "the same again");
        let up = brute_force(&view, &request, &limits, false);
        let expected = up.or_else(|| brute_force(&view, &request, &limits, true));
        match (found, expected) {
            (Ok(plan), Some(sets)) => {
                prop_assert_eq!(plan.len() as u64, sets.sets * u64::from(durability.bricks_in_set()));
                prop_assert_eq!(plan[0].size, sets.brick);
                let down = |node| view.nodes.iter().any(|view| view.id == node && view.known_down);
                prop_assert!(up.is_none() || plan.iter().all(|brick| !down(brick.node)));
                check_plan(&view, &request, &limits, &plan);
            }
            (Err(error), None) => {
                prop_assert!(error.is_no_fit() || error == PlacementError::NoOnlineDevices, "{error:?}");
                if let Some(report) = error.report() {
                    prop_assert!(report.to_string().len() < 4096);
                }
            }
            (found, expected) => prop_assert!(false, "found {found:?}, expected {expected:?}"),
        }
    }

    /// Space that is placed is space that is taken, on the devices of the plan and nowhere else.
    #[test]
    fn space_is_conserved(view in clusters(), size in GIB / 2..6 * GIB, durability in durabilities()) {
        let none = options(&[]);
        if let Ok(plan) = place(&view, &request(size, durability, &none), &small_limits()) {
            let mut after = view.clone();
            apply(&mut after, &plan);
            let free = |view: &ClusterView| -> Kib {
                view.nodes.iter().flat_map(|node| &node.devices).map(|device| device.free).sum()
            };
            let taken: Kib = plan.iter().map(|brick| brick.pool_size.plus(brick.pool_metadata_size)).sum();
            prop_assert_eq!(free(&view), free(&after).plus(taken));
        }
    }

    /// A volume with one brick goes where most is left, so no device is ever ahead by more than one brick.
    #[test]
    fn devices_of_any_size_fill_evenly(
        totals in prop::collection::vec(20 * GIB..100 * GIB, 1..12),
        volumes in 1..60_usize,
    ) {
        let mut view = cluster(&[]);
        for (number, total) in totals.iter().enumerate() {
            let mut node = node(number, 1, &[*total]);
            node.devices[0].total = Kib(*total);
            view.nodes.push(node);
        }
        let brick = space_needed(Kib(GIB), 1.0, Kib(4096)).total().0 as f64;
        for volume in 0..volumes {
            let none = options(&[]);
            let seed = [u8::try_from(volume).unwrap(); 32];
            let request = Request { seed, ..request(GIB, Durability::None, &none) };
            let Ok(plan) = place(&view, &request, &limits()) else { break };
            apply(&mut view, &plan);
            let (least, most) = used_shares(&view);
            let smallest = *totals.iter().min().unwrap() as f64;
            prop_assert!(most - least <= brick / smallest + 1e-9, "{least} to {most}");
        }
    }

    /// On like nodes in like zones, sets fill devices to within one brick, and zones too.
    #[test]
    fn like_devices_fill_evenly(zones in 1..5_usize, nodes in 1..4_usize, devices in 1..4_usize, seed: [u8; 32]) {
        let frees = vec![100 * GIB; devices];
        let list: Vec<(i64, &[u64])> = (0..zones * nodes).map(|node| ((node % zones) as i64, &frees[..])).collect();
        let mut view = cluster(&list);
        let none = options(&[]);
        let brick = space_needed(Kib(GIB), 1.0, Kib(4096)).total();
        for copies in [3, 2, 1].repeat(5) {
            let request = Request { seed, ..request(GIB, Durability::Replicate(Some(copies)), &none) };
            let Ok(plan) = place(&view, &request, &limits()) else { continue };
            apply(&mut view, &plan);
            let mut used: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
            for node in &view.nodes {
                let of_zone = used.entry(node.zone).or_default();
                of_zone.extend(node.devices.iter().map(|device| (10_000 * GIB).min(100 * GIB) - device.free.0));
            }
            let all: Vec<u64> = used.values().flatten().copied().collect();
            let apart = all.iter().max().unwrap() - all.iter().min().unwrap();
            prop_assert!(apart <= brick.0, "devices are {} bricks apart", apart / brick.0);
        }
    }
}
