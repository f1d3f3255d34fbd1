//! Transactions that did not end as their handler believed.

use actix_job_queue::{CompletionError, Context, DatabaseOptions, Handlers, Job};

use crate::bench::{Bench, Done, Note, Probe, hear, note, with, write};

/// What a handler was told by its commit.
#[derive(Debug, PartialEq)]
enum Told {
    Committed,
    Aborted(i64),
    Ended(i64),
    Other(String),
}

/// A handler that writes, does what its note says by SQL, forgets how that went, and commits.
async fn careless(probe: Probe<Told>, job: Job<Note>, mut ctx: Context) -> Done {
    let completion = ctx.begin().await?;
    write(&completion, job.id, "written").await?;
    // The error that is swallowed here is the point.
    let _ = completion.batch_execute(&job.params.text).await;
    let committed = completion.commit().await;
    probe.say(match &committed {
        Ok(_) => Told::Committed,
        Err(CompletionError::Aborted { id, .. }) => Told::Aborted(*id),
        Err(CompletionError::Ended { id, .. }) => Told::Ended(*id),
        Err(error) => Told::Other(error.to_string()),
    });
    Ok(committed?)
}

#[actix::test]
async fn a_handler_that_swallowed_an_sql_error_is_told_and_nothing_is_kept() {
    let bench = Bench::new().await;
    let mut ends = bench.listen().await;
    let (probe, mut told) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe, careless))).await;

    let id = bench.enqueue(note("SELECT 1/0").notify("n")).await;

    assert_eq!(hear(&mut told).await, Told::Aborted(id));
    assert_eq!(hear(&mut ends).await, ("jobs.retry".to_owned(), "n".to_owned()));
    assert_eq!(bench.state(id).await.as_deref(), Some("RETRY"));
    assert_eq!(bench.notes().await, [""; 0]);
    let error = bench.error(id).await;
    assert!(error.contains("one of its statements had failed"), "{error}");
    running.shutdown().await;
}

/// Neither a transaction of the handler's own after it, nor writes outside of any, pass for the completion.
#[actix::test]
async fn a_handler_that_rolled_back_by_sql_is_told_and_the_job_is_not_done() {
    let bench = Bench::new().await;
    let (probe, mut told) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe, careless))).await;
    let another = "ROLLBACK; BEGIN; INSERT INTO notes VALUES (0, 'in another transaction')";

    for sql in ["ROLLBACK", another, "SELECT 1/0; ROLLBACK", "ROLLBACK AND CHAIN"] {
        let id = bench.enqueue(note(sql)).await;

        let word = hear(&mut told).await;
        let expected = if sql.starts_with("SELECT") { Told::Aborted(id) } else { Told::Ended(id) };
        assert_eq!(word, expected, "after {sql}");
        bench.becomes(id, "RETRY").await;
        assert_eq!(bench.notes().await, [""; 0], "after {sql}");
    }
    running.shutdown().await;
}

#[actix::test]
async fn a_handler_that_committed_by_sql_is_found_to_have_completed_its_job() {
    let bench = Bench::new().await;
    let mut ends = bench.listen().await;
    let (probe, mut told) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe, careless))).await;

    for sql in ["COMMIT", "COMMIT; BEGIN", "COMMIT AND CHAIN"] {
        let id = bench.enqueue(note(sql).notify(sql)).await;

        assert_eq!(hear(&mut told).await, Told::Committed, "after {sql}");
        assert_eq!(hear(&mut ends).await, ("jobs.completed".to_owned(), sql.to_owned()));
        assert_eq!(bench.state(id).await, None);
    }
    assert_eq!(bench.notes().await, ["written"; 3]);
    running.shutdown().await;
}

/// With a pool of one, every completion is given the connection that the last one left, and a commit's fate
/// must be asked for while that one is out.
#[actix::test]
async fn what_a_handler_left_of_its_transaction_is_no_part_of_the_next() {
    let bench = Bench::on(DatabaseOptions::new().pool_size(1), |queue| queue.arbiters(1)).await;
    let (probe, mut told) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe, careless))).await;
    for sql in ["SELECT 1/0", "COMMIT; BEGIN; INSERT INTO notes VALUES (0, 'left')", "ROLLBACK"] {
        bench.enqueue(note(sql)).await;
        hear(&mut told).await;
    }

    let good = bench.enqueue(note("SELECT 1")).await;

    assert_eq!(hear(&mut told).await, Told::Committed);
    bench.completes(good).await;
    assert_eq!(bench.notes().await, ["written"; 2]);
    running.shutdown().await;
}
