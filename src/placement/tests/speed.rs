//! How long placement takes; run by hand with `cargo test --release placement::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

#[test]
#[ignore = "measures, asserts nothing"]
fn speed_with_500_devices() {
    let frees: Vec<u64> = (0..10).map(|device| (60 + device) * GIB).collect();
    let nodes: Vec<(i64, &[u64])> = (0..50).map(|number| (number % 5, &frees[..])).collect();
    let view = cluster(&nodes);
    for (name, size, list) in [
        ("one set", 10, &[][..]),
        ("8 sets", 450, &[]),
        ("8 sets, strict zones", 450, &["user.heketi.zone-checking strict"]),
        ("8 sets, arbiter", 450, &["user.heketi.arbiter true"]),
        ("does not fit", 4000, &[]),
        ("does not fit, arbiter", 4000, &["user.heketi.arbiter true"]),
    ] {
        let list = options(list);
        let request = request(size * GIB, REPLICA_3, &list);
        let start = Instant::now();
        let bricks = (0..1000).map(|_| place(&view, &request, &limits()).map_or(0, |plan| plan.len())).max();
        println!("{name}: {bricks:?} bricks, {:?} each", start.elapsed() / 1000);
    }
}
