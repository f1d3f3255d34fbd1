//! What the jobs of the load do: enter themselves in the book of completions, each in one of the ways there are.

use std::time::Duration;

use actix_job_queue::{
    BatchContext, Batching, Completed, Completion, Context, Handlers, Job, JobError,
    tokio_postgres::types::{ToSql, Type},
};
use serde::{Deserialize, Serialize};

use super::{REFUSED, STUBBORN, poison, say};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) n: i64,
    /// How long it works before it opens its completion.
    #[serde(default)]
    pub(crate) work_ms: u64,
}

/// One row for a job, and nothing that forbids a second.
const ENTER: &str = "INSERT INTO completed (n, job, way, attempt, pid) VALUES ($1, $2, $3, $4, $5)";

/// Jobs whose statements take as long as others work before they open their completion.
pub(crate) const HOG: &str = "hog";
/// Jobs that do nothing for as long, with their completion open.
pub(crate) const IDLE: &str = "idle";

type Done = Result<Completed, JobError>;

pub(crate) fn all() -> Handlers {
    let handlers =
        Handlers::new().on("begin", begin).on("stubborn", stubborn).on("with", with).on(HOG, hog).on(IDLE, idle).batch(
            "batch",
            Batching::up_to(20).within(Duration::from_millis(20)),
            batch,
        );
    poison::add(handlers)
}

async fn work(entry: &Entry) {
    if entry.work_ms > 0 {
        tokio::time::sleep(Duration::from_millis(entry.work_ms)).await;
    }
}

async fn begin(job: Job<Entry>, mut ctx: Context) -> Done {
    work(&job.params).await;
    let completion = ctx.begin().await?;
    enter(&completion, &job).await?;
    Ok(completion.commit().await?)
}

async fn hog(job: Job<Entry>, mut ctx: Context) -> Done {
    let completion = ctx.begin().await?;
    completion.batch_execute(&format!("SELECT pg_sleep({} / 1000.0)", job.params.work_ms)).await?;
    enter(&completion, &job).await?;
    Ok(completion.commit().await?)
}

async fn idle(job: Job<Entry>, mut ctx: Context) -> Done {
    let completion = ctx.begin().await?;
    work(&job.params).await;
    enter(&completion, &job).await?;
    Ok(completion.commit().await?)
}

async fn enter(completion: &Completion<'_>, job: &Job<Entry>) -> Result<(), JobError> {
    let pid = i32::try_from(std::process::id())?;
    let values: [(&(dyn ToSql + Sync), Type); 5] = [
        (&job.params.n, Type::INT8),
        (&job.id, Type::INT8),
        (&"begin", Type::TEXT),
        (&job.attempt, Type::INT4),
        (&pid, Type::INT4),
    ];
    completion.execute_typed(ENTER, &values).await?;
    Ok(())
}

/// Goes on when the job is taken away: the most stubborn of handlers, it tries to complete what it has long lost.
async fn stubborn(job: Job<Entry>, ctx: Context) -> Done {
    let (n, attempt) = (job.params.n, job.attempt);
    say(&format!("{STUBBORN}{n} attempt {attempt}"));
    let task = async move {
        let done = begin(job, ctx).await;
        if let Err(error) = &done {
            say(&format!("{REFUSED}{n} attempt {attempt}: {error}"));
        }
        done
    };
    actix_rt::spawn(task).await?
}

async fn with(job: Job<Entry>, ctx: Context) -> Done {
    work(&job.params).await;
    let pid = i32::try_from(std::process::id())?;
    let values: [(&(dyn ToSql + Sync), Type); 5] = [
        (&job.params.n, Type::INT8),
        (&job.id, Type::INT8),
        (&"with", Type::TEXT),
        (&job.attempt, Type::INT4),
        (&pid, Type::INT4),
    ];
    Ok(ctx.complete_with(ENTER, &values).await?)
}

async fn batch(jobs: Vec<Job<Entry>>, mut ctx: BatchContext) -> Done {
    let numbers: Vec<_> = jobs.iter().map(|job| job.params.n).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let attempts: Vec<_> = jobs.iter().map(|job| job.attempt).collect();
    let pid = i32::try_from(std::process::id())?;
    let completion = ctx.begin().await?;
    completion
        .execute_typed(
            "INSERT INTO completed (n, job, way, attempt, pid) \
             SELECT n, job, 'batch', attempt, $4 FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS t (n, job, attempt)",
            &[
                (&numbers, Type::INT8_ARRAY),
                (&ids, Type::INT8_ARRAY),
                (&attempts, Type::INT4_ARRAY),
                (&pid, Type::INT4),
            ],
        )
        .await?;
    Ok(completion.commit().await?)
}
