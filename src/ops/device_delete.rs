//! A device that goes (spec-api.md 1.8).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::IN_USE;
use super::stages::{Cause, Failure, Resolution, Stages};
use super::{OpError, Ops};
use crate::exec::nodes::DeviceHandle;
use crate::ids::{DeviceId, JobId, OpId};
use crate::store::{Outcome, StoreError, Tx};
use crate::topology::{Device, EntryState};

/// The plan of a device's removal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceDeletePlan {
    device: DeviceId,
    manage: String,
    /// The disk or its node is lost: what cannot be removed is left.
    force_forget: bool,
    /// The node was not reached: the device is as it was.
    #[serde(skip)]
    untouched: bool,
}

/// The device, if it may go. `by` is its own removal, if that is taken up again.
fn check(tx: &Tx<'_>, id: DeviceId, by: Option<OpId>) -> Result<Device, OpError> {
    let device = tx.device_or_pending(id)?.ok_or_else(OpError::id_not_found)?;
    if tx.device_pending(id)?.is_some_and(|op| Some(op) != by) {
        return Err(OpError::Conflict(IN_USE.to_owned()));
    }
    if device.state != EntryState::Failed {
        return Err(OpError::Invalid(format!("device: {id} is not in failed state")));
    }
    if tx.device_has_bricks(id)? {
        return Err(OpError::Conflict(format!("Unable to delete device [{id}] because it contains bricks")));
    }
    Ok(device)
}

impl Ops {
    /// Starts the removal of a device that has failed and holds no bricks, or takes up one that could not be finished:
    /// now with `force_forget`, perhaps, since the node does not come back.
    pub async fn device_delete(&self, id: DeviceId, force_forget: bool) -> Result<JobId, OpError> {
        let unfinished = self.unfinished(self.store().read(|tx| tx.device_pending(id))?, DeviceDeletePlan::KIND)?;
        self.store_read(|tx| check(tx, id, unfinished).map(drop))?;
        let op = unfinished.unwrap_or_else(OpId::random);
        let slot = self.0.admission.track(op).ok_or(OpError::Busy)?;
        self.start_in(slot, op, move |_, tx, op| {
            let device = check(tx, id, Some(op))?;
            let node = tx.node_or_pending(device.node)?.ok_or_else(OpError::id_not_found)?;
            tx.set_device_pending(id, Some(op))?;
            let manage = node.manage_host().to_owned();
            Ok(DeviceDeletePlan { device: id, manage, force_forget, untouched: false })
        })
        .await
    }
}

impl DeviceDeletePlan {
    /// The stored number of such operations.
    pub const KIND: i64 = 104;
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
            let torn_down = ops.nodes().device_teardown(&self.manage, &handle).await;
            self.untouched = torn_down.as_ref().is_err_and(|failure| failure.nothing_removed);
            Ok(torn_down.map_err(|failure| failure.error)?)
        }
    }

    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError> {
        tx.remove_device(self.device)?;
        Ok(Outcome::Nothing)
    }

    /// A device whose volume group is still there stays, and can be removed again. One without goes.
    async fn resolve(&mut self, ops: &Ops, op: OpId, cause: Cause<'_>) -> Result<Resolution, Failure> {
        if let Cause::Failed(_) = cause
            && (self.untouched || ops.nodes().vg_exists(&self.manage, self.device).await?)
        {
            return Ok(Resolution::Undone);
        }
        self.exec(ops, op).await?;
        Ok(Resolution::Done)
    }

    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        tx.set_device_pending(self.device, None)
    }
}
