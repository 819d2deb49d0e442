//! What can go wrong with the database.

use std::path::PathBuf;

/// Why the database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is an old heketi database.
    #[error(
        "{0} is a bolt database of the Go heketi; this server keeps its data in SQLite and leaves the old file as it is. \
         Give it a new path in \"db\""
    )]
    BoltFile(PathBuf),
    /// The file is something else.
    #[error("{0} is not a heketi-rs database, and is left as it is: {1}")]
    Foreign(PathBuf, &'static str),
    /// The file was made by a newer version.
    #[error(
        "{0} was written by a newer heketi-rs (schema {1}, this one knows {2}); install that version or restore a backup"
    )]
    Newer(PathBuf, i64, i64),
    /// The folder of a new file is missing.
    #[error("cannot create {0}: its folder does not exist; is the file system with the database mounted?")]
    NoFolder(PathBuf),
    /// The file cannot be opened.
    #[error("cannot open the database {0}: {1}")]
    Open(PathBuf, String),
    /// Another process uses the file.
    #[error("the database {0} is in use by another heketi server")]
    InUse(PathBuf),
    /// SQLite refused a statement.
    #[error("database error: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A change could not be brought to the disk; nothing of it is kept.
    #[error("the database cannot be written: {0}")]
    NotWritten(String),
    /// The schema could not be brought up to date.
    #[error("cannot bring the database up to date: {0}")]
    Migrate(#[from] rusqlite_migration::Error),
    /// A stored value makes no sense.
    #[error("damaged record in table {table}: {what}")]
    Damaged {
        /// The table it is in.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A change panicked; it was undone.
    #[error("internal error: a change to the database panicked and was undone")]
    Panicked,
    /// The writer has stopped.
    #[error("the database is closed")]
    Closed,
}

impl StoreError {
    /// The same change may succeed a little later: the disk is full, or another program holds the file.
    pub fn may_pass(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
        match self {
            Self::NotWritten(_) => true,
            Self::Sql(error) => error
                .sqlite_error_code()
                .is_some_and(|code| matches!(code, DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure)),
            _ => false,
        }
    }

    pub(super) fn damaged(table: &'static str, what: impl std::fmt::Display) -> Self {
        Self::Damaged { table, what: what.to_string() }
    }
}
