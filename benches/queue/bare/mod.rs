//! The bare loops: tokio-postgres with prepared statements on the same tables, and nothing else. They promise
//! nothing: no retries, no rescue, no fence; they are the least that each task takes.

pub(crate) mod batch;
pub(crate) mod claims;
pub(crate) mod copy;
pub(crate) mod drain;
pub(crate) mod enqueue;
pub(crate) mod latency;
pub(crate) mod steps;
pub(crate) mod tx;

use std::{rc::Rc, time::Duration};

use tokio_postgres::{Client, Row};

use crate::{
    child::{Params, Stage},
    failure::Failure,
    server::connect,
};

/// So many jobs are claimed at a time.
pub(crate) const BATCH: u32 = 100;

/// So many statements are under way on each connection, so that the server finds the next at once.
const DEPTH: u32 = 2;

/// The pause of a loop that found nothing: others hold the last jobs, or more are on their way.
const NOTHING: Duration = Duration::from_millis(1);

/// Fixes the plans: in the order of the index, row by row. Statistics that were taken of an empty table would have
/// a loop sort and scan all of it for each batch.
const PLANS: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off;
                     SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Which rows are next, in the queue's own order, as a condition; those that another connection has locked are
/// skipped. By their place, which is the shortest way to a row; in an array, for a plan may run a subquery in IN
/// more than once.
fn next(table: &str, jobs: u32) -> String {
    format!(
        "ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE state = 'AVAILABLE'
                           ORDER BY priority, schedule, id LIMIT {jobs} FOR UPDATE SKIP LOCKED))"
    )
}

/// Reserves the rows of a condition, and tells what is in them.
fn reserve(table: &str, condition: &str) -> String {
    format!(
        "UPDATE {table} SET state = 'RESERVED', expires = now() + interval '60 s', node = 1, updated_at = now()
          WHERE {condition}
         RETURNING id, params::text"
    )
}

/// Deletes jobs by their ids, and may write their rows.
fn delete(table: &str, writes: bool) -> String {
    let delete = format!("DELETE FROM {table} WHERE id = ANY($1)");
    if writes { format!("WITH written AS ({}) {delete}", batch::WRITE) } else { delete }
}

/// Runs `lane` so often on each of so many connections at once, after all are prepared.
async fn lanes<S: Clone>(
    url: &str,
    connections: u32,
    depth: u32,
    stage: &Stage,
    prepare: impl AsyncFn(&Client) -> Result<S, Failure>,
    lane: impl AsyncFn(Rc<Client>, S) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut prepared = Vec::new();
    for _ in 0..connections {
        let client = connect(url).await?;
        client.batch_execute(PLANS).await?;
        let statements = prepare(&client).await?;
        prepared.push((Rc::new(client), statements));
    }
    stage.ready().await;
    let all = prepared.iter().flat_map(|one| std::iter::repeat_n(one, depth as usize));
    futures_util::future::try_join_all(all.map(|(client, statements)| lane(Rc::clone(client), statements.clone())))
        .await?;
    Ok(())
}

/// Reads the ids and the params, as a loop that does something with its jobs has to.
fn read(rows: &[Row]) -> Result<(Vec<i64>, Vec<Params>), Failure> {
    let one = |row: &Row| {
        let params = serde_json::from_str(row.try_get("params")?).map_err(Failure::because("read a job's params"))?;
        Ok((row.try_get::<_, i64>("id")?, params))
    };
    rows.iter().map(one).collect()
}
