//! The three steps of a job that can be rescued, a hundred at a time: reserve, start, delete, a commit each.

use super::{BATCH, DEPTH, NOTHING, lanes, next, read};
use crate::{
    child::{Stage, Task},
    failure::Failure,
};

/// What a rescue and a fence need is written, as the library writes it; nothing is checked.
fn statements(table: &str) -> [String; 3] {
    let next = next(table, BATCH);
    [
        format!(
            "UPDATE {table} SET state = 'RESERVED', expires = now() + interval '60 s', node = 1, updated_at = now()
              WHERE {next}
             RETURNING id, params::text"
        ),
        format!(
            "UPDATE {table} SET state = 'IN_PROGRESS', attempt = attempt + 1, lease = lease + 1,
                    expires = now() + interval '300 s', updated_at = now()
              WHERE id = ANY($1) AND state = 'RESERVED'"
        ),
        format!("DELETE FROM {table} WHERE id = ANY($1) AND state = 'IN_PROGRESS'"),
    ]
}

pub(crate) async fn run(task: &Task, connections: u32, stage: &Stage) -> Result<(), Failure> {
    let [reserve, start, delete] = statements(&task.table);
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
            let ids = read(&rows)?;
            client.execute(&start, &[&ids]).await?;
            stage.tally.done(client.execute(&delete, &[&ids]).await?);
        }
        Ok(())
    })
    .await
}
