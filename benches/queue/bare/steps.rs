//! The three steps of a job that can be rescued, many at a time: reserve, start, delete, a commit each.

use super::{DEPTH, NOTHING, delete, lanes, next, read};
use crate::{
    child::{BareHandler, Stage, Task, now},
    failure::Failure,
};

/// How many jobs so many connections may take at a time, for so many to be in flight.
pub(crate) fn share(in_flight: u32, connections: u32) -> u32 {
    in_flight.div_ceil(connections * DEPTH)
}

/// Waits for no disk, as the library's does not: the start's commit does, and flushes all that was before it.
pub(crate) fn reserve(table: &str, jobs: u32) -> String {
    let lazily = "(SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL";
    super::reserve(table, &format!("{lazily} AND {}", next(table, jobs)))
}

/// What a rescue and a fence need is written, as the library writes it; nothing is checked.
pub(crate) fn start(table: &str) -> String {
    format!(
        "UPDATE {table} SET state = 'IN_PROGRESS', attempt = attempt + 1, lease = lease + 1,
                expires = now() + interval '300 s', updated_at = now()
          WHERE id = ANY($1)"
    )
}

pub(crate) async fn run(
    task: &Task,
    connections: u32,
    jobs: u32,
    handler: BareHandler,
    stage: &Stage,
) -> Result<(), Failure> {
    let table = &task.table;
    let (reserve, start) = (reserve(table, jobs), start(table));
    let delete = delete(table, handler == BareHandler::Batch);
    let prepare = async |client: &tokio_postgres::Client| {
        Ok([client.prepare(&reserve).await?, client.prepare(&start).await?, client.prepare(&delete).await?])
    };
    lanes(&task.url, connections, DEPTH, stage, prepare, async |client, [reserve, start, delete]| {
        while stage.tally.count() < task.wanted && !stage.has_ended() {
            let rows = client.query(&reserve, &[]).await?;
            if rows.is_empty() {
                tokio::time::sleep(NOTHING).await;
                continue;
            }
            stage.tally.begin();
            let (ids, params) = read(&rows)?;
            client.execute(&start, &[&ids]).await?;
            let begun = now();
            let deleted = client.execute(&delete, &[&ids]).await?;
            if handler == BareHandler::Age {
                params.iter().for_each(|params| stage.tally.aged(params.at, begun));
            } else {
                stage.tally.done(deleted);
            }
        }
        Ok(())
    })
    .await
}
