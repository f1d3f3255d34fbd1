//! The transaction in which a job is completed.

use actix_job_queue::{Context, Handlers, Job, Queue};
use futures_util::SinkExt;
use tokio_postgres::IsolationLevel;

use crate::bench::{Bench, Done, Note, Probe, bare, eventually, hear, note, take_note, with, write};

/// Both are looked at by one statement, so at no moment is there the one without the other.
#[actix::test]
async fn a_handlers_writes_and_its_jobs_removal_happen_together() {
    let bench = Bench::new().await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<()>, job: Job<Note>, mut ctx: Context| {
        let completion = ctx.begin().await?;
        write(&completion, job.id, "written").await?;
        probe.say(());
        probe.pass().await;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", with(probe.clone(), handler))).await;
    let look = "SELECT (SELECT count(*) FROM jobs) || ' jobs, ' || (SELECT count(*) FROM notes) || ' notes'";

    bench.enqueue(note("x")).await;
    hear(&mut heard).await;
    assert_eq!(bench.ask::<String>(look).await, "1 jobs, 0 notes");
    probe.open(1);

    eventually("the completion", async || match bench.ask::<String>(look).await.as_str() {
        "0 jobs, 1 notes" => Some(()),
        seen => {
            assert_eq!(seen, "1 jobs, 0 notes");
            None
        }
    })
    .await;
    running.shutdown().await;
}

#[actix::test]
async fn follow_up_jobs_come_with_the_commit_and_not_with_a_rollback() {
    let bench = Bench::new().await;
    let (probe, mut heard) = Probe::new();
    let first = async |(probe, jobs): (Probe<()>, Queue), _: Job<serde_json::Value>, mut ctx: Context| {
        let attempt = ctx.attempt();
        let completion = ctx.begin().await?;
        jobs.enqueue(&*completion, note(&format!("follow-up of attempt {attempt}"))).await?;
        if attempt == 1 {
            return Err("not this time".into());
        }
        probe.say(());
        probe.pass().await;
        Ok(completion.commit().await?)
    };
    let first = with((probe.clone(), bench.jobs.clone()), first);
    let running = bench.start(Handlers::new().on("First", first).on("Note", take_note)).await;

    let id = bench.enqueue(bare("First")).await;
    bench.becomes(id, "RETRY").await;
    assert_eq!(bench.count("true").await, 1, "the follow-up was rolled back");
    bench.hurry(id).await;
    hear(&mut heard).await;
    assert_eq!(bench.count("true").await, 1, "nobody sees the follow-up before the commit");
    probe.open(1);

    bench.completes(id).await;
    eventually("the follow-up", async || (bench.notes().await == ["follow-up of attempt 2"]).then_some(())).await;
    running.shutdown().await;
}

#[actix::test]
async fn savepoints_and_copy_work_in_a_completion() {
    let bench = Bench::new().await;
    let handler = async |job: Job<Note>, mut ctx: Context| -> Done {
        let mut completion = ctx.begin().await?;
        let savepoint = completion.transaction().await?;
        savepoint.batch_execute("INSERT INTO notes VALUES (1, 'taken back')").await?;
        savepoint.rollback().await?;
        let savepoint = completion.savepoint("kept").await?;
        savepoint.batch_execute("INSERT INTO notes VALUES (1, 'kept')").await?;
        let failed = savepoint.batch_execute("SELECT 1/0").await;
        assert!(failed.is_err());
        savepoint.rollback().await?;
        let savepoint = completion.transaction().await?;
        savepoint.batch_execute("INSERT INTO notes VALUES (1, 'nested')").await?;
        savepoint.commit().await?;
        let rows = completion.copy_in("COPY notes (job, text) FROM STDIN").await?;
        let mut rows = std::pin::pin!(rows);
        rows.send(std::io::Cursor::new(format!("{0}\tcopied 1\n{0}\tcopied 2\n", job.id))).await?;
        rows.close().await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    let id = bench.enqueue(note("x")).await;

    bench.completes(id).await;
    assert_eq!(bench.notes().await, ["copied 1", "copied 2", "nested"]);
    running.shutdown().await;
}

#[actix::test]
async fn a_dropped_completion_is_rolled_back_and_another_can_be_opened() {
    let bench = Bench::new().await;
    let handler = async |job: Job<Note>, mut ctx: Context| -> Done {
        for text in ["first", "second"] {
            let completion = ctx.begin().await?;
            write(&completion, job.id, text).await?;
            drop(completion);
        }
        let completion = ctx.begin().await?;
        write(&completion, job.id, "third").await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    let id = bench.enqueue(note("x")).await;

    bench.completes(id).await;
    assert_eq!(bench.notes().await, ["third"]);
    running.shutdown().await;
}

#[actix::test]
async fn a_completion_has_the_isolation_level_that_its_handler_chose() {
    let bench = Bench::new().await;
    let handler = async |job: Job<Note>, mut ctx: Context| -> Done {
        let serializable = match job.params.text.as_str() {
            "serializable" => ctx.begin_with(IsolationLevel::Serializable).await?,
            _ => ctx.begin().await?,
        };
        let level = serializable.query_typed_one("SELECT current_setting('transaction_isolation')", &[]).await?;
        write(&serializable, job.id, level.get(0)).await?;
        Ok(serializable.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    for text in ["serializable", "whatever is usual"] {
        let id = bench.enqueue(note(text)).await;
        bench.completes(id).await;
    }

    assert_eq!(bench.notes().await, ["read committed", "serializable"]);
    running.shutdown().await;
}

/// A serialization failure is an error like any other: nothing is kept, and the job is tried again.
#[actix::test]
async fn a_completion_that_cannot_be_serialized_fails_and_keeps_nothing() {
    let bench = Bench::new().await;
    bench.sql("CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)").await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<()>, job: Job<Note>, mut ctx: Context| {
        let attempt = ctx.attempt();
        let completion = ctx.begin_with(IsolationLevel::Serializable).await?;
        completion.query_typed_one("SELECT n FROM counter", &[]).await?;
        write(&completion, job.id, "counted").await?;
        if attempt == 1 {
            probe.say(());
            probe.pass().await;
        }
        completion.batch_execute("UPDATE counter SET n = n + 1").await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", with(probe.clone(), handler))).await;

    let id = bench.enqueue(note("x")).await;
    hear(&mut heard).await;
    bench.sql("UPDATE counter SET n = n + 1").await;
    probe.open(1);

    bench.becomes(id, "RETRY").await;
    assert!(bench.error(id).await.contains("could not serialize access"), "{}", bench.error(id).await);
    assert_eq!(bench.notes().await, [""; 0]);
    bench.hurry(id).await;
    bench.completes(id).await;
    assert_eq!(bench.notes().await, ["counted"]);
    running.shutdown().await;
}

#[actix::test]
async fn a_job_with_nothing_to_write_is_removed_by_complete() {
    let bench = Bench::new().await;
    let mut ends = bench.listen().await;
    let handler = async |_: Job<Note>, ctx: Context| -> Done { Ok(ctx.complete().await?) };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    let id = bench.enqueue(note("x").notify("that one")).await;

    assert_eq!(hear(&mut ends).await, ("jobs.completed".to_owned(), "that one".to_owned()));
    assert_eq!(bench.state(id).await, None);
    running.shutdown().await;
}

/// A machine that loses its power closes no connection.
#[actix::test]
async fn the_server_looks_whether_the_machine_of_a_completion_is_still_there() {
    let bench = Bench::new().await;
    let handler = async |job: Job<Note>, mut ctx: Context| -> Done {
        let completion = ctx.begin().await?;
        let idle: String = completion.query_one("SHOW tcp_keepalives_idle", &[]).await?.get(0);
        write(&completion, job.id, &idle).await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    // Not before it is known that sessions stay with their connections.
    eventually("a completion that is looked after", async || {
        let id = bench.enqueue(note("x")).await;
        bench.completes(id).await;
        bench.notes().await.contains(&"10".to_owned()).then_some(())
    })
    .await;
    running.shutdown().await;
}
