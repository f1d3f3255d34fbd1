//! Claims a hundred jobs and deletes them in the same transaction: what is claimed is known before it is gone, as a
//! handler wants it. A batch writes its rows in between.

use tokio::try_join;
use tokio_postgres::types::ToSql;

use super::{BATCH, NOTHING, delete, lanes, next, read, reserve};
use crate::{
    child::{Stage, Task},
    failure::Failure,
};

pub(crate) async fn run(task: &Task, connections: u32, writes: bool, stage: &Stage) -> Result<(), Failure> {
    let table = &task.table;
    let (claim, delete) = (reserve(table, &next(table, BATCH)), delete(table, writes));
    let prepare = async |client: &tokio_postgres::Client| {
        Ok([
            client.prepare("BEGIN").await?,
            client.prepare(&claim).await?,
            client.prepare(&delete).await?,
            client.prepare("COMMIT").await?,
        ])
    };
    lanes(&task.url, connections, 1, stage, prepare, async |client, [begin, claim, delete, commit]| {
        while stage.tally.count() < task.wanted && !stage.has_ended() {
            let (_, rows) = try_join!(biased; client.execute(&begin, &[]), client.query(&claim, &[]))?;
            stage.tally.begin();
            let (ids, _) = read(&rows)?;
            let claimed: [&(dyn ToSql + Sync); 1] = [&ids];
            let (deleted, _) = try_join!(biased; client.execute(&delete, &claimed), client.execute(&commit, &[]))?;
            stage.tally.done(deleted);
            if ids.is_empty() {
                tokio::time::sleep(NOTHING).await;
            }
        }
        Ok(())
    })
    .await
}
