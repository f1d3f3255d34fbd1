//! What a queue is like right now, at a cost that does not grow with it.

use chrono::{DateTime, Utc};
use postgres_types::Type;
use serde::Serialize;
use tokio_postgres::Row;

use super::{OperateError, Operator, Pause};
use crate::job::State;

/// Up to here jobs are counted one by one.
const COUNTED: i64 = 10_000;

/// Of larger tables so many pages are looked at.
const PAGES: i64 = 800;

/// A number of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// How many.
    pub jobs: i64,
    /// Whether they were counted, or are estimated from some of the table's pages.
    pub exact: bool,
}

/// How many jobs are in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Depth {
    /// The state.
    pub state: State,
    /// Its jobs.
    #[serde(flatten)]
    pub figure: Figure,
}

/// How many jobs of a type are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TypeCount {
    /// The type; none for params that have none, and in a binary queue.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The state.
    pub state: State,
    /// Its jobs.
    #[serde(flatten)]
    pub figure: Figure,
}

/// What a queue is like right now.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Overview {
    /// The queue.
    pub queue: String,
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// Each state, in the order of a job's life.
    pub depth: Vec<Depth>,
    /// The commonest types and states, the commonest first. A rare type may be missing where the figures are estimates.
    pub types: Vec<TypeCount>,
    /// How many processes hold jobs of the queue.
    pub processes: i64,
    /// What no process claims.
    pub paused: Vec<Pause>,
    /// The earliest time at which a job that can run was to run.
    pub waiting_since: Option<DateTime<Utc>>,
    /// When the next scheduled or retried job is due.
    pub next_due: Option<DateTime<Utc>>,
    /// Since when the oldest of the running jobs runs.
    pub running_since: Option<DateTime<Utc>>,
    /// When a job failed for good last.
    pub failed_at: Option<DateTime<Utc>>,
    /// The table's size, without its indexes.
    pub bytes: i64,
    /// How many jobs were inserted since the server's statistics were reset; two looks tell a rate.
    pub inserted: i64,
}

impl Operator {
    /// What the queue is like right now. However large it is, some ten thousand index entries and some hundred pages are
    /// looked at; a figure tells whether it is exact.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn overview(&self) -> Result<Overview, OperateError> {
        let sql = self.fill(include_str!("../../sql/operate/depth.sql"), |_| None);
        let rows = self.ask("count the jobs", &sql, &[(&(COUNTED + 1), Type::INT8)]).await?;
        let Some(row) = rows.first() else {
            return Err(OperateError::Filter("the database counted nothing".to_owned()));
        };
        let (bytes, block): (i64, i64) = (row.get("bytes"), row.get("block"));
        let pages = (bytes / block.max(1)).max(1);
        #[allow(clippy::cast_precision_loss, reason = "a share of pages need not be exact")]
        let share = (PAGES as f64 / pages as f64).min(1.0);
        let sql = self.fill(include_str!("../../sql/operate/sample.sql"), |_| None);
        #[allow(clippy::cast_possible_truncation, reason = "the sampling takes a float4")]
        let per_cent = (share * 100.0) as f32;
        let sampled = self.ask("count the jobs of each type", &sql, &[(&per_cent, Type::FLOAT4)]).await?;
        let types: Vec<_> = sampled.iter().filter_map(|row| type_count(row, share)).collect();
        let depth = State::ALL.map(|state| Depth { state, figure: depth(row, state, &types) });
        Ok(Overview {
            queue: self.store.name.to_string(),
            now: row.get("now"),
            depth: depth.to_vec(),
            types,
            processes: row.get("processes"),
            paused: self.pauses().await?,
            waiting_since: row.get("waiting_since"),
            next_due: row.get("next_due"),
            running_since: row.get("running_since"),
            failed_at: row.get("failed_at"),
            bytes,
            inserted: row.get("inserted"),
        })
    }
}

fn type_count(row: &Row, share: f64) -> Option<TypeCount> {
    let jobs: i64 = row.get("jobs");
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "an estimate")]
    let figure = Figure { jobs: (jobs as f64 / share).round() as i64, exact: share >= 1.0 };
    Some(TypeCount { kind: row.get("kind"), state: row.get::<_, &str>("state").parse().ok()?, figure })
}

/// What was counted, or what the sample says where there are more.
fn depth(row: &Row, state: State, types: &[TypeCount]) -> Figure {
    let counted = |column| row.get::<_, i64>(column);
    let (jobs, walked) = match state {
        State::Available => (counted("available"), counted("available")),
        // These two share an index: one that is full hides what there is of the other.
        State::Scheduled => (counted("scheduled"), counted("scheduled") + counted("retry")),
        State::Retry => (counted("retry"), counted("scheduled") + counted("retry")),
        State::Reserved => (counted("reserved"), counted("reserved") + counted("in_progress")),
        State::InProgress => (counted("in_progress"), counted("reserved") + counted("in_progress")),
        State::Failed => (counted("failed"), counted("failed")),
    };
    if walked <= COUNTED {
        return Figure { jobs, exact: true };
    }
    let sampled: i64 = types.iter().filter(|count| count.state == state).map(|count| count.figure.jobs).sum();
    let exact = types.iter().all(|count| count.figure.exact);
    // At least those are there that were counted.
    Figure { jobs: sampled.max(jobs), exact }
}
