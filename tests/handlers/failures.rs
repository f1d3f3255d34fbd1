//! What is kept of a failed attempt, and who is told.

use std::fmt;

use actix_job_queue::{Context, Handlers, Job};

use crate::bench::{Bench, Done, Note, eventually, hear, note};

/// An error with causes, the outermost first.
#[derive(Debug)]
struct Deep(&'static str, Option<Box<Deep>>);

impl fmt::Display for Deep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Deep {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

/// Fails as its note says.
async fn fail(job: Job<Note>, ctx: Context) -> Done {
    match job.params.text.as_str() {
        "deep" => {
            let cause = Deep("the socket is closed", None);
            let cause = Deep("the mail server hung up", Some(Box::new(cause)));
            Err(Deep("could not send the mail", Some(Box::new(cause))).into())
        }
        "panic with a str" => panic!("a plain str"),
        "panic with a String" => panic!("a String with the id {}", job.id),
        "panic with neither" => std::panic::panic_any(7),
        "nul" => Err("a\0b".into()),
        _ => Ok(ctx.complete().await?),
    }
}

#[actix::test]
async fn an_error_is_kept_with_its_causes_its_time_and_its_attempt() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Note", fail)).await;
    let chain = ["could not send the mail", "the mail server hung up", "the socket is closed"].map(str::to_owned);

    let id = bench.enqueue(note("deep")).await;
    bench.becomes(id, "RETRY").await;

    assert_eq!(bench.errors(id).await, [(1, chain.to_vec())]);
    let between = "(errors->0->>'at')::timestamptz BETWEEN inserted_at AND now()";
    assert!(bench.holds(id, between).await);
    bench.hurry(id).await;
    let again = "(errors->1->>'at')::timestamptz > (errors->0->>'at')::timestamptz";
    eventually("a second error", async || bench.holds(id, again).await.then_some(())).await;
    assert_eq!(bench.errors(id).await, [(1, chain.to_vec()), (2, chain.to_vec())]);
    running.shutdown().await;
}

#[actix::test]
async fn a_panic_is_kept_as_the_error_of_its_attempt() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Note", fail)).await;

    for (text, kept) in [
        ("panic with a str", "a plain str"),
        ("panic with a String", "a String with the id "),
        ("panic with neither", "of a value that is no text"),
    ] {
        let id = bench.enqueue(note(text)).await;
        bench.becomes(id, "RETRY").await;
        let error = bench.error(id).await;
        assert!(error.contains("panicked") && error.contains(kept), "{error}");
        assert!(error.contains("(at tests/handlers/failures.rs:"), "{error}");
    }
    running.shutdown().await;
}

/// `jsonb` holds no NUL; an error with one would fail the statement that keeps it.
#[actix::test]
async fn an_error_that_the_database_cannot_hold_as_it_is_is_kept_all_the_same() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Note", fail)).await;

    let id = bench.enqueue(note("nul")).await;

    bench.becomes(id, "RETRY").await;
    assert_eq!(bench.error(id).await, "a\u{FFFD}b");
    running.shutdown().await;
}

/// Notifications come in the order of their commits, so a wrong one would be among those heard.
#[actix::test]
async fn only_a_completed_job_says_that_it_is_done() {
    let bench = Bench::new().await;
    let mut ends = bench.listen().await;
    let running = bench.start(Handlers::new().on("Note", fail)).await;

    let retried = bench.enqueue(note("deep").notify("retried")).await;
    bench.becomes(retried, "RETRY").await;
    let panicked = bench.enqueue(note("panic with a str").notify("panicked")).await;
    bench.becomes(panicked, "RETRY").await;
    let failed = bench.enqueue(note("deep").notify("failed").max_attempts(1)).await;
    bench.becomes(failed, "FAILED").await;
    let silent = bench.enqueue(note("fine")).await;
    bench.completes(silent).await;
    let done = bench.enqueue(note("fine").notify("done")).await;
    bench.completes(done).await;

    for expected in [("retry", "retried"), ("retry", "panicked"), ("failed", "failed"), ("completed", "done")] {
        let (channel, payload) = hear(&mut ends).await;
        assert_eq!((channel.as_str(), payload.as_str()), (format!("jobs.{}", expected.0).as_str(), expected.1));
    }
    running.shutdown().await;
}

#[actix::test]
async fn a_failed_attempt_says_how_long_it_ran_and_in_which_process() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Note", fail)).await;

    let id = bench.enqueue(note("panic with a str")).await;
    bench.becomes(id, "RETRY").await;

    let process = format!(":{} (", std::process::id());
    let told = format!(
        "(errors -> 0 ->> 'seconds')::float8 BETWEEN 0 AND 60 AND strpos(errors -> 0 ->> 'process', '{process}') > 0
         AND (errors -> 0 ->> 'node')::bigint = (SELECT node FROM job_queue_nodes)"
    );
    assert!(bench.holds(id, &told).await);
    running.shutdown().await;
}
