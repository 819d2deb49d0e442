//! Devices (spec-api.md 1.8).

use axum::http::StatusCode;

use super::nodes::{state, tags};
use crate::api::{DeviceAddRequest, DeviceDeleteRequest, DeviceInfoResponse};
use crate::http::call::Call;
use crate::http::reply::{self, Problem, Reply};
use crate::ops::{DeviceAdd, OpError};
use crate::store::{StoreError, Tx};
use crate::topology::Device;

/// A device with the bricks that clients see.
pub fn device_info(tx: &Tx<'_>, device: Device) -> Result<DeviceInfoResponse, StoreError> {
    let bricks = tx.bricks_of_device(device.id)?;
    Ok(DeviceInfoResponse::new(device, bricks))
}

pub async fn add(call: Call<'_>) -> Result<Reply, Problem> {
    let request = DeviceAddRequest::read(&call.json()?)?;
    request.check()?;
    let device =
        DeviceAdd { node: request.node, name: request.name, destroy_data: request.destroy_data, tags: request.tags };
    Ok(reply::accepted(call.app.ops().device_add(device).await?, false))
}

pub async fn info(call: Call<'_>) -> Result<Reply, Problem> {
    let id = call.id()?;
    let info = call
        .app
        .ops()
        .store()
        .read(|tx| tx.device(id)?.map(|device| device_info(tx, device)).transpose())?
        .ok_or_else(OpError::id_not_found)?;
    Ok(reply::json(StatusCode::OK, &info))
}

pub async fn delete(call: Call<'_>) -> Result<Reply, Problem> {
    let request =
        if call.has_length { DeviceDeleteRequest::read(&call.json()?)? } else { DeviceDeleteRequest::default() };
    Ok(reply::accepted(call.app.ops().device_delete(call.id()?, request.force_forget).await?, false))
}

pub async fn set_state(call: Call<'_>) -> Result<Reply, Problem> {
    let state = state(&call)?;
    Ok(reply::accepted(call.app.ops().device_set_state(call.id()?, state).await?, false))
}

pub async fn resync(call: Call<'_>) -> Result<Reply, Problem> {
    Ok(reply::accepted(call.app.ops().device_resync(call.id()?).await?, true))
}

pub async fn set_tags(call: Call<'_>) -> Result<Reply, Problem> {
    let change = tags(&call)?;
    Ok(reply::json(StatusCode::OK, &call.app.ops().device_set_tags(call.id()?, change).await?))
}
