//! Nodes on the wire (spec-api.md 1.7).

use serde::Serialize;

use super::validation::{Invalid, rules};
use super::{Body, DeviceInfoResponse, NotParsed};
use crate::topology::Tags;

/// The names of a node.
#[derive(Debug, Clone, Serialize)]
pub struct HostAddresses {
    /// For SSH.
    pub manage: Vec<String>,
    /// For gluster.
    pub storage: Vec<String>,
}

/// `POST /nodes`.
#[derive(Debug, Clone)]
pub struct NodeAddRequest {
    /// Failure domain, 1 and up.
    pub zone: i64,
    /// Its names.
    pub hostnames: HostAddresses,
    /// The cluster it shall belong to.
    pub cluster: String,
    /// Its tags.
    pub tags: Tags,
}

impl NodeAddRequest {
    /// Reads it from a body.
    pub fn read(body: &Body) -> Result<Self, NotParsed> {
        let hosts = body.section("hostnames")?;
        Ok(Self {
            zone: body.int("zone")?,
            hostnames: HostAddresses { manage: hosts.texts("manage")?, storage: hosts.texts("storage")? },
            cluster: body.text("cluster")?,
            tags: body.map("tags")?,
        })
    }

    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut hostnames = Invalid::default();
        hostnames.check("manage", rules::hosts(&self.hostnames.manage, "manage"));
        hostnames.check("storage", rules::hosts(&self.hostnames.storage, "storage"));
        let mut invalid = Invalid::default();
        invalid.check("zone", rules::positive(self.zone));
        invalid.nested("hostnames", &hostnames);
        invalid.check("cluster", rules::id(&self.cluster));
        invalid.check("tags", rules::tags(&self.tags));
        invalid.result()
    }
}

/// A node and its devices.
#[derive(Debug, Clone, Serialize)]
pub struct NodeInfoResponse {
    /// Failure domain.
    pub zone: i64,
    /// Its names.
    pub hostnames: HostAddresses,
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Its id.
    pub id: String,
    /// `online`, `offline` or `failed`.
    pub state: &'static str,
    /// Its devices, by ascending id.
    pub devices: Vec<DeviceInfoResponse>,
}
