//! What jobs did lately: rates, latencies and reasons to fail, from what the processes have written down.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use postgres_types::Type;
use serde::Serialize;
use tokio_postgres::Row;

use super::{OperateError, Operator};
use crate::run::journal::Histogram;

/// More reasons to fail are not told.
const REASONS: i64 = 50;

/// What jobs did lately. Each process tells of it some ten seconds late.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Activity {
    /// The minutes in which something happened, the earliest first.
    pub minutes: Vec<Minute>,
    /// Each type, the busiest first.
    pub types: Vec<TypeActivity>,
    /// Why attempts failed, the commonest reason first; to the hour.
    pub failures: Vec<Reason>,
}

/// A minute of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Minute {
    /// Its beginning.
    pub minute: DateTime<Utc>,
    /// Jobs that were inserted since the last minute that is told of; none if that is not known. Those of transactions that
    /// rolled back count too.
    pub inserted: Option<i64>,
    /// Attempts that began.
    pub started: i64,
    /// Jobs that were completed.
    pub completed: i64,
    /// Attempts that failed.
    pub failed: i64,
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

impl Operator {
    /// What jobs did in this time until now; two days are known of minutes, and two weeks of reasons to fail.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn activity(&self, span: Duration) -> Result<Activity, OperateError> {
        let seconds = span.as_secs_f64().min(1e9);
        let sql = self.fill(include_str!("../../sql/operate/activity.sql"), |_| None);
        let rows = self.ask("look what jobs did", &sql, &[(&seconds, Type::FLOAT8)]).await?;
        let sql = self.fill(include_str!("../../sql/operate/failures.sql"), |_| None);
        let reasons =
            self.ask("look why jobs failed", &sql, &[(&seconds, Type::FLOAT8), (&REASONS, Type::INT8)]).await?;
        Ok(Activity { minutes: minutes(&rows), types: types(&rows), failures: reasons.iter().map(reason).collect() })
    }
}

fn minutes(rows: &[Row]) -> Vec<Minute> {
    let mut minutes: BTreeMap<DateTime<Utc>, (Minute, i64)> = BTreeMap::new();
    for row in rows {
        let minute = row.get("minute");
        let empty = Minute { minute, inserted: None, started: 0, completed: 0, failed: 0 };
        let (sum, inserted) = minutes.entry(minute).or_insert((empty, 0));
        sum.started += row.get::<_, i64>("started");
        sum.completed += row.get::<_, i64>("completed");
        sum.failed += row.get::<_, i64>("failed");
        *inserted = (*inserted).max(row.get("inserted"));
    }
    let mut before = None;
    let minutes = minutes.into_values().map(|(minute, counter)| {
        // The server's counters may have been reset in between.
        let inserted = before.map(|before| counter - before).filter(|inserted| *inserted >= 0);
        before = Some(counter);
        Minute { inserted, ..minute }
    });
    minutes.collect()
}

fn types(rows: &[Row]) -> Vec<TypeActivity> {
    let mut types: BTreeMap<&str, (TypeActivity, Histogram, Histogram)> = BTreeMap::new();
    for row in rows {
        let kind: &str = row.get("kind");
        let empty = TypeActivity { kind: named(kind), started: 0, completed: 0, failed: 0, waited: None, ran: None };
        let (sum, waited, ran) =
            types.entry(kind).or_insert_with(|| (empty, Histogram::default(), Histogram::default()));
        sum.started += row.get::<_, i64>("started");
        sum.completed += row.get::<_, i64>("completed");
        sum.failed += row.get::<_, i64>("failed");
        waited.add(&Histogram(row.get("waited")));
        ran.add(&Histogram(row.get("ran")));
    }
    let mut types: Vec<_> = types
        .into_values()
        .map(|(sum, waited, ran)| TypeActivity { waited: quantiles(&waited), ran: quantiles(&ran), ..sum })
        .collect();
    types.sort_by_key(|kind| std::cmp::Reverse(kind.started));
    types
}

fn quantiles(times: &Histogram) -> Option<Quantiles> {
    let at = |share| times.quantile(share).map(|time| time.as_secs_f64());
    Some(Quantiles { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
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
