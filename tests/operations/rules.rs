//! Single situations, each with a rule of its own.

use std::sync::Arc;

use heketi::exec::inject::{Action, Gate, Rule};
use heketi::ids::{DeviceId, JobId, NodeId, VolumeId};
use heketi::ops::{ClusterFlags, OpError};
use heketi::store::{OperationStatus, Outcome};
use heketi::topology::EntryState;
use heketi::units::{Gib, Kib};

use crate::cases::*;
use crate::cuts::repair;
use crate::world::{BOUND, World, device_request, node_request, settings, settled};

fn create(world: &World, shape: Shape, name: &str) -> Result<JobId, OpError> {
    let request = shape.request(name);
    world.run(|ops| async move { ops.volume_create(request).await })
}

fn made(world: &World, shape: Shape, name: &str) -> VolumeId {
    match world.must(create(world, shape, name)) {
        Outcome::Resource(path) => path.strip_prefix("/volumes/").unwrap().parse().unwrap(),
        outcome => panic!("{outcome:?}"),
    }
}

fn delete(world: &World, volume: VolumeId) -> Result<JobId, OpError> {
    world.run(|ops| async move { ops.volume_delete(volume).await })
}

fn expand(world: &World, volume: VolumeId, by: u64) -> Result<JobId, OpError> {
    world.run(|ops| async move { ops.volume_expand(volume, Gib(by)).await })
}

#[track_caller]
fn failure(outcome: Outcome) -> String {
    match outcome {
        Outcome::Error(text) => text,
        outcome => panic!("no failure: {outcome:?}"),
    }
}

fn used(world: &World) -> Kib {
    world.store().read(|tx| tx.all_devices()).unwrap().iter().map(|device| device.used).sum()
}

fn statuses(world: &World) -> Vec<OperationStatus> {
    world.store().read(|tx| tx.operations()).unwrap().iter().map(|operation| operation.status).collect()
}

/// Starts a job that waits at a gate, and returns when it is there.
fn frozen(world: &World, line: &str, start: impl FnOnce() -> Result<JobId, OpError>) -> (JobId, Arc<Gate>) {
    let gate = Gate::new();
    world.faults.add(Rule::line(line, Action::Freeze(gate.clone())).nth(1));
    let job = start().unwrap();
    world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
    (job, gate)
}

#[test]
fn a_disk_of_another_program_is_left_alone() {
    for (disk, vg) in [("/dev/sdx", None), ("/dev/sdy", Some("theirs"))] {
        let mut world = World::new(3);
        assert_eq!(world.sim.exec("m1", &["lvm", "pvcreate", disk]).status, 0);
        if let Some(vg) = vg {
            assert_eq!(world.sim.exec("m1", &["lvm", "vgcreate", vg, disk]).status, 0);
        }
        let before = world.sim.dump();
        // Refused by pvcreate, or stopped before it: nothing of what is there is ours.
        let gate = Gate::new();
        world.faults.act_on_nth(1, if vg.is_some() { Action::Freeze(gate.clone()) } else { Action::fail() });
        gate.open();
        failure(world.finish(world.add_device("m1", disk)));
        assert_eq!(world.sim.dump(), before, "{disk}");
        // The server is killed before pvcreate, and the disk then cannot be taken.
        let gate = Gate::new();
        world.faults.act_on_nth(1, Action::Freeze(gate.clone()));
        world.add_device("m1", disk).unwrap();
        world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
        world.faults.clear();
        world.kill();
        world.faults.add(Rule::line("pvcreate", Action::fail()));
        world.clean();
        assert_eq!(world.sim.dump(), before, "{disk}");
        world.faults.clear();
        assert_eq!(world.clean(), 0);
        assert_eq!(world.device("m1", disk).is_some(), vg.is_none(), "{disk}: pvcreate takes what is in no group");
    }
}

#[test]
fn a_disk_that_is_added_twice_is_one_device() {
    for (again, destroy) in [("/dev/sdx", false), ("/dev//sdx", false), ("/dev//sdx", true)] {
        let world = World::new(3);
        let node = world.node("m1").unwrap();
        let [one, two] = world.run(|ops| async move {
            let first = ops.device_add(device_request(node, "/dev/sdx", false)).await.unwrap();
            let second = ops.device_add(device_request(node, again, destroy)).await.unwrap();
            [settled(&ops, first).await, settled(&ops, second).await]
        });
        let text = match (one, two) {
            (Outcome::Nothing, Outcome::Error(text)) | (Outcome::Error(text), Outcome::Nothing) => text,
            outcomes => panic!("{again}: {outcomes:?}"),
        };
        assert!(text.contains("hysical Volume") || text.contains("already in use"), "{text}");
        assert_eq!(world.store().read(|tx| tx.devices(node)).unwrap().len(), 3);
        let wrong = world.complaints();
        let disk = "not in the store: m1: disk /dev/sdx";
        let other_name = |line: &String| line.starts_with(disk) || line.contains("m1: disk /dev//sdx");
        assert!(wrong.iter().all(other_name), "{wrong:#?}");
    }
}

#[test]
fn a_member_of_the_pool_is_not_thrown_out() {
    for fault in [Action::fail_after(), Action::LoseReply, Action::Hang { ran: false }, Action::Refuse] {
        let mut world = World::new(3);
        assert_eq!(world.sim.exec("m1", &["gluster", "peer", "probe", "s9"]).status, 0);
        let before = world.sim.dump();
        // Probed, and then something else fails.
        let fails_for_good = matches!(fault, Action::Refuse);
        world.faults.add(Rule::line("peer probe", fault).nth(1));
        let outcome = world.finish(world.add_node("m9"));
        if fails_for_good {
            failure(outcome);
        }
        world.faults.clear();
        assert_eq!(world.clean(), 0);
        if world.node("m9").is_none()
            && !matches!(world.faults.take_lines().last(), Some((_, line)) if line.contains("detach"))
        {
            assert_eq!(world.sim.dump(), before);
        }
        // Killed after the probe.
        if world.node("m9").is_none() {
            world.sim.exec("m1", &["gluster", "peer", "probe", "s9"]);
            let (_, _gate) = frozen(&world, "peer probe", || world.add_node("m9"));
            world.faults.clear();
            world.kill();
            world.faults.take_lines();
            assert_eq!(world.clean(), 0);
            assert!(world.node("m9").is_some());
            assert!(!world.faults.lines().iter().any(|(_, line)| line.contains("detach")));
        }
    }
}

#[test]
fn a_delete_whose_bricks_cannot_go_is_failed_and_can_be_taken_up() {
    let world = World::new(3);
    let volume = made(&world, REPLICA_3, "v");
    let taken = used(&world);
    world.faults.cut_off("m2");
    let text = failure(world.finish(delete(&world, volume)));
    assert!(text.contains("connection refused"), "{text}");
    assert_eq!(statuses(&world), [OperationStatus::Failed]);
    assert_eq!(used(&world), taken, "no space comes back before the bricks are gone");
    assert!(world.volumes().is_empty());
    assert_eq!(world.clean(), 1);
    assert_eq!(statuses(&world), [OperationStatus::Failed]);
    // The client asks again while the node is still away, and once more when it is back.
    failure(world.finish(delete(&world, volume)));
    assert_eq!(used(&world), taken);
    world.faults.clear();
    world.quiet();
    assert_eq!(world.finish(delete(&world, volume)), Outcome::Nothing);
    world.assert_agreed("after the second delete");
    assert_eq!(used(&world), Kib::ZERO);
}

#[test]
fn a_delete_that_reaches_no_node_changes_nothing() {
    let world = World::new(3);
    let volume = made(&world, REPLICA_3, "v");
    world.faults.add(Rule::every(Action::Refuse));
    let text = failure(world.finish(delete(&world, volume)));
    assert!(text.contains("connection refused"), "{text}");
    assert!(statuses(&world).is_empty());
    assert_eq!(world.volumes(), [volume]);
    world.faults.clear();
    world.assert_agreed("after the first delete");
    assert_eq!(world.finish(delete(&world, volume)), Outcome::Nothing);
    world.assert_agreed("at the end");
}

#[test]
fn a_delete_that_gluster_refuses_leaves_a_volume_that_works() {
    let world = World::new(3);
    let volume = made(&world, REPLICA_3, "v");
    let snapshot = ["gluster", "--mode=script", "snapshot", "create", "s", "v", "no-timestamp"];
    let output = world.sim.exec("m1", &snapshot);
    assert_eq!(output.status, 0, "{}", output.stderr);
    let text = failure(world.finish(delete(&world, volume)));
    assert!(text.contains("Unable to delete volume v: "), "{text}");
    assert_eq!(world.volumes(), [volume]);
    assert!(statuses(&world).is_empty());
    assert!(world.sim.dump().contains("volume v Replicate Started"), "{}", world.sim.dump());
    assert_eq!(world.sim.exec("m1", &["gluster", "--mode=script", "snapshot", "delete", "s"]).status, 0);
    assert_eq!(world.finish(delete(&world, volume)), Outcome::Nothing);
    world.assert_agreed("at the end");
}

#[test]
fn of_two_deletes_at_once_one_is_refused() {
    let world = World::new(3);
    let volume = made(&world, REPLICA_3, "v");
    let (job, gate) = frozen(&world, "volume stop", || delete(&world, volume));
    let refusal = delete(&world, volume).unwrap_err();
    assert!(matches!(&refusal, OpError::Failed(text) if text.contains("is in use")), "{refusal:?}");
    assert!(matches!(expand(&world, volume, 1), Err(OpError::Failed(text)) if text.contains("is in use")));
    gate.open();
    assert_eq!(world.answer(job), Outcome::Nothing);
    world.faults.clear();
    assert!(matches!(delete(&world, volume), Err(OpError::NotFound(_))));
    assert!(matches!(expand(&world, volume, 1), Err(OpError::NotFound(_))));
    world.assert_agreed("at the end");
}

#[test]
fn what_is_expanding_cannot_be_deleted_but_expanded_once_more() {
    let world = World::new(3);
    let volume = made(&world, NONE, "v");
    let (job, gate) = frozen(&world, "add-brick", || expand(&world, volume, 2));
    assert!(matches!(delete(&world, volume), Err(OpError::Failed(text)) if text.contains("is in use")));
    let second = expand(&world, volume, 3).unwrap();
    gate.open();
    world.faults.clear();
    assert_eq!(world.answer(job), Outcome::Resource(format!("/volumes/{volume}")));
    assert_eq!(world.answer(second), Outcome::Resource(format!("/volumes/{volume}")));
    let size = world.store().read(|tx| tx.volume(volume)).unwrap().unwrap().size;
    assert_eq!(size, Gib(7));
    world.assert_agreed("at the end");
}

#[test]
fn an_expansion_that_is_half_in_gluster_goes_forward() {
    for kill in [false, true] {
        let mut world = World::new(3);
        let volume = made(&world, REPLICA_2, "v");
        let gate = Gate::new();
        let action = if kill { Action::FreezeReply(gate.clone()) } else { Action::LoseReply };
        world.faults.add(Rule::line("add-brick", action).nth(if kill { 1 } else { 2 }));
        let started = expand(&world, volume, 32);
        if kill {
            world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
            world.faults.clear();
            world.kill();
            assert_eq!(world.clean(), 0);
        } else {
            assert_eq!(world.finish(started), Outcome::Resource(format!("/volumes/{volume}")));
        }
        assert_eq!(world.store().read(|tx| tx.volume(volume)).unwrap().unwrap().size, Gib(34));
        world.assert_agreed("at the end");
    }
}

#[test]
fn a_volume_of_somebody_else_keeps_its_name() {
    let world = World::new(3);
    assert_eq!(world.sim.exec("m1", &["mkdir", "/theirs"]).status, 0);
    let theirs = ["gluster", "volume", "create", "v", "s1:/theirs/brick", "force"];
    let output = world.sim.exec("m1", &theirs);
    assert_eq!(output.status, 0, "{}", output.stderr);
    let text = failure(world.finish(create(&world, REPLICA_3, "v")));
    assert!(text.contains("already exists"), "{text}");
    assert!(statuses(&world).is_empty());
    assert!(world.sim.dump().contains("volume v Distribute Created"), "{}", world.sim.dump());
    assert_eq!(used(&world), Kib::ZERO);
    let ours = |line: &&String| !line.contains(" v ") && !line.contains(" v:") && !line.contains("/theirs");
    let wrong = world.complaints();
    assert_eq!(wrong.iter().filter(ours).count(), 0, "{wrong:#?}");
}

#[test]
fn what_cannot_be_planned_again_ends_with_the_first_error() {
    for taken_name in [false, true] {
        let world = World::new(3);
        let gate = Gate::new();
        world.faults.add(Rule::line("mkfs", Action::Freeze(gate.clone())).nth(1));
        world.faults.add(Rule::line("awk", Action::fail()).nth(1));
        let job = create(&world, NONE, "v").unwrap();
        world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
        let cluster = world.cluster;
        if taken_name {
            // The name is held by the operation itself for as long as it is planned.
            assert!(matches!(create(&world, NONE, "v"), Err(OpError::Failed(text)) if text.contains("already in use")));
        } else {
            let none = ClusterFlags { file: false, block: false };
            world.run(|ops| async move { ops.cluster_set_flags(cluster, none).await }).unwrap();
        }
        // A cluster with something pending is in use.
        assert!(world.run(|ops| async move { ops.cluster_delete(cluster).await }).is_err());
        gate.open();
        match world.answer(job) {
            Outcome::Resource(_) if taken_name => {}
            Outcome::Error(text) if !taken_name => assert_eq!(text.trim_end(), "injected failure"),
            outcome => panic!("{outcome:?}"),
        }
        world.assert_agreed("at the end");
    }
}

#[test]
fn a_volume_is_tried_elsewhere_until_the_attempts_are_used_up() {
    let mut few = settings();
    few.volume_create_retries = 4;
    let world = World::with(3, few, 0);
    world.faults.add(Rule::line("mkfs", Action::fail()));
    assert_eq!(failure(world.finish(create(&world, NONE, ""))).trim_end(), "injected failure");
    let attempts = world.faults.lines().iter().filter(|(_, line)| line.contains("mkfs")).count();
    assert_eq!(attempts, 5);
    world.assert_agreed("after five attempts");
    // One broken disk does not matter as long as there are others.
    let broken = world.device("m1", "/dev/sdb").unwrap();
    world.faults.clear();
    world.faults.add(Rule::line(format!("--thin vg_{broken}/"), Action::fail()));
    for _ in 0..6 {
        world.must(create(&world, REPLICA_2, ""));
    }
    world.faults.clear();
    world.assert_agreed("with a broken disk");
}

#[test]
fn what_is_pending_is_not_found_and_cannot_be_changed() {
    let world = World::new(3);
    world.must(world.add_device("m1", "/dev/sdx"));
    let device = world.device("m1", "/dev/sdx").unwrap();
    world.give_up(device);
    let (job, gate) =
        frozen(&world, "vgremove", || world.run(|ops| async move { ops.device_delete(device, false).await }));
    not_there(&world, device);
    gate.open();
    assert_eq!(world.answer(job), Outcome::Nothing);
    world.faults.clear();

    world.must(world.add_node("m9"));
    let node = world.node("m9").unwrap();
    let (job, gate) = frozen(&world, "peer detach", || world.run(|ops| async move { ops.node_delete(node).await }));
    assert!(world.store().read(|tx| tx.node(node)).unwrap().is_none());
    let offline = EntryState::Offline;
    assert!(matches!(
        world.run(|ops| async move { ops.node_set_state(node, offline).await }),
        Err(OpError::NotFound(_))
    ));
    assert!(matches!(world.run(|ops| async move { ops.node_delete(node).await }), Err(OpError::Conflict(_))));
    let add = device_request(node, "/dev/sdb", false);
    assert!(matches!(world.run(|ops| async move { ops.device_add(add).await }), Err(OpError::NotFound(_))));
    assert!(matches!(world.add_node("m9"), Err(OpError::Conflict(_))), "its name is still taken");
    gate.open();
    assert_eq!(world.answer(job), Outcome::Nothing);
    world.faults.clear();

    let (job, gate) = frozen(&world, "pvcreate", || world.add_device("m1", "/dev/sdx"));
    let node: NodeId = world.node("m1").unwrap();
    assert_eq!(world.store().read(|tx| tx.devices(node)).unwrap().len(), 2);
    assert!(matches!(world.run(|ops| async move { ops.node_delete(node).await }), Err(OpError::Conflict(_))));
    gate.open();
    assert_eq!(world.answer(job), Outcome::Nothing);
    world.faults.clear();
    world.assert_agreed("at the end");
}

fn not_there(world: &World, device: DeviceId) {
    assert!(world.store().read(|tx| tx.device(device)).unwrap().is_none());
    for state in [EntryState::Online, EntryState::Offline, EntryState::Failed] {
        let answer = world.run(|ops| async move { ops.device_set_state(device, state).await });
        assert!(matches!(answer, Err(OpError::NotFound(_))), "{answer:?}");
    }
    assert!(matches!(world.run(|ops| async move { ops.device_resync(device).await }), Err(OpError::NotFound(_))));
    for forget in [false, true] {
        let answer = world.run(|ops| async move { ops.device_delete(device, forget).await });
        assert!(matches!(answer, Err(OpError::Conflict(_))), "{answer:?}");
    }
}

#[test]
fn a_device_of_a_dead_node_can_be_forgotten() {
    let world = World::new(3);
    world.must(world.add_device("m1", "/dev/sdx"));
    let device = world.device("m1", "/dev/sdx").unwrap();
    world.give_up(device);
    let remove = |forget| world.run(|ops| async move { ops.device_delete(device, forget).await });
    // Dead from the start: the device is as it was.
    world.faults.cut_off("m1");
    failure(world.finish(remove(false)));
    assert!(world.device("m1", "/dev/sdx").is_some());
    world.faults.clear();
    // It dies half-way: the removal is left over, and is taken up with the promise that the node does not come back.
    world.faults.add(Rule::line("pvremove", Action::Down));
    failure(world.finish(remove(false)));
    assert_eq!(statuses(&world), [OperationStatus::Failed]);
    world.quiet();
    assert_eq!(world.finish(remove(true)), Outcome::Nothing);
    assert!(statuses(&world).is_empty());
    assert!(world.device("m1", "/dev/sdx").is_none());
    world.faults.clear();
}

#[test]
fn a_device_that_is_given_bricks_cannot_go() {
    let world = World::new(1);
    let (job, gate) = frozen(&world, "mkfs", || create(&world, NONE, "v"));
    let on = world.bricks();
    let device = on[0].device;
    world.must(world.run(|ops| async move { ops.device_set_state(device, EntryState::Offline).await }));
    let failed = world.run(|ops| async move { ops.device_set_state(device, EntryState::Failed).await });
    assert!(failure(world.finish(failed)).contains("holds bricks"));
    assert!(world.run(|ops| async move { ops.device_delete(device, false).await }).is_err());
    gate.open();
    assert!(matches!(world.answer(job), Outcome::Resource(_)));
    world.faults.clear();
    world.assert_agreed("at the end");
}

#[test]
fn a_resync_during_which_bricks_come_or_go_is_refused() {
    let world = World::new(1);
    let sdb = world.device("m1", "/dev/sdb").unwrap();
    let sdc = world.device("m1", "/dev/sdc").unwrap();
    world.must(world.run(|ops| async move { ops.device_set_state(sdc, EntryState::Offline).await }));
    for creates in [true, false] {
        let gate = Gate::new();
        world.faults.add(Rule::line("vgdisplay", Action::FreezeReply(gate.clone())).nth(1));
        let job = world.run(|ops| async move { ops.device_resync(sdb).await }).unwrap();
        world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
        if creates {
            made(&world, NONE, "v");
        } else {
            let volume = world.volumes()[0];
            world.must(delete(&world, volume));
        }
        gate.open();
        assert!(failure(world.answer(job)).contains("in use"));
        world.faults.clear();
        world.assert_agreed("after the resync");
    }
    world.must(world.run(|ops| async move { ops.device_resync(sdb).await }));
    world.assert_agreed("after a quiet resync");
}

/// Whoever has its answer may send the next request at once: the server is not busy with the last one any more.
#[test]
fn an_answer_means_that_there_is_room_again() {
    let mut one = settings();
    one.max_inflight = Some(1);
    one.volume_create_retries = 0;
    // Several threads: the answer can be read before the operation's task has ended.
    let world = World::with(3, one, 2);
    world.run(|ops| async move {
        for round in 0..50 {
            let job = ops.volume_create(NONE.request("")).await.unwrap_or_else(|error| panic!("{round}: {error}"));
            while ops.store().read(|tx| tx.job(job)).unwrap() == Some(Outcome::Running) {
                tokio::task::yield_now().await;
            }
        }
    });
    world.faults.add(Rule::line("mkfs", Action::fail()));
    world.run(|ops| async move {
        for round in 0..50 {
            let job = ops.volume_create(NONE.request("")).await.unwrap_or_else(|error| panic!("{round}: {error}"));
            while ops.store().read(|tx| tx.job(job)).unwrap() == Some(Outcome::Running) {
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn places_are_limited_and_come_back() {
    let mut two = settings();
    two.max_inflight = Some(2);
    let world = World::with(3, two, 0);
    let gate = Gate::new();
    world.faults.add(Rule::line("mkfs", Action::Freeze(gate.clone())));
    let jobs = [create(&world, NONE, "a").unwrap(), create(&world, NONE, "b").unwrap()];
    assert!(matches!(create(&world, NONE, "c"), Err(OpError::Busy)));
    gate.open();
    for job in jobs {
        world.answer(job);
    }
    world.clean();
    world.faults.clear();
    // Failures, refusals and recoveries give them back too.
    for _ in 0..3 {
        world.faults.cut_off("m1");
        world.faults.cut_off("m2");
        world.faults.cut_off("m3");
        failure(world.finish(create(&world, NONE, "d")));
        world.clean();
        repair(&world);
        world.clean();
        assert!(matches!(create(&world, NONE, "a"), Err(OpError::Failed(_))));
        let volume = world.volumes()[0];
        assert!(expand(&world, volume, 1_000_000).is_err());
    }
    world.must(create(&world, NONE, "e"));
    world.assert_agreed("at the end");
}

#[test]
fn a_node_that_hangs_holds_up_only_its_own_recoveries() {
    let mut many = settings();
    many.max_inflight = None;
    let mut world = World::with(2, many, 0);
    let gate = Gate::new();
    world.faults.add(Rule::line("mkdir ", Action::FreezeReply(gate)));
    for i in 0..24 {
        create(&world, NONE, &format!("v{i}")).unwrap();
    }
    let on = |world: &World, host: &str| {
        let node = world.node(host).unwrap();
        world.bricks().iter().filter(|brick| brick.node == node).count()
    };
    assert!(on(&world, "m1") > 4 && on(&world, "m2") > 4);
    world.faults.clear();
    world.kill();
    let gate = Gate::new();
    world.faults.add(Rule::line("umount", Action::Freeze(gate.clone())).on_host("m2"));
    let hung = on(&world, "m2");
    world.run(|ops| async move {
        let cleaner = ops.clone();
        let cleaning = tokio::spawn(async move { cleaner.clean().await.unwrap() });
        let began = std::time::Instant::now();
        while ops.store().read(|tx| tx.operations()).unwrap().len() > hung {
            assert!(began.elapsed() < BOUND, "the recoveries on the other node do not end");
            tokio::time::sleep(std::time::Duration::from_micros(100)).await;
        }
        gate.open();
        assert_eq!(cleaning.await.unwrap(), 0);
    });
    world.faults.clear();
    world.assert_agreed("at the end");
}

#[test]
fn nodes_that_come_and_go_at_once_stay_in_one_pool() {
    let world = World::new(1);
    let first = world.node("m1").unwrap();
    for device in world.store().read(|tx| tx.devices(first)).unwrap() {
        world.drop_device(device.id);
    }
    // The only node goes while another one is added through it.
    let (adding, gate) = frozen(&world, "peer probe", || world.add_node("m9"));
    let going = world.run(|ops| async move { ops.node_delete(first).await }).unwrap();
    gate.open();
    world.must(Ok(adding));
    assert_eq!(world.answer(going), Outcome::Nothing);
    world.faults.clear();
    world.assert_agreed("at the end");
}

#[test]
fn a_volume_that_was_given_the_name_of_a_deleted_one_is_left_alone() {
    let world = World::new(3);
    let volume = made(&world, REPLICA_3, "v");
    world.faults.cut_off("m2");
    failure(world.finish(delete(&world, volume)));
    // Gluster has forgotten it, bricks are left; somebody makes another one of the name.
    let gluster = |words: &[&str]| {
        let output = world.sim.exec("m1", &[&["gluster", "--mode=script", "volume"], words].concat());
        assert_eq!(output.status, 0, "{}", output.stderr);
    };
    assert_eq!(world.sim.exec("m1", &["mkdir", "-p", "/mnt/theirs"]).status, 0);
    gluster(&["create", "v", "s1:/mnt/theirs/brick", "force"]);
    world.faults.clear();
    assert_eq!(world.clean(), 0);
    assert!(world.sim.dump().contains("volume v "), "{}", world.sim.dump());
    gluster(&["delete", "v"]);
    world.assert_agreed("at the end");
}

#[test]
fn another_host_is_asked_only_if_gluster_has_done_nothing_yet() {
    // The connection to the first host is refused at the first command, or at a later one.
    for (line, made_elsewhere) in [("volume create", true), ("volume start", false)] {
        let mut once = settings();
        once.volume_create_retries = 0;
        let world = World::with(3, once, 0);
        world.faults.take_lines();
        world.faults.add(Rule::line(line, Action::Refuse).nth(1));
        let outcome = world.finish(create(&world, REPLICA_3, "v"));
        assert_eq!(matches!(outcome, Outcome::Resource(_)), made_elsewhere, "{line}: {outcome:?}");
        let lines = world.faults.take_lines();
        assert_eq!(lines.iter().filter(|(_, ran)| ran.contains("volume create")).count(), 1, "{line}");
        world.faults.clear();
        world.assert_agreed(line);
    }
}

#[test]
fn gluster_is_asked_only_once_it_is_at_rest() {
    // The connection breaks, but glusterd goes on: it holds the lock of the volume, and knows of no change yet.
    for (line, expands) in [("volume create", false), ("add-brick", true)] {
        let world = World::new(3);
        let volume = expands.then(|| made(&world, NONE, "v"));
        world.faults.take_lines();
        world.faults.add(Rule::line(line, Action::LoseReply).nth(1));
        let stderr = "Another transaction is in progress for v. Please try again after some time.\n".to_owned();
        world.faults.add(Rule::line("volume status v", Action::Fail { status: 1, stderr }).nth(1));
        match volume {
            Some(volume) => assert!(matches!(world.finish(expand(&world, volume, 2)), Outcome::Resource(_))),
            None => drop(world.finish(create(&world, NONE, "v"))),
        }
        let lines = world.faults.take_lines();
        let place = |part: &str| lines.iter().position(|(_, line)| line.contains(part)).unwrap();
        let asked = lines.iter().filter(|(_, line)| line.contains("volume status v")).count();
        assert_eq!(asked, 2, "until the lock was free");
        assert!(place(line) < place("volume status v") && place("volume status v") < place("volume info v"));
        world.faults.clear();
        world.assert_agreed("at the end");
    }
}

#[test]
fn a_disk_that_is_being_set_up_is_not_wiped_for_another_request() {
    let world = World::new(3);
    let node = world.node("m1").unwrap();
    let gate = Gate::new();
    world.faults.add(Rule::line("vgdisplay", Action::FreezeReply(gate.clone())).nth(1));
    let first = world.add_device("m1", "/dev/sdx").unwrap();
    world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
    let second = device_request(node, "/dev//sdx", true);
    let second = world.run(|ops| async move { ops.device_add(second).await }).unwrap();
    // It gets every chance to begin.
    world.run(|_| async {
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
    });
    gate.open();
    assert_eq!(world.answer(first), Outcome::Nothing);
    let text = failure(world.answer(second));
    assert!(text.contains("already in use"), "{text}");
    world.faults.clear();
    world.assert_agreed("at the end");
}

#[test]
fn one_host_that_may_have_done_it_outweighs_those_that_have_not() {
    let world = World::new(3);
    world.must(world.add_node("m9"));
    let going = world.node("m9").unwrap();
    let asked: Vec<_> = world.nodes().into_iter().filter(|node| node.id != going).collect();
    world.faults.cut_off(asked[0].manage_host());
    world.faults.add(Rule::line("peer detach", Action::LoseReply).on_host(asked[1].manage_host()).nth(1));
    let outcome = world.finish(world.run(|ops| async move { ops.node_delete(going).await }));
    assert_eq!(outcome, Outcome::Nothing);
    world.faults.clear();
    world.assert_agreed("at the end");
}

/// Adds a node that is asked before all others, and takes it out of gluster's pool behind our back.
fn outsider(world: &World) -> NodeId {
    loop {
        world.must(world.add_node("m9"));
        let node = world.node("m9").unwrap();
        if world.nodes()[0].id == node {
            let output = world.sim.exec("m1", &["gluster", "--mode=script", "peer", "detach", "s9"]);
            assert_eq!(output.status, 0, "{}", output.stderr);
            return node;
        }
        world.drop_node(node);
    }
}

#[test]
fn a_host_outside_the_pool_is_not_believed_alone() {
    let mut world = World::new(3);
    let [deleted, expanded] = ["a", "b"].map(|name| made(&world, NONE, name));
    outsider(&world);
    // It knows of no volume.
    assert_eq!(world.finish(delete(&world, deleted)), Outcome::Nothing);
    let gate = Gate::new();
    world.faults.add(Rule::line("add-brick", Action::FreezeReply(gate.clone())).nth(1));
    expand(&world, expanded, 2).unwrap();
    world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
    world.faults.clear();
    world.kill();
    assert_eq!(world.clean(), 0);
    assert_eq!(world.store().read(|tx| tx.volume(expanded)).unwrap().unwrap().size, Gib(4));
    // The creation of one more is cut off.
    let gate = Gate::new();
    world.faults.add(Rule::line("volume start", Action::FreezeReply(gate.clone())).nth(1));
    create(&world, REPLICA_2, "c").unwrap();
    world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
    world.faults.clear();
    world.kill();
    assert_eq!(world.clean(), 0);
    let node = world.node("m9").unwrap();
    world.drop_node(node);
    world.assert_agreed("at the end");
}

#[test]
fn a_dead_node_without_devices_can_go() {
    let world = World::new(3);
    world.must(world.add_node("m9"));
    let node = world.node("m9").unwrap();
    world.sim.power_off("m9");
    world.drop_node(node);
    world.sim.power_on("m9");
    world.assert_agreed("at the end");
}

#[test]
fn a_database_that_refuses_the_last_step_leaves_the_operation_to_the_cleaner() {
    let mut world = World::new(3);
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF pending ON volumes WHEN NEW.pending IS NULL
                  BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    world.kill_and_tamper(refuse);
    let text = failure(world.finish(create(&world, REPLICA_3, "v")));
    assert!(text.contains("the disk is full"), "{text}");
    assert_eq!(statuses(&world), [OperationStatus::Failed]);
    assert!(world.volumes().is_empty());
    world.kill_and_tamper("DROP TRIGGER refuse");
    assert_eq!(world.clean(), 0);
    world.assert_agreed("after recovery");
    // The undo is refused: nothing is given back that the store still holds.
    let refuse = "CREATE TRIGGER refuse BEFORE DELETE ON bricks BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    world.kill_and_tamper(refuse);
    world.faults.add(Rule::line("volume start", Action::fail()));
    failure(world.finish(create(&world, REPLICA_3, "v")));
    assert_eq!(statuses(&world), [OperationStatus::Failed]);
    assert!(used(&world) > Kib::ZERO);
    world.faults.clear();
    assert_eq!(world.clean(), 1);
    assert_eq!(statuses(&world), [OperationStatus::Failed]);
    world.kill_and_tamper("DROP TRIGGER refuse");
    assert_eq!(world.clean(), 0);
    world.assert_agreed("at the end");
}

#[test]
fn nodes_that_go_at_once_leave_the_pool_of_each_other() {
    let world = World::new(3);
    let flags = ClusterFlags { file: true, block: false };
    let cluster = world.run(|ops| async move { ops.cluster_create(flags).await.unwrap().id });
    for host in ["m7", "m8", "m9"] {
        let request = node_request(cluster, host);
        world.must(world.run(|ops| async move { ops.node_add(request).await }));
    }
    let nodes = world.store().read(|tx| tx.nodes(cluster)).unwrap();
    let remove = |node: NodeId| world.run(|ops| async move { ops.node_delete(node).await });
    // While the first one goes, the others are told to go too, and wait for their turn.
    let (first, gate) = frozen(&world, "peer detach", || remove(nodes[0].id));
    let jobs = [first, remove(nodes[1].id).unwrap(), remove(nodes[2].id).unwrap()];
    gate.open();
    for job in jobs {
        assert_eq!(world.answer(job), Outcome::Nothing);
    }
    for host in ["m7", "m8", "m9"] {
        let pool = world.sim.exec(host, &["gluster", "pool", "list"]).stdout;
        assert!(!pool.contains("s7") && !pool.contains("s8") && !pool.contains("s9"), "{host}: {pool}");
    }
}

#[test]
fn what_gluster_says_of_a_failed_change_is_believed_only_once_it_is_at_rest() {
    // Gluster's program gives up waiting, and ends with a status like any other; glusterd goes on.
    let world = World::new(3);
    let order = |world: &World| {
        let lines = world.faults.take_lines();
        let at = |part: &str| lines.iter().rposition(|(_, line)| line.contains(part));
        (at("volume status"), at("volume info"))
    };
    world.faults.add(Rule::line("volume create", Action::fail()).nth(1));
    world.faults.take_lines();
    world.must(create(&world, NONE, "v"));
    let (settled, asked) = order(&world);
    assert!(settled.is_some() && settled < asked, "create: {settled:?} {asked:?}");

    let volume = world.volumes()[0];
    world.faults.add(Rule::line("add-brick", Action::fail()).nth(1));
    failure(world.finish(expand(&world, volume, 2)));
    let (settled, asked) = order(&world);
    assert!(settled.is_some() && settled < asked, "expand: {settled:?} {asked:?}");

    for action in [Action::fail(), Action::Hang { ran: false }] {
        world.faults.clear();
        world.faults.add(Rule::line("volume delete", action));
        failure(world.finish(delete(&world, volume)));
        let (settled, asked) = order(&world);
        assert!(settled.is_some() && settled < asked, "delete: {settled:?} {asked:?}");
        assert_eq!(world.volumes(), [volume]);
    }
    world.faults.clear();
    world.assert_agreed("at the end");
}

#[test]
fn what_is_done_is_not_lost_when_the_file_cannot_be_written_for_a_moment() {
    let world = World::new(3);
    let gate = Gate::new();
    world.faults.add(Rule::line("volume start", Action::FreezeReply(gate.clone())).nth(1));
    let job = create(&world, NONE, "v").unwrap();
    world.run(|_| async { tokio::time::timeout(BOUND, gate.frozen()).await.unwrap() });
    let held = world.hold_file();
    gate.open();
    // By the end of the second refusal, Finalize has been refused too: it came to the writer during the first.
    for _ in 0..2 {
        let flags = ClusterFlags { file: true, block: false };
        assert!(world.run(|ops| async move { ops.cluster_create(flags).await }).is_err());
    }
    drop(held);
    assert!(matches!(world.answer(job), Outcome::Resource(_)));
    assert_eq!(world.volumes().len(), 1);
    world.assert_agreed("at the end");
}
