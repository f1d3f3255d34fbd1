//! Only a commit makes the proof of one.
use actix_job_queue::{Completed, Context, Job, JobError};

async fn forger(_: Job<String>, ctx: Context) -> Result<Completed, JobError> {
    let Completed { jobs } = ctx.complete().await?;
    Ok(Completed { jobs })
}

fn main() {
    let _ = forger;
}
