//! Rows at the ends of their columns, as only SQL makes them.

use std::time::Duration;

use actix_job_queue::{BatchContext, Batching, DatabaseOptions, Handlers, Job};

use crate::{
    harness::{Entry, HOUR, all_entered, enter, migrated, queue, write},
    support::TestDb,
};

/// Each starts in one statement with the good ones beside it, and none of them dies of it.
#[actix::test]
async fn rows_at_the_end_of_their_numbers_run_and_take_no_other_along() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let set = |queue: actix_job_queue::QueueBuilder| queue.reservation_timeout(HOUR).arbiters(1);
    let jobs = queue(&db.url(), DatabaseOptions::new(), set).await;
    let batch = async |jobs: Vec<Job<Entry>>, mut ctx: BatchContext| {
        let completion = ctx.begin().await?;
        for job in &jobs {
            write(&completion, job.id, job.params.n).await?;
        }
        Ok(completion.commit().await?)
    };
    let handlers =
        Handlers::new().on("Entry", enter).batch("batch", Batching::up_to(5).within(Duration::from_millis(5)), batch);
    client
        .batch_execute(
            "INSERT INTO jobs (params) SELECT jsonb_build_object('type', kind, 'n', n * 2 + (kind = 'batch')::int)
               FROM generate_series(1, 10) AS a (n), (VALUES ('Entry'), ('batch')) AS b (kind);
             UPDATE jobs SET attempt = 2147483647, max_attempts = 2147483647 WHERE (params -> 'n')::int IN (4, 5);
             UPDATE jobs SET lease = 9223372036854775806 WHERE (params -> 'n')::int IN (6, 7);
             UPDATE jobs SET lease = 9223372036854775807 WHERE (params -> 'n')::int IN (8, 9)",
        )
        .await
        .unwrap();

    let running = jobs.start(handlers).await.unwrap();

    all_entered(&client, 20).await;
    running.shutdown().await;
}
