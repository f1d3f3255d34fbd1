//! What jobs did lately: rates, latencies and reasons to fail, from what the processes have written down.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use postgres_types::{ToSql, Type};
use serde::Serialize;
use tokio_postgres::Row;

use super::{
    OperateError, Operator,
    steps::{Read, Seen, Step, Steps, Throughput},
};
use crate::{error::DatabaseError, run::journal::Histogram};

/// More reasons to fail are not told.
const REASONS: i64 = 50;

/// More rows are not read: what is told begins later then.
const ROWS: i64 = 50_000;

/// What jobs did lately. Each process tells of it some ten seconds late.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Activity {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// From when on it is told: later than was asked for if very many types were at work.
    pub since: DateTime<Utc>,
    /// How long a step is.
    pub step_seconds: i64,
    /// Each step of that time, the earliest first; minutes, or quarters of an hour where more than two hours were asked for,
    /// as the clock has them. The last one is not over yet.
    pub steps: Vec<Step>,
    /// Each type, the busiest first.
    pub types: Vec<TypeActivity>,
    /// Why attempts failed, the commonest reason first; to the hour.
    pub failures: Vec<Reason>,
}

/// What jobs of a type did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TypeActivity {
    /// The type; none for jobs without one.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Attempts that began.
    pub started: i64,
    /// Jobs that were completed.
    pub completed: i64,
    /// Attempts that failed.
    pub failed: i64,
    /// How long jobs had waited when they began, since they could have.
    pub waited: Option<Quantiles>,
    /// How long attempts took.
    pub ran: Option<Quantiles>,
}

/// Times in seconds that a half, 95 and 99 of a hundred did not exceed; exact to the square root of two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Quantiles {
    /// Half of them.
    pub p50: f64,
    /// 95 of a hundred.
    pub p95: f64,
    /// 99 of a hundred.
    pub p99: f64,
}

/// Why attempts failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// The jobs' type; none for jobs without one.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The first line of the error, with a mark for each word that has a digit.
    pub error: String,
    /// How many attempts.
    pub failures: i64,
    /// When the last of them failed.
    pub last_at: DateTime<Utc>,
    /// Which job that was.
    pub last_id: i64,
}

impl Quantiles {
    /// Those of the times that were counted, if any were.
    pub(super) fn of(times: &Histogram) -> Option<Self> {
        let at = |share| times.quantile(share).map(|time| time.as_secs_f64());
        Some(Self { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

impl Operator {
    /// What jobs did in this time until now; two hours are known by the minute, two days by the quarter of an hour, and two
    /// weeks of reasons to fail.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn activity(&self, span: Duration) -> Result<Activity, OperateError> {
        let steps = Steps::of(span);
        let asked = self.minutes(include_str!("../../sql/operate/activity.sql"), steps);
        let (rows, failures) = futures_util::try_join!(asked, self.reasons(span))?;
        let read = Read::of(&rows, steps);
        Ok(Activity {
            now: read.now,
            since: read.since,
            step_seconds: steps.length.num_seconds(),
            steps: read.steps(),
            types: types(read.seen()),
            failures,
        })
    }

    /// How many jobs came in and went out in each step of this time until now, the earliest first: what [`Operator::activity`]
    /// tells of it, for less.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn throughput(&self, span: Duration) -> Result<Vec<Throughput>, OperateError> {
        let steps = Steps::of(span);
        let rows = self.minutes(include_str!("../../sql/operate/throughput.sql"), steps).await?;
        Ok(Read::of(&rows, steps).throughput())
    }

    async fn minutes(&self, sql: &str, steps: Steps) -> Result<Vec<Row>, DatabaseError> {
        let minutes = self.fill(include_str!("../../sql/operate/minutes.sql"), |_| None);
        let sql = self.fill(sql, |hole| (hole == "minutes").then(|| minutes.clone()));
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&steps.seconds(), Type::INT8), (&ROWS, Type::INT8), (&steps.length.num_seconds(), Type::INT8)];
        self.ask("look what jobs did", &sql, &parameters).await
    }

    async fn reasons(&self, span: Duration) -> Result<Vec<Reason>, DatabaseError> {
        let sql = self.fill(include_str!("../../sql/operate/failures.sql"), |_| None);
        let seconds = span.as_secs_f64().min(1e9);
        let parameters = [(&seconds as _, Type::FLOAT8), (&REASONS as _, Type::INT8), (&ROWS as _, Type::INT8)];
        Ok(self.ask("look why jobs failed", &sql, &parameters).await?.iter().map(reason).collect())
    }
}

fn types<'a>(seen: impl Iterator<Item = &'a Seen<'a>>) -> Vec<TypeActivity> {
    let mut types: BTreeMap<&str, (TypeActivity, Histogram, Histogram)> = BTreeMap::new();
    for seen in seen {
        let empty =
            || TypeActivity { kind: named(seen.kind), started: 0, completed: 0, failed: 0, waited: None, ran: None };
        let (sum, waited, ran) =
            types.entry(seen.kind).or_insert_with(|| (empty(), Histogram::default(), Histogram::default()));
        sum.started += seen.started;
        sum.completed += seen.completed;
        sum.failed += seen.failed;
        waited.add(&seen.waited);
        ran.add(&seen.ran);
    }
    let mut types: Vec<_> = types
        .into_values()
        .map(|(sum, waited, ran)| TypeActivity { waited: Quantiles::of(&waited), ran: Quantiles::of(&ran), ..sum })
        .collect();
    types.sort_by_key(|kind| std::cmp::Reverse(kind.started));
    types
}

fn reason(row: &Row) -> Reason {
    Reason {
        kind: named(row.get("kind")),
        error: row.get("error"),
        failures: row.get("failures"),
        last_at: row.get("last_at"),
        last_id: row.get("last_id"),
    }
}

fn named(kind: &str) -> Option<String> {
    (!kind.is_empty()).then(|| kind.to_owned())
}
