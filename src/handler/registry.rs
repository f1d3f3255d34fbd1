use std::{collections::BTreeMap, fmt, marker::PhantomData, rc::Rc, sync::Arc, time::Duration};

use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::{BatchContext, BatchHandler, Completed, Context, Handler, JobError};
use crate::{
    job::Reserved,
    run::{backoff::Backoff, caught::caught, gather::Batching},
};

/// The handlers of a queue, by the `type` of the params.
///
/// ```no_run
/// # use actix_job_queue::{Completed, Context, Handlers, Job, JobError};
/// # #[derive(serde::Deserialize)] struct SendEmail;
/// # async fn send_email(_: Job<SendEmail>, ctx: Context) -> Result<Completed, JobError> { Ok(ctx.complete().await?) }
/// let handlers = Handlers::new()
///     .on("SendEmail", send_email)
///     .on("Ping", async |_job: Job<serde_json::Value>, ctx: Context| Ok(ctx.complete().await?));
/// ```
#[derive(Default)]
#[must_use = "handlers do nothing until a queue is started with them"]
pub struct Handlers {
    of_type: BTreeMap<String, Maker>,
    of_any: Option<Maker>,
    twice: Vec<String>,
    batches: Vec<(String, Batching)>,
}

/// Makes an arbiter's own performer.
type Maker = Arc<dyn Fn() -> Found + Send + Sync>;

/// What a handler says of the attempts at its jobs, unless the queue's own rules stand.
pub(crate) trait Rules {
    fn backoff(&self) -> Option<Backoff>;
    fn execution_timeout(&self) -> Option<Duration>;
}

/// A handler whose params' type is forgotten.
pub(crate) trait Performer: Rules {
    /// Reads the params and performs the job.
    fn perform(&self, job: Reserved, context: Context) -> LocalBoxFuture<'static, Result<Completed, JobError>>;
}

/// A batch handler whose params' type is forgotten.
pub(crate) trait BatchPerformer: Rules {
    /// Reads the params, takes out the jobs whose cannot be read, and performs the others.
    fn perform(
        &self,
        jobs: Vec<Reserved>,
        context: BatchContext,
    ) -> LocalBoxFuture<'static, Result<Completed, JobError>>;
    fn batching(&self) -> Batching;
}

/// A handler, by how many jobs it takes.
#[derive(Clone)]
pub(crate) enum Found {
    One(Rc<dyn Performer>),
    Batch(Rc<dyn BatchPerformer>),
}

impl Handlers {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Performs jobs whose params have this `type`. One handler serves all arbiters.
    pub fn on<P, H>(self, kind: impl Into<String>, handler: H) -> Self
    where
        P: DeserializeOwned + 'static,
        H: Handler<P> + Send + Sync,
    {
        let handler = Arc::new(handler);
        self.insert(Some(kind.into()), Arc::new(move || Found::One(Rc::new(Typed::new(Arc::clone(&handler))))))
    }

    /// The same with a handler that `make` makes on each arbiter, so that its state need not be `Send`.
    pub fn on_each_arbiter<P, H>(self, kind: impl Into<String>, make: impl Fn() -> H + Send + Sync + 'static) -> Self
    where
        P: DeserializeOwned + 'static,
        H: Handler<P>,
    {
        self.insert(Some(kind.into()), Arc::new(move || Found::One(Rc::new(Typed::new(Rc::new(make()))))))
    }

    /// Performs every job that has no handler of its own: the only one of a queue of one type, whose params
    /// need no `type`.
    pub fn any<P, H>(self, handler: H) -> Self
    where
        P: DeserializeOwned + 'static,
        H: Handler<P> + Send + Sync,
    {
        let handler = Arc::new(handler);
        self.insert(None, Arc::new(move || Found::One(Rc::new(Typed::new(Arc::clone(&handler))))))
    }

    /// Performs jobs whose params have this `type` many at a time, with one completion for all of them.
    ///
    /// Jobs gather in the worker that was given them, each in its own slot of `max_demand`, and stay RESERVED until
    /// the batch goes off: when it is full, when its first job has waited for its time, or when no other can come
    /// because all slots of the worker wait. Each job keeps a lease of its own, and its own attempt, backoff and
    /// errors:
    ///
    /// - [`BatchContext::fail`] takes a job out, and so do params that cannot be read: that job fails, and the others
    ///   are completed.
    /// - If the handler returns an error or panics, or its completion cannot be made, nothing of it is kept, and each
    ///   of its jobs is performed alone, in a batch of one of the same attempt. So a job fails only by itself, and
    ///   **the handler may run more than once for an attempt**; what it writes in its completion happens once.
    /// - A batch that outruns the execution timeout fails as a whole, for no job has time left. So that a job that
    ///   hangs cannot use up all attempts of another, the last of several attempts at a job is performed alone.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use actix_job_queue::{BatchContext, Batching, Handlers, Job, JobError};
    /// use tokio_postgres::types::Type;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Page { url: String }
    ///
    /// let handlers = Handlers::new().batch(
    ///     "Index",
    ///     Batching::up_to(100).within(Duration::from_millis(20)),
    ///     async |jobs: Vec<Job<Page>>, mut ctx: BatchContext| {
    ///         let mut urls = Vec::new();
    ///         for job in jobs {
    ///             if job.params.url.starts_with("https://") {
    ///                 urls.push(job.params.url);
    ///             } else {
    ///                 ctx.fail(job.id, JobError::new("not an address").give_up());
    ///             }
    ///         }
    ///         let done = ctx.begin().await?;
    ///         let sql = "INSERT INTO pages (url) SELECT unnest($1::text[])";
    ///         done.execute_typed(sql, &[(&urls, Type::TEXT_ARRAY)]).await?;
    ///         Ok(done.commit().await?)
    ///     },
    /// );
    /// ```
    pub fn batch<P, H>(mut self, kind: impl Into<String>, batching: Batching, handler: H) -> Self
    where
        P: DeserializeOwned + 'static,
        H: BatchHandler<P> + Send + Sync,
    {
        let (kind, handler) = (kind.into(), Arc::new(handler));
        self.batches.push((kind.clone(), batching));
        let make = move || Found::Batch(Rc::new(Batched { typed: Typed::new(Arc::clone(&handler)), batching }));
        self.insert(Some(kind), Arc::new(make))
    }

    fn insert(mut self, kind: Option<String>, make: Maker) -> Self {
        let before = match &kind {
            Some(kind) => self.of_type.insert(kind.clone(), make),
            None => self.of_any.replace(make),
        };
        if before.is_some() {
            self.twice.push(kind.unwrap_or_else(|| "any".to_owned()));
        }
        self
    }

    /// All that is wrong, each with what to do; a job is taken back from who keeps it unstarted for `longest`.
    pub(crate) fn problems(&self, longest: Duration) -> Vec<String> {
        let mut problems: Vec<_> =
            self.twice.iter().map(|kind| format!("there are two handlers for the type {kind:?}: keep one")).collect();
        problems.extend(self.batches.iter().flat_map(|(kind, batching)| batching.problems(kind, longest)));
        if self.of_type.is_empty() && self.of_any.is_none() {
            problems.push("there is no handler, so every job would fail: add one with Handlers::on".to_owned());
        }
        problems
    }

    /// The handlers for one arbiter.
    pub(crate) fn dispatch(&self) -> Dispatch {
        Dispatch {
            of_type: self.of_type.iter().map(|(kind, make)| (kind.clone(), make())).collect(),
            of_any: self.of_any.as_ref().map(|make| make()),
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.of_type.keys().collect();
        f.debug_struct("Handlers").field("types", &kinds).field("any", &self.of_any.is_some()).finish()
    }
}

/// An arbiter's own handlers.
pub(crate) struct Dispatch {
    of_type: BTreeMap<String, Found>,
    of_any: Option<Found>,
}

impl Dispatch {
    /// The handler of this type, or an error that names the types known.
    pub(crate) fn find(&self, kind: Option<&str>) -> Result<Found, JobError> {
        let found = kind.and_then(|kind| self.of_type.get(kind)).or(self.of_any.as_ref());
        found.cloned().ok_or_else(|| {
            let known: Vec<_> = self.of_type.keys().map(String::as_str).collect();
            let asked = kind.map_or("no type".to_owned(), |kind| format!("type {kind:?}"));
            JobError::new(format!("no handler here for params of {asked}; the types known are {}", known.join(", ")))
        })
    }
}

struct Typed<H, P> {
    handler: H,
    params: PhantomData<fn() -> P>,
}

impl<H, P> Typed<H, P> {
    fn new(handler: H) -> Self {
        Self { handler, params: PhantomData }
    }
}

impl<P, H, R> Performer for Typed<R, P>
where
    P: DeserializeOwned + 'static,
    H: Handler<P>,
    R: std::ops::Deref<Target = H> + Clone + 'static,
{
    fn perform(&self, job: Reserved, context: Context) -> LocalBoxFuture<'static, Result<Completed, JobError>> {
        let handler = self.handler.clone();
        Box::pin(async move {
            let params = job.params.read()?;
            handler.perform(job.with_params(params), context).await
        })
    }
}

impl<P, H, R> Rules for Typed<R, P>
where
    H: Handler<P>,
    R: std::ops::Deref<Target = H>,
{
    fn backoff(&self) -> Option<Backoff> {
        self.handler.backoff()
    }

    fn execution_timeout(&self) -> Option<Duration> {
        self.handler.execution_timeout()
    }
}

struct Batched<H, P> {
    typed: Typed<Arc<H>, P>,
    batching: Batching,
}

impl<P, H> BatchPerformer for Batched<H, P>
where
    P: DeserializeOwned + 'static,
    H: BatchHandler<P>,
{
    fn perform(
        &self,
        jobs: Vec<Reserved>,
        mut context: BatchContext,
    ) -> LocalBoxFuture<'static, Result<Completed, JobError>> {
        let handler = Arc::clone(&self.typed.handler);
        Box::pin(async move {
            let mut read = Vec::with_capacity(jobs.len());
            for job in jobs {
                let failure = match caught(|| job.params.read()) {
                    Ok(Ok(params)) => {
                        read.push(job.with_params(params));
                        continue;
                    }
                    Ok(Err(error)) => JobError::new(error),
                    Err(panic) => JobError::new(format!("the handler panicked: {panic}")),
                };
                context.fail(job.id, failure);
            }
            if read.is_empty() {
                // Each of them has an error of its own.
                return Err(JobError::new("no job of the batch has params that can be read"));
            }
            handler.perform(read, context).await
        })
    }

    fn batching(&self) -> Batching {
        self.batching
    }
}

impl<P, H: BatchHandler<P>> Rules for Batched<H, P> {
    fn backoff(&self) -> Option<Backoff> {
        self.typed.handler.backoff()
    }

    fn execution_timeout(&self) -> Option<Duration> {
        self.typed.handler.execution_timeout()
    }
}
