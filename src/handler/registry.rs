use std::{collections::BTreeMap, fmt, marker::PhantomData, rc::Rc, sync::Arc, time::Duration};

use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::{Completed, Context, Handler, JobError};
use crate::{
    job::{RawParams, Reserved},
    run::backoff::Backoff,
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
}

/// Makes an arbiter's own performer.
type Maker = Arc<dyn Fn() -> Rc<dyn Performer> + Send + Sync>;

/// A handler whose params' type is forgotten.
pub(crate) trait Performer {
    /// Reads the params and performs the job.
    fn perform(&self, job: Reserved, context: Context) -> LocalBoxFuture<'static, Result<Completed, JobError>>;
    fn backoff(&self) -> Option<Backoff>;
    fn execution_timeout(&self) -> Option<Duration>;
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
        self.insert(Some(kind.into()), Arc::new(move || Rc::new(Typed::new(Arc::clone(&handler)))))
    }

    /// The same with a handler that `make` makes on each arbiter, so that its state need not be `Send`.
    pub fn on_each_arbiter<P, H>(self, kind: impl Into<String>, make: impl Fn() -> H + Send + Sync + 'static) -> Self
    where
        P: DeserializeOwned + 'static,
        H: Handler<P>,
    {
        self.insert(Some(kind.into()), Arc::new(move || Rc::new(Typed::new(Rc::new(make())))))
    }

    /// Performs every job that has no handler of its own: the only one of a queue of one type, whose params
    /// need no `type`.
    pub fn any<P, H>(self, handler: H) -> Self
    where
        P: DeserializeOwned + 'static,
        H: Handler<P> + Send + Sync,
    {
        let handler = Arc::new(handler);
        self.insert(None, Arc::new(move || Rc::new(Typed::new(Arc::clone(&handler)))))
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

    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<_> =
            self.twice.iter().map(|kind| format!("there are two handlers for the type {kind:?}: keep one")).collect();
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
    of_type: BTreeMap<String, Rc<dyn Performer>>,
    of_any: Option<Rc<dyn Performer>>,
}

impl Dispatch {
    /// The handler of this type, or an error that names the types known.
    pub(crate) fn find(&self, kind: Option<&str>) -> Result<Rc<dyn Performer>, JobError> {
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
    fn perform(&self, mut job: Reserved, context: Context) -> LocalBoxFuture<'static, Result<Completed, JobError>> {
        let handler = self.handler.clone();
        Box::pin(async move {
            let params = std::mem::replace(&mut job.params, RawParams::Json(String::new())).read()?;
            handler.perform(job.with_params(params), context).await
        })
    }

    fn backoff(&self) -> Option<Backoff> {
        self.handler.backoff()
    }

    fn execution_timeout(&self) -> Option<Duration> {
        self.handler.execution_timeout()
    }
}
