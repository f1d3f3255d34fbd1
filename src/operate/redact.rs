use std::{fmt, sync::Arc};

use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::{Activity, CompletedJob, Failure, JobRow, Reason};
use crate::name::QueueName;

/// What nobody is to see of params, nor of the errors that speak of them: `invalid value "hunter2"`.
///
/// ```
/// use actix_job_queue::{QueueName, operate::Redaction};
/// use serde_json::{Value, json};
///
/// struct NoPasswords;
///
/// impl Redaction for NoPasswords {
///     fn params(&self, _: &QueueName, _: Option<&str>, mut params: Value) -> Value {
///         if let Some(password) = params.get_mut("password") {
///             *password = json!("•••");
///         }
///         params
///     }
///
///     fn error(&self, _: &QueueName, kind: Option<&str>, text: String) -> String {
///         if kind == Some("Login") { "•••".to_owned() } else { text }
///     }
/// }
/// ```
pub trait Redaction: Send + Sync {
    /// A job's params as they may be shown.
    fn params(&self, queue: &QueueName, kind: Option<&str>, params: Value) -> Value;

    /// What an error said, or one of its causes, as it may be shown. It is asked for each text by itself, and for reasons to
    /// fail too, in which a `#` stands for each word that has a digit.
    fn error(&self, queue: &QueueName, kind: Option<&str>, text: String) -> String;
}

/// Takes out of jobs what nobody is to see, before they are shown anywhere.
#[derive(Clone, Default)]
pub struct Redact {
    rule: Option<Arc<dyn Redaction>>,
    /// Whether it looks at errors too.
    errors: bool,
}

/// A function of params, which leaves errors as they are.
struct ParamsOnly<F>(F);

impl<F: Fn(&QueueName, Option<&str>, Value) -> Value + Send + Sync> Redaction for ParamsOnly<F> {
    fn params(&self, queue: &QueueName, kind: Option<&str>, params: Value) -> Value {
        (self.0)(queue, kind, params)
    }

    fn error(&self, _: &QueueName, _: Option<&str>, text: String) -> String {
        text
    }
}

impl Redact {
    /// Shows what the function makes of a job's params; it is told the queue and the job's type. Errors are shown as they
    /// are.
    pub fn by(rule: impl Fn(&QueueName, Option<&str>, Value) -> Value + Send + Sync + 'static) -> Self {
        Self { rule: Some(Arc::new(ParamsOnly(rule))), errors: false }
    }

    /// Shows what it makes of params and of errors: a rule of one's own, or [`RedactKeys`](super::RedactKeys).
    pub fn with(redaction: impl Redaction + 'static) -> Self {
        Self { rule: Some(Arc::new(redaction)), errors: true }
    }

    /// Whether there is anything to hide. Then params must not be searched either: whoever may ask whether a password
    /// begins with an A has it after some hundred questions.
    pub fn is_set(&self) -> bool {
        self.rule.is_some()
    }

    /// Whether errors are hidden too, so that they must not be searched either.
    pub fn hides_errors(&self) -> bool {
        self.errors
    }

    /// The row as it may be shown. Params that cannot be read in order to redact them are not shown.
    pub fn row(&self, queue: &QueueName, row: &mut JobRow) {
        self.job(queue, row.kind.as_deref(), &mut row.params, &mut row.errors);
    }

    /// The same of a completed job.
    pub fn completed(&self, queue: &QueueName, job: &mut CompletedJob) {
        self.job(queue, job.kind.as_deref(), &mut job.params, &mut job.errors);
    }

    fn job(&self, queue: &QueueName, kind: Option<&str>, params: &mut Option<Box<RawValue>>, errors: &mut [Failure]) {
        let Some(rule) = &self.rule else { return };
        *params = params.take().and_then(|params| {
            let params = serde_json::from_str(params.get()).ok()?;
            to_raw_value(&rule.params(queue, kind, params)).ok()
        });
        for text in errors.iter_mut().flat_map(|failure| &mut failure.error) {
            *text = rule.error(queue, kind, std::mem::take(text));
        }
    }

    /// What jobs did, as it may be shown. Reasons that are told alike then are one.
    pub fn activity(&self, queue: &QueueName, activity: &mut Activity) {
        let Some(rule) = self.rule.as_ref().filter(|_| self.errors) else { return };
        let mut told: Vec<Reason> = Vec::new();
        for mut reason in std::mem::take(&mut activity.failures) {
            reason.error = rule.error(queue, reason.kind.as_deref(), reason.error);
            match told.iter_mut().find(|known| (&known.kind, &known.error) == (&reason.kind, &reason.error)) {
                Some(known) => known.add(&reason),
                None => told.push(reason),
            }
        }
        told.sort_by_key(|reason| std::cmp::Reverse(reason.failures));
        activity.failures = told;
    }
}

impl Reason {
    /// The same reason again.
    fn add(&mut self, other: &Self) {
        self.failures += other.failures;
        if other.last_at > self.last_at {
            (self.last_at, self.last_id) = (other.last_at, other.last_id);
        }
    }
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redact").field("params", &self.is_set()).field("errors", &self.errors).finish()
    }
}
