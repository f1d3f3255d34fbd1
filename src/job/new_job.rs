use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{ParamsError, RawParams};

/// A job that is not enqueued yet: its params, and when and how it is to run.
///
/// ```
/// use std::time::Duration;
/// use actix_job_queue::NewJob;
///
/// #[derive(serde::Serialize)]
/// struct SendEmail { to: String }
///
/// let job = NewJob::new(&SendEmail { to: "ada@example.com".into() })?
///     .schedule_in(Duration::from_secs(60))
///     .priority(1)
///     .max_attempts(3);
/// # Ok::<_, actix_job_queue::ParamsError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a job runs once it is enqueued"]
pub struct NewJob {
    pub(crate) params: RawParams,
    pub(crate) when: When,
    pub(crate) max_attempts: Option<i32>,
    pub(crate) priority: Option<i32>,
    pub(crate) notify: Option<String>,
}

/// The earliest time to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum When {
    Now,
    At(DateTime<Utc>),
    In(Duration),
}

impl NewJob {
    /// A job for a queue with JSON params, to run at once.
    ///
    /// A struct's name, as serde knows it, becomes the `type` by which its handler is found, unless the
    /// params have a `type` already (`#[serde(tag = "type")]`).
    ///
    /// # Errors
    /// The params cannot be written as JSON.
    pub fn new<T: Serialize + ?Sized>(params: &T) -> Result<Self, ParamsError> {
        RawParams::json(None, params).map(Self::of)
    }

    /// The same with the type's name given, for params that are no struct or are called otherwise.
    ///
    /// # Errors
    /// The params cannot be written as JSON, or are no JSON object.
    pub fn of_type<T: Serialize + ?Sized>(kind: &str, params: &T) -> Result<Self, ParamsError> {
        RawParams::json(Some(kind), params).map(Self::of)
    }

    /// A job for a queue with binary params, to run at once: any serde type, as MessagePack.
    ///
    /// # Errors
    /// The params cannot be written as MessagePack.
    pub fn binary<T: Serialize + ?Sized>(params: &T) -> Result<Self, ParamsError> {
        RawParams::binary(None, params).map(Self::of)
    }

    /// The same with the type's name given.
    ///
    /// # Errors
    /// The params cannot be written as MessagePack.
    pub fn binary_of_type<T: Serialize + ?Sized>(kind: &str, params: &T) -> Result<Self, ParamsError> {
        RawParams::binary(Some(kind), params).map(Self::of)
    }

    fn of(params: RawParams) -> Self {
        Self { params, when: When::Now, max_attempts: None, priority: None, notify: None }
    }

    /// Runs no earlier than this long after it is enqueued, by the database's clock.
    pub fn schedule_in(mut self, delay: Duration) -> Self {
        self.when = When::In(delay);
        self
    }

    /// Runs no earlier than this.
    pub fn schedule_at(mut self, at: DateTime<Utc>) -> Self {
        self.when = When::At(at);
        self
    }

    /// Lower runs first; 0 unless given.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How often it is tried, 5 unless given; the table refuses less than 1.
    pub fn max_attempts(mut self, max_attempts: i32) -> Self {
        self.max_attempts = Some(max_attempts);
        self
    }

    /// What is announced on the queue's `completed`, `retry` and `failed` channels; less than 8,000 bytes.
    pub fn notify(mut self, payload: impl Into<String>) -> Self {
        self.notify = Some(payload.into());
        self
    }

    /// Whether nothing but its params was said of it.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self { params: _, when: When::Now, max_attempts: None, priority: None, notify: None })
    }
}
