//! Clusters on the wire (spec-api.md 1.6).

use serde::Serialize;

use super::{Body, NotParsed};

/// `POST /clusters` and `POST /clusters/{id}/flags`: what is left out is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterFlagsRequest {
    /// May hold file volumes.
    pub file: bool,
    /// May hold block hosting volumes.
    pub block: bool,
}

impl ClusterFlagsRequest {
    /// Reads it from a body.
    pub fn read(body: &Body) -> Result<Self, NotParsed> {
        Ok(Self { file: body.flag("file")?, block: body.flag("block")? })
    }
}

/// A cluster and what belongs to it.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterInfoResponse {
    /// Its id.
    pub id: String,
    /// Its nodes, by ascending id.
    pub nodes: Vec<String>,
    /// Its volumes, by ascending id.
    pub volumes: Vec<String>,
    /// May hold block hosting volumes.
    pub block: bool,
    /// May hold file volumes.
    pub file: bool,
    /// Its block volumes, by ascending id.
    pub blockvolumes: Vec<String>,
}

/// `GET /clusters`.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterListResponse {
    /// All clusters, by ascending id.
    pub clusters: Vec<String>,
}
