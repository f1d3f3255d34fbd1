//! The proof of one job's commit cannot be copied for the next.
use actix_job_queue::{Completed, Context, Job, JobError};

async fn hoarder(_: Job<String>, ctx: Context) -> Result<Completed, JobError> {
    let completed = ctx.complete().await?;
    let kept = completed.clone();
    drop(kept);
    Ok(completed)
}

fn main() {
    let _ = hoarder;
}
