//! There is no success without the proof of a commit.
use actix_job_queue::{Context, Handlers, Job, JobError};

async fn forgetful(_: Job<String>, mut ctx: Context) -> Result<(), JobError> {
    let completion = ctx.begin().await?;
    completion.batch_execute("INSERT INTO notes VALUES ('lost')").await?;
    Ok(())
}

fn main() {
    let _ = Handlers::new().on("Forgetful", forgetful);
}
