//! After a start, and on a timer: operations that were cut off or could not be undone.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{JOBS_KEPT, Ops, now};
use crate::store::{OperationStatus, StoreError};

/// What a client reads whose operation was cut off. Recovery decides what becomes of it.
pub const INTERRUPTED: &str = "The server was stopped while this operation was under way; it is being undone or completed. \
                               Check whether its result exists, and send the request again if not";

/// Operations resolved at once: those on a node that hangs shall not hold up the others. What a node and a cluster bear
/// is bounded elsewhere.
const AT_ONCE: usize = 64;

impl Ops {
    /// At start, before anything is served: nothing is under way any more. Returns how many operations have to be
    /// resolved.
    pub async fn take_over(&self) -> Result<i64, StoreError> {
        self.store()
            .write(|tx| {
                tx.fail_running_jobs(INTERRUPTED, now())?;
                tx.mark_operations_stale()
            })
            .await
    }

    /// Forgets answers of the queue that are older than they are kept. Returns how many.
    pub async fn forget_old_answers(&self) -> Result<usize, StoreError> {
        let expired = now().saturating_sub(i64::try_from(JOBS_KEPT.as_secs()).unwrap_or(i64::MAX));
        self.store().write(move |tx| tx.expire_jobs(expired)).await
    }

    /// Resolves all operations that are stale or failed and that nobody works on. Returns how many remain.
    pub async fn clean(&self) -> Result<usize, StoreError> {
        let operations = self.store().read(|tx| tx.operations())?;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut runs = tokio::task::JoinSet::new();
        for operation in operations {
            if operation.status == OperationStatus::New && self.0.admission.is_tracked(operation.id) {
                continue;
            }
            let (ops, turns) = (self.clone(), Arc::clone(&turns));
            runs.spawn(async move {
                let _turn = turns.acquire_owned().await;
                ops.recover(operation.id).await
            });
        }
        let mut remaining = 0;
        while let Some(resolved) = runs.join_next().await {
            remaining += usize::from(!resolved.unwrap_or(false));
        }
        Ok(remaining)
    }
}
