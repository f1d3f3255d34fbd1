//! Batches that are stopped: by their time, a shutdown, or the end of their worker.

use std::time::Duration;

use actix_job_queue::{Backoff, BatchContext, Batching, Cancelled, Handlers, Job, Tuned};

use super::{batched, count_and_take, failures::poisoned, full, heard_so_far, losses::endless, one_worker, take_all};
use crate::bench::{Bench, Done, HOUR, Note, Probe, hear, note};

/// Never ends in company.
async fn hangs(probe: Probe<usize>, jobs: Vec<Job<Note>>, mut ctx: BatchContext) -> Done {
    probe.say(jobs.len());
    if jobs.len() > 1 {
        assert_eq!(ctx.execution_timeout(), Duration::from_millis(200));
        std::future::pending::<()>().await;
    }
    take_all(&jobs, &mut ctx).await
}

#[actix::test]
async fn a_batch_that_outruns_its_time_fails_and_the_last_attempt_of_a_job_is_alone() {
    let bench = Bench::with(one_worker).await;
    let (probe, mut heard) = Probe::new();
    let hurried = Tuned::new(batched(probe, hangs))
        .execution_timeout(Duration::from_millis(200))
        .backoff(Backoff::from_fn(|attempt| HOUR * attempt.unsigned_abs()));
    let running = bench.start(Handlers::new().batch("Note", full(3), hurried)).await;

    let jobs = ["a", "b", "c"].map(|text| note(text).max_attempts(2));
    let ids = bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();

    for id in &ids {
        bench.becomes(*id, "RETRY").await;
        assert_eq!(bench.error(*id).await, "the handler outran its execution timeout of 200ms");
        assert!(bench.holds(*id, "attempt = 1 AND schedule - updated_at = interval '1 hour'").await);
    }
    assert_eq!(heard_so_far(&mut heard), [3], "no job had time left to be performed alone");
    for id in &ids {
        bench.hurry(*id).await;
        bench.completes(*id).await;
        assert_eq!(hear(&mut heard).await, 1);
    }
    assert_eq!(bench.notes().await, ["a", "b", "c"]);
    running.shutdown().await;
}

/// A job's third attempt has three times the time of another's first, and has it no longer in its company.
#[actix::test]
async fn a_batch_has_the_time_of_the_job_that_has_least() {
    let bench = Bench::with(one_worker).await;
    let (probe, mut heard) = Probe::new();
    let hurried = Tuned::new(batched(probe, hangs)).execution_timeout(Duration::from_millis(200));
    let running = bench.start(Handlers::new().batch("Note", full(2), hurried)).await;
    let old = bench.enqueue(note("old")).await;
    bench.becomes(old, "RESERVED").await;
    running.shutdown().await;
    bench.sql("UPDATE jobs SET attempt = 2").await;
    let (probe, _heard) = Probe::new();
    let hurried = Tuned::new(batched(probe, hangs)).execution_timeout(Duration::from_millis(200));
    let running = bench.start(Handlers::new().batch("Note", full(2), hurried)).await;

    let young = bench.enqueue(note("young")).await;

    bench.becomes(young, "RETRY").await;
    bench.becomes(old, "RETRY").await;
    assert_eq!(bench.error(young).await, "the handler outran its execution timeout of 200ms");
    assert_eq!(bench.error(old).await, "its batch outran the execution timeout of another job in it");
    assert!(heard.try_recv().is_err(), "the first worker was given one job, which waited for another");
    running.shutdown().await;
}

#[actix::test]
async fn a_batch_that_outlasts_a_shutdowns_grace_is_given_back_and_counts_no_attempt() {
    let bench = Bench::with(one_worker).await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().batch("Note", full(3), batched(probe, endless))).await;
    bench.enqueue_notes(&["a", "b", "c"]).await;
    assert_eq!(hear(&mut heard).await, None);

    let report = running.shutdown().await;

    assert_eq!(hear(&mut heard).await, Some(Cancelled::ShutDown));
    assert_eq!((report.returned, report.left, report.failed), (3, 0, 0), "{report}");
    assert_eq!(bench.count("state = 'AVAILABLE' AND attempt = 0 AND errors IS NULL").await, 3);
}

/// One of them fails the batch during the shutdown, so the others are performed alone within the grace.
#[actix::test]
async fn a_batch_may_end_within_a_shutdowns_grace() {
    let bench = Bench::with(|queue| one_worker(queue).shutdown_timeout(Duration::from_secs(20))).await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<usize>, jobs: Vec<Job<Note>>, ctx: BatchContext| {
        if jobs.len() > 1 {
            probe.say(jobs.len());
            ctx.shutting_down().cancelled().await;
        }
        poisoned(probe, jobs, ctx).await
    };
    let running = bench.start(Handlers::new().batch("Note", full(3), batched(probe, handler))).await;
    bench.enqueue_notes(&["a", "poison: error", "c"]).await;
    assert_eq!(hear(&mut heard).await, 3);

    let report = running.shutdown().await;

    assert_eq!((report.completed, report.failed, report.returned, report.left), (2, 1, 0, 0), "{report}");
    assert_eq!(bench.notes().await, ["a", "c"]);
}

/// Ends the arbiter that it runs on, in company.
#[actix::test]
async fn every_job_of_a_batch_whose_worker_died_is_tried_again() {
    let bench = Bench::with(|queue| queue.arbiters(1).max_demand(3).dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<usize>, jobs: Vec<Job<Note>>, ctx: BatchContext| {
        if jobs[0].attempt == 1 {
            actix_rt::Arbiter::current().stop();
            std::future::pending::<()>().await;
        }
        count_and_take(probe, jobs, ctx).await
    };
    let batching = Batching::up_to(3).within(Duration::from_millis(500));
    let running = bench.start(Handlers::new().batch("Note", batching, batched(probe, handler))).await;

    let ids = bench.enqueue_notes(&["a", "b", "c"]).await;

    for id in &ids {
        bench.becomes(*id, "RETRY").await;
        assert!(bench.error(*id).await.contains("the worker that performed it died"));
    }
    bench.sql("UPDATE jobs SET schedule = now(); NOTIFY jobs").await;
    for id in ids {
        bench.completes(id).await;
    }
    assert_eq!(hear(&mut heard).await, 3);
    running.shutdown().await;
}
