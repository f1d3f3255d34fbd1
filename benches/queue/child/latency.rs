//! One job at a time, from before its insert to its handler's first line, by the clock of one process.

use std::time::{Duration, Instant};

use actix_job_queue::{Context, Database, Handlers, Job, Queue};
use tokio::sync::mpsc::unbounded_channel;

use super::{Stage, Task, enqueuer::new_job, worker::Params};
use crate::{bare::latency::WARM_UP, failure::Failure, server::connect};

/// How long a job may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) async fn measure(task: &Task, pause_ms: u64, start_on_claim: bool, stage: &Stage) -> Result<(), Failure> {
    let database = Database::connect(&task.url).await.map_err(Failure::because("connect the queue"))?;
    let builder = Queue::builder(&database, &task.table);
    let builder = if start_on_claim { builder.start_on_claim() } else { builder };
    let queue = builder.build().map_err(Failure::because("build the queue"))?;
    let client = connect(&task.url).await?;
    let enqueue = queue.prepare(&client).await.map_err(Failure::because("prepare to enqueue"))?;
    let (tell, mut heard) = unbounded_channel();
    let handlers = Handlers::new().on("Job", move |_job: Job<Params>, ctx: Context| {
        let begun = Instant::now();
        let tell = tell.clone();
        async move {
            let done = ctx.complete().await?;
            // Nobody listens once the run is over.
            let _ = tell.send(begun);
            Ok(done)
        }
    });
    let running = queue.start(handlers).await.map_err(Failure::because("start the worker"))?;
    stage.ready().await;
    stage.tally.begin();
    for n in 0..task.wanted + WARM_UP {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let job = new_job(n, None)?;
        let sent = Instant::now();
        enqueue.enqueue(&client, job).await.map_err(Failure::because("enqueue a job"))?;
        let begun = match tokio::time::timeout(PATIENCE, heard.recv()).await {
            Ok(Some(begun)) => begun,
            _ => return Err(format!("job {n} did not run within {PATIENCE:?}").into()),
        };
        if n >= WARM_UP {
            stage.tally.timed(begun - sent);
        }
    }
    stage.ended().await;
    running.shutdown().await;
    Ok(())
}
