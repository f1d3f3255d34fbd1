use std::{collections::BTreeMap, time::Duration};

use postgres_types::Type;

use super::Store;
use crate::{
    database::Lane,
    error::DatabaseError,
    run::journal::{Histogram, Seen},
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

/// As PostgreSQL writes an array.
fn as_text(times: &Histogram) -> String {
    let counts: Vec<_> = times.0.iter().map(ToString::to_string).collect();
    format!("{{{}}}", counts.join(","))
}
