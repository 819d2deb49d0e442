//! Every operation, cut at every command in turn, in every way.

use std::sync::Mutex;

use heketi::exec::inject::{Action, Gate};
use heketi::ids::JobId;
use heketi::ops::OpError;
use heketi::store::Outcome;

use crate::cases::*;
use crate::world::{World, settled};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    FailBefore,
    FailAfter,
    LoseReply,
    Hang,
    HangRan,
    /// This connection fails, the next one does not.
    Refuse,
    /// The host is not reached from there on; its bricks and its glusterd go on.
    Down,
    /// The host's plug is pulled.
    PowerOff,
    /// The host's glusterd ends.
    GlusterdOff,
    /// The server is killed before the command runs, or before its reply arrives.
    KillBefore,
    KillAfter,
}

use Fault::*;

pub const ALL: [Fault; 11] =
    [FailBefore, FailAfter, LoseReply, Hang, HangRan, Refuse, Down, PowerOff, GlusterdOff, KillBefore, KillAfter];

impl Fault {
    pub fn action(self, gate: &std::sync::Arc<Gate>) -> Action {
        match self {
            FailBefore => Action::fail(),
            FailAfter => Action::fail_after(),
            LoseReply => Action::LoseReply,
            Hang => Action::Hang { ran: false },
            HangRan => Action::Hang { ran: true },
            Refuse => Action::Refuse,
            Down => Action::Down,
            PowerOff | GlusterdOff | KillBefore => Action::Freeze(gate.clone()),
            KillAfter => Action::FreezeReply(gate.clone()),
        }
    }

    pub const fn kills(self) -> bool {
        matches!(self, KillBefore | KillAfter)
    }

    /// What is broken is whole again at the next command: nobody has to wait for anything to be repaired.
    const fn passes(self) -> bool {
        matches!(self, FailBefore | FailAfter | LoseReply | Hang | HangRan | Refuse)
    }
}

struct Failed {
    text: String,
    fired: bool,
}

pub enum End {
    Refused(OpError),
    Answer(Outcome),
    Killed,
}

/// Runs the operation under the rules that are set. `nth` is the command at which the gate is reached.
pub fn run(world: &World, case: Case, subject: Subject, fault: Fault, nth: usize, gate: &Gate) -> (End, Option<JobId>) {
    let cell = Mutex::new(None);
    let started = &cell;
    let end = world.run(|ops| async move {
        let work = async {
            match tokio::spawn(case.start(ops.clone(), subject)).await.unwrap() {
                Err(refusal) => End::Refused(refusal),
                Ok(job) => {
                    *started.lock().unwrap() = Some(job);
                    End::Answer(settled(&ops, job).await)
                }
            }
        };
        tokio::pin!(work);
        tokio::select! {
            biased;
            () = gate.frozen() => {}
            end = &mut work => return end,
        }
        if fault.kills() {
            return End::Killed;
        }
        let host = world.faults.lines()[nth - 1].0.clone();
        match fault {
            PowerOff => world.sim.power_off(&host),
            _ => world.sim.set_glusterd(&host, false),
        }
        gate.open();
        work.await
    });
    (end, cell.into_inner().unwrap())
}

pub fn repair(world: &World) {
    world.faults.clear();
    for i in 1..10 {
        world.sim.power_on(&format!("m{i}"));
        world.sim.set_glusterd(&format!("m{i}"), true);
    }
}

/// One cut, and what has to be true after it. `false`: there are not that many commands.
fn cut(world: &mut World, case: Case, fault: Fault, nth: usize) -> Result<bool, Failed> {
    let subject = case.prepare(world);
    world.faults.take_lines();
    let gate = Gate::new();
    world.faults.act_on_nth(nth as u64, fault.action(&gate));
    let (end, job) = run(world, case, subject, fault, nth, &gate);
    let fired = world.faults.fired() > 0;
    let lines = world.faults.lines();
    let mut wrong = Vec::new();
    let left = world.store().read(|tx| tx.operations()).unwrap().len();
    if left > 0 && matches!(fault, Down | PowerOff | GlusterdOff) {
        // The cleaner comes while the host is still away: it has to do no harm.
        world.clean();
    }
    let left = world.store().read(|tx| tx.operations()).unwrap().len();
    repair(world);
    match &end {
        End::Refused(_) if case.came_true(world, subject) => wrong.push("refused, and yet done".to_owned()),
        End::Refused(_) => {}
        // The operation is at its end, so the answer has to be right already.
        End::Answer(outcome) if left == 0 => wrong.extend(case.check_answer(world, subject, outcome).err()),
        End::Answer(Outcome::Error(_)) => {}
        End::Answer(outcome) => wrong.push(format!("{outcome:?}, and yet the operation is not at its end")),
        End::Killed => {
            world.kill();
            if let Some(job) = job {
                match world.answer(job) {
                    Outcome::Error(text) if text.contains("stopped while this operation was under way") => {}
                    outcome => wrong.push(format!("after the restart the answer is {outcome:?}")),
                }
            }
        }
    }
    if left > 0 && fault.passes() && !matches!(case, Case::Delete(_) | Case::DeviceDelete | Case::NodeDelete) {
        wrong.push("the operation was left to the cleaner, though nothing was broken any more".to_owned());
    }
    let remaining = world.clean();
    if remaining > 0 {
        wrong.push(format!("recovery has left {remaining} operations"));
    }
    if case.gives_the_disk_up() {
        // The administrator has said that what cannot be removed is to be left.
        forget_disk(world);
    } else {
        wrong.extend(case.folders_left(world, subject));
    }
    if matches!(case, Case::DeviceAdd) && fault == FailAfter && nth == 1 {
        // What pvcreate has made and denied looks like what another program has made, and is left for the next addition.
        forget_disk(world);
    }
    wrong.extend(world.complaints());
    if !wrong.is_empty() {
        let tail: Vec<_> =
            lines.iter().enumerate().map(|(i, (host, line))| format!("{} {host}: {line}", i + 1)).collect();
        let end = match end {
            End::Refused(refusal) => format!("refused: {refusal}"),
            End::Answer(outcome) => format!("{outcome:?}"),
            End::Killed => "killed".to_owned(),
        };
        let text = format!(
            "{case:?} {fault:?} at command {nth} ({end}):\n  {}\n commands:\n    {}",
            wrong.join("\n  "),
            tail.join("\n    ")
        );
        return Err(Failed { text, fired });
    }
    if fired {
        world.restore();
    }
    Ok(fired)
}

/// Takes from the node what was given up, as its administrator would.
fn forget_disk(world: &World) {
    for line in world.sim.dump().lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["disk", name, _, "KiB", "pv", _, "vg", vg] = words.as_slice() else { continue };
        let id = vg.strip_prefix("vg_").map(|id| id.parse().unwrap());
        let known = id.map(|id| world.store().read(|tx| tx.device_or_pending(id)).unwrap().is_some());
        if known == Some(false) {
            world.sim.exec("m1", &["lvm", "vgremove", vg]);
        }
        if known != Some(true) {
            world.sim.exec("m1", &["lvm", "pvremove", name]);
        }
    }
}

/// Cuts a case at every command in each of these ways.
fn cut_everywhere(hosts: usize, case: Case, faults: &[Fault]) {
    let mut world = World::new(hosts);
    let mut cells = 0;
    let mut failures = Vec::new();
    for fault in faults {
        for nth in 1.. {
            assert!(
                nth < 400,
                "{case:?} {fault:?}: no end of commands, {cells} {}",
                failures.last().cloned().unwrap_or_default()
            );
            match cut(&mut world, case, *fault, nth) {
                Ok(true) => cells += 1,
                Ok(false) => {
                    world.restore();
                    break;
                }
                Err(failure) => {
                    let fired = failure.fired;
                    failures.push(failure.text);
                    cells += 1;
                    world = World::new(hosts);
                    if !fired {
                        break;
                    }
                }
            }
        }
    }
    println!("{case:?}: {cells} cuts");
    assert!(cells >= faults.len(), "{case:?}: nothing was cut");
    if !failures.is_empty() {
        let shown: Vec<_> =
            failures.iter().take(std::env::var("SHOW").map_or(3, |n| n.parse().unwrap())).cloned().collect();
        panic!("{case:?}: {} of {cells} cuts went wrong\n{}", failures.len(), shown.join("\n"));
    }
}

macro_rules! cuts {
    ($($name:ident $hosts:literal $case:expr;)*) => {$(
        #[test]
        fn $name() {
            cut_everywhere($hosts, $case, &ALL);
        }
    )*};
}

cuts! {
    first_node_add 3 Case::FirstNodeAdd;
    node_add 3 Case::NodeAdd;
    node_delete 3 Case::NodeDelete;
    device_add 3 Case::DeviceAdd;
    device_add_with_data_on_it 3 Case::DeviceAddDestroy;
    device_delete 3 Case::DeviceDelete;
    device_forget 3 Case::DeviceForget;
    device_resync 3 Case::DeviceResync;
    create_none 3 Case::Create(NONE);
    create_replica_1 3 Case::Create(REPLICA_1);
    create_replica_2 4 Case::Create(REPLICA_2);
    create_replica_3 3 Case::Create(REPLICA_3);
    create_arbiter 4 Case::Create(ARBITER);
    create_disperse 3 Case::Create(DISPERSE);
    create_two_sets 4 Case::Create(TWO_SETS);
    expand_none 3 Case::Expand(NONE, 2);
    expand_replica_3 3 Case::Expand(REPLICA_3, 2);
    delete_none 3 Case::Delete(NONE);
    delete_replica_3 3 Case::Delete(REPLICA_3);
    delete_two_sets 4 Case::Delete(TWO_SETS);
}
