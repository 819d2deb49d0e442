//! Volumes (spec-api.md 1.9).

use std::collections::BTreeMap;

use axum::http::StatusCode;

use crate::api::{
    BlockInfo, BrickInfo, DisperseInfo, DurabilityInfo, GlusterMount, Mount, ReplicateInfo, SnapshotInfo,
    VolumeCreateRequest, VolumeExpandRequest, VolumeInfoResponse, VolumeListResponse,
};
use crate::http::call::Call;
use crate::http::reply::{self, Problem, Reply};
use crate::ids::VolumeId;
use crate::ops::{OpError, VolumeCreate};
use crate::store::{StoreError, Tx};
use crate::topology::{Durability, DurabilityNumbers, Volume, VolumeOptions};
use crate::units::Gib;

fn invalid(text: impl Into<String>) -> Problem {
    Problem::Invalid(text.into())
}

/// The request in our terms, or the reference's refusal, in its order (spec-api.md 1.9, rows 3 to 8).
fn checked(request: VolumeCreateRequest) -> Result<VolumeCreate, Problem> {
    request.check()?;
    if request.gid < 0 {
        return Err(invalid("Bad group id less than zero"));
    }
    if request.gid >= i64::from(i32::MAX) {
        return Err(invalid("Bad group id equal or greater than 2**32"));
    }
    let DurabilityInfo { kind, replicate, disperse } = request.durability;
    if !matches!(kind.as_str(), "" | "none" | "replicate" | "disperse") {
        return Err(invalid("Unknown durability type"));
    }
    let SnapshotInfo { enable, factor } = request.snapshot;
    if enable && !(1.0..=100.0).contains(&factor) {
        return Err(invalid("Invalid snapshot factor"));
    }
    let durability = match kind.as_str() {
        "replicate" => match u32::try_from(replicate.replica) {
            Ok(0) => Durability::Replicate(None),
            Ok(copies @ 1..=3) => Durability::Replicate(Some(copies)),
            _ => return Err(invalid("Invalid replica value")),
        },
        "disperse" => match (disperse.data, disperse.redundancy) {
            (2, 1) => Durability::Disperse { data: 2, redundancy: 1 },
            (4, 2) => Durability::Disperse { data: 4, redundancy: 2 },
            (8, 3) => Durability::Disperse { data: 8, redundancy: 3 },
            (8, 4) => Durability::Disperse { data: 8, redundancy: 4 },
            (data, redundancy) => return Err(invalid(format!("Invalid dispersion combination: {data}+{redundancy}"))),
        },
        _ => Durability::None,
    };
    let DisperseInfo { data, redundancy } = disperse;
    let durability_numbers = DurabilityNumbers { replica: replicate.replica, data, redundancy };
    if let Some(option) = request.options.iter().find(|option| option.chars().any(char::is_control)) {
        return Err(invalid(format!("Invalid volume option {option:?}: control characters are not allowed")));
    }
    // Gluster's command reads `--log-file=...` and the like wherever it stands, in place of a key or a value too.
    let as_switch = |option: &&String| {
        VolumeOptions::words(option).is_some_and(|(key, value)| key.starts_with('-') || value.starts_with("--"))
    };
    if let Some(option) = request.options.iter().find(as_switch) {
        return Err(invalid(format!("Invalid volume option {option:?}: gluster would take it for a switch")));
    }
    Ok(VolumeCreate {
        size: Gib(request.size.unsigned_abs()),
        clusters: request.clusters,
        name: request.name,
        durability,
        durability_numbers,
        gid: request.gid,
        options: request.options,
        block: request.block,
        snapshot_factor: enable.then_some(factor),
    })
}

pub async fn create(call: Call<'_>) -> Result<Reply, Problem> {
    let request = checked(VolumeCreateRequest::read(&call.json()?)?)?;
    Ok(reply::accepted(call.app.ops().volume_create(request).await?, false))
}

pub async fn list(call: Call<'_>) -> Result<Reply, Problem> {
    let volumes = call.app.ops().store().read(|tx| tx.volume_ids(None))?;
    let volumes = volumes.iter().map(VolumeId::to_string).collect();
    Ok(reply::json(StatusCode::OK, &VolumeListResponse { volumes }))
}

fn durability_info(volume: &Volume) -> DurabilityInfo {
    let kind = match volume.durability {
        Durability::None => "none",
        Durability::Replicate(_) => "replicate",
        Durability::Disperse { .. } => "disperse",
    };
    let DurabilityNumbers { replica, data, redundancy } = volume.durability_numbers;
    DurabilityInfo {
        kind: kind.to_owned(),
        replicate: ReplicateInfo { replica },
        disperse: DisperseInfo { data, redundancy },
    }
}

fn block_info(tx: &Tx<'_>, volume: &Volume) -> Result<BlockInfo, StoreError> {
    let gib = |size: Gib| i64::try_from(size.0).unwrap_or(i64::MAX);
    let space = if volume.block { tx.block_space(volume.id)? } else { None };
    Ok(space.map_or_else(BlockInfo::default, |(free, reserved)| BlockInfo {
        free_size: gib(free),
        reserved_size: gib(reserved),
    }))
}

fn volume_info(tx: &Tx<'_>, volume: Volume) -> Result<VolumeInfoResponse, StoreError> {
    let block_info = block_info(tx, &volume)?;
    let bricks = tx.bricks_of_volume(volume.id)?;
    let hosts = tx.storage_hosts(volume.cluster)?;
    let (first, others) = hosts.split_first().map_or(("", [].as_slice()), |(first, others)| (first.as_str(), others));
    let device = format!("{first}:{}", volume.name);
    let options = BTreeMap::from([("backup-volfile-servers", others.join(","))]);
    let durability = durability_info(&volume);
    Ok(VolumeInfoResponse {
        size: volume.size.0,
        name: volume.name,
        durability,
        gid: volume.gid,
        options: volume.options.0,
        block: volume.block,
        snapshot: SnapshotInfo { enable: volume.snapshot, factor: volume.snapshot_factor },
        id: volume.id.to_string(),
        cluster: volume.cluster.to_string(),
        mount: Mount { glusterfs: GlusterMount { hosts, device, options } },
        block_info,
        bricks: bricks.into_iter().map(BrickInfo::from).collect(),
    })
}

pub async fn info(call: Call<'_>) -> Result<Reply, Problem> {
    let id = call.id()?;
    let info = call.app.ops().store().read(|tx| match tx.volume(id)? {
        Some(volume) if volume.pending.is_none() => volume_info(tx, volume).map(Some),
        _ => Ok(None),
    })?;
    Ok(reply::json(StatusCode::OK, &info.ok_or_else(OpError::id_not_found)?))
}

pub async fn expand(call: Call<'_>) -> Result<Reply, Problem> {
    let request = VolumeExpandRequest::read(&call.json()?)?;
    request.check()?;
    let by = Gib(request.expand_size.unsigned_abs());
    Ok(reply::accepted(call.app.ops().volume_expand(call.id()?, by).await?, false))
}

pub async fn delete(call: Call<'_>) -> Result<Reply, Problem> {
    Ok(reply::accepted(call.app.ops().volume_delete(call.id()?).await?, false))
}
