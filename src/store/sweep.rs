use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use postgres_types::Type;

use super::{Lease, Store, seconds};
use crate::{database::Lane, error::DatabaseError, run::node::Node};

/// So many rows are moved by one sweep, each way; more are left to the next, which follows at once.
const BATCH: i64 = 1_000;

/// A lapsed execution is first settled by its own process, which records why.
pub(crate) const LAPSE_GRACE: Duration = Duration::from_secs(1);

/// Where a sweep starts that does not look over everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    /// Nothing is due that was to come before this; none if that is to be looked over.
    due: Option<DateTime<Utc>>,
    /// No hold has ended before this.
    held: DateTime<Utc>,
    /// When everything was last looked over.
    whole: DateTime<Utc>,
}

#[cfg(test)]
impl Default for Since {
    fn default() -> Self {
        let at = DateTime::UNIX_EPOCH;
        Self { due: Some(at), held: at, whole: at }
    }
}

impl Since {
    /// The same, and all that is due.
    pub(crate) fn and_all_that_is_due(self) -> Self {
        Self { due: None, ..self }
    }

    pub(crate) fn looks_at_all_that_is_due(&self) -> bool {
        self.due.is_none()
    }
}

/// What a sweep did and saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Swept {
    /// Where the next sweep may start.
    pub(crate) since: Option<Since>,
    /// A process has died since everything was looked over.
    pub(crate) died: bool,
    /// Jobs that were due.
    pub(crate) activated: u64,
    /// Jobs that a dead process or a lapsed hold gave back.
    pub(crate) rescued: u64,
    /// The same, on their last attempt.
    pub(crate) failed: u64,
    /// Jobs were waiting before this sweep.
    pub(crate) available: bool,
    /// When the next job is due.
    pub(crate) due_in: Option<Duration>,
    /// When the next hold lapses or its process is dead, if it says nothing until then.
    pub(crate) lapse_in: Option<Duration>,
    /// How many processes hold jobs of the queue, where everything was looked over: each does that about as often.
    pub(crate) processes: u32,
}

impl Store {
    #[cfg(test)]
    pub(crate) async fn sweep(&self) -> Result<Swept, DatabaseError> {
        self.sweep_since(None).await
    }

    /// Makes what is due available and takes back what nobody holds any more, from where an earlier sweep has
    /// ended if one is given.
    pub(crate) async fn sweep_since(&self, since: Option<Since>) -> Result<Swept, DatabaseError> {
        let rows = self
            .database
            .query(
                Lane::Control,
                &self.attempted("sweep due and abandoned jobs"),
                &self.sql.sweep,
                &[
                    (&BATCH, Type::INT8),
                    (&LAPSE_GRACE.as_secs_f64(), Type::FLOAT8),
                    (&since.and_then(|since| since.due), Type::TIMESTAMPTZ),
                    (&since.map(|since| since.held), Type::TIMESTAMPTZ),
                    (&since.map(|since| since.whole), Type::TIMESTAMPTZ),
                ],
            )
            .await?;
        Ok(rows.first().map_or_else(Swept::default, |row| Swept {
            since: Some(Since {
                due: row.get("due_from"),
                held: row.get("held_from"),
                whole: since.map_or_else(|| row.get("at"), |since| since.whole),
            }),
            died: row.get("died"),
            activated: row.get::<_, i64>("activated").unsigned_abs(),
            rescued: row.get::<_, i64>("rescued").unsigned_abs(),
            failed: row.get::<_, i64>("failed").unsigned_abs(),
            available: row.get("available"),
            due_in: seconds(row.get("due_in")),
            lapse_in: seconds(row.get("lapse_in")),
            processes: row.get::<_, i64>("processes").try_into().unwrap_or(u32::MAX),
        }))
    }

    /// A number for this process that no other has.
    pub(crate) async fn register_node(&self, name: &str) -> Result<i64, DatabaseError> {
        let attempted = self.attempted("register this process as a worker");
        let mut connection = self.database.get(Lane::Control, &attempted).await?;
        match connection.query_typed_one(&self.sql.register_node, &[(&name, Type::TEXT)]).await {
            Ok(row) => Ok(row.get("node")),
            Err(error) => {
                connection.give_up();
                Err(DatabaseError::statement(attempted, error))
            }
        }
    }

    #[cfg(test)]
    pub(crate) async fn beat(&self, node: &Node, held: &[Lease]) -> Result<HashSet<Lease>, DatabaseError> {
        self.beat_within(Duration::MAX, node, held).await
    }

    /// Says that this process lives, and returns which of the jobs are still its own; given up with its connection if
    /// it is not answered in this time.
    pub(crate) async fn beat_within(
        &self,
        patience: Duration,
        node: &Node,
        held: &[Lease],
    ) -> Result<HashSet<Lease>, DatabaseError> {
        let (ids, leases): (Vec<_>, Vec<_>) = held.iter().map(|job| (job.id, job.lease)).unzip();
        let rows = self
            .database
            .query_within(
                patience,
                Lane::Heartbeat,
                &self.attempted("renew the hold on jobs"),
                &self.sql.beat,
                &[
                    (&node.number(), Type::INT8),
                    (&node.name, Type::TEXT),
                    (&node.dead_after.as_secs_f64(), Type::FLOAT8),
                    (&ids, Type::INT8_ARRAY),
                    (&leases, Type::INT8_ARRAY),
                ],
            )
            .await?;
        Ok(rows.iter().map(|row| Lease { id: row.get("id"), lease: row.get("lease") }).collect())
    }

    /// Takes this process off the list of those that live; if it holds anything, it is one of the dead.
    pub(crate) async fn retire_node(&self, node: i64) -> Result<(), DatabaseError> {
        let attempted = self.attempted("take this process off the list of workers");
        self.database.query(Lane::Control, &attempted, &self.sql.retire_node, &[(&node, Type::INT8)]).await.map(drop)
    }
}
