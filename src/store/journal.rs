use std::{collections::BTreeMap, time::Duration};

use postgres_types::{ToSql, Type};

use super::Store;
use crate::{
    database::Lane,
    error::DatabaseError,
    run::journal::{Histogram, Seen},
    settings::Keep,
};

/// For how long the minutes are kept, by which rates and latencies are told, and the reasons for which jobs failed.
const KEPT: (Duration, Duration) = (Duration::from_secs(2 * 86_400), Duration::from_secs(14 * 86_400));

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
                    (&KEPT.0.as_secs_f64(), Type::FLOAT8),
                    (&KEPT.1.as_secs_f64(), Type::FLOAT8),
                ],
            )
            .await
            .map(drop)
    }
}

/// So many completed jobs go by one statement.
const BATCH: i64 = 1_000;

impl Store {
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
