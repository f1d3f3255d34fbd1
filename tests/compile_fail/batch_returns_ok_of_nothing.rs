//! There is no success without the proof of a commit for batches either.
use actix_job_queue::{BatchContext, Batching, Handlers, Job, JobError};

async fn forgetful(_: Vec<Job<String>>, mut ctx: BatchContext) -> Result<(), JobError> {
    let completion = ctx.begin().await?;
    completion.batch_execute("INSERT INTO notes VALUES ('lost')").await?;
    Ok(())
}

fn main() {
    let _ = Handlers::new().batch("Forgetful", Batching::up_to(10), forgetful);
}
