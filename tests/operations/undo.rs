//! Two faults: one in the operation, one in its undo or in its recovery.

use heketi::exec::inject::{Action, Gate, Rule};
use heketi::store::{OperationStatus, Outcome};
use heketi::topology::Durability;

use crate::cases::*;
use crate::cuts::{End, Fault, Fault::*, repair, run};
use crate::world::{World, settings};

fn failure(text: &str) -> Action {
    // A `test -d` with status 1 would not be a failure but an answer.
    Action::Fail { status: 5, stderr: format!("{text} failure\n") }
}

fn world(hosts: usize) -> World {
    let mut settings = settings();
    settings.volume_create_retries = 0;
    World::with(hosts, settings, 0)
}

/// The operation fails at one command; what comes after it, undo included, fails at another. Returns whether both have
/// happened.
fn fail_twice(world: &mut World, case: Case, first: usize, second: Fault, at: usize) -> (bool, bool) {
    let what = format!("{case:?}: failure at {first}, then {second:?} at {at}");
    let subject = case.prepare(world);
    world.faults.take_lines();
    let gate = Gate::new();
    let action = if second == FailBefore { failure("second") } else { second.action(&gate) };
    world.faults.add(Rule::every(failure("first")).nth(first as u64));
    world.faults.add(Rule::every(action).nth(at as u64));
    let (end, job) = run(world, case, subject, second, at, &gate);
    let fired = world.faults.lines().len() >= first;
    let both = world.faults.fired() == 2;
    repair(world);
    let left = world.store().read(|tx| tx.operations()).unwrap();
    match end {
        End::Killed => {
            world.kill();
            if let Some(job) = job {
                assert!(matches!(world.answer(job), Outcome::Error(_)), "{what}");
            }
        }
        End::Refused(_) => {}
        End::Answer(Outcome::Error(text)) => {
            // Others go on after some failures, so that the first fault need not be the first error.
            let stops = matches!(case, Case::Create(_) | Case::Expand(..));
            assert!(text.contains("first") || !stops, "{what}: not the first error: {text}");
            for operation in &left {
                assert_eq!(operation.status, OperationStatus::Failed, "{what}");
            }
        }
        End::Answer(outcome) => assert!(left.is_empty(), "{what}: {outcome:?}, and yet not at its end"),
    }
    assert_eq!(world.clean(), 0, "{what}: recovery has left something");
    world.assert_agreed(&what);
    world.restore();
    (fired, both)
}

fn fail_twice_everywhere(hosts: usize, case: Case) {
    let mut world = world(hosts);
    let mut pairs = 0;
    for second in [FailBefore, Down, KillAfter] {
        for first in 1.. {
            let mut any = false;
            for at in first + 1.. {
                let (fired, both) = fail_twice(&mut world, case, first, second, at);
                any |= fired;
                if !both {
                    break;
                }
                pairs += 1;
            }
            if !any {
                break;
            }
        }
    }
    println!("{case:?}: {pairs} pairs of faults");
    assert!(pairs > 0);
}

/// The server is killed, and recovery fails or is killed as well. Recovery that comes after that finds half-undone work.
fn cut_recovery(hosts: usize, case: Case) {
    let mut world = world(hosts);
    let mut pairs = 0;
    for second in [FailBefore, LoseReply, KillAfter] {
        'first: for first in 1.. {
            for at in 1.. {
                let what = format!("{case:?}: killed after {first}, recovery {second:?} at {at}");
                let subject = case.prepare(&world);
                world.faults.take_lines();
                let gate = Gate::new();
                world.faults.act_on_nth(first as u64, KillAfter.action(&gate));
                let (end, _) = run(&world, case, subject, KillAfter, first, &gate);
                let killed = matches!(end, End::Killed);
                if killed {
                    world.faults.clear();
                    world.kill();
                }
                let gate = Gate::new();
                world.faults.act_on_nth(at as u64, second.action(&gate));
                world.run(|ops| async move {
                    let cleaning = tokio::spawn(async move { ops.clean().await });
                    tokio::select! {
                        biased;
                        () = gate.frozen() => {}
                        cleaned = cleaning => drop(cleaned.unwrap().unwrap()),
                    }
                });
                let both = world.faults.fired() > 0;
                repair(&world);
                if second.kills() {
                    world.kill();
                }
                assert_eq!(world.clean(), 0, "{what}: recovery has left something");
                world.assert_agreed(&what);
                world.restore();
                if !killed {
                    break 'first;
                }
                if !both {
                    break;
                }
                pairs += 1;
            }
        }
    }
    println!("{case:?}: {pairs} cuts of recovery");
    assert!(pairs > 0);
}

/// Replica 2 without the rest: as few commands as an undo with several bricks has.
const PAIR: Shape = Shape::new(Durability::Replicate(Some(2)), 2);

macro_rules! twice {
    ($($name:ident $recovery:ident $hosts:literal $case:expr;)*) => {$(
        #[test]
        fn $name() {
            fail_twice_everywhere($hosts, $case);
        }

        #[test]
        fn $recovery() {
            cut_recovery($hosts, $case);
        }
    )*};
}

twice! {
    node_add_twice node_add_recovery 3 Case::NodeAdd;
    node_delete_twice node_delete_recovery 3 Case::NodeDelete;
    device_add_twice device_add_recovery 3 Case::DeviceAdd;
    device_add_destroy_twice device_add_destroy_recovery 3 Case::DeviceAddDestroy;
    device_delete_twice device_delete_recovery 3 Case::DeviceDelete;
    create_twice create_recovery 3 Case::Create(PAIR);
    expand_twice expand_recovery 3 Case::Expand(NONE, 2);
    delete_twice delete_recovery 3 Case::Delete(NONE);
}
