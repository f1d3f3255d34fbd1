//! A hundred jobs and their rows a transaction, in two flights: what is written is made of what was claimed.

use tokio::try_join;
use tokio_postgres::types::ToSql;

use super::{BATCH, NOTHING, drain::claim_and_delete, lanes, read};
use crate::{
    child::{Stage, Task},
    failure::Failure,
};

/// What a batch does beside its jobs.
pub(super) const WRITE: &str = "INSERT INTO effects (job) SELECT unnest($1::bigint[])";

pub(crate) async fn run(task: &Task, connections: u32, stage: &Stage) -> Result<(), Failure> {
    let claim = claim_and_delete(&task.table, BATCH);
    let prepare = async |client: &tokio_postgres::Client| {
        Ok([
            client.prepare("BEGIN").await?,
            client.prepare(&claim).await?,
            client.prepare(WRITE).await?,
            client.prepare("COMMIT").await?,
        ])
    };
    lanes(&task.url, connections, 1, stage, prepare, async |client, [begin, claim, write, commit]| {
        while stage.tally.count() < task.wanted && !stage.has_ended() {
            let (_, rows) = try_join!(biased; client.execute(&begin, &[]), client.query(&claim, &[]))?;
            stage.tally.begin();
            let (ids, _) = read(&rows)?;
            let rows: [&(dyn ToSql + Sync); 1] = [&ids];
            try_join!(biased; client.execute(&write, &rows), client.execute(&commit, &[]))?;
            stage.tally.done(ids.len() as u64);
            if ids.is_empty() {
                tokio::time::sleep(NOTHING).await;
            }
        }
        Ok(())
    })
    .await
}
