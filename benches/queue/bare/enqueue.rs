//! One insert a commit, into a table like the queue's that has no triggers.

use std::cell::Cell;

use serde::Serialize;

use super::lanes;
use crate::{
    child::{Stage, Task},
    failure::Failure,
};

/// The params as the library writes them.
#[derive(Serialize)]
#[serde(tag = "type", rename = "Job")]
pub(super) struct Tagged {
    pub(super) n: u64,
}

pub(super) fn params(n: u64) -> Result<String, Failure> {
    serde_json::to_string(&Tagged { n }).map_err(Failure::because("write down a job's params"))
}

/// The queue's own statement, but for the table's name and for params that come as text.
pub(crate) fn insert(table: &str) -> String {
    format!("INSERT INTO {table} (params) VALUES ($1::text::jsonb) RETURNING id")
}

pub(crate) async fn run(task: &Task, callers: u32, stage: &Stage) -> Result<(), Failure> {
    let sql = insert(&task.table);
    let prepare = async |client: &tokio_postgres::Client| Ok(client.prepare(&sql).await?);
    let next = Cell::new(0);
    lanes(&task.url, callers, 1, stage, prepare, async |client, insert| {
        while next.get() < task.wanted && !stage.has_ended() {
            stage.tally.begin();
            next.set(next.get() + 1);
            client.query_one(&insert, &[&params(next.get())?]).await?;
            stage.tally.done(1);
        }
        Ok(())
    })
    .await
}
