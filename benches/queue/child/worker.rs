//! The library's worker, started as a newcomer starts it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_job_queue::{
    BatchContext, Batching, Completed, Context, Database, Handlers, Job, JobError, Queue, Queues, Running,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;

use super::{Handler, Stage, Task, tally::Tally};
use crate::failure::Failure;

/// The params of every job here, as the tables are filled with them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "Job")]
pub(crate) struct Params {
    pub(crate) n: u64,
    /// When it was enqueued, in nanoseconds since 1970, where that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u64>,
}

type Done = Result<Completed, JobError>;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Worker {
    pub(crate) max_demand: Option<usize>,
    pub(crate) handler: Handler,
    pub(crate) start_on_claim: bool,
}

impl Worker {
    pub(crate) async fn work(self, task: &Task, stage: &Stage) -> Result<(), Failure> {
        let database = Database::connect(&task.url).await.map_err(Failure::because("connect the worker"))?;
        let queue = self.queue(&database, &task.table)?;
        stage.ready().await;
        let handlers = self.handlers(&stage.tally);
        let running = queue.start(handlers).await.map_err(Failure::because("start the worker"))?;
        end(running, stage).await;
        Ok(())
    }

    fn queue(self, database: &Database, table: &str) -> Result<Queue, Failure> {
        // The grace at the end is the only setting that measures nothing.
        let mut queue = Queue::builder(database, table).shutdown_timeout(Duration::from_millis(500));
        if let Some(jobs) = self.max_demand {
            queue = queue.max_demand(jobs);
        }
        if self.start_on_claim {
            queue = queue.start_on_claim();
        }
        queue.build().map_err(Failure::because("build the queue"))
    }

    fn handlers(self, tally: &Arc<Tally>) -> Handlers {
        let handlers = Handlers::new();
        match self.handler {
            Handler::Complete => handlers.on("Job", counting(tally, complete)),
            Handler::Transaction => handlers.on("Job", counting(tally, transaction)),
            Handler::Statement => handlers.on("Job", counting(tally, statement)),
            Handler::Batch => handlers.batch("Job", Batching::up_to(100), counting(tally, batch)),
            Handler::BatchStatement => handlers.batch("Job", Batching::up_to(100), counting(tally, batch_statement)),
            Handler::Sleep => handlers.on("Job", counting(tally, sleep)),
            Handler::Age => handlers.on("Job", counting(tally, age)),
        }
    }
}

/// Works on so many queues at once.
pub(crate) async fn work_many(task: &Task, queues: u32, stage: &Stage) -> Result<(), Failure> {
    let database = Database::connect(&task.url).await.map_err(Failure::because("connect the worker"))?;
    let worker = Worker { max_demand: None, handler: Handler::Complete, start_on_claim: false };
    let mut all = Queues::new();
    for number in 1..=queues {
        let queue = worker.queue(&database, &format!("{}_{number}", task.table))?;
        all = all.add(&queue, worker.handlers(&stage.tally));
    }
    stage.ready().await;
    let running = all.start().await.map_err(Failure::because("start the workers"))?;
    end(running, stage).await;
    Ok(())
}

async fn end(running: Running, stage: &Stage) {
    stage.ended().await;
    running.shutdown().await;
}

/// A handler that is given the tally with each job, or with each batch.
fn counting<J, C, Fut: Future<Output = Done>>(
    tally: &Arc<Tally>,
    work: impl Fn(Arc<Tally>, J, C) -> Fut + Send + Sync + 'static,
) -> impl Fn(J, C) -> Fut + Send + Sync + 'static {
    let tally = Arc::clone(tally);
    move |job, ctx| {
        tally.begin();
        work(Arc::clone(&tally), job, ctx)
    }
}

/// The rows of many jobs.
const EFFECTS: &str = "INSERT INTO effects (job) SELECT unnest($1::bigint[])";

async fn complete(tally: Arc<Tally>, _job: Job<Params>, ctx: Context) -> Done {
    let done = ctx.complete().await?;
    tally.done(1);
    Ok(done)
}

async fn transaction(tally: Arc<Tally>, job: Job<Params>, mut ctx: Context) -> Done {
    let completion = ctx.begin().await?;
    completion.execute_typed("INSERT INTO effects (job) VALUES ($1)", &[(&job.id, Type::INT8)]).await?;
    let done = completion.commit().await?;
    tally.done(1);
    Ok(done)
}

async fn statement(tally: Arc<Tally>, job: Job<Params>, ctx: Context) -> Done {
    let done = ctx.complete_with("INSERT INTO effects (job) VALUES ($1)", &[(&job.id, Type::INT8)]).await?;
    tally.done(1);
    Ok(done)
}

async fn batch(tally: Arc<Tally>, jobs: Vec<Job<Params>>, mut ctx: BatchContext) -> Done {
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let completion = ctx.begin().await?;
    completion.execute_typed(EFFECTS, &[(&ids, Type::INT8_ARRAY)]).await?;
    let done = completion.commit().await?;
    tally.done(jobs.len() as u64);
    Ok(done)
}

async fn batch_statement(tally: Arc<Tally>, jobs: Vec<Job<Params>>, ctx: BatchContext) -> Done {
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let done = ctx.complete_with(EFFECTS, &[(&ids, Type::INT8_ARRAY)]).await?;
    tally.done(jobs.len() as u64);
    Ok(done)
}

async fn sleep(tally: Arc<Tally>, _job: Job<Params>, ctx: Context) -> Done {
    tally.done(1);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    Ok(ctx.complete().await?)
}

async fn age(tally: Arc<Tally>, job: Job<Params>, ctx: Context) -> Done {
    let begun = now();
    let done = ctx.complete().await?;
    tally.aged(job.params.at, begun);
    Ok(done)
}

/// Nanoseconds since 1970, by the clock that all processes of a host share.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
