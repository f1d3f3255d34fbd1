use std::{collections::HashMap, str::FromStr, time::Duration};

use postgres_types::Type;
use tokio_postgres::Row;

use super::{Lease, Store, unzip};
use crate::{database::Lane, error::DatabaseError, job::State};

/// What is to become of a job whose attempt did not complete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Try again after the wait, or give up if this was the last attempt.
    Retry { after: Duration, error: Vec<String> },
    /// Give up.
    Fail { error: Vec<String> },
    /// Run again after the wait; the attempt does not count.
    Snooze { after: Duration },
    /// Run again at once, elsewhere; the attempt does not count.
    Return,
}

/// What a settlement or removal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The row is gone.
    Completed,
    /// The row is in this state now.
    Settled(State),
    /// Somebody holds a lock on the row: nothing was done, and it is worth trying again.
    Busy,
    /// The job is no longer this attempt's.
    Lost,
    /// There is no such row: this attempt's removal took it, if one was sent before, or somebody else's.
    Gone,
}

impl Store {
    /// Settles attempts that did not complete; one outcome a job, in their order.
    pub(crate) async fn settle(&self, jobs: &[(Lease, Verdict)]) -> Result<Vec<Settlement>, DatabaseError> {
        let (ids, leases) = unzip(jobs.iter().map(|(job, _)| *job));
        let verdicts: Vec<_> = jobs.iter().map(|(_, verdict)| verdict.word()).collect();
        let delays: Vec<_> = jobs.iter().map(|(_, verdict)| verdict.delay().as_secs_f64()).collect();
        let errors: Vec<_> = jobs
            .iter()
            .map(|(_, verdict)| verdict.error().map(|chain| serde_json::Value::from(chain).to_string()))
            .collect();
        let rows = self
            .database
            .query_planned(
                Lane::Control,
                &self.attempted("settle failed attempts"),
                &self.sql.settle,
                &[
                    (&ids, Type::INT8_ARRAY),
                    (&leases, Type::INT8_ARRAY),
                    (&verdicts, Type::TEXT_ARRAY),
                    (&delays, Type::FLOAT8_ARRAY),
                    (&errors, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        let settled: HashMap<Lease, Settlement> =
            rows.iter().map(|row| (Lease::of(row), settlement(row.get("outcome")))).collect();
        let missed: Vec<_> = jobs.iter().map(|(job, _)| *job).filter(|job| !settled.contains_key(job)).collect();
        let why = if missed.is_empty() { HashMap::new() } else { self.why_missed(&missed).await };
        let outcome = |job| settled.get(job).or(why.get(job)).copied().unwrap_or(Settlement::Lost);
        Ok(jobs.iter().map(|(job, _)| outcome(job)).collect())
    }
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Verdict::Retry { .. } => "RETRY",
            Verdict::Fail { .. } => "FAIL",
            Verdict::Snooze { .. } => "SNOOZE",
            Verdict::Return => "RETURN",
        }
    }

    fn delay(&self) -> Duration {
        match self {
            Verdict::Retry { after, .. } | Verdict::Snooze { after } => *after,
            Verdict::Fail { .. } | Verdict::Return => Duration::ZERO,
        }
    }

    fn error(&self) -> Option<&[String]> {
        match self {
            Verdict::Retry { error, .. } | Verdict::Fail { error } => Some(error),
            Verdict::Snooze { .. } | Verdict::Return => None,
        }
    }
}

/// The answers in the order of the questions; one that is missing would be a lost job.
pub(super) fn in_order(jobs: impl Iterator<Item = Lease>, rows: &[Row]) -> Vec<Settlement> {
    let answers: HashMap<Lease, Settlement> =
        rows.iter().map(|row| (Lease::of(row), settlement(row.get("outcome")))).collect();
    jobs.map(|job| answers.get(&job).copied().unwrap_or(Settlement::Lost)).collect()
}

fn settlement(outcome: &str) -> Settlement {
    match outcome {
        "BUSY" => Settlement::Busy,
        "GONE" => Settlement::Gone,
        state => State::from_str(state).map_or(Settlement::Lost, Settlement::Settled),
    }
}
