//! Watches the queue's table from outside, as anybody with psql could.

use std::collections::BTreeMap;

use actix_job_queue::tokio_postgres::types::Type;

use crate::{Failure, mail, setup::Pool};

/// What was seen of failed attempts; a failed job waits a second in the table, so none is missed.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<(i64, i64), String>);

impl Seen {
    /// Looks at the errors that the jobs in the table keep.
    pub(crate) async fn look(&mut self, pool: &Pool, schema: &str) -> Result<(), Failure> {
        let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
        let sql = format!(
            "SELECT id, (error ->> 'attempt')::bigint, error -> 'error' ->> 0
               FROM {schema}.jobs, jsonb_array_elements(errors) AS error"
        );
        let rows = connection.query_typed(&sql, &[]).await.map_err(Failure::because("read the jobs' errors"))?;
        self.0.extend(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))));
        Ok(())
    }

    /// So many attempts ended in each way; the tour counts those of the killed worker by itself.
    pub(crate) fn endings(&self) -> BTreeMap<&str, usize> {
        let mut endings = BTreeMap::from([(REFUSED, 0), (PANICKED, 0), (TIMED_OUT, 0)]);
        for error in self.0.values().filter(|error| !error.starts_with("the process that ran it died")) {
            *endings.entry(ending(error)).or_default() += 1;
        }
        endings
    }
}

const REFUSED: &str = "returned an error";
const PANICKED: &str = "panicked";
const TIMED_OUT: &str = "timed out";

/// What nobody asked for is told in its own words.
fn ending(error: &str) -> &str {
    if error == mail::REFUSAL {
        REFUSED
    } else if error.starts_with("the handler panicked") {
        PANICKED
    } else if error.starts_with("the handler outran") {
        TIMED_OUT
    } else {
        error
    }
}

/// The number by which the queue knows a process.
pub(crate) async fn node(pool: &Pool, schema: &str, pid: u32) -> Result<i64, Failure> {
    let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
    let sql = format!("SELECT node FROM {schema}.job_queue_nodes WHERE name LIKE $1");
    let name = format!("%:{pid} (%");
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
