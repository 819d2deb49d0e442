//! A new device (spec-ops.md 7.1 and 7.2).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::hosts::Turn;
use super::stages::{Cause, Failure, Resolution, Stages};
use super::{OpError, Ops};
use crate::exec::NodeError;
use crate::exec::nodes::{DeviceFacts, DeviceHandle, PvState, SetupFailure, SetupLeft};
use crate::ids::{DeviceId, JobId, NodeId, OpId};
use crate::store::{Outcome, StoreError, Tx};
use crate::topology::{Device, EntryState, Tags};
use crate::units::Kib;

/// A checked request for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAdd {
    /// The node it is in, as the client sent it.
    pub node: String,
    /// Its name there, `/dev/...`.
    pub name: String,
    /// Wipe what is on it, if that is safe.
    pub destroy_data: bool,
    /// Its tags.
    pub tags: Tags,
}

/// The plan of a new device. All else is in the pending row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceAddPlan {
    device: DeviceId,
    manage: String,
    destroy_data: bool,
    #[serde(skip)]
    turn: Turn,
    #[serde(skip)]
    facts: Option<DeviceFacts>,
    /// What a failed set-up has left on the disk; not known after a crash.
    #[serde(skip)]
    left: Option<SetupLeft>,
}

const EXTENT: Kib = Kib(4096);

impl Ops {
    /// Starts the set-up of a device.
    pub async fn device_add(&self, request: DeviceAdd) -> Result<JobId, OpError> {
        let unknown = || OpError::NotFound("Node id does not exist".to_owned());
        let id: NodeId = request.node.parse().map_err(|_| unknown())?;
        self.store_read(|tx| tx.node(id)?.map(drop).ok_or_else(unknown))?;
        self.start(false, move |_, tx, op| {
            let node = tx.node(id)?.ok_or_else(unknown)?;
            let device = Device {
                id: DeviceId::random(),
                node: id,
                name: request.name,
                state: EntryState::Online,
                tags: request.tags,
                total: Kib::ZERO,
                free: Kib::ZERO,
                used: Kib::ZERO,
                extent: EXTENT,
                pv_uuid: String::new(),
                paths: Vec::new(),
            };
            tx.add_device(&device, Some(op))?;
            Ok(DeviceAddPlan {
                device: device.id,
                manage: node.manage_host().to_owned(),
                destroy_data: request.destroy_data,
                turn: Turn::default(),
                facts: None,
                left: Some(SetupLeft::Nothing),
            })
        })
        .await
    }

    fn load_device(&self, id: DeviceId) -> Result<Device, Failure> {
        self.store()
            .read(|tx| tx.device_or_pending(id))?
            .ok_or_else(|| Failure::Text(super::error::ID_NOT_FOUND.to_owned()))
    }
}

impl DeviceAddPlan {
    /// The reference's words for a failed set-up, by what is on the disk.
    async fn explain(&self, ops: &Ops, name: &str, error: NodeError) -> (NodeError, Option<PvState>) {
        let (state, why) = match ops.nodes().pv_state(&self.manage, name).await {
            Err(_) => (None, "failed to check device contents".to_owned()),
            Ok(PvState::NoPv) => (Some(PvState::NoPv), "already initialized or contains data?".to_owned()),
            Ok(PvState::Pv { uuid, vg }) => {
                let why = format!("aleady contains Physical Volume {uuid}");
                (Some(PvState::Pv { uuid, vg }), why)
            }
        };
        let text = format!("Initializing device {name} failed ({why}): {error}");
        (error.worded(text), state)
    }

    /// Takes what is ours from the disk.
    async fn take_back(&self, ops: &Ops, device: &Device) -> Result<Resolution, Failure> {
        let nodes = ops.nodes();
        if nodes.vg_exists(&self.manage, device.id).await? {
            let torn_down = nodes.device_teardown(&self.manage, &DeviceHandle::of(device)).await;
            torn_down.map_err(|failure| failure.error)?;
        } else if let PvState::Pv { vg, .. } = nodes.pv_state(&self.manage, &device.name).await?
            && vg.is_empty()
        {
            nodes.pv_remove(&self.manage, &device.name).await?;
        }
        Ok(Resolution::Undone)
    }

    /// Whether the disk may be wiped: never if it may be one of ours.
    fn may_destroy(ops: &Ops, state: Option<&PvState>, error: &NodeError) -> Result<(), Failure> {
        let unsafe_text = || Failure::Text(format!("Can not destroy device, destroy may not be safe: {error}"));
        match state {
            Some(PvState::NoPv) => Ok(()),
            Some(PvState::Pv { uuid, .. }) => {
                let devices = ops.store().read(|tx| tx.all_devices())?;
                if let Some(owner) = devices.iter().find(|device| device.pv_uuid == *uuid) {
                    return Err(Failure::Text(format!("Device already in use (ID: {})", owner.id)));
                }
                // The row of the device that is being added has no UUID yet, nor have others that are pending.
                let unknown = ops.store().read(|tx| tx.has_device_without_uuid())?;
                if unknown { Err(unsafe_text()) } else { Ok(()) }
            }
            None => Err(unsafe_text()),
        }
    }
}

#[async_trait]
impl Stages for DeviceAddPlan {
    async fn exec(&mut self, ops: &Ops, _: OpId) -> Result<(), Failure> {
        let device = ops.load_device(self.device)?;
        let nodes = ops.nodes();
        self.turn.take(&ops.0.device_adds, self.manage.clone()).await;
        let mut set_up = nodes.device_setup(&self.manage, device.id, &device.name, false).await;
        if let Err(SetupFailure { error, left: SetupLeft::Nothing }) = set_up {
            self.left = Some(SetupLeft::Nothing);
            let (error, state) = self.explain(ops, &device.name, error).await;
            if !self.destroy_data {
                return Err(error.into());
            }
            Self::may_destroy(ops, state.as_ref(), &error)?;
            set_up = nodes.device_setup(&self.manage, device.id, &device.name, true).await;
        }
        match set_up {
            Ok(facts) => {
                self.facts = Some(facts);
                Ok(())
            }
            Err(failure) => {
                self.left = Some(failure.left);
                let text = format!(
                    "Initializing device {} failed (already initialized or contains data?): {}",
                    device.name, failure.error
                );
                Err(failure.error.worded(text).into())
            }
        }
    }

    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError> {
        if let (Some(facts), Some(mut device)) = (&self.facts, tx.device_or_pending(self.device)?) {
            device.total = facts.total;
            device.free = facts.free;
            device.used = facts.used;
            device.extent = facts.extent;
            device.pv_uuid.clone_from(&facts.pv_uuid);
            device.paths.clone_from(&facts.paths);
            tx.set_device_facts(&device)?;
        }
        tx.set_device_pending(self.device, None)?;
        Ok(Outcome::Nothing)
    }

    /// Only what is surely ours is taken from a disk: a physical volume that another program has prepared looks like one
    /// that a cut-off set-up has left. So where nobody knows how far it got, the addition goes forward; but it wipes
    /// nothing any more, since the disk may have found another use meanwhile.
    async fn resolve(&mut self, ops: &Ops, _: OpId, _: Cause<'_>) -> Result<Resolution, Failure> {
        let device = ops.load_device(self.device)?;
        match self.left {
            Some(SetupLeft::Nothing) => return Ok(Resolution::Undone),
            Some(SetupLeft::Ours) => return self.take_back(ops, &device).await,
            Some(SetupLeft::Unknown) | None => {}
        }
        self.turn.take(&ops.0.device_adds, self.manage.clone()).await;
        let nodes = ops.nodes();
        let set_up = if nodes.vg_exists(&self.manage, device.id).await? {
            Ok(nodes.device_facts(&self.manage, device.id, &device.name).await?)
        } else {
            nodes.device_setup(&self.manage, device.id, &device.name, false).await
        };
        match set_up {
            Ok(facts) => {
                self.facts = Some(facts);
                Ok(Resolution::Done)
            }
            Err(SetupFailure { error, .. }) if error.is_transport() => Err(error.into()),
            Err(SetupFailure { error, left: SetupLeft::Nothing }) => {
                match nodes.pv_state(&self.manage, &device.name).await? {
                    // Perhaps ours; pvcreate takes it another time, since it is in no volume group.
                    PvState::Pv { vg, .. } if vg.is_empty() => Err(error.into()),
                    _ => Ok(Resolution::Undone),
                }
            }
            Err(_) => self.take_back(ops, &device).await,
        }
    }

    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        tx.remove_device(self.device)
    }
}
