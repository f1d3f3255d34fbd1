//! What a user's handler is, gets and returns.

mod batch;
mod completion;
mod context;
mod job_error;
mod registry;

use std::time::Duration;

use crate::{job::Job, run::backoff::Backoff};

pub use {
    batch::{BatchContext, BatchHandler},
    completion::{Completed, Completion},
    context::Context,
    job_error::JobError,
    registry::Handlers,
};

pub(crate) use {
    batch::Batch,
    job_error::Wish,
    registry::{BatchPerformer, Dispatch, Found, Performer, Rules},
};

/// Performs jobs with params of type `P`.
///
/// An `async fn(Job<P>, Context) -> Result<Completed, JobError>` is one, and so is a closure. A type that
/// implements this can keep state, and name a backoff and an execution timeout of its own. The future need
/// not be `Send`: it stays on its arbiter. It must not block that arbiter's thread; give what computes or
/// blocks for long to `actix_web::web::block` or `tokio::task::spawn_blocking`. Nor must a task that it spawns: what all
/// handlers of the process spawn, sleep for and connect to shares a few threads, which end with the
/// [`Database`](crate::Database).
///
/// A handler may run more than once for a job; what it writes in its completion happens once.
pub trait Handler<P>: 'static {
    /// Does the work: what is slow first, then its writes in the completion.
    ///
    /// # Errors
    /// Whatever made the work fail; the error is kept with the job, which is tried again while attempts
    /// are left.
    fn perform(&self, job: Job<P>, context: Context) -> impl Future<Output = Result<Completed, JobError>>;

    /// How long to wait after a failed attempt, unless the queue's own rule stands.
    fn backoff(&self) -> Option<Backoff> {
        None
    }

    /// How long the first attempt may take, unless the queue's own setting stands; the second may take
    /// twice as long, and so on.
    fn execution_timeout(&self) -> Option<Duration> {
        None
    }
}

impl<P, F, Fut> Handler<P> for F
where
    F: Fn(Job<P>, Context) -> Fut + 'static,
    Fut: Future<Output = Result<Completed, JobError>>,
{
    fn perform(&self, job: Job<P>, context: Context) -> impl Future<Output = Result<Completed, JobError>> {
        self(job, context)
    }
}

/// A handler with a backoff or an execution timeout of its own; see [`Tuned::new`].
#[derive(Debug, Clone)]
pub struct Tuned<H> {
    handler: H,
    backoff: Option<Backoff>,
    execution_timeout: Option<Duration>,
}

impl<H> Tuned<H> {
    /// Wraps a function or closure, which cannot name such things itself.
    pub fn new(handler: H) -> Self {
        Self { handler, backoff: None, execution_timeout: None }
    }

    /// How long to wait after a failed attempt.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// How long the first attempt may take; later ones so many times as long as their number.
    pub fn execution_timeout(mut self, timeout: Duration) -> Self {
        self.execution_timeout = Some(timeout);
        self
    }
}

impl<P, H: Handler<P>> Handler<P> for Tuned<H> {
    fn perform(&self, job: Job<P>, context: Context) -> impl Future<Output = Result<Completed, JobError>> {
        self.handler.perform(job, context)
    }

    fn backoff(&self) -> Option<Backoff> {
        self.backoff.clone().or_else(|| self.handler.backoff())
    }

    fn execution_timeout(&self) -> Option<Duration> {
        self.execution_timeout.or_else(|| self.handler.execution_timeout())
    }
}
