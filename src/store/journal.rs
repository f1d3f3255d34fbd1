use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use postgres_types::{ToSql, Type};

use super::Store;
use crate::{
    database::Lane,
    error::DatabaseError,
    run::journal::{Histogram, Seen},
    settings::Keep,
};

/// For so long each minute is told by itself; the older ones of a quarter of an hour become one.
pub(crate) const FINE: Duration = Duration::from_secs(2 * 3_600);

/// How long such a quarter is. They begin with the hour.
pub(crate) const QUARTER: TimeDelta = TimeDelta::minutes(15);

/// For so long it is known at all what jobs did.
pub(crate) const KEPT: Duration = Duration::from_secs(2 * 86_400);

/// For so long it is known why jobs failed.
const REASONS_KEPT: Duration = Duration::from_secs(14 * 86_400);

/// So many rows go by one statement.
const BATCH: i64 = 1_000;

impl Store {
    /// Adds what this process has seen to what is written down.
    pub(crate) async fn write_journal(&self, gathered: &BTreeMap<String, Seen>) -> Result<(), DatabaseError> {
        let kinds: Vec<_> = gathered.keys().map(String::as_str).collect();
        let count = |of: fn(&Seen) -> i64| gathered.values().map(of).collect::<Vec<_>>();
        let times = |of: fn(&Seen) -> &Histogram| gathered.values().map(|seen| as_text(of(seen))).collect::<Vec<_>>();
        let errors =
            gathered.iter().flat_map(|(kind, seen)| seen.errors.iter().map(move |error| (kind.as_str(), error)));
        let (mut of, mut texts, mut failures, mut last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (kind, (error, (times, id))) in errors {
            of.push(kind);
            texts.push(error.as_str());
            failures.push(*times);
            last.push(*id);
        }
        self.database
            .query(
                Lane::Control,
                &self.attempted("write down what jobs did"),
                &self.sql.journal,
                &[
                    (&kinds, Type::TEXT_ARRAY),
                    (&count(|seen| seen.started), Type::INT8_ARRAY),
                    (&count(|seen| seen.completed), Type::INT8_ARRAY),
                    (&count(|seen| seen.failed), Type::INT8_ARRAY),
                    (&times(|seen| &seen.waited), Type::TEXT_ARRAY),
                    (&times(|seen| &seen.ran), Type::TEXT_ARRAY),
                    (&of, Type::TEXT_ARRAY),
                    (&texts, Type::TEXT_ARRAY),
                    (&failures, Type::INT8_ARRAY),
                    (&last, Type::INT8_ARRAY),
                ],
            )
            .await
            .map(drop)
    }

    /// Has what was written down take less room as it grows old, so many rows at most; whether there may be more.
    pub(crate) async fn roll_up(&self) -> Result<bool, DatabaseError> {
        let attempted = self.attempted("roll up what jobs did");
        let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
            (&KEPT.as_secs_f64(), Type::FLOAT8),
            (&REASONS_KEPT.as_secs_f64(), Type::FLOAT8),
            (&FINE.as_secs_f64(), Type::FLOAT8),
            (&QUARTER.num_seconds(), Type::INT8),
            (&BATCH, Type::INT8),
        ];
        let rows = self.database.query(Lane::Control, &attempted, &self.sql.roll_up, &parameters).await?;
        Ok(rows.first().is_some_and(|row| row.get("more")))
    }

    /// Lets go of completed jobs that need not be kept any more, so many at most; whether there may be more.
    pub(crate) async fn prune(&self, keep: &Keep) -> Result<bool, DatabaseError> {
        let attempted = self.attempted("let go of completed jobs");
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
            (&keep.during.as_secs_f64().min(1e9), Type::FLOAT8),
            (&i64::from(keep.most), Type::INT8),
            (&BATCH, Type::INT8),
        ];
        let gone = self.database.query(Lane::Control, &attempted, &self.sql.prune, &parameters).await?;
        Ok(gone.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX))
    }
}

/// As PostgreSQL writes an array.
fn as_text(times: &Histogram) -> String {
    let counts: Vec<_> = times.0.iter().map(ToString::to_string).collect();
    format!("{{{}}}", counts.join(","))
}
