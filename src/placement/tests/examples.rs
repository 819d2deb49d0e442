//! The tables of spec-ops.md section 2, and the rules of section 3 one by one.

use super::*;

const TIB: u64 = 1024 * GIB;

fn yields(size: u64, durability: Durability) -> Vec<(u64, u64)> {
    BrickSetGenerator::new(Kib(size), durability, &limits()).map(|sets| (sets.sets, sets.brick.0)).collect()
}

#[test]
fn volumes_are_cut_as_in_2_2() {
    let disperse = |data, redundancy| Durability::Disperse { data, redundancy };
    assert_eq!(yields(10 * GIB, REPLICA_3), [(1, 10_485_760), (2, 5_242_880), (4, 2_621_440), (8, 1_310_720)]);
    assert_eq!(yields(7 * GIB, Durability::None), [(1, 7_340_032), (2, 3_670_016), (4, 1_835_008)]);
    assert_eq!(yields(10 * GIB, disperse(2, 1)), [(1, 5_242_880), (2, 2_621_440), (4, 1_310_720)]);
    assert_eq!(
        yields(100 * GIB, disperse(4, 2)),
        [(1, 26_214_400), (2, 13_107_200), (4, 6_553_600), (8, 3_276_800), (16, 1_638_400)]
    );
    assert_eq!(yields(5000 * GIB, Durability::None).first(), Some(&(2, 2_621_440_000)));
    assert_eq!(yields(100 * TIB, REPLICA_3).first(), Some(&(32, 3200 * GIB)));
    assert_eq!(yields(4096 * GIB, Durability::None).first(), Some(&(1, 4096 * GIB)), "the limit is inclusive");
    assert_eq!(yields(GIB, Durability::None), [(1, GIB)], "the limit is inclusive");
    assert_eq!(yields(GIB - 1, Durability::None), []);
    assert_eq!(yields(0, Durability::None), []);
    assert!(yields(u64::MAX, Durability::None).len() < 64);
}

#[test]
fn the_smallest_volume_is_as_in_2_3() {
    let disperse = Durability::Disperse { data: 4, redundancy: 2 };
    assert_eq!(smallest_volume(Durability::None, &limits()), Kib(GIB));
    assert_eq!(smallest_volume(REPLICA_3, &limits()), Kib(GIB));
    assert_eq!(smallest_volume(disperse, &limits()), Kib(4 * GIB));
    assert_eq!(check_volume_size(crate::units::Gib(4), disperse, &limits()), Ok(()));
    assert_eq!(
        check_volume_size(crate::units::Gib(3), disperse, &limits()).unwrap_err().to_string(),
        "Requested volume size (3 GB) is smaller than the minimum supported volume size (4194304)"
    );
}

#[test]
fn pools_are_as_large_as_in_2_4() {
    for (brick, factor, pool, metadata, total) in [
        (1_048_576, 1.0, 1_048_576, 8192, 1_056_768),
        (2_621_440, 1.0, 2_621_440, 16384, 2_637_824),
        (10_485_760, 1.0, 10_485_760, 53248, 10_539_008),
        (10_485_760, 1.1, 11_534_336, 61440, 11_595_776),
        (10_485_760, 1.5, 15_728_640, 81920, 15_810_560),
        (104_857_600, 1.0, 104_857_600, 524_288, 105_381_888),
        (16384, 1.0, 16384, 4096, 20480),
        (4_294_967_296, 1.0, 4_294_967_296, 16_777_216, 4_311_744_512),
    ] {
        let space = space_needed(Kib(brick), factor, Kib(4096));
        assert_eq!((space.pool, space.metadata), (Kib(pool), Kib(metadata)), "{brick} × {factor}");
        assert_eq!(space.total(), Kib(total), "{brick} × {factor}");
    }
    assert_eq!(space_needed(Kib(3_355_443_200), 1.0, Kib(4096)).metadata, Kib(16_777_216));
    assert_eq!(space_needed(Kib(1000), 1.0, Kib(4096)).pool, Kib(4096));
}

#[test]
fn arbiter_bricks_are_as_in_2_5_but_never_below_300_mib() {
    for (data, average, expected) in [
        (10 * GIB, 64, Some(307_200)), // The reference: 163840.
        (GIB, 64, Some(307_200)),      // The reference: 16384.
        (100 * GIB, 64, Some(1_638_400)),
        (4 * TIB, 64, Some(67_108_864)),
        (GIB, GIB, Some(307_200)),
        (GIB, GIB + 1, None),
    ] {
        assert_eq!(arbiter_brick(Kib(data), Kib(average)), expected.map(Kib), "{data} / {average}");
    }
}

fn error_of(view: &ClusterView, size: u64, durability: Durability, list: &[&str]) -> PlacementError {
    place(view, &request(size, durability, &options(list)), &limits()).unwrap_err()
}

#[test]
fn errors_have_the_texts_of_the_reference() {
    let roomy = cluster(&[(1, &[100 * GIB]), (1, &[100 * GIB]), (1, &[100 * GIB])]);
    let error = error_of(&roomy, 100 * TIB, REPLICA_3, &[]);
    assert_eq!(error.to_string(), "Maximum number of bricks reached.");
    assert!(error.is_no_fit());
    assert!(error.report().unwrap().to_string().ends_with(" bricks: 96 bricks are too many"), "{:?}", error.report());
    assert_eq!(error.into_no_space().to_string(), "No space");

    let two = cluster(&[(1, &[100 * GIB]), (1, &[100 * GIB])]);
    let error = error_of(&two, 2 * GIB, REPLICA_3, &[]);
    assert_eq!(error.to_string(), "Minimum brick size limit reached.  Out of space.");
    assert!(error.is_no_fit());
    assert_eq!(
        error.report().unwrap().to_string(),
        "1 sets of 2097152 KiB bricks: room for 2 of 3 bricks; 2 sets of 1048576 KiB bricks: room for 4 of 6 bricks; \
         2 devices usable"
    );

    assert_eq!(error_of(&cluster(&[]), GIB, Durability::None, &[]), PlacementError::NoNodes);
    assert_eq!(PlacementError::NoNodes.to_string(), "No nodes in cluster");
    assert!(!PlacementError::NoNodes.is_no_fit());
    let mut offline = two;
    offline.nodes[0].state = EntryState::Offline;
    offline.nodes[1].devices[0].state = EntryState::Failed;
    let error = error_of(&offline, GIB, Durability::None, &[]);
    assert_eq!(error.to_string(), "No online storage devices in cluster");

    let error =
        error_of(&roomy, GIB, REPLICA_3, &["user.heketi.arbiter true", "user.heketi.average-file-size 2000000"]);
    assert_eq!(error.to_string(), "Average file size (2000000) is greater than Brick size (1048576)");
    assert!(!error.is_no_fit());
    let error = error_of(&roomy, GIB, REPLICA_3, &["user.heketi.device-tag-match a-b=c"]);
    assert_eq!(error.to_string(), "Invalid tag matching rule: Invalid tag match rule: a-b=c");
    assert!(!error.is_no_fit());
}

#[test]
fn an_exact_fit_is_refused() {
    let none = options(&[]);
    let needed = 1_056_768;
    let exact = cluster(&[(1, &[needed])]);
    assert!(place(&exact, &request(GIB, Durability::None, &none), &limits()).is_err());
    let more = cluster(&[(1, &[needed + 1])]);
    let plan = place(&more, &request(GIB, Durability::None, &none), &limits()).unwrap();
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].size, Kib(GIB));
    assert_eq!((plan[0].pool_size, plan[0].pool_metadata_size), (Kib(GIB), Kib(8192)));
    assert_eq!(plan[0].kind, BrickKind::Normal);
}

#[test]
fn bricks_the_volume_has_count_against_the_limit() {
    let none = options(&[]);
    let view = cluster(&[(1, &[100 * GIB]), (1, &[100 * GIB]), (1, &[100 * GIB])]);
    let with = |existing| Request { existing_bricks: existing, ..request(10 * GIB, REPLICA_3, &none) };
    assert_eq!(place(&view, &with(29), &limits()).unwrap().len(), 3);
    assert!(matches!(place(&view, &with(30), &limits()), Err(PlacementError::MaxBricks(_))));
}

#[test]
fn a_device_takes_bricks_of_several_sets() {
    let none = options(&[]);
    let view = cluster(&[(1, &[6 * GIB, 6 * GIB]), (1, &[13 * GIB])]);
    let plan = place(&view, &request(10 * GIB, Durability::Replicate(None), &none), &limits()).unwrap();
    assert_eq!(plan.iter().map(|brick| brick.size).collect::<Vec<_>>(), [Kib(5 * GIB); 4]);
    apply(&mut view.clone(), &plan);
}

#[test]
fn zones_are_checked_if_the_volume_or_else_the_server_says_so() {
    let two_zones = cluster(&[(1, &[50 * GIB]), (1, &[50 * GIB]), (2, &[50 * GIB])]);
    let strict = Limits { zone_checking: "strict".to_owned(), ..limits() };
    for (list, limits, fits) in [
        (&[][..], &limits(), true),
        (&[], &strict, false),
        (&["user.heketi.zone-checking none"], &strict, true),
        (&["user.heketi.zone-checking odd"], &strict, true),
        (&["user.heketi.zone-checking "], &strict, false),
        (&["user.heketi.zone-checking strict"], &limits(), false),
        (&["user.heketi.zone-checking strict", "user.heketi.zone-checking none"], &limits(), true),
    ] {
        let placed = place(&two_zones, &request(GIB, REPLICA_3, &options(list)), limits);
        assert_eq!(placed.is_ok(), fits, "{list:?}");
    }
}

#[test]
fn sets_spread_over_zones_even_if_they_need_not() {
    let view = cluster(&[(1, &[50 * GIB]), (1, &[50 * GIB]), (1, &[50 * GIB]), (2, &[20 * GIB]), (3, &[20 * GIB])]);
    let plan = place(&view, &request(GIB, REPLICA_3, &options(&[])), &limits()).unwrap();
    let zones: std::collections::BTreeSet<i64> = plan.iter().map(|brick| zone_of(&view, brick)).collect();
    assert_eq!(zones, [1, 2, 3].into());
}

fn zone_of(view: &ClusterView, brick: &PlannedBrick) -> i64 {
    view.nodes.iter().find(|node| node.id == brick.node).unwrap().zone
}

fn tag(tags: &mut Tags, name: &str, value: &str) {
    tags.insert(name.to_owned(), value.to_owned());
}

#[test]
fn tag_rules_see_the_devices_tags_before_the_nodes() {
    let mut view = cluster(&[(1, &[50 * GIB, 50 * GIB]), (1, &[50 * GIB])]);
    tag(&mut view.nodes[0].tags, "tier", "slow");
    tag(&mut view.nodes[0].devices[1].tags, "tier", "fast");
    let used = |rule: &str| {
        let list = options(&[&format!("user.heketi.device-tag-match {rule}")]);
        let plan = place(&view, &request(GIB, Durability::None, &list), &limits());
        plan.ok().map(|plan| plan[0].device)
    };
    assert_eq!(used("tier=slow"), Some(view.nodes[0].devices[0].id));
    assert_eq!(used("tier=fast"), Some(view.nodes[0].devices[1].id));
    assert_eq!(used("tier=none"), None);
    let mut only = view.clone();
    only.nodes[0].devices.truncate(1);
    let list = options(&["user.heketi.device-tag-match tier!=slow"]);
    let plan = place(&only, &request(GIB, Durability::None, &list), &limits()).unwrap();
    assert_eq!(plan[0].device, view.nodes[1].devices[0].id, "a missing tag differs");
}

#[test]
fn arbiter_bricks_go_where_the_tags_say() {
    let mut view = cluster(&[(1, &[500 * GIB]), (1, &[50 * GIB]), (1, &[50 * GIB]), (1, &[50 * GIB])]);
    let arbiter = options(&["user.heketi.arbiter true"]);
    tag(&mut view.nodes[0].tags, "arbiter", "disabled");
    tag(&mut view.nodes[3].devices[0].tags, "arbiter", "required");
    let plan = place(&view, &request(4 * GIB, REPLICA_3, &arbiter), &limits()).unwrap();
    assert_eq!(plan.iter().map(|b| b.kind as u8).collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(plan.iter().map(|b| b.size.0).collect::<Vec<_>>(), [4 * GIB, 4 * GIB, 307_200]);
    assert_eq!(plan[2].node, view.nodes[3].id);
    assert_eq!(plan[0].node, view.nodes[0].id, "data goes to what is for data only first");

    tag(&mut view.nodes[1].tags, "arbiter", "required");
    tag(&mut view.nodes[2].tags, "arbiter", "required");
    let error = place(&view, &request(4 * GIB, REPLICA_3, &arbiter), &limits()).unwrap_err();
    assert!(error.is_no_fit(), "one node is left for data");
    tag(&mut view.nodes[1].tags, "arbiter", "whatever");
    assert!(place(&view, &request(4 * GIB, REPLICA_3, &arbiter), &limits()).is_ok(), "an odd value is no tag");
}

#[test]
fn the_arbiter_option_shrinks_bricks_of_three_way_replicas_only() {
    let view = cluster(&[(1, &[50 * GIB]), (1, &[50 * GIB]), (1, &[50 * GIB])]);
    let arbiter = options(&["user.heketi.arbiter 1"]);
    for durability in [Durability::Replicate(None), Durability::Disperse { data: 2, redundancy: 1 }] {
        let plan = place(&view, &request(4 * GIB, durability, &arbiter), &limits()).unwrap();
        assert!(plan.iter().all(|brick| brick.kind == BrickKind::Normal && brick.size == plan[0].size));
    }
}

#[test]
fn the_arbiter_leaves_the_large_device_to_data_if_it_has_to() {
    // Chosen one after another, the arbiter brick would take the device with the most space.
    let view = cluster(&[(1, &[20 * GIB]), (1, &[11 * GIB]), (1, &[GIB])]);
    let arbiter = options(&["user.heketi.arbiter true"]);
    let plan = place(&view, &request(10 * GIB, REPLICA_3, &arbiter), &limits()).unwrap();
    assert_eq!(plan.len(), 3);
    assert_eq!(plan[2].node, view.nodes[2].id);
    apply(&mut view.clone(), &plan);
}

#[test]
fn nodes_thought_to_be_down_are_the_last_resort() {
    let mut view = cluster(&[(1, &[500 * GIB]), (2, &[50 * GIB]), (2, &[5 * GIB])]);
    view.nodes[0].known_down = true;
    let none = options(&[]);
    let two = Durability::Replicate(Some(2));
    let plan = place(&view, &request(4 * GIB, two, &none), &limits()).unwrap();
    assert!(plan.iter().all(|brick| brick.node != view.nodes[0].id));
    assert_eq!(place(&view, &request(4 * GIB, REPLICA_3, &none), &limits()).unwrap().len(), 3);
    let plan = place(&view, &request(20 * GIB, two, &none), &limits()).unwrap();
    assert!(plan.iter().any(|brick| brick.node == view.nodes[0].id));
}

#[test]
fn devices_to_avoid_are_left_out_and_reported() {
    let view = cluster(&[(1, &[50 * GIB]), (1, &[GIB / 2])]);
    let none = options(&[]);
    let avoid = [view.nodes[0].devices[0].id];
    let error =
        place(&view, &Request { avoid: &avoid, ..request(GIB, Durability::None, &none) }, &limits()).unwrap_err();
    let text = error.report().unwrap().to_string();
    assert_eq!(
        text,
        format!(
            "1 sets of 1048576 KiB bricks: room for 0 of 1 bricks; 0 devices usable; to be avoided: 1; \
             too little space: 1; {}: to be avoided; {}: 524288 KiB free, more than 1056768 KiB needed",
            avoid[0], view.nodes[1].devices[0].id
        )
    );
}

#[test]
fn reports_stay_small_in_large_clusters() {
    let frees = vec![0; 100];
    let nodes: Vec<(i64, &[u64])> = (0..20).map(|zone| (zone, &frees[..])).collect();
    let error = error_of(&cluster(&nodes), 10 * GIB, REPLICA_3, &[]);
    let text = error.report().unwrap().to_string();
    assert!(text.len() < 4096, "{} bytes", text.len());
    assert!(text.ends_with("; 1968 more devices"), "{text}");
}
