//! A completion that is dropped leaves the handler with nothing to return.
use actix_job_queue::{Completed, Context, Job, JobError};

async fn forgetful(_: Job<String>, mut ctx: Context) -> Result<Completed, JobError> {
    let completion = ctx.begin().await?;
    completion.batch_execute("INSERT INTO notes VALUES ('lost')").await?;
}

fn main() {
    let _ = forgetful;
}
