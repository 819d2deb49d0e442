//! Reading a device's sizes again (spec-ops.md 7.3). It leaves nothing on a node, so it needs no plan.

use super::error::IN_USE;
use super::stages::Failure;
use super::{OpError, Ops, now};
use crate::exec::nodes::DeviceHandle;
use crate::ids::{BrickId, DeviceId, JobId, OpId};
use crate::store::{Outcome, StoreError, Tx};

/// The bricks of a device; `None` while one of them is being made or removed.
fn holds(tx: &Tx<'_>, id: DeviceId) -> Result<Option<Vec<BrickId>>, StoreError> {
    let bricks = tx.bricks_of_device(id)?;
    let still = bricks.iter().all(|brick| brick.pending.is_none());
    Ok(still.then(|| bricks.into_iter().map(|brick| brick.id).collect()))
}

impl Ops {
    /// Starts reading the sizes of a device.
    pub async fn device_resync(&self, id: DeviceId) -> Result<JobId, OpError> {
        let (device, node) = self.store_read(|tx| {
            let device = tx.device(id)?.ok_or_else(OpError::id_not_found)?;
            let node = tx.node(device.node)?.ok_or_else(OpError::id_not_found)?;
            Ok((device, node))
        })?;
        let slot = self.0.admission.track(OpId::random()).ok_or(OpError::Busy)?;
        let job = JobId::random();
        self.store_write(move |tx| Ok(tx.add_job(job, now())?)).await?;
        let ops = self.clone();
        self.0.tasks.spawn(async move {
            let _slot = slot;
            let read = tokio::spawn({
                let ops = ops.clone();
                async move { ops.read_again(id, node.manage_host(), &DeviceHandle::of(&device)).await }
            });
            let outcome = match read.await {
                Ok(Ok(())) => Outcome::Nothing,
                Ok(Err(failure)) => {
                    tracing::error!(device = %id, "cannot resync the device: {}", failure.report());
                    Outcome::Error(failure.to_string())
                }
                Err(_) => Outcome::Error("internal error while reading the device".to_owned()),
            };
            let stored = ops.store_write(move |tx| Ok(tx.finish_job(job, &outcome, now())?)).await;
            if let Err(error) = stored {
                tracing::error!(device = %id, "cannot store the answer of the resync: {error}");
            }
        });
        Ok(job)
    }

    async fn read_again(&self, id: DeviceId, host: &str, handle: &DeviceHandle) -> Result<(), Failure> {
        let before = self.store().read(|tx| holds(tx, id))?;
        let facts = self.nodes().device_info(host, handle).await?;
        self.store_write(move |tx| {
            // What the node said is true only if nothing was being made or removed on the device meanwhile.
            if before.is_none() || holds(tx, id)? != before {
                return Err(OpError::Failed(IN_USE.to_owned()));
            }
            let mut device = tx.device(id)?.ok_or_else(OpError::id_not_found)?;
            device.total = facts.total;
            device.free = facts.free;
            device.used = facts.used;
            Ok(tx.set_device_facts(&device)?)
        })
        .await
        .map_err(|error| Failure::Text(error.to_string()))
    }
}
