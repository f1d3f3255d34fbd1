use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_postgres::Transaction;

use super::context::vouch;
use crate::{
    error::{CompletionError, DatabaseError},
    logs::about,
    run::{
        backoff::reconnect_delay,
        hold::{Hold, complete_by},
    },
    store::{CommitOutcome, Lease, Opened, Store},
};

/// Proof that a job is done. Only a commit makes one.
#[derive(Debug)]
#[must_use = "return it from the handler"]
pub struct Completed {
    jobs: Vec<Lease>,
}

impl Completed {
    pub(crate) fn of(holds: &[Arc<Hold>]) -> Self {
        Self { jobs: holds.iter().map(|hold| hold.lease).collect() }
    }

    pub(crate) fn is_of(&self, job: Lease) -> bool {
        self.jobs.contains(&job)
    }
}

/// The transaction in which a job, or those of a batch, are removed: the real [`tokio_postgres::Transaction`], with savepoints,
/// COPY and everything.
///
/// What is written here, follow-up jobs included, happens together with the job's removal or not at all.
/// Dropping it rolls back.
#[must_use = "a completion that is dropped is rolled back"]
pub struct Completion<'a> {
    transaction: Transaction<'a>,
    opened: Opened,
    store: Store,
    holds: Vec<Arc<Hold>>,
    /// One of the holds, whose row tells what became of the transaction: all of them are removed by one statement
    /// of it, so either every row is there or none.
    hold: Arc<Hold>,
}

/// How long a commit's fate is asked for past the attempt's own time: the job is no longer safe then.
const PAST_DEADLINE: Duration = Duration::from_secs(60);

impl<'a> Completion<'a> {
    pub(crate) fn new(
        transaction: Transaction<'a>,
        opened: Opened,
        store: Store,
        holds: Vec<Arc<Hold>>,
        hold: Arc<Hold>,
    ) -> Self {
        Self { transaction, opened, store, holds, hold }
    }

    /// Commits: the job is done, or all jobs of the batch are.
    ///
    /// If the answer is lost on the way, the server is asked over another connection what became of the
    /// transaction, until it knows.
    ///
    /// # Errors
    /// Nothing of the completion was kept: this process was silent for so long that others may have the job, a statement in it had failed, it was ended by SQL, or the
    /// database refused the commit or could not be asked about it in time.
    pub async fn commit(self) -> Result<Completed, CompletionError> {
        let holds = self.holds.clone();
        holds.iter().try_for_each(|hold| vouch(&self.store, hold))?;
        complete_by(&holds, || self.end()).await?;
        Ok(Completed::of(&holds))
    }

    async fn end(self) -> Result<(), CompletionError> {
        let Self { transaction, opened, store, hold, .. } = self;
        match store.commit_completion(transaction, hold.lease, &opened).await {
            // The handler may have ended the transaction by a COMMIT of its own.
            Err(CompletionError::Ended { .. }) if resolve(&store, &hold, &opened).await? => Ok(()),
            Err(CompletionError::Database(error)) if error.is_ambiguous() => {
                if !resolve(&store, &hold, &opened).await? {
                    return Err(error.into());
                }
                about!(log::Level::Info, hold.attempted(&store.label); "was completed although the answer to its commit was lost");
                Ok(())
            }
            ended => ended,
        }
    }
}

impl fmt::Debug for Completion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("jobs", &self.holds.iter().map(|hold| hold.lease).collect::<Vec<_>>())
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}

fn attempted(store: &Store, hold: &Hold) -> String {
    format!("commit the completion of job {} of queue {}", hold.lease.id, store.name)
}

/// Whether the transaction has committed.
async fn resolve(store: &Store, hold: &Hold, opened: &Opened) -> Result<bool, DatabaseError> {
    let mut failures = 0;
    loop {
        let answer = store.completion_outcome(hold.lease, opened).await;
        let late = Instant::now() > hold.deadline + PAST_DEADLINE;
        match answer {
            Ok(CommitOutcome::Committed) => return Ok(true),
            Ok(CommitOutcome::Aborted) => return Ok(false),
            Ok(CommitOutcome::InProgress) if late => {
                return Err(DatabaseError::Silent { attempted: attempted(store, hold), waited: PAST_DEADLINE });
            }
            Err(error) if late || !error.is_passing() => return Err(error),
            Ok(CommitOutcome::InProgress) | Err(_) => tokio::time::sleep(reconnect_delay(failures)).await,
        }
        failures += 1;
    }
}

impl<'a> Deref for Completion<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Transaction<'a> {
        &self.transaction
    }
}

impl<'a> DerefMut for Completion<'a> {
    fn deref_mut(&mut self) -> &mut Transaction<'a> {
        &mut self.transaction
    }
}
