//! Claims and deletes a hundred jobs a commit.

use super::{BATCH, DEPTH, NOTHING, lanes, next, read};
use crate::{
    child::{Stage, Task},
    failure::Failure,
};

pub(crate) fn claim_and_delete(table: &str, jobs: u32) -> String {
    format!("DELETE FROM {table} WHERE {} RETURNING id, params::text", next(table, jobs))
}

pub(crate) async fn run(task: &Task, connections: u32, stage: &Stage) -> Result<(), Failure> {
    let sql = claim_and_delete(&task.table, BATCH);
    let prepare = async |client: &tokio_postgres::Client| Ok(client.prepare(&sql).await?);
    lanes(&task.url, connections, DEPTH, stage, prepare, async |client, claim| {
        while stage.tally.count() < task.wanted && !stage.has_ended() {
            let rows = client.query(&claim, &[]).await?;
            if rows.is_empty() {
                tokio::time::sleep(NOTHING).await;
                continue;
            }
            stage.tally.begin();
            stage.tally.done(read(&rows)?.0.len() as u64);
        }
        Ok(())
    })
    .await
}
