//! A device that goes (spec-api.md 1.8).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::engine::{Cause, Failure, Resolution, Stages};
use super::error::IN_USE;
use super::plan::Plan;
use super::{OpError, Ops};
use crate::exec::nodes::DeviceHandle;
use crate::ids::{DeviceId, JobId, OpId};
use crate::store::{Outcome, StoreError, Tx};
use crate::topology::EntryState;

/// The plan of a device's removal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceDeletePlan {
    device: DeviceId,
    manage: String,
    /// The disk or its node is lost: what cannot be removed is left.
    force_forget: bool,
}

fn check(tx: &Tx<'_>, id: DeviceId) -> Result<(), OpError> {
    let device = tx.device(id)?.ok_or_else(OpError::id_not_found)?;
    if device.state != EntryState::Failed {
        return Err(OpError::Invalid(format!("device: {id} is not in failed state")));
    }
    if tx.device_has_bricks(id)? {
        return Err(OpError::Conflict(format!("Unable to delete device [{id}] because it contains bricks")));
    }
    Ok(())
}

impl Ops {
    /// Starts the removal of a device that has failed and holds no bricks.
    pub async fn device_delete(&self, id: DeviceId, force_forget: bool) -> Result<JobId, OpError> {
        if self.store().read(|tx| Ok(tx.device(id)?.is_none() && tx.device_or_pending(id)?.is_some()))? {
            return Err(OpError::Conflict(IN_USE.to_owned()));
        }
        self.store_read(|tx| check(tx, id))?;
        self.start(false, move |_, tx, op| {
            check(tx, id)?;
            let device = tx.device(id)?.ok_or_else(OpError::id_not_found)?;
            let node = tx.node_or_pending(device.node)?.ok_or_else(OpError::id_not_found)?;
            tx.set_device_pending(id, Some(op))?;
            let manage = node.manage_host().to_owned();
            Ok(Plan::DeviceDelete(DeviceDeletePlan { device: id, manage, force_forget }))
        })
        .await
    }
}

#[async_trait]
impl Stages for DeviceDeletePlan {
    async fn exec(&mut self, ops: &Ops, _: OpId) -> Result<(), Failure> {
        let Some(device) = ops.store().read(|tx| tx.device_or_pending(self.device))? else { return Ok(()) };
        let handle = DeviceHandle::of(&device);
        if self.force_forget {
            ops.nodes().device_forget(&self.manage, &handle).await;
            Ok(())
        } else {
            Ok(ops.nodes().device_teardown(&self.manage, &handle).await?)
        }
    }

    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError> {
        tx.remove_device(self.device)?;
        Ok(Outcome::Nothing)
    }

    /// A device whose removal was refused stays, and can be removed again: what is gone already does not matter then.
    async fn resolve(&mut self, ops: &Ops, op: OpId, cause: Cause<'_>) -> Result<Resolution, Failure> {
        match cause {
            Cause::Failed(_) => Ok(Resolution::Undone),
            Cause::Lost => {
                self.exec(ops, op).await?;
                Ok(Resolution::Done)
            }
        }
    }

    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        tx.set_device_pending(self.device, None)
    }
}
