use postgres_types::{ToSql, Type};
use serde::Serialize;
use tokio_postgres::Row;

use super::{OperateError, Operator};
use crate::{
    database::Lane,
    error::{DatabaseError, EnqueueError},
    job::{NewJob, State},
    store::Planned,
    text,
};

/// What an operator does with jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Has failed jobs run again, with all their attempts.
    Retry,
    /// Has jobs run that wait for their time.
    RunNow,
    /// Has jobs not run, or not run on, and keeps them as failed. The token of a handler that runs one fires with its
    /// process's next heartbeat, and its completion is refused.
    Cancel {
        /// What is kept as the error.
        reason: String,
    },
    /// Takes jobs away for good, running ones too.
    Delete {
        /// Only those that are in one of these states by then; in any if there are none.
        states: Vec<State>,
    },
}

/// What became of the jobs that were acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// Jobs with which it was done.
    pub done: u64,
    /// Jobs that were left, since somebody has locked their rows: mostly a completion that is about to commit.
    pub locked: u64,
    /// Jobs that are gone, or in no state for it.
    pub unfit: u64,
}

impl Operator {
    /// Enqueues a job, for people who try or mend something.
    ///
    /// # Errors
    /// The database refuses the row, or the params are of the other kind than the queue's.
    pub async fn enqueue(&self, job: NewJob) -> Result<i64, EnqueueError> {
        let connection = self.store.database.get(Lane::Work, "enqueue a job").await?;
        let ids = self.store.enqueue(&*connection, Planned::Anew, std::slice::from_ref(&job)).await?;
        ids.first().copied().ok_or_else(|| self.store.kept_out(1, 0))
    }

    /// Does it with these jobs, in one statement. Give no more than some thousands at a time.
    ///
    /// # Errors
    /// The database could not be asked, or refused; then nothing was done.
    pub async fn act(&self, action: &Action, ids: &[i64]) -> Result<Outcome, OperateError> {
        let asked = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        Ok(match action {
            Action::Retry => {
                let connection = self.store.database.get(Lane::Work, "retry jobs").await?;
                let done = self.store.requeue(&*connection, ids).await?.len();
                let done = u64::try_from(done).unwrap_or(u64::MAX);
                Outcome { done, locked: 0, unfit: asked.saturating_sub(done) }
            }
            Action::RunNow => {
                self.do_by(include_str!("../../sql/operate/run_now.sql"), "run jobs now", ids, &[]).await?
            }
            Action::Cancel { reason } => {
                let error = serde_json::Value::from(vec![text::keepable(reason)]).to_string();
                let sql = include_str!("../../sql/operate/cancel.sql");
                self.do_by(sql, "cancel jobs", ids, &[(&error, Type::TEXT)]).await?
            }
            Action::Delete { states } => {
                let states: Option<Vec<_>> =
                    (!states.is_empty()).then(|| states.iter().map(|state| state.as_str()).collect());
                let sql = include_str!("../../sql/operate/delete.sql");
                self.do_by(sql, "delete jobs", ids, &[(&states, Type::TEXT_ARRAY)]).await?
            }
        })
    }

    async fn do_by(
        &self,
        template: &str,
        what: &str,
        ids: &[i64],
        more: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Outcome, DatabaseError> {
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&ids, Type::INT8_ARRAY)];
        parameters.extend_from_slice(more);
        let rows = self.ask(what, &self.fill(template, |_| None), &parameters).await?;
        let count = |row: &Row, column| row.get::<_, i64>(column).unsigned_abs();
        let (wanted, done) = rows.first().map_or((0, 0), |row| (count(row, "wanted"), count(row, "done")));
        let asked = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        Ok(Outcome { done, locked: wanted.saturating_sub(done), unfit: asked.saturating_sub(wanted.max(done)) })
    }
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.locked += other.locked;
        self.unfit += other.unfit;
    }
}
