//! A commit takes the completion, and no second one can be open beside it.
use actix_job_queue::{Completed, Context, Job, JobError};

async fn twice(_: Job<String>, mut ctx: Context) -> Result<Completed, JobError> {
    let completion = ctx.begin().await?;
    completion.commit().await?;
    Ok(completion.commit().await?)
}

async fn two_at_once(_: Job<String>, mut ctx: Context) -> Result<Completed, JobError> {
    let one = ctx.begin().await?;
    let other = ctx.begin().await?;
    drop(one);
    Ok(other.commit().await?)
}

fn main() {
    let _ = (twice, two_at_once);
}
