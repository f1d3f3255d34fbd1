//! Batches: how they gather, and what becomes of each of their jobs.

mod effects;
mod ends;
mod failures;
mod gathering;
mod losses;
mod proofs;

use actix_job_queue::{BatchContext, Batching, Completed, Job, JobError, QueueBuilder, tokio_postgres::types::Type};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::bench::{Bench, Done, HOUR, Note, Probe, note, write};

/// One worker, which hears of nothing by heartbeats, and takes back nothing that gathers.
fn one_worker(queue: QueueBuilder) -> QueueBuilder {
    queue.arbiters(1).dead_after(HOUR).reservation_timeout(HOUR)
}

/// Batches that wait until they are full.
fn full(most: usize) -> Batching {
    Batching::up_to(most).within(HOUR / 2)
}

/// A batch handler that is given a clone of `state` each time.
fn batched<S, P, Fut>(
    state: S,
    work: impl Fn(S, Vec<Job<P>>, BatchContext) -> Fut,
) -> impl Fn(Vec<Job<P>>, BatchContext) -> Fut
where
    S: Clone,
    Fut: Future<Output = Done>,
{
    move |jobs, ctx| work(state.clone(), jobs, ctx)
}

/// Writes the notes of all jobs that are left and completes them.
async fn take_all(jobs: &[Job<Note>], ctx: &mut BatchContext) -> Result<Completed, JobError> {
    let remaining = ctx.remaining();
    let completion = ctx.begin().await?;
    for job in jobs.iter().filter(|job| remaining.contains(&job.id)) {
        write(&completion, job.id, &job.params.text).await?;
    }
    Ok(completion.commit().await?)
}

/// The same by one statement.
async fn take_all_at_once(jobs: &[Job<Note>], ctx: &BatchContext) -> Result<Completed, JobError> {
    let remaining = ctx.remaining();
    let jobs = jobs.iter().filter(|job| remaining.contains(&job.id));
    let (ids, texts): (Vec<_>, Vec<_>) = jobs.map(|job| (job.id, job.params.text.as_str())).unzip();
    let sql = "INSERT INTO notes SELECT * FROM unnest($1::bigint[], $2::text[])";
    Ok(ctx.complete_with(sql, &[(&ids, Type::INT8_ARRAY), (&texts, Type::TEXT_ARRAY)]).await?)
}

/// Says how many there are, and takes the notes.
async fn count_and_take(probe: Probe<usize>, jobs: Vec<Job<Note>>, mut ctx: BatchContext) -> Done {
    probe.say(jobs.len());
    take_all(&jobs, &mut ctx).await
}

impl Bench {
    async fn enqueue_notes(&self, texts: &[&str]) -> Vec<i64> {
        let jobs: Vec<_> = texts.iter().map(|text| note(text)).collect();
        self.jobs.enqueue_many(&self.client, &jobs).await.unwrap()
    }
}

/// What is heard until there is silence, once everything is known to have been said.
fn heard_so_far<T>(heard: &mut UnboundedReceiver<T>) -> Vec<T> {
    std::iter::from_fn(|| heard.try_recv().ok()).collect()
}
