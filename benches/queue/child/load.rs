//! Jobs at a steady rate, each with the time at which it was enqueued.

use std::time::{Duration, Instant};

use super::{
    Stage, Task,
    enqueuer::{new_job, queue},
    worker::now,
};
use crate::{failure::Failure, server::connect};

/// What has become due in the meantime is enqueued together, so often.
const TICK: Duration = Duration::from_millis(2);

pub(crate) async fn generate(task: &Task, rate: f64, warm_up: u64, stage: &Stage) -> Result<(), Failure> {
    let queue = queue(task).await?;
    let client = connect(&task.url).await?;
    let enqueue = queue.prepare(&client).await.map_err(Failure::because("prepare to enqueue"))?;
    stage.ready().await;
    let begun = Instant::now();
    stage.tally.begin();
    let mut ticks = tokio::time::interval(TICK);
    while stage.tally.count() < task.wanted && !stage.has_ended() {
        ticks.tick().await;
        let sent = stage.tally.count();
        // A rate of a second of which nobody asks for more than millions.
        let due = ((begun.elapsed().as_secs_f64() * rate) as u64).min(task.wanted);
        if due <= sent {
            continue;
        }
        let at = now();
        // The first find connections that are still being opened, and tell nothing of a steady state.
        let stamp = |n: u64| (n >= warm_up).then_some(at);
        let jobs = (sent..due).map(|n| new_job(n, stamp(n))).collect::<Result<Vec<_>, _>>()?;
        enqueue.enqueue_many(&client, &jobs).await.map_err(Failure::because("enqueue jobs"))?;
        stage.tally.done(due - sent);
    }
    Ok(())
}
