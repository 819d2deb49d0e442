//! Clusters (spec-api.md 1.6).

use axum::http::StatusCode;

use crate::api::{ClusterFlagsRequest, ClusterInfoResponse, ClusterListResponse};
use crate::http::call::Call;
use crate::http::reply::{self, Problem, Reply};
use crate::ids::ClusterId;
use crate::ops::{ClusterFlags, OpError};

fn texts<T: ToString>(ids: Vec<T>) -> Vec<String> {
    ids.iter().map(T::to_string).collect()
}

fn flags(call: &Call<'_>) -> Result<ClusterFlags, Problem> {
    let request = ClusterFlagsRequest::read(&call.json()?)?;
    Ok(ClusterFlags { file: request.file, block: request.block })
}

pub async fn create(call: Call<'_>) -> Result<Reply, Problem> {
    let cluster = call.app.ops().cluster_create(flags(&call)?).await?;
    let info = ClusterInfoResponse {
        id: cluster.id.to_string(),
        nodes: Vec::new(),
        volumes: Vec::new(),
        block: cluster.block,
        file: cluster.file,
        blockvolumes: Vec::new(),
    };
    Ok(reply::json(StatusCode::CREATED, &info))
}

pub async fn list(call: Call<'_>) -> Result<Reply, Problem> {
    let clusters = call.app.ops().store().read(|tx| tx.clusters())?;
    let clusters = clusters.iter().map(|cluster| cluster.id.to_string()).collect();
    Ok(reply::json(StatusCode::OK, &ClusterListResponse { clusters }))
}

pub async fn info(call: Call<'_>) -> Result<Reply, Problem> {
    let id: ClusterId = call.id()?;
    let info = call.app.ops().store().read(|tx| {
        let Some(cluster) = tx.cluster(id)? else { return Ok(None) };
        Ok(Some(ClusterInfoResponse {
            id: id.to_string(),
            nodes: texts(tx.node_ids(id)?),
            volumes: texts(tx.volume_ids(Some(id))?),
            block: cluster.block,
            file: cluster.file,
            blockvolumes: Vec::new(),
        }))
    })?;
    Ok(reply::json(StatusCode::OK, &info.ok_or_else(OpError::id_not_found)?))
}

pub async fn set_flags(call: Call<'_>) -> Result<Reply, Problem> {
    let flags = flags(&call)?;
    call.app.ops().cluster_set_flags(call.id()?, flags).await?;
    Ok(reply::empty_json())
}

pub async fn delete(call: Call<'_>) -> Result<Reply, Problem> {
    call.app.ops().cluster_delete(call.id()?).await?;
    Ok(reply::empty(StatusCode::OK))
}
