//! Completion by one statement of the handler's own.

use actix_job_queue::{CompletionError, Context, Handlers, Job, NewJob};
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::bench::{Bench, Done, Note, Probe, bare, eventually, hear, note, with};

const WRITE: &str = "INSERT INTO notes (job, text) VALUES ($1, $2)";

async fn write_note(job: Job<Note>, ctx: Context) -> Done {
    Ok(ctx.complete_with(WRITE, &[(&job.id, Type::INT8), (&job.params.text, Type::TEXT)]).await?)
}

#[actix::test]
async fn the_statement_and_the_removal_are_one_transaction() {
    let bench = Bench::new().await;
    let mut ends = bench.listen().await;
    // Both are written by the transaction that has removed the job by then.
    bench
        .sql(
            "CREATE TABLE seen (jobs bigint);
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO seen SELECT count(*) FROM jobs; RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER look AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION look()",
        )
        .await;
    let running = bench.start(Handlers::new().on("Note", write_note)).await;

    let id = bench.enqueue(note("written").notify("that one")).await;

    assert_eq!(hear(&mut ends).await, ("jobs.completed".to_owned(), "that one".to_owned()));
    assert_eq!(bench.state(id).await, None);
    assert_eq!(bench.notes().await, ["written"]);
    assert_eq!(bench.ask::<i64>("SELECT jobs FROM seen").await, 0);
    running.shutdown().await;
}

/// The statement's own plan is kept after its first use, and made anew; each way it happens once a job.
#[actix::test]
async fn a_rush_of_jobs_has_each_statement_take_effect_once() {
    let bench = Bench::with(|queue| queue.max_demand(20)).await;
    let running = bench.start(Handlers::new().on("Note", write_note)).await;

    for rush in 0..3 {
        let jobs: Vec<NewJob> = (0..300).map(|n| note(&format!("{rush}/{n}"))).collect();
        bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();
        eventually("their ends", async || (bench.count("true").await == 0).then_some(())).await;
    }

    assert_eq!(bench.ask::<i64>("SELECT count(DISTINCT text) FROM notes").await, 900);
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM notes").await, 900);
    running.shutdown().await;
}

#[actix::test]
async fn a_handler_that_lost_its_job_writes_nothing() {
    for by in ["DELETE FROM jobs", "UPDATE jobs SET lease = lease + 1"] {
        let bench = Bench::new().await;
        let (probe, mut heard) = Probe::new();
        let handler = async |probe: Probe<Option<bool>>, job: Job<Note>, ctx: Context| {
            probe.say(None);
            probe.pass().await;
            let outcome = ctx.complete_with(WRITE, &[(&job.id, Type::INT8), (&"never", Type::TEXT)]).await;
            probe.say(Some(matches!(outcome, Err(CompletionError::Lost { .. }))));
            Ok(outcome?)
        };
        let running = bench.start(Handlers::new().on("Note", with(probe.clone(), handler))).await;
        bench.enqueue(note("x")).await;
        assert_eq!(hear(&mut heard).await, None);

        bench.sql(by).await;
        probe.open(1);

        assert_eq!(hear(&mut heard).await, Some(true), "{by}");
        assert_eq!(bench.notes().await, [""; 0], "{by}");
        running.shutdown().await;
    }
}

#[actix::test]
async fn a_statement_that_fails_leaves_the_job_to_be_tried_again() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Note", write_note)).await;
    bench.sql("ALTER TABLE notes ADD CHECK (text <> 'refused')").await;

    let id = bench.enqueue(note("refused")).await;

    bench.becomes(id, "RETRY").await;
    assert!(bench.error(id).await.contains("notes_text_check"), "{}", bench.error(id).await);
    assert_eq!(bench.notes().await, [""; 0]);
    running.shutdown().await;
}

/// A SELECT beside the removal would not be run by the server, and nobody would notice.
#[actix::test]
async fn a_statement_that_cannot_be_joined_with_a_removal_is_refused_with_what_to_do_instead() {
    let bench = Bench::new().await;
    let handler = async |job: Job<Value>, ctx: Context| -> Done {
        let sql = "SELECT pg_notify('somebody', $1::text)";
        Ok(ctx.complete_with(sql, &[(&job.id.to_string(), Type::TEXT)]).await?)
    };
    let running = bench.start(Handlers::new().on("Select", handler)).await;

    let id = bench.enqueue(bare("Select")).await;

    bench.becomes(id, "RETRY").await;
    assert!(bench.error(id).await.contains("begin()"), "{}", bench.error(id).await);
    running.shutdown().await;
}

#[actix::test]
async fn a_statement_may_have_comments_a_semicolon_nulls_and_dollar_signs() {
    let bench = Bench::new().await;
    let handler = async |job: Job<Note>, ctx: Context| -> Done {
        let sql = "INSERT INTO notes (job, text) VALUES ($1, coalesce($2, '$3 {table} {id}')) -- why not;\n;";
        Ok(ctx.complete_with(sql, &[(&job.id, Type::INT8), (&None::<String>, Type::TEXT)]).await?)
    };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    let id = bench.enqueue(note("x")).await;

    bench.completes(id).await;
    assert_eq!(bench.notes().await, ["$3 {table} {id}"]);
    running.shutdown().await;
}

/// A session of its own keeps what was planned for it.
#[actix::test]
async fn statements_that_recur_are_prepared_where_sessions_stay_with_their_connections() {
    let bench = Bench::new().await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<i64>, _: Job<Note>, mut ctx: Context| {
        let completion = ctx.begin().await?;
        let row = completion.query_typed_one("SELECT count(*) FROM pg_prepared_statements", &[]).await?;
        let done = completion.commit().await?;
        probe.say(row.get(0));
        Ok(done)
    };
    let running = bench.start(Handlers::new().on("Note", with(probe, handler))).await;

    let prepared = eventually("a prepared statement", async || {
        bench.enqueue(note("x")).await;
        Some(hear(&mut heard).await).filter(|prepared| *prepared > 0)
    });

    assert!(prepared.await > 0);
    running.shutdown().await;
}
