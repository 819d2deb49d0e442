//! The only thread that changes the database. Changes that wait together share one commit, and so one fsync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::open::Lock;
use super::seen::Seen;
use super::{StoreError, Tx};

/// How many changes share a commit at the most, so that none waits long for the others.
const GROUP: usize = 64;

/// Tells the waiting caller, once it is known whether the commit succeeded.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Runs one change inside the open transaction, or learns why there is none; says whether to keep it.
type Change = Box<dyn FnOnce(Result<&Connection, String>) -> (bool, Answer) + Send>;

pub(super) struct Writer {
    changes: Option<Sender<Change>>,
    thread: Option<std::thread::JoinHandle<()>>,
    seen: Arc<Seen>,
}

impl Writer {
    /// The thread keeps the lock until its last change is through.
    pub(super) fn start(connection: Connection, seen: Arc<Seen>, lock: Arc<Lock>) -> Result<Self, StoreError> {
        let (changes, queue) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                run(&connection, &queue);
                drop(connection);
                drop(lock);
            })
            .map_err(|_| StoreError::Closed)?;
        Ok(Self { changes: Some(changes), thread: Some(thread), seen })
    }

    pub(super) async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let seen = Arc::clone(&self.seen);
        let boxed: Change = Box::new(move |connection| {
            let result = match connection {
                Ok(connection) => catch_unwind(AssertUnwindSafe(|| change(&Tx { connection, seen: &seen })))
                    .unwrap_or_else(|_| Err(StoreError::Panicked.into())),
                Err(why) => Err(StoreError::NotWritten(why).into()),
            };
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |committed| {
                // Nobody waits any more when the caller's task was dropped; the change stands all the same.
                let _ = tell.send(match committed {
                    Ok(()) => result,
                    Err(error) => Err(error.into()),
                });
            });
            (keep, answer)
        });
        let changes = self.changes.as_ref().ok_or(StoreError::Closed)?;
        changes.send(boxed).map_err(|_| StoreError::Closed)?;
        told.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.changes.take());
        // The last to let go of the store may be a change, on the thread itself: that ends by itself then.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // The thread ends once the queue is empty; it cannot have panicked, since changes are caught.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, queue: &Receiver<Change>) {
    while let Ok(first) = queue.recv() {
        let mut waiting = Vec::new();
        let mut failed = connection.execute_batch("BEGIN IMMEDIATE").err().map(|error| error.to_string());
        let mut next = Some(first);
        while let Some(change) = next.take() {
            match &failed {
                None => match run_one(connection, change) {
                    Ok(answer) => waiting.push(answer),
                    Err((error, answer)) => {
                        waiting.extend(answer);
                        failed = Some(error);
                    }
                },
                Some(error) => refuse(change, error),
            }
            if waiting.len() < GROUP && failed.is_none() {
                next = queue.try_recv().ok();
            }
        }
        let committed = match failed {
            None => connection.execute_batch("COMMIT").map_err(|error| error.to_string()),
            Some(error) => Err(error),
        };
        match committed {
            Ok(()) => waiting.into_iter().for_each(|answer| answer(Ok(()))),
            Err(error) => {
                // A transaction may already be gone (disk full rolls back by itself).
                let _ = connection.execute_batch("ROLLBACK");
                tracing::error!("the database refused a commit, nothing of it is kept: {error}");
                for answer in waiting {
                    answer(Err(StoreError::NotWritten(error.clone())));
                }
            }
        }
    }
}

/// Why the transaction cannot go on, and who else has to be told.
type Broken = (String, Option<Answer>);

fn run_one(connection: &Connection, change: Change) -> Result<Answer, Broken> {
    let run = |sql| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    if let Err(error) = run("SAVEPOINT change") {
        let error = error.to_string();
        refuse(change, &error);
        return Err((error, None));
    }
    let (keep, answer) = change(Ok(connection));
    if keep {
        return match run("RELEASE change") {
            Ok(_) => Ok(answer),
            Err(error) => Err((error.to_string(), Some(answer))),
        };
    }
    if connection.is_autocommit() {
        // SQLite has ended the transaction by itself, because of this change, whose own error says why.
        answer(Ok(()));
        return Err(("the disk is full or cannot be written".to_owned(), None));
    }
    match run("ROLLBACK TO change").and_then(|_| run("RELEASE change")) {
        Ok(_) => Ok(answer),
        Err(error) => Err((error.to_string(), Some(answer))),
    }
}

/// Does not run a change, and says why.
fn refuse(change: Change, why: &str) {
    let (_, answer) = change(Err(why.to_owned()));
    answer(Ok(()));
}
