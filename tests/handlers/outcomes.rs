//! What becomes of a job by its handler's wish and by its settings.

use std::time::Duration;

use actix_job_queue::{Backoff, Context, Handler, Handlers, Job, JobError, NewJob, Tuned};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::bench::{Bench, Done, HOUR, Note, Probe, eventually, hear, note, with};

/// The time between the last failure and the next attempt, which one statement has set.
const WAIT: &str = "schedule - (errors->-1->>'at')::timestamptz";

async fn fail(_: Job<Note>, _: Context) -> Done {
    Err("no luck".into())
}

#[actix::test]
async fn the_first_retry_comes_after_one_retry_timeout_and_the_second_after_two() {
    let bench = Bench::with(|queue| queue.retry_timeout(Duration::from_secs(45))).await;
    let running = bench.start(Handlers::new().on("Note", fail)).await;
    let id = bench.enqueue(note("x")).await;

    bench.becomes(id, "RETRY").await;
    assert!(bench.holds(id, &format!("attempt = 1 AND {WAIT} = interval '45 s'")).await);

    bench.hurry(id).await;
    let second = format!("attempt = 2 AND {WAIT} = interval '90 s'");
    eventually("a second retry", async || bench.holds(id, &second).await.then_some(())).await;
    running.shutdown().await;
}

#[actix::test]
async fn a_job_without_attempts_left_is_failed_and_stays() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Note", fail)).await;
    let id = bench.enqueue(note("x").max_attempts(2)).await;

    bench.becomes(id, "RETRY").await;
    bench.hurry(id).await;
    bench.becomes(id, "FAILED").await;

    assert!(bench.holds(id, "attempt = 2 AND expires IS NULL AND node IS NULL").await);
    assert_eq!(bench.errors(id).await.len(), 2);
    running.shutdown().await;
}

#[actix::test]
async fn a_failure_is_retried_when_its_handler_said() {
    let bench = Bench::new().await;
    let handler = async |_: Job<Note>, _: Context| -> Done { Err(JobError::new("mailbox full").retry_in(HOUR)) };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    let id = bench.enqueue(note("x")).await;

    bench.becomes(id, "RETRY").await;
    assert!(bench.holds(id, &format!("attempt = 1 AND {WAIT} = interval '1 hour'")).await);
    assert_eq!(bench.error(id).await, "mailbox full");
    running.shutdown().await;
}

#[actix::test]
async fn a_failure_that_wants_another_try_has_none_left_on_its_last_attempt() {
    let bench = Bench::new().await;
    let handler = async |_: Job<Note>, _: Context| -> Done { Err(JobError::new("mailbox full").retry_in(HOUR)) };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    let id = bench.enqueue(note("x").max_attempts(1)).await;

    bench.becomes(id, "FAILED").await;
    running.shutdown().await;
}

#[actix::test]
async fn a_snooze_counts_no_attempt_and_leaves_no_error() {
    let bench = Bench::new().await;
    let mut ends = bench.listen().await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<i32>, job: Job<Note>, ctx: Context| {
        assert_eq!(job.attempt, ctx.attempt());
        probe.say(ctx.attempt());
        Err(JobError::snooze(HOUR))
    };
    let running = bench.start(Handlers::new().on("Note", with(probe, handler))).await;

    let id = bench.enqueue(note("x").max_attempts(1).notify("n")).await;
    for _ in 0..3 {
        assert_eq!(hear(&mut heard).await, 1, "each time is the first attempt");
        bench.becomes(id, "SCHEDULED").await;
        assert!(bench.holds(id, "attempt = 0 AND errors IS NULL AND schedule - updated_at = interval '1 hour'").await);
        bench.hurry(id).await;
    }

    bench.becomes(id, "SCHEDULED").await;
    assert!(ends.try_recv().is_err(), "a snooze is no end");
    running.shutdown().await;
}

#[actix::test]
async fn a_failure_that_is_given_up_is_failed_at_once() {
    let bench = Bench::new().await;
    let mut ends = bench.listen().await;
    let handler = async |_: Job<Note>, _: Context| -> Done { Err(JobError::new("no such address").give_up()) };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    let id = bench.enqueue(note("x").notify("n")).await;

    assert_eq!(hear(&mut ends).await, ("jobs.failed".to_owned(), "n".to_owned()));
    assert_eq!(bench.state(id).await.as_deref(), Some("FAILED"));
    assert!(bench.holds(id, "attempt = 1 AND max_attempts = 5").await);
    assert_eq!(bench.error(id).await, "no such address");
    running.shutdown().await;
}

/// A handler with state, a backoff and an execution timeout of its own.
struct Patient {
    probe: Probe<Duration>,
}

impl Handler<Note> for Patient {
    async fn perform(&self, _: Job<Note>, ctx: Context) -> Done {
        self.probe.say(ctx.execution_timeout());
        self.probe.pass().await;
        Err("no luck".into())
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::exponential(Duration::from_secs(7), HOUR))
    }

    fn execution_timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(1000))
    }
}

/// Runs the attempts, and looks at the time-out and the wait of each, in seconds.
async fn shows_its_own_rules(
    handlers: Handlers,
    probe: Probe<Duration>,
    mut heard: UnboundedReceiver<Duration>,
    rules: &[(i32, u64, u64)],
) {
    let bench = Bench::new().await;
    let running = bench.start(handlers).await;
    let id = bench.enqueue(note("x")).await;
    for (attempt, timeout, wait) in rules {
        assert_eq!(hear(&mut heard).await, Duration::from_secs(*timeout));
        assert!(bench.holds(id, &format!("expires - updated_at = interval '{timeout} s'")).await);
        probe.open(1);
        let waits = format!("state = 'RETRY' AND attempt = {attempt} AND {WAIT} = interval '{wait} s'");
        eventually(&waits, async || bench.holds(id, &waits).await.then_some(())).await;
        bench.hurry(id).await;
    }
    hear(&mut heard).await;
    probe.open(1);
    running.shutdown().await;
}

#[actix::test]
async fn a_type_that_implements_handler_has_rules_of_its_own() {
    let (probe, heard) = Probe::new();
    let handlers = Handlers::new().on("Note", Patient { probe: probe.clone() });

    shows_its_own_rules(handlers, probe, heard, &[(1, 1000, 7), (2, 2000, 14), (3, 3000, 28)]).await;
}

#[actix::test]
async fn a_tuned_function_has_rules_of_its_own_and_they_come_before_those_of_its_handler() {
    let (probe, heard) = Probe::new();
    let tuned = Tuned::new(Patient { probe: probe.clone() })
        .backoff(Backoff::from_fn(|attempt| Duration::from_secs(100 + u64::from(attempt.unsigned_abs()))))
        .execution_timeout(Duration::from_secs(500));

    shows_its_own_rules(Handlers::new().on("Note", tuned), probe, heard, &[(1, 500, 101), (2, 1000, 102)]).await;
}

#[actix::test]
async fn a_tuned_function_that_outruns_its_time_is_retried() {
    let bench = Bench::new().await;
    let handler = async |_: Job<Note>, _: Context| -> Done { std::future::pending().await };
    let tuned = Tuned::new(handler).execution_timeout(Duration::from_millis(200));
    let running = bench.start(Handlers::new().on("Note", tuned)).await;

    let id = bench.enqueue(note("x")).await;

    bench.becomes(id, "RETRY").await;
    let error = bench.error(id).await;
    assert!(error.contains("outran its execution timeout of 200ms"), "{error}");
    assert!(bench.holds(id, &format!("attempt = 1 AND {WAIT} = interval '30 s'")).await);
    running.shutdown().await;
}

#[actix::test]
async fn a_backoff_that_panics_or_asks_for_ages_does_no_harm() {
    let bench = Bench::new().await;
    let panics = Tuned::new(fail).backoff(Backoff::from_fn(|_| panic!("no idea")));
    let ages = Tuned::new(fail).backoff(Backoff::from_fn(|_| Duration::MAX));
    let running = bench.start(Handlers::new().on("Note", panics).on("Ages", ages)).await;

    let panicked = bench.enqueue(note("x").max_attempts(20)).await;
    let aged = bench.enqueue(NewJob::of_type("Ages", &serde_json::json!({"text": ""})).unwrap()).await;

    bench.becomes(panicked, "FAILED").await;
    bench.becomes(aged, "RETRY").await;
    assert_eq!(bench.errors(panicked).await.len(), 20);
    running.shutdown().await;
}
