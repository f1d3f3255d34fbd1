//! Jobs that are taken from their handlers.

use std::time::Duration;

use actix_job_queue::{Cancelled, CompletionError, Context, Handlers, Job, NewJob};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::bench::{Bench, Done, HOUR, Note, Probe, eventually, hear, note, take_note, with, write};

/// What a handler tells of its end.
#[derive(Debug, PartialEq)]
enum Word {
    Started,
    TokenFired,
    Dropped,
    Cancelled(Option<Cancelled>),
}

/// Says so when it is dropped.
struct LastWord(Probe<Word>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.say(Word::Dropped);
    }
}

/// Never ends by itself; a task of its own watches the token.
async fn endless(probe: Probe<Word>, _: Job<Note>, ctx: Context) -> Done {
    let token = ctx.cancellation();
    let watching = probe.clone();
    actix_rt::spawn(async move {
        token.cancelled().await;
        watching.say(Word::TokenFired);
    });
    let _last = LastWord(probe.clone());
    probe.say(Word::Started);
    std::future::pending().await
}

/// The token's watcher and the future's end are two tasks, so either may come first.
async fn assert_ends(heard: &mut UnboundedReceiver<Word>) {
    let mut words = [hear(heard).await, hear(heard).await];
    words.sort_by_key(|word| *word == Word::Dropped);
    assert_eq!(words, [Word::TokenFired, Word::Dropped]);
}

/// Nothing but a heartbeat can tell the handler; there are four of them in a second.
#[actix::test]
async fn a_handler_whose_job_was_deleted_is_told_and_dropped() {
    let bench = Bench::with(|queue| queue.dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe, endless))).await;

    let id = bench.enqueue(note("x")).await;
    assert_eq!(hear(&mut heard).await, Word::Started);
    bench.sql(&format!("DELETE FROM jobs WHERE id = {id}")).await;

    assert_ends(&mut heard).await;
    running.shutdown().await;
}

#[actix::test]
async fn a_handler_that_outruns_its_time_is_told_and_dropped() {
    let bench = Bench::with(|queue| queue.execution_timeout(Duration::from_millis(200))).await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe, endless))).await;

    let id = bench.enqueue(note("x").max_attempts(1)).await;

    assert_eq!(hear(&mut heard).await, Word::Started);
    assert_ends(&mut heard).await;
    bench.becomes(id, "FAILED").await;
    running.shutdown().await;
}

/// Waits for its token and then says why it fired.
async fn heedful(probe: Probe<Word>, _: Job<Note>, ctx: Context) -> Done {
    probe.say(Word::Cancelled(ctx.cancelled()));
    ctx.cancellation().cancelled().await;
    probe.say(Word::Cancelled(ctx.cancelled()));
    Err("told to stop".into())
}

#[actix::test]
async fn a_handler_learns_that_its_job_was_lost() {
    let bench = Bench::with(|queue| queue.dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe, heedful))).await;

    let id = bench.enqueue(note("x")).await;
    assert_eq!(hear(&mut heard).await, Word::Cancelled(None));
    bench.sql(&format!("DELETE FROM jobs WHERE id = {id}")).await;

    assert_eq!(hear(&mut heard).await, Word::Cancelled(Some(Cancelled::Lost)));
    running.shutdown().await;
}

/// Whoever answers to the token has the attempt end with its own error.
#[actix::test]
async fn a_handler_learns_that_its_time_is_over() {
    let bench = Bench::with(|queue| queue.execution_timeout(Duration::from_millis(200))).await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe, heedful))).await;

    let id = bench.enqueue(note("x")).await;

    assert_eq!(hear(&mut heard).await, Word::Cancelled(None));
    assert_eq!(hear(&mut heard).await, Word::Cancelled(Some(Cancelled::TimedOut)));
    bench.becomes(id, "RETRY").await;
    assert_eq!(bench.error(id).await, "told to stop");
    running.shutdown().await;
}

/// Says what its attempt to complete brought, by whichever way its note names.
async fn late(probe: Probe<String>, job: Job<Note>, mut ctx: Context) -> Done {
    probe.say("started".to_owned());
    probe.pass().await;
    let done = if job.params.text == "complete" {
        ctx.complete().await
    } else {
        match ctx.begin().await {
            Ok(completion) => {
                write(&completion, job.id, "by the late one").await?;
                completion.commit().await
            }
            Err(error) => Err(error),
        }
    };
    probe.say(match &done {
        Ok(_) => "completed".to_owned(),
        Err(CompletionError::Lost { id, .. }) => format!("lost {id}"),
        Err(error) => error.to_string(),
    });
    Ok(done?)
}

/// No heartbeat comes within hours, so only the completion can tell. One slot: whatever the job becomes,
/// nobody else runs it before the handler has ended.
#[actix::test]
async fn a_completion_of_a_job_that_is_no_longer_held_is_lost_and_leaves_nothing() {
    let bench = Bench::with(|queue| queue.dead_after(HOUR).max_demand(1)).await;
    bench.rival().await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe.clone(), late))).await;
    let failed = "UPDATE jobs SET state = 'FAILED', expires = NULL, node = NULL";
    let taken = "UPDATE jobs SET lease = lease + 1, node = 0, expires = now() + interval '1 hour'";
    let rescued = "UPDATE jobs SET state = 'AVAILABLE', expires = NULL, node = NULL";

    for way in ["begin", "complete"] {
        for (what, sql) in [
            ("deleted", "DELETE FROM jobs"),
            ("failed", failed),
            ("requeued", failed),
            ("taken", taken),
            ("rescued", rescued),
        ] {
            let id = bench.enqueue(note(way)).await;
            assert_eq!(hear(&mut heard).await, "started", "{way} {what}");
            bench.sql(sql).await;
            if what == "requeued" {
                assert_eq!(bench.jobs.requeue(&bench.client, &[id]).await.unwrap(), [id]);
            }
            probe.open(1);

            assert_eq!(hear(&mut heard).await, format!("lost {id}"), "{way} {what}");
            assert_eq!(bench.notes().await, [""; 0], "{way} {what}");
            if what == "requeued" || what == "rescued" {
                assert_eq!(hear(&mut heard).await, "started", "{way} {what}: its next life");
                bench.sql("DELETE FROM jobs").await;
                probe.open(1);
                assert_eq!(hear(&mut heard).await, format!("lost {id}"), "{way} {what}");
            }
            if what != "deleted" {
                bench.sql("DELETE FROM jobs").await;
            }
        }
    }
    running.shutdown().await;
}

/// The row that was lost is left as its new owner has it, although the late handler returned an error.
#[actix::test]
async fn a_lost_attempt_changes_nothing_of_the_job() {
    let bench = Bench::with(|queue| queue.dead_after(HOUR)).await;
    bench.rival().await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().on("Note", with(probe.clone(), late))).await;
    let id = bench.enqueue(note("begin")).await;
    assert_eq!(hear(&mut heard).await, "started");
    bench.sql("UPDATE jobs SET lease = lease + 1, node = 0, expires = now() + interval '1 hour'").await;
    let row = format!("SELECT jobs::text FROM jobs WHERE id = {id}");
    let before: String = bench.ask(&row).await;

    probe.open(1);
    assert_eq!(hear(&mut heard).await, format!("lost {id}"));
    running.shutdown().await;

    assert_eq!(bench.ask::<String>(&row).await, before);
}

/// Two processes: the one that holds the job up is full, so the other must take it.
#[actix::test]
async fn a_job_that_another_took_is_done_once() {
    let bench = Bench::with(|queue| queue.dead_after(HOUR).max_demand(1)).await;
    let (probe, mut heard) = Probe::new();
    let first = bench.start(Handlers::new().on("Note", with(probe.clone(), late))).await;
    let id = bench.enqueue(note("begin")).await;
    assert_eq!(hear(&mut heard).await, "started");

    let second = bench.start(Handlers::new().on("Note", take_note)).await;
    bench.sql("UPDATE jobs SET state = 'AVAILABLE', expires = NULL, node = NULL; NOTIFY jobs").await;
    bench.completes(id).await;
    probe.open(1);

    assert_eq!(hear(&mut heard).await, format!("lost {id}"));
    assert_eq!(bench.notes().await, ["begin"]);
    first.shutdown().await;
    second.shutdown().await;
}

/// An open completion holds the row: a delete waits for its end and finds nothing.
#[actix::test]
async fn a_job_cannot_be_taken_from_an_open_completion() {
    let bench = Bench::with(|queue| queue.dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<()>, job: Job<Note>, mut ctx: Context| {
        let completion = ctx.begin().await?;
        write(&completion, job.id, "kept").await?;
        probe.say(());
        probe.pass().await;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", with(probe.clone(), handler))).await;
    let id = bench.enqueue(NewJob::of_type("Note", &Note { text: String::new() }).unwrap()).await;
    hear(&mut heard).await;

    let thief = bench.db.client().await;
    let sql = format!("DELETE FROM jobs WHERE id = {id}");
    let theft = actix_rt::spawn(async move { thief.execute_typed(&sql, &[]).await });
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE FROM jobs %'
                    AND datname = current_database()";
    eventually("the delete's wait", async || (bench.ask::<i64>(waits).await == 1).then_some(())).await;
    probe.open(1);

    assert_eq!(theft.await.unwrap().unwrap(), 0, "there was nothing left to delete");
    assert_eq!(bench.notes().await, ["kept"]);
    running.shutdown().await;
}
