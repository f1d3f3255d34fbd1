use std::{collections::HashSet, str::FromStr, time::Duration};

use postgres_types::Type;
use tokio_postgres::{Transaction, error::SqlState};

use super::{Lease, Store, statements};
use crate::{
    database::Lane,
    error::{CompletionError, DatabaseError},
    job::State,
};

/// What is to become of a job whose attempt did not complete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Try again after the wait, or give up if this was the last attempt.
    Retry { after: Duration, error: Vec<String> },
    /// Give up.
    Fail { error: Vec<String> },
    /// Run again after the wait; the attempt does not count.
    Snooze { after: Duration },
    /// Run again at once, elsewhere; the attempt does not count.
    Return,
}

/// What a settlement or removal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The row is gone.
    Completed,
    /// The row is in this state now.
    Settled(State),
    /// Somebody holds a lock on the row: nothing was done, and it is worth trying again.
    Busy,
    /// The job is no longer this attempt's.
    Lost,
    /// There is no such row: this attempt's removal took it, if one was sent before, or somebody else's.
    Gone,
}

/// A transaction in which the job is already removed.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The transaction's number, by which its outcome can be asked for.
    pub(crate) xid: String,
}

/// What became of a commit whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    Committed,
    Aborted,
    /// The server has not noticed yet that the connection is gone.
    InProgress,
}

impl Store {
    /// Removes the job in the transaction; none if it was lost.
    pub(crate) async fn begin_completion(
        &self,
        transaction: &Transaction<'_>,
        job: Lease,
    ) -> Result<Option<Opened>, DatabaseError> {
        let row = transaction
            .query_typed_opt(&self.sql.begin_completion, &[(&job.id, Type::INT8), (&job.lease, Type::INT8)])
            .await
            .map_err(|error| DatabaseError::statement(self.attempted(&format!("remove job {}", job.id)), error))?;
        Ok(row.map(|row| Opened { xid: row.get("xid") }))
    }

    /// Removes all these jobs in the transaction; or tells which of them were lost, and then the transaction must
    /// not commit.
    pub(crate) async fn begin_batch(
        &self,
        transaction: &Transaction<'_>,
        jobs: &[Lease],
    ) -> Result<Result<Opened, Vec<Lease>>, DatabaseError> {
        let (ids, leases) = unzip(jobs.iter().copied());
        let rows = transaction
            .query_typed(&self.sql.begin_batch, &[(&ids, Type::INT8_ARRAY), (&leases, Type::INT8_ARRAY)])
            .await
            .map_err(|error| {
                DatabaseError::statement(self.attempted(&format!("remove a batch of {} jobs", jobs.len())), error)
            })?;
        let removed: HashSet<_> = rows.iter().map(|row| Lease { id: row.get("id"), lease: row.get("lease") }).collect();
        let lost: Vec<_> = jobs.iter().filter(|job| !removed.contains(job)).copied().collect();
        Ok(match rows.first() {
            Some(row) if lost.is_empty() => Ok(Opened { xid: row.get("xid") }),
            _ => Err(lost),
        })
    }

    /// Makes sure that the transaction is still the one that was opened, and can commit.
    pub(crate) async fn check_completion(
        &self,
        transaction: &Transaction<'_>,
        job: Lease,
        opened: &Opened,
    ) -> Result<(), CompletionError> {
        let answer = transaction.query_typed_one(statements::CHECK_COMPLETION, &[]).await;
        match answer.map(|row| row.get::<_, Option<String>>("xid")) {
            Ok(Some(xid)) if xid == opened.xid => Ok(()),
            Ok(_) => Err(CompletionError::Ended { queue: self.name.to_string(), id: job.id }),
            Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => {
                Err(CompletionError::Aborted { queue: self.name.to_string(), id: job.id })
            }
            Err(error) => {
                Err(DatabaseError::statement(self.attempted(&format!("complete job {}", job.id)), error).into())
            }
        }
    }

    /// Asks what became of a transaction, over another connection: one of those that completions never hold,
    /// for all of the others may be waiting for this very answer.
    pub(crate) async fn completion_outcome(&self, job: Lease, opened: &Opened) -> Result<CommitOutcome, DatabaseError> {
        let attempted = self.attempted("look what became of a completion");
        let rows = self
            .database
            .query(
                Lane::Control,
                &attempted,
                &self.sql.completion_outcome,
                &[(&opened.xid, Type::TEXT), (&job.id, Type::INT8), (&job.lease, Type::INT8)],
            )
            .await?;
        Ok(match rows.first().and_then(|row| row.get::<_, Option<&str>>("outcome")) {
            Some("committed") => CommitOutcome::Committed,
            Some("in progress") => CommitOutcome::InProgress,
            _ => CommitOutcome::Aborted,
        })
    }

    /// Removes jobs that are done; one outcome a job, in their order.
    pub(crate) async fn complete(&self, jobs: &[Lease]) -> Result<Vec<Settlement>, DatabaseError> {
        let (ids, leases) = unzip(jobs.iter().copied());
        let rows = self
            .database
            .query(
                Lane::Control,
                &self.attempted("remove completed jobs"),
                &self.sql.complete,
                &[(&ids, Type::INT8_ARRAY), (&leases, Type::INT8_ARRAY)],
            )
            .await?;
        Ok(in_order(jobs.iter().copied(), &rows))
    }

    /// Settles attempts that did not complete; one outcome a job, in their order.
    pub(crate) async fn settle(&self, jobs: &[(Lease, Verdict)]) -> Result<Vec<Settlement>, DatabaseError> {
        let (ids, leases) = unzip(jobs.iter().map(|(job, _)| *job));
        let verdicts: Vec<_> = jobs.iter().map(|(_, verdict)| verdict.word()).collect();
        let delays: Vec<_> = jobs.iter().map(|(_, verdict)| verdict.delay().as_secs_f64()).collect();
        let errors: Vec<_> = jobs
            .iter()
            .map(|(_, verdict)| verdict.error().map(|chain| serde_json::Value::from(chain).to_string()))
            .collect();
        let rows = self
            .database
            .query(
                Lane::Control,
                &self.attempted("settle failed attempts"),
                &self.sql.settle,
                &[
                    (&ids, Type::INT8_ARRAY),
                    (&leases, Type::INT8_ARRAY),
                    (&verdicts, Type::TEXT_ARRAY),
                    (&delays, Type::FLOAT8_ARRAY),
                    (&errors, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        Ok(in_order(jobs.iter().map(|(job, _)| *job), &rows))
    }
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Verdict::Retry { .. } => "RETRY",
            Verdict::Fail { .. } => "FAIL",
            Verdict::Snooze { .. } => "SNOOZE",
            Verdict::Return => "RETURN",
        }
    }

    fn delay(&self) -> Duration {
        match self {
            Verdict::Retry { after, .. } | Verdict::Snooze { after } => *after,
            Verdict::Fail { .. } | Verdict::Return => Duration::ZERO,
        }
    }

    fn error(&self) -> Option<&[String]> {
        match self {
            Verdict::Retry { error, .. } | Verdict::Fail { error } => Some(error),
            Verdict::Snooze { .. } | Verdict::Return => None,
        }
    }
}

fn unzip(jobs: impl Iterator<Item = Lease>) -> (Vec<i64>, Vec<i64>) {
    jobs.map(|job| (job.id, job.lease)).unzip()
}

/// The answers in the order of the questions; one that is missing would be a lost job.
fn in_order(jobs: impl Iterator<Item = Lease>, rows: &[tokio_postgres::Row]) -> Vec<Settlement> {
    let answers: std::collections::HashMap<Lease, Settlement> = rows
        .iter()
        .map(|row| (Lease { id: row.get("id"), lease: row.get("lease") }, settlement(row.get("outcome"))))
        .collect();
    jobs.map(|job| answers.get(&job).copied().unwrap_or(Settlement::Lost)).collect()
}

fn settlement(outcome: &str) -> Settlement {
    match outcome {
        "DONE" => Settlement::Completed,
        "BUSY" => Settlement::Busy,
        "GONE" => Settlement::Gone,
        state => State::from_str(state).map_or(Settlement::Lost, Settlement::Settled),
    }
}
