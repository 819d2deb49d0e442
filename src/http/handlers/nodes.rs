//! Nodes (spec-api.md 1.7).

use axum::http::StatusCode;

use super::devices::device_info;
use crate::api::{HostAddresses, NodeAddRequest, NodeInfoResponse, StateRequest, TagsChangeRequest, TagsChangeType};
use crate::http::call::Call;
use crate::http::reply::{self, Problem, Reply};
use crate::ids::NodeId;
use crate::ops::{NodeAdd, OpError, TagsChange};
use crate::topology::EntryState;

/// The state a request asks for.
pub fn state(call: &Call<'_>) -> Result<EntryState, Problem> {
    Ok(StateRequest::read(&call.json()?)?.check()?)
}

/// How a request changes tags.
pub fn tags(call: &Call<'_>) -> Result<TagsChange, Problem> {
    let request = TagsChangeRequest::read(&call.json()?)?;
    Ok(match request.check()? {
        TagsChangeType::Set => TagsChange::Set(request.tags),
        TagsChangeType::Update => TagsChange::Update(request.tags),
        TagsChangeType::Delete => TagsChange::Delete(request.tags.into_keys().collect()),
    })
}

pub async fn add(call: Call<'_>) -> Result<Reply, Problem> {
    let request = NodeAddRequest::read(&call.json()?)?;
    request.check()?;
    let node = NodeAdd {
        cluster: request.cluster,
        zone: request.zone,
        manage: request.hostnames.manage,
        storage: request.hostnames.storage,
        tags: request.tags,
    };
    Ok(reply::accepted(call.app.ops().node_add(node).await?, false))
}

pub async fn info(call: Call<'_>) -> Result<Reply, Problem> {
    let id: NodeId = call.id()?;
    let info = call.app.ops().store().read(|tx| {
        let Some(node) = tx.node(id)? else { return Ok(None) };
        let devices = tx.devices(id)?.into_iter().map(|device| device_info(tx, device)).collect::<Result<_, _>>()?;
        Ok(Some(NodeInfoResponse {
            zone: node.zone,
            hostnames: HostAddresses { manage: node.manage, storage: node.storage },
            cluster: node.cluster.to_string(),
            tags: node.tags,
            id: id.to_string(),
            state: node.state.as_str(),
            devices,
        }))
    })?;
    Ok(reply::json(StatusCode::OK, &info.ok_or_else(OpError::id_not_found)?))
}

pub async fn delete(call: Call<'_>) -> Result<Reply, Problem> {
    Ok(reply::accepted(call.app.ops().node_delete(call.id()?).await?, false))
}

pub async fn set_state(call: Call<'_>) -> Result<Reply, Problem> {
    let state = state(&call)?;
    Ok(reply::accepted(call.app.ops().node_set_state(call.id()?, state).await?, false))
}

pub async fn set_tags(call: Call<'_>) -> Result<Reply, Problem> {
    let change = tags(&call)?;
    Ok(reply::json(StatusCode::OK, &call.app.ops().node_set_tags(call.id()?, change).await?))
}
