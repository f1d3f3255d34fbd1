//! Failed jobs run again when somebody says so.

use actix_job_queue::{Completed, Context, Handlers, Job, JobError};
use serde_json::Value;

use crate::{
    common::{Bench, eventually, job, record},
    names::all_wait,
};

/// A row in each state; only the first is failed.
const EACH_STATE: &str = "
    UPDATE jobs SET state = 'FAILED', attempt = 5, lease = 7, schedule = now() - interval '1 day',
                    errors = '[{\"attempt\": 5}]' WHERE id = 1;
    UPDATE jobs SET state = 'SCHEDULED', schedule = now() + interval '1 day' WHERE id = 2;
    UPDATE jobs SET state = 'RESERVED', expires = now() + interval '1 day', node = 1, lease = 3 WHERE id = 4;
    UPDATE jobs SET state = 'IN_PROGRESS', expires = now() + interval '1 day', node = 1, attempt = 2 WHERE id = 5;
    UPDATE jobs SET state = 'RETRY', attempt = 2, schedule = now() + interval '1 day' WHERE id = 6;";

#[actix::test]
async fn only_failed_jobs_are_requeued_with_all_their_attempts_and_their_lease() {
    let bench = Bench::new().await;
    let jobs: Vec<_> = (1..=6).map(|_| job().notify("told")).collect();
    let ids = bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    bench.client.batch_execute(EACH_STATE).await.unwrap();
    let others = "SELECT string_agg(jobs::text, ';' ORDER BY id) FROM jobs WHERE id <> 1";
    let before: String = bench.client.query_one(others, &[]).await.unwrap().get(0);

    let requeued = bench.jobs.requeue(&bench.client, &[6, 5, 4, 3, 2, 1, 99, 1]).await.unwrap();

    assert_eq!(requeued, [1]);
    let after: String = bench.client.query_one(others, &[]).await.unwrap().get(0);
    assert_eq!(after, before);
    assert!(
        bench
            .flag(
                "SELECT state = 'SCHEDULED' AND attempt = 0 AND lease = 7 AND expires IS NULL AND node IS NULL
                    AND schedule BETWEEN now() - interval '1 hour' AND now() AND updated_at = schedule
                    AND max_attempts = 5 AND notify = 'told' AND jsonb_array_length(errors) = 1
                   FROM jobs WHERE id = 1"
            )
            .await
    );
    assert_eq!(bench.jobs.requeue(&bench.client, &[1]).await.unwrap(), Vec::<i64>::new(), "it is failed no more");
}

#[actix::test]
async fn a_requeue_in_a_transaction_that_rolls_back_has_not_been() {
    let mut bench = Bench::new().await;
    bench.jobs.enqueue_many(&bench.client, &[job(), job()]).await.unwrap();
    bench.client.batch_execute("UPDATE jobs SET state = 'FAILED'").await.unwrap();

    let transaction = bench.client.transaction().await.unwrap();
    assert_eq!(bench.jobs.requeue(&transaction, &[2, 1]).await.unwrap(), [1, 2]);
    transaction.rollback().await.unwrap();

    assert_eq!(bench.number("SELECT count(*) FROM jobs WHERE state = 'FAILED'").await, 2);
}

/// The worker waits, and nothing but the announcement wakes it within the hour.
#[actix::test]
async fn a_requeued_job_is_announced_to_an_idle_worker() {
    let bench = Bench::new().await;
    let handlers = Handlers::new().any(async |job: Job<Value>, mut context: Context| -> Result<Completed, JobError> {
        if job.params["fails"] == true {
            return Err(JobError::new("as it was told"));
        }
        record("", &job, &mut context).await
    });
    let running = bench.jobs.start(handlers).await.unwrap();
    let fails = actix_job_queue::NewJob::of_type("Note", &serde_json::json!({"fails": true})).unwrap();
    let id = bench.jobs.enqueue(&bench.client, fails.max_attempts(1)).await.unwrap();
    eventually("the job is failed", async || {
        bench.number("SELECT count(*) FROM jobs WHERE state = 'FAILED'").await == 1
    })
    .await;
    bench.client.batch_execute(r#"UPDATE jobs SET params = '{"fails": false}'"#).await.unwrap();
    all_wait(&bench.client, 1).await;

    assert_eq!(bench.jobs.requeue(&bench.client, &[id]).await.unwrap(), [id]);

    bench.done(&[id]).await;
    running.shutdown().await;
}
