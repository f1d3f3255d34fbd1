//! Watches the queue's table from outside, as anybody with psql could.

use std::collections::{BTreeMap, BTreeSet};

use actix_job_queue::tokio_postgres::types::Type;

use crate::{Failure, setup::Pool};

/// What was seen of failed attempts; a failed job waits a second in the table, so none is missed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    attempts: BTreeMap<&'static str, BTreeSet<(i64, i64)>>,
}

impl Seen {
    /// Looks at the errors that the jobs in the table keep.
    pub(crate) async fn look(&mut self, pool: &Pool, schema: &str) -> Result<(), Failure> {
        let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
        let sql = format!(
            "SELECT id, (error ->> 'attempt')::bigint, error -> 'error' ->> 0
               FROM {schema}.jobs, jsonb_array_elements(errors) AS error"
        );
        let rows = connection.query_typed(&sql, &[]).await.map_err(Failure::because("read the jobs' errors"))?;
        for row in rows {
            let kind = kind(row.get(2));
            self.attempts.entry(kind).or_default().insert((row.get(0), row.get(1)));
        }
        Ok(())
    }

    /// So many attempts ended in this way.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.attempts.get(kind).map_or(0, BTreeSet::len)
    }
}

fn kind(error: &str) -> &'static str {
    if error.starts_with("the handler panicked") {
        "panicked"
    } else if error.starts_with("the handler outran") {
        "timed out"
    } else if error.starts_with("the process that ran it died") {
        "died"
    } else {
        "failed"
    }
}

/// The number by which the queue knows a process.
pub(crate) async fn node(pool: &Pool, schema: &str, pid: u32) -> Result<i64, Failure> {
    let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
    let sql = format!("SELECT node FROM {schema}.job_queue_nodes WHERE name LIKE $1");
    let name = format!("%(pid {pid})");
    let row = connection.query_typed_one(&sql, &[(&name, Type::TEXT)]).await;
    Ok(row.map_err(Failure::because("find a worker among the queue's processes"))?.get(0))
}

/// How many jobs a process runs and how many more it has reserved.
pub(crate) async fn held(pool: &Pool, schema: &str, node: i64) -> Result<(i64, i64), Failure> {
    let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
    let sql = format!(
        "SELECT count(*) FILTER (WHERE state = 'IN_PROGRESS'), count(*) FILTER (WHERE state = 'RESERVED')
           FROM {schema}.jobs WHERE node = $1"
    );
    let row = connection.query_typed_one(&sql, &[(&node, Type::INT8)]).await;
    let row = row.map_err(Failure::because("look what a worker holds"))?;
    Ok((row.get(0), row.get(1)))
}
