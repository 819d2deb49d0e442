//! What the server knows, in SQLite: one writer with group commit, readers beside it.
//!
//! A write is a closure that runs inside one transaction on the writer's thread; when its future resolves with `Ok`, the
//! change is on the disk. Closures are synchronous, so no node can be talked to while a transaction is open. Reads run on
//! the caller's thread: in WAL mode they never wait for the writer.

mod bricks;
mod clusters;
mod devices;
mod error;
mod jobs;
mod nodes;
mod open;
mod operations;
mod seen;
mod sql_types;
#[cfg(test)]
mod tests;
mod volumes;
mod writer;

pub use devices::DeviceSpace;
pub use error::StoreError;
pub use jobs::Outcome;
pub use nodes::HostnameKind;
pub use operations::{Operation, OperationStatus};
pub use seen::ClusterNodes;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

/// A connection inside a transaction (writes) or a snapshot (reads). The tables' functions are its methods.
pub struct Tx<'a> {
    connection: &'a Connection,
    seen: &'a seen::Seen,
}

/// The database file.
pub struct Store {
    writer: writer::Writer,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    seen: Arc<seen::Seen>,
    // Last, so that it is given back when all connections are closed.
    _lock: Arc<open::Lock>,
}

const READERS: usize = 4;

impl Store {
    /// Opens the file, brings its schema up to date, and starts the writer. A missing file is made if its folder exists;
    /// `created` tells. A file that is not ours, or that another process works on, is refused and left as it is.
    pub fn open(path: &Path) -> Result<(Self, bool), StoreError> {
        let (lock, connection, created) = open::open_writer(path)?;
        let readers =
            (0..READERS).map(|_| open::open_reader(path).map(Mutex::new)).collect::<Result<_, StoreError>>()?;
        let (lock, seen) = (Arc::new(lock), Arc::default());
        let writer = writer::Writer::start(connection, Arc::clone(&seen), Arc::clone(&lock))?;
        Ok((Self { writer, readers, next_reader: AtomicUsize::new(0), seen, _lock: lock }, created))
    }

    /// Runs `change` in a transaction. `Err` undoes all it did; `Ok` arrives once it is on the disk.
    pub async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(change).await
    }

    /// Runs `query` on a snapshot of the data. For queries of a few rows: it runs on the caller's thread.
    pub fn read<T>(&self, query: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let first = self.next_reader.fetch_add(1, Ordering::Relaxed);
        let free = (0..self.readers.len())
            .filter_map(|i| self.readers.get((first + i) % self.readers.len()))
            .find_map(|reader| reader.try_lock().ok());
        let connection = match free {
            Some(connection) => connection,
            None => {
                let reader = self.readers.get(first % self.readers.len()).ok_or(StoreError::Closed)?;
                reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
            }
        };
        let snapshot = connection.unchecked_transaction()?;
        let answer = query(&Tx { connection: &snapshot, seen: &self.seen })?;
        snapshot.finish()?;
        Ok(answer)
    }
}
