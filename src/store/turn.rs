//! What many jobs do in one commit: end with nothing to write, and start.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use postgres_types::{ToSql, Type};
use tokio_postgres::Row;

use super::{Lease, Settlement, Store, seconds, settle::in_order, unzip, zip};
use crate::{database::Lane, error::DatabaseError, logs, run::node::Node, text::Cause};

/// A job that this process performs from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) lease: Lease,
    pub(crate) attempt: i32,
    /// How long it had waited since it could have been started, where that is known.
    pub(crate) waited: Option<Duration>,
}

/// What a turn came to.
#[derive(Debug)]
pub(crate) struct Turned {
    /// One outcome for each job that was to be removed, in their order.
    pub(crate) removals: Vec<Settlement>,
    /// Those that were started. A job that is missing must not be performed.
    pub(crate) started: Vec<Started>,
}

impl Store {
    /// Removes jobs that are done, and starts reserved ones, each with its execution timeout.
    pub(crate) async fn turn(
        &self,
        done: &[Lease],
        wanted: &[(Lease, Duration)],
        node: i64,
    ) -> Result<Turned, DatabaseError> {
        let (ids, leases) = unzip(done.iter().copied());
        let (start_ids, start_leases) = unzip(wanted.iter().map(|(job, _)| *job));
        let timeouts: Vec<_> = wanted.iter().map(|(_, timeout)| timeout.as_secs_f64()).collect();
        let rows = self
            .database
            .query_planned(
                Lane::Control,
                &self.attempted(&format!("remove {} completed jobs and start {}", done.len(), wanted.len())),
                &self.sql.turn,
                &[
                    (&ids, Type::INT8_ARRAY),
                    (&leases, Type::INT8_ARRAY),
                    (&start_ids, Type::INT8_ARRAY),
                    (&start_leases, Type::INT8_ARRAY),
                    (&timeouts, Type::FLOAT8_ARRAY),
                    (&node, Type::INT8),
                ],
            )
            .await?;
        // There is one, for it is of all.
        let (missed, started) =
            rows.first().map_or_else(|| (done.to_vec(), Vec::new()), |row| (missed(done, row), started(row)));
        let why = if missed.is_empty() { HashMap::new() } else { self.why_missed(&missed).await };
        let outcome = |job| why.get(job).copied().unwrap_or(Settlement::Completed);
        Ok(Turned { removals: done.iter().map(outcome).collect(), started })
    }

    /// Starts reserved jobs, each with its execution timeout; those that are missing must not be performed.
    pub(crate) async fn start(&self, wanted: &[(Lease, Duration)], node: &Node) -> Result<Vec<Started>, DatabaseError> {
        Ok(self.turn(&[], wanted, node.number()).await?.started)
    }

    /// Removes jobs that are done; one outcome a job, in their order.
    pub(crate) async fn complete(&self, jobs: &[Lease]) -> Result<Vec<Settlement>, DatabaseError> {
        // Nothing is started, so there is no process to start it.
        Ok(self.turn(jobs, &[], 0).await?.removals)
    }

    /// Why each of these could not be removed or settled. Whoever cannot be told counts as busy and asks again: an error would
    /// have those that were removed asked for once more, and be found gone.
    pub(super) async fn why_missed(&self, jobs: &[Lease]) -> HashMap<Lease, Settlement> {
        let (ids, leases) = unzip(jobs.iter().copied());
        let attempted = self.attempted("look why jobs could not be removed or settled");
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&ids, Type::INT8_ARRAY), (&leases, Type::INT8_ARRAY)];
        match self.database.query(Lane::Control, &attempted, &self.sql.missed, &parameters).await {
            Ok(rows) => jobs.iter().copied().zip(in_order(jobs.iter().copied(), &rows)).collect(),
            Err(error) => {
                let (queue, cause) = (&*self.label, Cause(&error));
                log::debug!(target: logs::DATABASE, queue, error:% = cause; "{cause}; asking again");
                jobs.iter().map(|job| (*job, Settlement::Busy)).collect()
            }
        }
    }

    /// Which of these are no longer their attempts'; none are known to be if the database does not say.
    pub(crate) async fn missing(&self, jobs: &[Lease]) -> Vec<Lease> {
        let why = self.why_missed(jobs).await;
        jobs.iter().filter(|job| why.get(job) != Some(&Settlement::Busy)).copied().collect()
    }

    /// Which of these reservations a start whose answer was lost has started after all.
    pub(crate) async fn started(&self, wanted: &[Lease], node: &Node) -> Result<Vec<Started>, DatabaseError> {
        let (ids, leases) = unzip(wanted.iter().copied());
        let rows = self
            .database
            .query(
                Lane::Control,
                &self.attempted("look which jobs were started"),
                &self.sql.started,
                &[(&ids, Type::INT8_ARRAY), (&leases, Type::INT8_ARRAY), (&node.number(), Type::INT8)],
            )
            .await?;
        let started = |row| Started { lease: Lease::of(row), attempt: row.get("attempt"), waited: None };
        Ok(rows.iter().map(started).collect())
    }
}

/// Which of these a turn did not remove.
pub(crate) fn missed(done: &[Lease], row: &Row) -> Vec<Lease> {
    let Some(ids) = row.get::<_, Option<Vec<i64>>>("removed") else {
        return Vec::new();
    };
    let removed: HashSet<_> = zip(ids, row.get("removed_leases")).collect();
    done.iter().filter(|job| !removed.contains(job)).copied().collect()
}

/// Which jobs a turn started.
pub(crate) fn started(row: &Row) -> Vec<Started> {
    let leases = zip(row.get("started"), row.get("leases"));
    let attempts = row.get::<_, Vec<i32>>("attempts").into_iter().zip(row.get::<_, Vec<Option<f64>>>("waits"));
    let started = |(lease, (attempt, waited))| Started { lease, attempt, waited: seconds(waited) };
    leases.zip(attempts).map(started).collect()
}
