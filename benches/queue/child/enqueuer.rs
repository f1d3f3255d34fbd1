//! The library's ways to enqueue, each caller with a connection of its own.

use std::cell::Cell;

use actix::Addr;
use actix_job_queue::{Database, Enqueue, EnqueueActor, NewJob, PreparedEnqueue, Queue};
use futures_util::future::try_join_all;
use tokio_postgres::Client;

use super::{Door, Stage, Task, worker::Params};
use crate::{failure::Failure, server::connect};

pub(crate) async fn queue(task: &Task) -> Result<Queue, Failure> {
    let database = Database::connect(&task.url).await.map_err(Failure::because("connect the queue"))?;
    Queue::builder(&database, &task.table).build().map_err(Failure::because("build the queue"))
}

pub(crate) fn new_job(n: u64, at: Option<u64>) -> Result<NewJob, Failure> {
    NewJob::new(&Params { n, at }).map_err(Failure::because("write down a job's params"))
}

/// So many callers enqueue one job a commit, each by a connection of its own unless they send messages.
pub(crate) async fn one_by_one(task: &Task, callers: u32, door: Door, stage: &Stage) -> Result<(), Failure> {
    let queue = queue(task).await?;
    let entries = try_join_all((0..callers).map(|_| Entry::new(&queue, task, door))).await?;
    stage.ready().await;
    stage.tally.begin();
    let next = Cell::new(0);
    let call = async |entry: Entry| {
        while next.get() < task.wanted && !stage.has_ended() {
            next.set(next.get() + 1);
            let job = new_job(next.get(), None)?;
            entry.enqueue(&queue, job).await?;
            stage.tally.done(1);
        }
        Ok::<_, Failure>(())
    };
    try_join_all(entries.into_iter().map(call)).await?;
    Ok(())
}

/// What one caller enqueues by.
enum Entry {
    Client(Client),
    Prepared(Client, PreparedEnqueue),
    Actor(Addr<EnqueueActor>),
}

impl Entry {
    async fn new(queue: &Queue, task: &Task, door: Door) -> Result<Self, Failure> {
        Ok(match door {
            Door::Call => Self::Client(connect(&task.url).await?),
            Door::Prepared => {
                let client = connect(&task.url).await?;
                let plan = queue.prepare(&client).await.map_err(Failure::because("prepare to enqueue"))?;
                Self::Prepared(client, plan)
            }
            Door::Actor => Self::Actor(queue.addr()),
        })
    }

    async fn enqueue(&self, queue: &Queue, job: NewJob) -> Result<(), Failure> {
        let enqueued = match self {
            Self::Client(client) => queue.enqueue(client, job).await,
            Self::Prepared(client, plan) => plan.enqueue(client, job).await,
            Self::Actor(addr) => addr.send(Enqueue(job)).await.map_err(Failure::because("send a job"))?,
        };
        enqueued.map(|_| ()).map_err(Failure::because("enqueue a job"))
    }
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
