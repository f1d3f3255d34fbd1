use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::future::join_all;
use postgres_types::{ToSql, Type};
use tokio_postgres::IsolationLevel;
use tokio_util::sync::CancellationToken;

use super::{
    Completed, Completion, JobError, Tuned,
    context::{Opener, complete_with, remove},
};
use crate::{
    error::CompletionError,
    job::Job,
    lock::lock,
    logs,
    run::{
        backoff::Backoff,
        hold::{Cancelled, Hold, complete_by},
        shared::Shared,
    },
};

/// Performs jobs with params of type `P`, many at a time.
///
/// An `async fn(Vec<Job<P>>, BatchContext) -> Result<Completed, JobError>` is one, and so is a closure; see
/// [`Handlers::batch`](super::Handlers::batch). What [`Handler`](super::Handler) says of futures and threads is true
/// here too.
///
/// A batch handler may run more than once for an attempt: if it fails with several jobs, it runs again for each of
/// them alone, so that only those fail which fail by themselves. What it writes in its completion happens once.
pub trait BatchHandler<P>: 'static {
    /// Does the work of all these jobs: what is slow first, then their writes in one completion. There is at least
    /// one.
    ///
    /// # Errors
    /// Whatever made the work fail. If there was one job, the error is kept with it; if there were more, each is
    /// performed again alone, at the same time and in what is left of its execution timeout.
    fn perform(&self, jobs: Vec<Job<P>>, context: BatchContext) -> impl Future<Output = Result<Completed, JobError>>;

    /// As [`Handler::backoff`](super::Handler::backoff), for each job.
    fn backoff(&self) -> Option<Backoff> {
        None
    }

    /// As [`Handler::execution_timeout`](super::Handler::execution_timeout), for each job. A batch has the time of
    /// the job in it that has least.
    fn execution_timeout(&self) -> Option<Duration> {
        None
    }
}

impl<P, F, Fut> BatchHandler<P> for F
where
    F: Fn(Vec<Job<P>>, BatchContext) -> Fut + 'static,
    Fut: Future<Output = Result<Completed, JobError>>,
{
    fn perform(&self, jobs: Vec<Job<P>>, context: BatchContext) -> impl Future<Output = Result<Completed, JobError>> {
        self(jobs, context)
    }
}

impl<P, H: BatchHandler<P>> BatchHandler<P> for Tuned<H> {
    fn perform(&self, jobs: Vec<Job<P>>, context: BatchContext) -> impl Future<Output = Result<Completed, JobError>> {
        self.handler.perform(jobs, context)
    }

    fn backoff(&self) -> Option<Backoff> {
        self.backoff.clone().or_else(|| self.handler.backoff())
    }

    fn execution_timeout(&self) -> Option<Duration> {
        self.execution_timeout.or_else(|| self.handler.execution_timeout())
    }
}

/// The jobs that one run of a batch handler performs, as its context and its performer see them.
#[derive(Debug)]
pub(crate) struct Batch {
    holds: Vec<Arc<Hold>>,
    /// Fires when the whole batch is taken away.
    pub(crate) token: CancellationToken,
    /// What the handler has said of jobs that it took out.
    failures: Mutex<BTreeMap<i64, JobError>>,
}

impl Batch {
    pub(crate) fn of(holds: Vec<Arc<Hold>>) -> Self {
        Self { holds, token: CancellationToken::new(), failures: Mutex::default() }
    }

    /// Why the job was taken out, if it was.
    pub(crate) fn take_failure(&self, id: i64) -> Option<JobError> {
        self.failures().remove(&id)
    }

    /// Those that are neither taken out nor completed.
    fn remaining(&self) -> Vec<Arc<Hold>> {
        let failures = self.failures();
        let remains = |hold: &&Arc<Hold>| !hold.is_committed() && !failures.contains_key(&hold.lease.id);
        self.holds.iter().filter(remains).cloned().collect()
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<i64, JobError>> {
        lock(&self.failures)
    }
}

/// A batch handler's way back to its queue: it completes all jobs of the batch at once, takes single jobs out of
/// it, and tells when the batch is taken away.
#[derive(Debug)]
pub struct BatchContext {
    opener: Opener,
    batch: Arc<Batch>,
}

impl BatchContext {
    pub(crate) fn new(shared: Arc<Shared>, batch: Arc<Batch>) -> Self {
        Self { opener: Opener::new(shared), batch }
    }

    /// Takes one job out of the batch: it fails as the error says (it is tried again, given up or snoozed), and the
    /// completion is of the others. Whether the job was in the batch until now, and is not completed.
    ///
    /// A job that [`BatchContext::begin`] has reported as lost can be taken out too; then the error is forgotten,
    /// and the handler goes on with what it has prepared for the others.
    pub fn fail(&mut self, id: i64, error: impl Into<JobError>) -> bool {
        if !self.remaining().contains(&id) {
            let queue = &*self.opener.shared.store.label;
            log::warn!(
                target: logs::JOB, queue, job = id;
                "{queue}[{id}] cannot be taken out of a batch that it is not in, or no longer"
            );
            return false;
        }
        self.batch.failures().insert(id, error.into());
        true
    }

    /// The ids of the jobs that the next completion is of: those that are neither taken out nor completed.
    pub fn remaining(&self) -> Vec<i64> {
        self.batch.remaining().iter().map(|hold| hold.lease.id).collect()
    }

    /// Opens the completion: a transaction in which all remaining jobs are already removed.
    ///
    /// As with [`Context::begin`](super::Context::begin), nothing is held before this, and a completion that is
    /// dropped is rolled back. Jobs with the same `notify` are announced once: that is how PostgreSQL notifies.
    ///
    /// # Errors
    /// [`CompletionError::Lost`] if one of the jobs is no longer this attempt's; none is removed then, for what
    /// the handler has prepared may contain its effects. [`CompletionError::NothingLeft`] if no job is left in the
    /// batch; the database's error otherwise.
    pub async fn begin(&mut self) -> Result<Completion<'_>, CompletionError> {
        self.begin_with(IsolationLevel::ReadCommitted).await
    }

    /// The same with an isolation level of the handler's choice.
    ///
    /// # Errors
    /// As [`BatchContext::begin`].
    pub async fn begin_with(&mut self, isolation: IsolationLevel) -> Result<Completion<'_>, CompletionError> {
        self.opener.open(self.batch.remaining(), isolation).await
    }

    /// Completes the remaining jobs by one statement of their own, all in one transaction and one round trip: the fastest
    /// way to write something. It is used as [`Context::complete_with`](super::Context::complete_with) is.
    ///
    /// ```no_run
    /// # use actix_job_queue::{BatchContext, Completed, Job, JobError};
    /// # use tokio_postgres::types::Type;
    /// # #[derive(serde::Deserialize)] struct Page { url: String }
    /// async fn index(jobs: Vec<Job<Page>>, ctx: BatchContext) -> Result<Completed, JobError> {
    ///     let urls: Vec<_> = jobs.into_iter().map(|job| job.params.url).collect();
    ///     let sql = "INSERT INTO pages (url) SELECT unnest($1::text[])";
    ///     Ok(ctx.complete_with(sql, &[(&urls, Type::TEXT_ARRAY)]).await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`BatchContext::begin`], and [`CompletionError::Statement`] if the statement or a parameter is none that can
    /// be used so. Then nothing was written.
    pub async fn complete_with(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Completed, CompletionError> {
        complete_with(&self.opener.shared.store, self.batch.remaining(), sql, parameters).await
    }

    /// Completes the remaining jobs, which have nothing to write. Such removals share statements with others'. A
    /// job that was lost has lost nothing by it: the others are completed.
    ///
    /// Do what takes long before it: see [`Context::complete`](super::Context::complete).
    ///
    /// # Errors
    /// [`CompletionError::Lost`] if all jobs were lost, [`CompletionError::NothingLeft`] if none was left in the
    /// batch; the database's error if some of them could not be completed.
    pub async fn complete(&self) -> Result<Completed, CompletionError> {
        let store = &self.opener.shared.store;
        let remaining = self.batch.remaining();
        let removals =
            remaining.iter().map(|hold| complete_by(std::slice::from_ref(hold), || remove(&self.opener.shared, hold)));
        let (mut completed, mut lost) = (Vec::new(), None);
        for (hold, removal) in remaining.iter().zip(join_all(removals).await) {
            match removal {
                Ok(()) => completed.push(Arc::clone(hold)),
                Err(error @ CompletionError::Lost { .. }) => lost = Some(error),
                Err(error) => return Err(error),
            }
        }
        match lost {
            _ if !completed.is_empty() => Ok(Completed::of(&completed)),
            Some(lost) => Err(lost),
            None => Err(CompletionError::NothingLeft { queue: store.name.to_string() }),
        }
    }

    /// How long this batch may take, from its start: what the job in it that has least may take.
    pub fn execution_timeout(&self) -> Duration {
        self.batch.holds.iter().map(|hold| hold.timeout).min().unwrap_or_default()
    }

    /// Fires when the batch is taken away: all of its jobs are lost, it has timed out, or it is given back because
    /// the grace of a shutdown is over. The handler's future is dropped right after. A single job that is lost
    /// shows in [`BatchContext::begin`].
    pub fn cancellation(&self) -> CancellationToken {
        self.batch.token.clone()
    }

    /// Why the batch was taken away, once it was.
    pub fn cancelled(&self) -> Option<Cancelled> {
        let reasons: Option<Vec<_>> = self.batch.holds.iter().map(|hold| hold.reason()).collect();
        let reasons = reasons?;
        reasons.iter().find(|reason| **reason != Cancelled::Lost).or(reasons.first()).copied()
    }

    /// Fires when a shutdown begins. The handler may go on for the shutdown's grace, or end early.
    pub fn shutting_down(&self) -> CancellationToken {
        self.opener.shared.draining.clone()
    }
}
