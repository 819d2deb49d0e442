//! States of nodes and devices (spec-ops.md 1.3). The answer of a refused change comes through the queue, as the
//! reference's does.

use super::{OpError, Ops};
use crate::ids::{DeviceId, JobId, NodeId};
use crate::store::{Outcome, Tx};
use crate::topology::EntryState::{Failed, Offline, Online};
use crate::topology::{Device, EntryState};

impl Ops {
    /// Changes the state of a node.
    pub async fn node_set_state(&self, id: NodeId, state: EntryState) -> Result<JobId, OpError> {
        if self.store().read(|tx| tx.node(id))?.is_none() {
            return Err(OpError::id_not_found());
        }
        self.check_room(state)?;
        self.job_done(move |tx| {
            let node = tx.node(id)?.ok_or_else(OpError::id_not_found)?;
            let refusal = match (node.state, state) {
                (from, to) if from == to => None,
                (Online, Failed) => {
                    Some(format!("Node must be offline before remove operation is performed, node:{id}"))
                }
                (Failed, Online) => Some("Cannot move a failed/removed node to online state".to_owned()),
                (Failed, Offline) => Some("Cannot move a failed/removed node to offline state".to_owned()),
                (Offline, Failed) => {
                    for device in tx.devices(id)? {
                        if let Some(refusal) = give_up_device(tx, &device)? {
                            return Ok(Outcome::Error(refusal));
                        }
                    }
                    tx.set_node_state(id, Failed)?;
                    None
                }
                _ => {
                    tx.set_node_state(id, state)?;
                    None
                }
            };
            Ok(refusal.map_or(Outcome::Nothing, Outcome::Error))
        })
        .await
    }

    /// Changes the state of a device.
    pub async fn device_set_state(&self, id: DeviceId, state: EntryState) -> Result<JobId, OpError> {
        if self.store().read(|tx| tx.device(id))?.is_none() {
            return Err(OpError::id_not_found());
        }
        self.check_room(state)?;
        self.job_done(move |tx| {
            let device = tx.device(id)?.ok_or_else(OpError::id_not_found)?;
            let refusal = match (device.state, state) {
                (from, to) if from == to => None,
                (Online, Failed) => {
                    Some(format!("Device must be offline before remove operation is performed, device:{id}"))
                }
                (Failed, Online) => Some("Cannot move a failed/removed device to online state".to_owned()),
                (Offline, Failed) => give_up_device(tx, &device)?,
                _ => {
                    tx.set_device_state(id, state)?;
                    None
                }
            };
            Ok(refusal.map_or(Outcome::Nothing, Outcome::Error))
        })
        .await
    }

    /// Only the way to `failed` takes a place, since it may move bricks.
    fn check_room(&self, state: EntryState) -> Result<(), OpError> {
        if state == Failed {
            drop(self.0.admission.enter(crate::ids::OpId::random())?);
        }
        Ok(())
    }
}

/// Marks an empty device as failed. `Some` is why it cannot be.
fn give_up_device(tx: &Tx<'_>, device: &Device) -> Result<Option<String>, OpError> {
    if tx.device_has_bricks(device.id)? {
        return Ok(Some(format!(
            "Unable to remove device [{}] as it holds bricks, and this version cannot move them to other devices yet; \
             delete their volumes first",
            device.id
        )));
    }
    tx.set_device_state(device.id, Failed)?;
    Ok(None)
}
