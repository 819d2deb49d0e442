//! How many operations run at once, and which (spec-ops.md 5.6).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::OpError;
use crate::ids::OpId;

#[derive(Default)]
struct Running {
    /// Count against the limit.
    counted: u64,
    /// All that this process works on.
    tracked: HashSet<OpId>,
    closed: bool,
}

pub struct Admission {
    limit: Option<u64>,
    running: Arc<Mutex<Running>>,
}

/// An operation's place; given back when dropped.
pub struct Slot {
    running: Arc<Mutex<Running>>,
    id: OpId,
    counts: AtomicBool,
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Admission {
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, running: Arc::default() }
    }

    /// A place for a request's operation, or the refusal that the client gets with 429.
    pub fn enter(&self, id: OpId) -> Result<Slot, OpError> {
        let mut running = lock(&self.running);
        if running.closed || self.limit.is_some_and(|limit| running.counted >= limit) || !running.tracked.insert(id) {
            return Err(OpError::Busy);
        }
        running.counted += 1;
        Ok(Slot { running: Arc::clone(&self.running), id, counts: AtomicBool::new(true) })
    }

    /// A place for work that does not count against the limit; `None` if this process works on it already.
    pub fn track(&self, id: OpId) -> Option<Slot> {
        let mut running = lock(&self.running);
        if running.closed || !running.tracked.insert(id) {
            return None;
        }
        Some(Slot { running: Arc::clone(&self.running), id, counts: AtomicBool::new(false) })
    }

    /// No more places are given.
    pub fn close(&self) {
        lock(&self.running).closed = true;
    }

    /// How many operations this process works on.
    pub fn tracked(&self) -> usize {
        lock(&self.running).tracked.len()
    }

    /// This process works on the operation.
    pub fn is_tracked(&self, id: OpId) -> bool {
        lock(&self.running).tracked.contains(&id)
    }
}

impl Slot {
    /// Counts against the limit no more, but is still worked on. To be called before the client can read its answer: who
    /// has it may send the next request at once, and must find room.
    pub fn make_room(&self) {
        if self.counts.swap(false, Ordering::Relaxed) {
            lock(&self.running).counted -= 1;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.make_room();
        lock(&self.running).tracked.remove(&self.id);
    }
}
