//! Operations under way, each with its whole plan.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{OptionalExtension, Row};

use super::{StoreError, Tx};
use crate::ids::{JobId, OpId};

/// How far an operation got, as clients see it (spec-api.md 10.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationStatus {
    /// Under way.
    New,
    /// Cut off by the end of the server; recovery has it to do.
    Stale,
    /// Neither done nor undone; the cleaner tries again.
    Failed,
}

impl OperationStatus {
    /// The word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "",
            Self::Stale => "stale",
            Self::Failed => "failed",
        }
    }
}

impl FromSql for OperationStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "" => Ok(Self::New),
            "stale" => Ok(Self::Stale),
            "failed" => Ok(Self::Failed),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// An operation as stored. What the plan says is the business of `ops`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OpId,
    /// Which kind of operation, by number (spec-ops.md 5.2).
    pub kind: i64,
    /// How far it got.
    pub status: OperationStatus,
    /// When it was built, in seconds since 1970.
    pub created_at: i64,
    /// All it could ever leave on a node, as JSON.
    pub plan: String,
    /// The queue entry that waits for it.
    pub job: Option<JobId>,
}

fn operation(row: &Row<'_>) -> rusqlite::Result<Operation> {
    Ok(Operation {
        id: row.get(0)?,
        kind: row.get(1)?,
        status: row.get(2)?,
        created_at: row.get(3)?,
        plan: row.get(4)?,
        job: row.get(5)?,
    })
}

impl Tx<'_> {
    /// One operation.
    pub fn operation(&self, id: OpId) -> Result<Option<Operation>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, kind, status, created_at, plan, job FROM operations WHERE id = ?1")?;
        Ok(statement.query_row([id], operation).optional()?)
    }

    /// All operations, by ascending id.
    pub fn operations(&self) -> Result<Vec<Operation>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, kind, status, created_at, plan, job FROM operations ORDER BY id")?;
        let rows = statement.query_map([], operation)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds an operation, or replaces the plan of one that tries again.
    pub fn put_operation(&self, operation: &Operation) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO operations (id, kind, status, created_at, plan, job) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE SET status = excluded.status, plan = excluded.plan, job = excluded.job",
            )?
            .execute((
                operation.id,
                operation.kind,
                operation.status.as_str(),
                operation.created_at,
                &operation.plan,
                operation.job,
            ))?;
        Ok(())
    }

    /// Says how far an operation got.
    pub fn set_operation_status(&self, id: OpId, status: OperationStatus) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE operations SET status = ?2 WHERE id = ?1")?
            .execute((id, status.as_str()))?;
        Ok(())
    }

    /// Removes an operation that is done or undone.
    pub fn remove_operation(&self, id: OpId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM operations WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// At start: nothing is under way any more, all of it is recovery's. Returns how many there are.
    pub fn mark_operations_stale(&self) -> Result<i64, StoreError> {
        self.connection.prepare_cached("UPDATE operations SET status = 'stale' WHERE status <> 'stale'")?.execute([])?;
        let mut statement = self.connection.prepare_cached("SELECT count(*) FROM operations")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }
}
