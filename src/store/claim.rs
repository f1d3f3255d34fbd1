use std::time::Duration;

use postgres_types::Type;
use tokio_postgres::Row;

use super::{Store, seconds};
use crate::{database::Lane, error::DatabaseError, job::Reserved, run::node::Node};

/// What a claim brought.
#[derive(Debug)]
pub(crate) struct Claim {
    /// In the order in which they are to run.
    pub(crate) jobs: Vec<Reserved>,
    /// When the next scheduled or retried job is due, or since when it is.
    pub(crate) due_in: Option<Duration>,
}

impl Store {
    /// Reserves up to `limit` jobs for this process.
    pub(crate) async fn claim(
        &self,
        limit: usize,
        reservation_timeout: Duration,
        node: &Node,
    ) -> Result<Claim, DatabaseError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .database
            .query(
                Lane::Control,
                &self.attempted("claim jobs"),
                &self.sql.claim,
                &[
                    (&limit, Type::INT8),
                    (&reservation_timeout.as_secs_f64(), Type::FLOAT8),
                    (&node.id, Type::INT8),
                    (&node.dead_after.as_secs_f64(), Type::FLOAT8),
                    (&node.name, Type::TEXT),
                ],
            )
            .await?;
        let due_in = seconds(rows.first().and_then(|row| row.get("due_in")));
        let jobs = rows.iter().filter_map(|row| row.get::<_, Option<i64>>("id").map(|id| reserved(id, row))).collect();
        Ok(Claim { jobs, due_in })
    }

    /// Makes reserved jobs available again, all of this process's if none are named; how many.
    pub(crate) async fn unreserve(&self, node: &Node, ids: Option<&[i64]>) -> Result<u64, DatabaseError> {
        let rows = self
            .database
            .query(
                Lane::Control,
                &self.attempted("give reserved jobs back"),
                &self.sql.unreserve,
                &[(&node.id, Type::INT8), (&ids, Type::INT8_ARRAY)],
            )
            .await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>("returned").unsigned_abs()))
    }
}

fn reserved(id: i64, row: &Row) -> Reserved {
    let params: crate::job::RawParams = row.get("params");
    let kind = row.get::<_, Option<String>>("kind").or_else(|| params.binary_kind());
    Reserved {
        id,
        lease: row.get("lease"),
        kind,
        attempt: row.get("attempt"),
        max_attempts: row.get("max_attempts"),
        priority: row.get("priority"),
        schedule: row.get("schedule"),
        inserted_at: row.get("inserted_at"),
        notify: row.get("notify"),
        params,
    }
}
