//! Queues whose claims start what they bring.

use std::time::Duration;

use actix_job_queue::{BatchContext, Batching, Context, Handlers, Job, JobError};
use serde_json::Value;

use crate::bench::{Bench, Done, Note, Probe, bare, eventually, hear, note, with};

/// No job may be reserved any more.
async fn bench() -> Bench {
    let bench = Bench::with(|queue| {
        queue
            .start_on_claim()
            .arbiters(1)
            .max_demand(4)
            .retry_timeout(Duration::ZERO)
            .dead_after(Duration::from_secs(100))
    })
    .await;
    bench.sql("ALTER TABLE jobs ADD CHECK (state <> 'RESERVED')").await;
    bench
}

async fn write(job: Job<Note>, ctx: Context) -> Done {
    let sql = "INSERT INTO notes (job, text) VALUES ($1, $2)";
    let text = format!("{} {}", job.params.text, job.attempt);
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 2] =
        [(&job.id, tokio_postgres::types::Type::INT8), (&text, tokio_postgres::types::Type::TEXT)];
    Ok(ctx.complete_with(sql, &parameters).await?)
}

async fn fail_once(job: Job<Note>, ctx: Context) -> Done {
    if job.attempt == 1 { Err(JobError::from("not yet")) } else { write(job, ctx).await }
}

#[actix::test]
async fn jobs_that_their_claim_has_started_run_once_an_attempt() {
    let bench = bench().await;
    let running = bench.start(Handlers::new().on("Note", fail_once)).await;

    let jobs: Vec<_> = (0..50).map(|_| note("attempt")).collect();
    bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();

    eventually("all are done", async || (bench.count("true").await == 0).then_some(())).await;
    assert_eq!(bench.notes().await, vec!["attempt 2".to_owned(); 50]);
    running.shutdown().await;
}

#[actix::test]
async fn a_batch_of_jobs_that_their_claim_has_started_completes_them_together() {
    let bench = bench().await;
    let together = async |jobs: Vec<Job<Note>>, mut ctx: BatchContext| -> Done {
        let done = ctx.begin().await?;
        for job in &jobs {
            let text = format!("{} of {}", job.attempt, jobs.len());
            let sql = "INSERT INTO notes (job, text) VALUES ($1, $2)";
            done.execute(sql, &[&job.id, &text]).await?;
        }
        Ok(done.commit().await?)
    };
    let batching = Batching::up_to(2).within(Duration::from_secs(50));
    let running = bench.start(Handlers::new().batch("Note", batching, together)).await;

    bench.jobs.enqueue_many(&bench.client, &[note("a"), note("b")]).await.unwrap();

    eventually("both are done", async || (bench.count("true").await == 0).then_some(())).await;
    assert_eq!(bench.notes().await, ["1 of 2", "1 of 2"]);
    running.shutdown().await;
}

/// One is performed, and one waits for a batch that never comes: it is started, and nobody performs it.
#[actix::test]
async fn what_a_shutdown_finds_started_and_not_performed_goes_back_without_its_attempt() {
    let bench = bench().await;
    let (probe, mut heard) = Probe::<i64>::new();
    let stuck = async |(probe, ()): (Probe<i64>, ()), job: Job<Value>, _: Context| -> Done {
        probe.say(job.id);
        std::future::pending().await
    };
    let batching = Batching::up_to(2).within(Duration::from_secs(50));
    let never = async |_: Vec<Job<Value>>, _: BatchContext| -> Done { Err("the batch came".into()) };
    let handlers = Handlers::new().on("Stuck", with((probe, ()), stuck)).batch("Waits", batching, never);
    let running = bench.start(handlers).await;
    let performed = bench.enqueue(bare("Stuck")).await;
    assert_eq!(hear(&mut heard).await, performed);
    let waits = bench.enqueue(bare("Waits")).await;
    bench.becomes(waits, "IN_PROGRESS").await;
    assert!(bench.holds(waits, "attempt = 1 AND lease = 1 AND expires > now() + interval '4 minutes'").await);

    let report = running.shutdown().await;

    assert_eq!((report.returned, report.left), (1, 0), "{report}");
    for job in [performed, waits] {
        let back = "state = 'AVAILABLE' AND attempt = 0 AND lease = 1 AND expires IS NULL AND errors IS NULL";
        assert!(bench.holds(job, back).await, "job {job}");
    }
}
