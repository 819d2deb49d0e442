//! Many clients at once, on nodes on which now and then something fails.

use std::time::{Duration, Instant};

use heketi::exec::inject::{Action, Rule};
use heketi::ids::{JobId, VolumeId};
use heketi::ops::{OpError, Ops};
use heketi::store::Outcome;
use heketi::units::Gib;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::cases::*;
use crate::world::{BOUND, World, settings, settled};

const CLIENTS: u64 = 8;
const REQUESTS: u32 = 10;

/// Waits for room, as clients do.
async fn started<F: Future<Output = Result<JobId, OpError>>>(request: impl Fn() -> F) -> Result<JobId, OpError> {
    let began = Instant::now();
    loop {
        match request().await {
            Err(OpError::Busy) => assert!(began.elapsed() < BOUND, "no place ever comes back"),
            other => return other,
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// One client: makes volumes, grows them and deletes what it finds, also what others have made.
async fn client(ops: Ops, seed: u64) -> [u32; 2] {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut answers = [0, 0];
    for _ in 0..REQUESTS {
        let volumes = ops.store().read(|tx| tx.volume_ids(None)).unwrap();
        let any: Option<VolumeId> = (!volumes.is_empty()).then(|| volumes[rng.random_range(0..volumes.len())]);
        let shape = [NONE, REPLICA_2, REPLICA_3, ARBITER, DISPERSE, TWO_SETS][rng.random_range(0..6)];
        let by = Gib(rng.random_range(1..4));
        let job = match (rng.random_range(0..10), any) {
            (0..=1, Some(volume)) => started(|| ops.volume_expand(volume, by)).await,
            (2..=5, Some(volume)) => started(|| ops.volume_delete(volume)).await,
            _ => started(|| ops.volume_create(shape.request(""))).await,
        };
        match job {
            Ok(job) => match settled(&ops, job).await {
                Outcome::Error(text) => {
                    assert!(!text.is_empty());
                    answers[1] += 1;
                }
                _ => answers[0] += 1,
            },
            // Somebody else works on it, or has deleted it.
            Err(OpError::NotFound(_)) => {}
            Err(OpError::Failed(text)) => {
                let known = ["is in use", "No space", "Minimum brick size"];
                assert!(known.iter().any(|part| text.contains(part)), "{text}");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    answers
}

fn crowd(seed: u64, kills: bool) {
    let mut four = settings();
    four.max_inflight = Some(6);
    let mut world = World::with(4, four, 2);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut answers = [0, 0];
    for round in 0..2 {
        for _ in 0..40 {
            let action = match rng.random_range(0..5) {
                // Status 1 of `test` would not be a failure but an answer.
                0 => Action::Fail { status: 5, stderr: "injected failure\n".to_owned() },
                1 => Action::FailAfter { status: 5, stderr: "injected failure after the work\n".to_owned() },
                2 => Action::LoseReply,
                3 => Action::Hang { ran: rng.random() },
                _ => Action::Refuse,
            };
            world.faults.add(Rule::every(action).nth(rng.random_range(1..1200)));
        }
        let clients: Vec<_> = world.run(|ops| async move {
            (0..CLIENTS).map(|i| tokio::spawn(client(ops.clone(), seed * 1000 + i + round * 100))).collect()
        });
        if kills {
            // Somewhere in the middle.
            let commands = rng.random_range(200..600);
            let faults = world.faults.clone();
            world.run(|_| async move {
                while faults.lines().len() < commands && !clients.iter().all(|client| client.is_finished()) {
                    tokio::task::yield_now().await;
                }
            });
            world.faults.clear();
            world.kill();
        } else {
            for client in clients {
                let [done, failed] = world.run(|_| async move { client.await.unwrap() });
                answers = [answers[0] + done, answers[1] + failed];
            }
        }
        assert!(kills || world.faults.fired() > 10, "seed {seed}: hardly anything failed");
        world.faults.clear();
        world.faults.take_lines();
        assert_eq!(world.clean(), 0, "seed {seed}");
        world.assert_agreed(&format!("seed {seed}, round {round}"));
    }
    if !kills {
        assert!(answers[0] > 20 && answers[1] > 0, "seed {seed}: {answers:?}");
    }
    world.restore();
}

#[test]
fn clients_and_faults() {
    (1..=6).for_each(|seed| crowd(seed, false));
}

#[test]
fn clients_faults_and_kills() {
    (11..=16).for_each(|seed| crowd(seed, true));
}
