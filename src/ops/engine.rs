//! How every operation runs: Build, Exec, Finalize; and after a failure or a crash, Resolve.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::admission::Slot;
use super::plan::Plan;
use super::stages::{Cause, Failure, Resolution};
use super::{OpError, Ops, now};
use crate::ids::{JobId, OpId};
use crate::store::{Operation, OperationStatus, Outcome, StoreError, Tx};

fn stored(plan: &Plan, id: OpId, job: Option<JobId>) -> Result<Operation, StoreError> {
    let text =
        serde_json::to_string(plan).map_err(|e| StoreError::Damaged { table: "operations", what: e.to_string() })?;
    Ok(Operation { id, kind: plan.kind(), status: OperationStatus::New, created_at: now(), plan: text, job })
}

/// Seconds between attempts to store what must not be lost.
const PATIENCE: [u64; 5] = [1, 2, 4, 8, 16];

/// One operation that this process works on.
struct Run {
    ops: Ops,
    id: OpId,
    job: Option<JobId>,
    plan: Plan,
    slot: Arc<Slot>,
}

impl Ops {
    /// Builds an operation in one transaction and starts it. `counts` says whether it takes one of the limited places.
    pub(super) async fn start<P: Into<Plan>>(
        &self,
        counts: bool,
        build: impl FnOnce(&Ops, &Tx<'_>, OpId) -> Result<P, OpError> + Send + 'static,
    ) -> Result<JobId, OpError> {
        let id = OpId::random();
        let slot =
            if counts { self.0.admission.enter(id)? } else { self.0.admission.track(id).ok_or(OpError::Busy)? };
        self.start_in(slot, id, build).await
    }

    /// As [`Ops::start`], in a place that is already taken.
    pub(super) async fn start_in<P: Into<Plan>>(
        &self,
        slot: Slot,
        id: OpId,
        build: impl FnOnce(&Ops, &Tx<'_>, OpId) -> Result<P, OpError> + Send + 'static,
    ) -> Result<JobId, OpError> {
        let job = JobId::random();
        let ops = self.clone();
        // Built in a task of its own: a client that hangs up cannot come between the plan and its execution.
        let built = self.0.tasks.spawn(async move {
            let builder = ops.clone();
            let plan = ops
                .store_write(move |tx| {
                    let plan = build(&builder, tx, id)?.into();
                    tx.add_job(job, now())?;
                    tx.put_operation(&stored(&plan, id, Some(job))?)?;
                    Ok(plan)
                })
                .await?;
            ops.clone().spawn(Run { ops, id, job: Some(job), plan, slot: Arc::new(slot) });
            Ok(job)
        });
        built.await.unwrap_or_else(|_| Err(OpError::Failed("internal error while planning the operation".to_owned())))
    }

    fn spawn(self, run: Run) {
        let (id, job) = (run.id, run.job);
        let tasks = self.0.tasks.clone();
        tasks.spawn(async move {
            if tokio::spawn(run.drive()).await.is_err() {
                tracing::error!(operation = %id, "a bug ended the operation; it is left to recovery");
                self.give_up(id, job, "internal error; the operation is left to recovery").await;
            }
        });
    }

    /// Leaves an operation to the cleaner, and tells its client why.
    async fn give_up(&self, id: OpId, job: Option<JobId>, text: &str) {
        let outcome = Outcome::Error(text.to_owned());
        let stored = self
            .store_patiently(move |tx| {
                tx.set_operation_status(id, OperationStatus::Failed)?;
                if let Some(job) = job {
                    tx.finish_job(job, &outcome, now())?;
                }
                Ok(())
            })
            .await;
        if let Err(error) = stored {
            tracing::error!(operation = %id, "cannot store that the operation failed: {error}");
        }
    }

    /// Stores what the nodes have done or what a client waits for. Where the database cannot be written for a moment
    /// (the disk is full, another program holds the file), it is tried again before it is left to recovery.
    async fn store_patiently(
        &self,
        change: impl Fn(&Tx<'_>) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Result<(), StoreError> {
        let change = Arc::new(change);
        for wait in PATIENCE {
            let attempt = Arc::clone(&change);
            match self.store().write(move |tx| attempt(tx)).await {
                Err(error) if error.may_pass() => {
                    tracing::warn!("{error}; trying again");
                    tokio::time::sleep(Duration::from_secs(wait)).await;
                }
                other => return other,
            }
        }
        self.store().write(move |tx| change(tx)).await
    }

    /// The operation that holds something, if it is of this kind and is waiting for the cleaner: a client that asks for
    /// the same again may take it up.
    pub(super) fn unfinished(&self, holder: Option<OpId>, kind: i64) -> Result<Option<OpId>, StoreError> {
        let Some(id) = holder else { return Ok(None) };
        let operation = self.store().read(|tx| tx.operation(id))?;
        let waits = |operation: &Operation| operation.kind == kind && operation.status != OperationStatus::New;
        Ok(operation.filter(waits).map(|operation| operation.id))
    }

    /// Resolves an operation that was cut off or could not be undone. `false`: it is left for another time.
    pub(super) async fn recover(&self, id: OpId) -> bool {
        let Some(slot) = self.0.admission.track(id) else { return false };
        // Somebody else may have brought it to its end since it was listed.
        let operation = match self.store().read(|tx| tx.operation(id)) {
            Ok(Some(operation)) => operation,
            Ok(None) => return true,
            Err(error) => {
                tracing::error!(operation = %id, "the operation cannot be read: {error}");
                return false;
            }
        };
        let plan: Plan = match serde_json::from_str(&operation.plan) {
            Ok(plan) => plan,
            Err(error) => {
                tracing::error!(operation = %id, "the plan of the operation cannot be read: {error}");
                return false;
            }
        };
        // A client that has its answer keeps it; one that still waits gets it now.
        let run = Run { ops: self.clone(), id, job: operation.job, plan, slot: Arc::new(slot) };
        match tokio::spawn(run.resume()).await {
            Ok(resolved) => resolved,
            Err(_) => {
                tracing::error!(operation = %id, "a bug ended the recovery of the operation");
                false
            }
        }
    }
}

impl Run {
    async fn drive(mut self) {
        let label = self.plan.label();
        let mut attempt = 1;
        loop {
            tracing::info!(operation = %self.id, attempt, "{label}");
            let failure = match self.plan.stages().exec(&self.ops, self.id).await {
                Ok(()) => {
                    self.finish().await;
                    return;
                }
                Err(failure) => failure,
            };
            tracing::error!(operation = %self.id, attempt, "{label} failed: {}", failure.report());
            match self.plan.stages().resolve(&self.ops, self.id, Cause::Failed(&failure)).await {
                Ok(Resolution::Done) => {
                    self.finish().await;
                    return;
                }
                Ok(Resolution::Undone) => match self.again_or_out(failure).await {
                    Some(run) => self = run,
                    None => return,
                },
                Err(error) => {
                    tracing::error!(operation = %self.id, "{label} cannot be undone now and is left to the cleaner: {}", error.report());
                    self.slot.make_room();
                    return self.ops.give_up(self.id, self.job, &failure.to_string()).await;
                }
            }
            attempt += 1;
        }
    }

    /// Brings an operation to its end that somebody else has begun.
    async fn resume(mut self) -> bool {
        let label = self.plan.label();
        match self.plan.stages().resolve(&self.ops, self.id, Cause::Lost).await {
            Ok(Resolution::Done) => {
                tracing::info!(operation = %self.id, "{label} is complete now");
                self.finish().await
            }
            Ok(Resolution::Undone) => {
                tracing::info!(operation = %self.id, "{label} is undone now");
                self.out(Outcome::Error("the operation could not be completed and was undone".to_owned())).await
            }
            Err(error) => {
                tracing::warn!(operation = %self.id, "{label} still cannot be resolved: {}", error.report());
                self.ops.give_up(self.id, self.job, &error.to_string()).await;
                false
            }
        }
    }

    /// Finalize. What the nodes hold is complete; if the database refuses, recovery sees to it: `false`.
    async fn finish(self) -> bool {
        let Self { ops, id, job, plan, slot } = self;
        slot.make_room();
        // Its turn ends with the plan: after the commit.
        let plan = Arc::new(Mutex::new(plan));
        let finalizing = Arc::clone(&plan);
        let finalized = ops
            .store_patiently(move |tx| {
                let mut plan = finalizing.lock().unwrap_or_else(PoisonError::into_inner);
                let outcome = plan.stages().finalize(tx)?;
                tx.remove_operation(id)?;
                if let Some(job) = job {
                    tx.finish_job(job, &outcome, now())?;
                }
                Ok(())
            })
            .await;
        if let Err(error) = &finalized {
            tracing::error!(operation = %id, "the nodes have done their work, but the database has not: {error}");
            ops.give_up(id, job, &error.to_string()).await;
        }
        drop(plan);
        finalized.is_ok()
    }

    /// After an undo that followed a failure: plans again if that is wanted and possible, else ends with the failure.
    async fn again_or_out(self, failure: Failure) -> Option<Self> {
        let Self { ops, id, job, mut plan, slot } = self;
        let (planner, place) = (ops.clone(), Arc::clone(&slot));
        let result = ops
            .store_write(move |tx| {
                plan.stages().roll_back(tx)?;
                let again = match plan.stages().plan_again(&planner, tx, id, &failure) {
                    Ok(again) => again,
                    Err(OpError::Store(error)) => return Err(error.into()),
                    Err(error) => {
                        tracing::info!(operation = %id, "not tried again: {error}");
                        false
                    }
                };
                if again {
                    tx.put_operation(&stored(&plan, id, job)?)?;
                } else {
                    place.make_room();
                    tx.remove_operation(id)?;
                    if let Some(job) = job {
                        tx.finish_job(job, &Outcome::Error(failure.to_string()), now())?;
                    }
                }
                Ok((again, plan))
            })
            .await;
        match result {
            Ok((true, plan)) => Some(Self { ops, id, job, plan, slot }),
            Ok((false, _)) => None,
            Err(error) => {
                tracing::error!(operation = %id, "the nodes are clean again, but the database cannot be: {error}");
                ops.give_up(id, job, &error.to_string()).await;
                None
            }
        }
    }

    /// As if it had never been. `false` if the database refuses.
    async fn out(self, outcome: Outcome) -> bool {
        let Self { ops, id, job, plan, slot: _slot } = self;
        let rolled_back = ops
            .store_write(move |tx| {
                let mut plan = plan;
                plan.stages().roll_back(tx)?;
                tx.remove_operation(id)?;
                if let Some(job) = job {
                    tx.finish_job(job, &outcome, now())?;
                }
                Ok(plan)
            })
            .await;
        if let Err(error) = &rolled_back {
            tracing::error!(operation = %id, "the nodes are clean again, but the database cannot be: {error}");
            ops.give_up(id, job, &error.to_string()).await;
        }
        rolled_back.is_ok()
    }
}
