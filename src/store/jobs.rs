//! Answers of the queue. They outlive a restart and can be read again, until they expire.

use rusqlite::OptionalExtension;

use super::{StoreError, Tx};
use crate::ids::JobId;

/// What the queue answers for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not finished.
    Running,
    /// Finished; this is the path of what came of it.
    Resource(String),
    /// Finished; there is nothing to look at.
    Nothing,
    /// Failed, for this reason.
    Error(String),
}

impl Tx<'_> {
    /// Adds a job that runs.
    pub fn add_job(&self, id: JobId, now: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT INTO jobs (id, created_at, outcome, text) VALUES (?1, ?2, 'running', '')")?
            .execute((id, now))?;
        Ok(())
    }

    /// What came of a job; `None` if it is not known or has expired.
    pub fn job(&self, id: JobId) -> Result<Option<Outcome>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT outcome, text FROM jobs WHERE id = ?1")?;
        let row: Option<(String, String)> =
            statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        row.map(|(outcome, text)| match outcome.as_str() {
            "running" => Ok(Outcome::Running),
            "resource" => Ok(Outcome::Resource(text)),
            "nothing" => Ok(Outcome::Nothing),
            "error" => Ok(Outcome::Error(text)),
            other => Err(StoreError::damaged("jobs", format!("unknown outcome {other}"))),
        })
        .transpose()
    }

    /// Stores what came of a job. One that has its answer keeps it.
    pub fn finish_job(&self, id: JobId, outcome: &Outcome, now: i64) -> Result<(), StoreError> {
        let (word, text) = match outcome {
            Outcome::Running => return Ok(()),
            Outcome::Resource(path) => ("resource", path.as_str()),
            Outcome::Nothing => ("nothing", ""),
            Outcome::Error(text) => ("error", text.as_str()),
        };
        self.connection
            .prepare_cached(
                "UPDATE jobs SET outcome = ?2, text = ?3, finished_at = ?4 WHERE id = ?1 AND outcome = 'running'",
            )?
            .execute((id, word, text, now))?;
        Ok(())
    }

    /// At start: no job runs any more. Those that did answer with this text.
    pub fn fail_running_jobs(&self, text: &str, now: i64) -> Result<usize, StoreError> {
        Ok(self
            .connection
            .prepare_cached("UPDATE jobs SET outcome = 'error', text = ?1, finished_at = ?2 WHERE outcome = 'running'")?
            .execute((text, now))?)
    }

    /// Forgets jobs that finished before this time.
    pub fn expire_jobs(&self, before: i64) -> Result<usize, StoreError> {
        Ok(self.connection.prepare_cached("DELETE FROM jobs WHERE finished_at < ?1")?.execute([before])?)
    }
}
