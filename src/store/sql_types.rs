//! How our types are stored: ids as their bytes, sizes as integers, lists and maps as JSON.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::StoreError;
use crate::ids::{BlockVolumeId, BrickId, ClusterId, DeviceId, JobId, NodeId, OpId, VolumeId};
use crate::topology::EntryState;
use crate::units::{Gib, Kib};

macro_rules! ids_in_sql {
    ($($id:ident)*) => {$(
        impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.bytes())))
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <[u8; 16]>::column_result(value).map(Self::from_bytes)
            }
        }
    )*};
}

ids_in_sql!(ClusterId NodeId DeviceId BrickId VolumeId BlockVolumeId OpId JobId);

macro_rules! sizes_in_sql {
    ($($size:ident)*) => {$(
        impl ToSql for $size {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                i64::try_from(self.0).map(ToSqlOutput::from).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
            }
        }

        impl FromSql for $size {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                u64::try_from(value.as_i64()?).map(Self).map_err(|e| FromSqlError::Other(e.into()))
            }
        }
    )*};
}

sizes_in_sql!(Kib Gib);

impl ToSql for EntryState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for EntryState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|e: crate::topology::NotAState| FromSqlError::Other(e.into()))
    }
}

/// A list or map as it is stored.
pub(super) fn to_json<T: serde::Serialize + ?Sized>(table: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::damaged(table, e))
}

/// A stored list or map. The common empty ones are not parsed.
pub(super) fn from_json<T: serde::de::DeserializeOwned + Default>(
    table: &'static str,
    value: ValueRef<'_>,
) -> Result<T, StoreError> {
    match value.as_str().map_err(|e| StoreError::damaged(table, e))? {
        "{}" | "[]" => Ok(T::default()),
        text => serde_json::from_str(text).map_err(|e| StoreError::damaged(table, e)),
    }
}
