//! The library's ways to enqueue, each caller with a connection of its own.

use std::cell::Cell;

use actix_job_queue::{Database, NewJob, Queue};
use futures_util::future::try_join_all;

use super::{Stage, Task, worker::Params};
use crate::{failure::Failure, server::connect};

pub(crate) async fn queue(task: &Task) -> Result<Queue, Failure> {
    let database = Database::connect(&task.url).await.map_err(Failure::because("connect the queue"))?;
    Queue::builder(&database, &task.table).build().map_err(Failure::because("build the queue"))
}

pub(crate) fn new_job(n: u64, at: Option<u64>) -> Result<NewJob, Failure> {
    NewJob::new(&Params { n, at }).map_err(Failure::because("write down a job's params"))
}

/// So many callers enqueue one job a commit.
pub(crate) async fn one_by_one(task: &Task, callers: u32, prepared: bool, stage: &Stage) -> Result<(), Failure> {
    let queue = queue(task).await?;
    let clients = try_join_all((0..callers).map(|_| connect(&task.url))).await?;
    stage.ready().await;
    stage.tally.begin();
    let next = Cell::new(0);
    let call = async |client: tokio_postgres::Client| {
        let plan = match prepared {
            true => Some(queue.prepare(&client).await.map_err(Failure::because("prepare to enqueue"))?),
            false => None,
        };
        while next.get() < task.wanted && !stage.has_ended() {
            next.set(next.get() + 1);
            let job = new_job(next.get(), None)?;
            let enqueued = match &plan {
                Some(plan) => plan.enqueue(&client, job).await,
                None => queue.enqueue(&client, job).await,
            };
            enqueued.map_err(Failure::because("enqueue a job"))?;
            stage.tally.done(1);
        }
        Ok::<_, Failure>(())
    };
    try_join_all(clients.into_iter().map(call)).await?;
    Ok(())
}

/// One caller enqueues so many jobs a transaction.
pub(crate) async fn many(task: &Task, size: u64, stage: &Stage) -> Result<(), Failure> {
    let queue = queue(task).await?;
    let mut client = connect(&task.url).await?;
    let jobs = (0..size).map(|n| new_job(n, None)).collect::<Result<Vec<_>, _>>()?;
    stage.ready().await;
    stage.tally.begin();
    while stage.tally.count() < task.wanted && !stage.has_ended() {
        let transaction = client.transaction().await?;
        queue.enqueue_many(&transaction, &jobs).await.map_err(Failure::because("enqueue jobs"))?;
        transaction.commit().await?;
        stage.tally.done(size);
    }
    Ok(())
}
