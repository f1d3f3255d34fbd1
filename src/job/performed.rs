use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::RawParams;
use crate::run::node::{Life, Node};

/// A job in its handler's hands: its params, and its columns as they were when it was claimed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Job<P> {
    /// The handler's input.
    pub params: P,
    /// The row's key.
    pub id: i64,
    /// The `type` of the params, if they have one.
    pub kind: Option<String>,
    /// Which attempt this is, the first being 1.
    pub attempt: i32,
    /// After how many attempts it is given up.
    pub max_attempts: i32,
    /// Lower runs first.
    pub priority: i32,
    /// The earliest time to run.
    pub schedule: DateTime<Utc>,
    /// When it was enqueued.
    pub inserted_at: DateTime<Utc>,
    /// What is announced on completion, retry and failure.
    pub notify: Option<String>,
}

/// A job that this process has claimed and not started yet.
#[derive(Debug, Clone)]
pub(crate) struct Reserved {
    pub(crate) id: i64,
    pub(crate) lease: i64,
    pub(crate) kind: Option<String>,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) priority: i32,
    pub(crate) schedule: DateTime<Utc>,
    pub(crate) inserted_at: DateTime<Utc>,
    pub(crate) notify: Option<String>,
    pub(crate) params: RawParams,
    /// Its claim was its start: `lease` and `attempt` are those from before it.
    pub(crate) began: Option<Began>,
}

/// When a claim that starts its jobs was sent, and in which life of the process.
#[derive(Debug, Clone)]
pub(crate) struct Began {
    pub(crate) sent: Instant,
    pub(crate) life: Life,
    /// How long the job had waited.
    pub(crate) waited: Option<Duration>,
}

impl Began {
    pub(crate) fn now(node: &Arc<Node>) -> Self {
        Self { sent: Instant::now(), life: node.life(), waited: None }
    }
}

impl Reserved {
    /// The job as it was before its claim started it.
    pub(crate) fn begun(self, began: Began) -> Self {
        Self { lease: self.lease - 1, attempt: self.attempt - 1, began: Some(began), ..self }
    }

    /// Whether the attempt to come is the last, and not the first.
    pub(crate) fn is_last_of_several(&self) -> bool {
        self.attempt > 0 && self.attempt.saturating_add(1) >= self.max_attempts
    }

    /// The job with the params that its handler wants.
    pub(crate) fn with_params<P>(self, params: P) -> Job<P> {
        Job {
            params,
            id: self.id,
            kind: self.kind,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            priority: self.priority,
            schedule: self.schedule,
            inserted_at: self.inserted_at,
            notify: self.notify,
        }
    }
}
