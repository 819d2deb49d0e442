//! Opening the file: what it must look like, and how its schema comes up to date.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use include_dir::{Dir, include_dir};
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::Migrations;

use super::StoreError;

static MIGRATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

/// SQLite's `application_id` of our files: "hket".
const APPLICATION_ID: i32 = 0x686b_6574;
/// Length of an SQLite file's header.
const HEADER: u64 = 100;
/// Page types and magic number of a bolt file (spec-api.md 8.2).
const BOLT_MAGIC: [u8; 4] = 0xED0C_DAED_u32.to_le_bytes();

/// The file is this process's alone for as long as this lives.
///
/// Two servers on one file would each undo the other's operations. The lock is on a file beside the database: SQLite's
/// own locks on the database are dropped as soon as any descriptor of it is closed in this process. The lock ends with
/// the process, however it ends; its file stays, since removing it would let two processes lock two files of one name.
pub(super) struct Lock(#[expect(dead_code, reason = "held, never used")] File);

impl Lock {
    fn take(path: &Path) -> Result<Self, StoreError> {
        // Of the file itself, by whatever links it is reached.
        let beside = beside(&std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), "lock");
        let failed = |e: std::io::Error| StoreError::Open(path.to_owned(), format!("{}: {e}", beside.display()));
        let file =
            File::options().create(true).truncate(false).write(true).mode(0o600).open(&beside).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

/// The lock, the writing connection, and whether the file is new. What is refused is left as it is.
pub(super) fn open_writer(path: &Path) -> Result<(Lock, Connection, bool), StoreError> {
    // First, so that no lock appears beside a file that is not ours.
    is_new(path)?;
    let lock = Lock::take(path)?;
    // Again, since only now nobody else can be making it.
    let new = is_new(path)?;
    if new {
        create(path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |e: rusqlite::Error| StoreError::Open(path.to_owned(), e.to_string());
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(failed)? {
        return Err(StoreError::Open(path.to_owned(), "it is write-protected".to_owned()));
    }
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    let known = i64::try_from(MIGRATIONS.dirs().count()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer(path.to_owned(), found, known));
    }
    set_up(&connection)?;
    Migrations::from_directory(&MIGRATIONS)?.to_latest(&mut connection)?;
    Ok((lock, connection, new))
}

/// Makes a database with nothing in it, under another name until it is whole: a crash here must not leave a file that
/// the next start refuses.
fn create(path: &Path) -> Result<(), StoreError> {
    let unfinished = beside(path, "new");
    let failed = |e: std::io::Error| StoreError::Open(path.to_owned(), e.to_string());
    match std::fs::remove_file(&unfinished) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    // It holds passwords of block volumes.
    File::options().create_new(true).write(true).mode(0o600).open(&unfinished).map_err(failed)?;
    let mut connection = Connection::open(&unfinished)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    Migrations::from_directory(&MIGRATIONS)?.to_latest(&mut connection)?;
    connection.close().map_err(|(_, e)| e)?;
    std::fs::rename(&unfinished, path).map_err(failed)?;
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses to make a database where one is likely to be missing.
fn check_place_of_new(path: &Path) -> Result<(), StoreError> {
    if !folder_of(path).is_dir() {
        return Err(StoreError::NoFolder(path.to_owned()));
    }
    let refused = |why: String| Err(StoreError::Open(path.to_owned(), why));
    if path.is_symlink() {
        return refused("it is a link to a file that does not exist".to_owned());
    }
    // SQLite would play it into the new database.
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).exists() {
        let log = log.display();
        return refused(format!(
            "it is missing, but {log} with its last changes is there; put the file back, or remove both"
        ));
    }
    Ok(())
}

/// A connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|e| StoreError::Open(path.to_owned(), e.to_string()))?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    // What a reader looks at is small, and the system keeps the file's pages too.
    connection.pragma_update(None, "cache_size", -1024)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> Result<(), StoreError> {
    // An operator's tools may hold the file for a moment.
    connection.busy_timeout(Duration::from_secs(3))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Whether there is nothing at `path` yet; refuses what cannot be ours. Reads bytes only: opening somebody else's database
/// by SQLite can change it.
fn is_new(path: &Path) -> Result<bool, StoreError> {
    let failed = |e: std::io::Error| StoreError::Open(path.to_owned(), e.to_string());
    let mut head = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(HEADER).read_to_end(&mut head).map_err(failed)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return check_place_of_new(path).map(|()| true);
        }
        Err(e) => return Err(failed(e)),
    };
    let foreign = |what| Err(StoreError::Foreign(path.to_owned(), what));
    if head.starts_with(b"SQLite format 3\0") {
        if head.get(68..72) == Some(&APPLICATION_ID.to_be_bytes()) {
            Ok(false)
        } else {
            foreign("it is the SQLite database of another program")
        }
    } else if head.get(16..20) == Some(&BOLT_MAGIC) {
        Err(StoreError::BoltFile(path.to_owned()))
    } else if head.is_empty() {
        foreign("the file is empty; remove it to start with a new database")
    } else {
        foreign("it is not an SQLite file")
    }
}
