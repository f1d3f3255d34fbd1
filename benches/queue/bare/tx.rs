//! One transaction a job: claim and delete the job, write a row, commit. In one flight, or in three, as anybody has to who
//! writes what follows from the job.

use std::cell::Cell;

use tokio::try_join;
use tokio_postgres::types::ToSql;

use super::{drain::claim_and_delete, lanes, read};
use crate::{
    child::{Stage, Task},
    failure::Failure,
};

pub(crate) async fn run(task: &Task, connections: u32, one_flight: bool, stage: &Stage) -> Result<(), Failure> {
    let claim = claim_and_delete(&task.table, 1);
    let prepare = async |client: &tokio_postgres::Client| {
        Ok([
            client.prepare("BEGIN").await?,
            client.prepare(&claim).await?,
            client.prepare("INSERT INTO effects (job) VALUES ($1)").await?,
            client.prepare("COMMIT").await?,
        ])
    };
    // A connection that takes a number finds a job, for there are as many. What is written in the same flight
    // cannot know the job's id: it is that number.
    let next = Cell::new(0_i64);
    let wanted = i64::try_from(task.wanted).unwrap_or(i64::MAX);
    lanes(&task.url, connections, 1, stage, prepare, async |client, [begin, claim, write, commit]| {
        while next.get() < wanted && !stage.has_ended() {
            next.set(next.get() + 1);
            let number = next.get();
            let row: [&(dyn ToSql + Sync); 1] = [&number];
            stage.tally.begin();
            let (begin, claim) = (client.execute(&begin, &[]), client.query(&claim, &[]));
            let (write, commit) = (client.execute(&write, &row), client.execute(&commit, &[]));
            let rows = if one_flight {
                try_join!(biased; begin, claim, write, commit)?.1
            } else {
                let (_, rows) = try_join!(biased; begin, claim)?;
                write.await?;
                commit.await?;
                rows
            };
            if rows.len() != 1 {
                return Err(format!("the bare loop found {} jobs instead of one", rows.len()).into());
            }
            stage.tally.done(read(&rows)?.0.len() as u64);
        }
        Ok(())
    })
    .await
}
