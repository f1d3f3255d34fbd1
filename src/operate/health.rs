//! Whether a queue does what it is there for, in a word for those who are woken by it.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;

use super::{OperateError, Operator, why::span};

/// What counts as unwell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// A job that can run may wait so long for a worker.
    pub waiting: Duration,
    /// More failed jobs than this are too many; none for any number.
    pub failed: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: Duration::from_secs(300), failed: None }
    }
}

impl Limits {
    /// A job that can run may wait so long for a worker, 5 minutes unless given.
    pub fn waiting(mut self, waiting: Duration) -> Self {
        self.waiting = waiting;
        self
    }

    /// How many failed jobs are not too many; any number unless given.
    pub fn failed(mut self, failed: i64) -> Self {
        self.failed = Some(failed);
        self
    }
}

/// Whether a queue is well, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The schema is what this version needs: jobs can be enqueued and run.
    pub ready: bool,
    /// Jobs get to their workers in time.
    pub alive: bool,
    /// Each reason why not.
    pub why: Vec<String>,
}

impl Operator {
    /// Whether the queue is well by these limits. What is paused on purpose is not unwell.
    ///
    /// # Errors
    /// The database could not be asked, which is no health either.
    pub async fn health(&self, limits: &Limits) -> Result<Health, OperateError> {
        let mut why = self.store.inspect().await?.problems;
        let ready = why.is_empty();
        if !ready {
            return Ok(Health { ready, alive: false, why });
        }
        let overview = self.overview().await?;
        let longest = TimeDelta::from_std(limits.waiting).unwrap_or(TimeDelta::MAX);
        if let Some(since) = overview.waiting_since
            && overview.now - since > longest
            && overview.paused.is_empty()
        {
            let (waited, longest) = (span(overview.now - since), span(longest));
            why.push(format!("a job that can run has waited for {waited}, longer than {longest}"));
        }
        let failed = overview.depth.iter().find(|depth| depth.state == crate::job::State::Failed);
        if let (Some(most), Some(failed)) = (limits.failed, failed)
            && failed.figure.jobs > most
        {
            why.push(format!("{} jobs have failed, more than {most}", failed.figure.jobs));
        }
        Ok(Health { ready, alive: why.is_empty(), why })
    }
}
