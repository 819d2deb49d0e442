//! Opening the file: what it must look like, and how its schema comes up to date.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use include_dir::{Dir, include_dir};
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::Migrations;

use super::StoreError;

static MIGRATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

/// SQLite's `application_id` of our files: "hket".
const APPLICATION_ID: i64 = 0x686b_6574;
/// Page types and magic number of a bolt file (spec-api.md 8.2).
const BOLT_MAGIC: [u8; 4] = 0xED0C_DAED_u32.to_le_bytes();

/// The writing connection, and whether the file is new.
pub(super) fn open_writer(path: &Path) -> Result<(Connection, bool), StoreError> {
    let new = is_new(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|e| StoreError::Open(path.to_owned(), e.to_string()))?;
    if new {
        restrict_to_owner(path)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    } else {
        check_ours(&connection, path)?;
    }
    connection.busy_timeout(Duration::from_secs(3))?;
    set_up(&connection)?;
    // Two servers on one file would each undo the other's operations: hold the file for as long as we live. Readers of
    // this process are not kept out, since WAL readers take no lock on the main file that this one excludes.
    let migrations = Migrations::from_directory(&MIGRATIONS)?;
    let known = i64::try_from(migrations_known()).unwrap_or(i64::MAX);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer(path.to_owned(), found, known));
    }
    migrations.to_latest(&mut connection).map_err(|e| busy(e, path))?;
    Ok((connection, new))
}

fn busy(error: rusqlite_migration::Error, path: &Path) -> StoreError {
    let text = error.to_string();
    if text.contains("locked") { StoreError::InUse(path.to_owned()) } else { error.into() }
}

fn migrations_known() -> usize {
    MIGRATIONS.dirs().count()
}

/// A connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|e| StoreError::Open(path.to_owned(), e.to_string()))?;
    connection.busy_timeout(Duration::from_secs(3))?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    // What a reader looks at is small, and the system keeps the file's pages too.
    connection.pragma_update(None, "cache_size", -1024)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Whether there is nothing at `path` yet; refuses what cannot be ours.
fn is_new(path: &Path) -> Result<bool, StoreError> {
    let mut head = [0; 20];
    let read = match File::open(path) {
        Ok(mut file) => {
            let mut read = 0;
            while let Some(rest) = head.get_mut(read..).filter(|rest| !rest.is_empty()) {
                match file.read(rest).map_err(|e| StoreError::Open(path.to_owned(), e.to_string()))? {
                    0 => break,
                    n => read += n,
                }
            }
            read
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return if folder.is_dir() { Ok(true) } else { Err(StoreError::NoFolder(path.to_owned())) };
        }
        Err(e) => return Err(StoreError::Open(path.to_owned(), e.to_string())),
    };
    if head.starts_with(b"SQLite format 3\0") {
        Ok(false)
    } else if head.ends_with(&BOLT_MAGIC) {
        Err(StoreError::BoltFile(path.to_owned()))
    } else if read == 0 {
        Err(StoreError::Foreign(path.to_owned(), "the file is empty; remove it to start with a new database"))
    } else {
        Err(StoreError::Foreign(path.to_owned(), "it is not an SQLite file"))
    }
}

fn check_ours(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let id: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|e| StoreError::Open(path.to_owned(), e.to_string()))?;
    if id == APPLICATION_ID {
        Ok(())
    } else {
        Err(StoreError::Foreign(path.to_owned(), "it is the SQLite database of another program"))
    }
}

/// It holds passwords of block volumes.
fn restrict_to_owner(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|e| StoreError::Open(path.to_owned(), e.to_string()))
}
