//! Jobs of a batch that others take away.

use std::time::Duration;

use actix_job_queue::{BatchContext, Batching, Cancelled, CompletionError, Handlers, Job};

use super::{batched, full, one_worker, take_all, take_all_at_once};
use crate::bench::{Bench, Done, Note, Probe, eventually, hear, note};

/// Waits in company, so that something can happen to the jobs, and completes them by a transaction or by one statement.
async fn held_up((probe, at_once): (Probe<String>, bool), jobs: Vec<Job<Note>>, mut ctx: BatchContext) -> Done {
    if jobs.len() > 1 {
        probe.say("started".to_owned());
        probe.pass().await;
    }
    let done = if at_once { take_all_at_once(&jobs, &ctx).await } else { take_all(&jobs, &mut ctx).await };
    if let Err(error) = &done {
        probe.say(error.to_string());
    }
    done
}

/// Ways in which others take a job, and the condition that tells its row afterwards.
const TAKEN: [(&str, &str); 3] = [
    ("DELETE FROM jobs", "false"),
    ("UPDATE jobs SET state = 'FAILED', expires = NULL, node = NULL", "state = 'FAILED' AND errors IS NULL"),
    ("UPDATE jobs SET lease = lease + 1, node = 0", "state = 'IN_PROGRESS' AND node = 0 AND errors IS NULL"),
];

/// No heartbeat comes within hours, so only the completion can tell.
#[actix::test]
async fn nothing_is_written_for_a_lost_job_and_the_others_are_completed_once() {
    for at_once in [false, true] {
        loses_one_of_three(at_once).await;
    }
}

async fn loses_one_of_three(at_once: bool) {
    let bench = Bench::with(one_worker).await;
    bench.rival().await;
    let (probe, mut heard) = Probe::new();
    let handler = batched((probe.clone(), at_once), held_up);
    let running = bench.start(Handlers::new().batch("Note", full(3), handler)).await;

    for (theft, row) in TAKEN {
        let ids = bench.enqueue_notes(&["a", "lost", "b"]).await;
        assert_eq!(hear(&mut heard).await, "started");
        bench.sql(&format!("{theft} WHERE id = {}", ids[1])).await;
        probe.open(1);

        let lost = hear(&mut heard).await;
        assert!(lost.contains(&format!("job {} of queue jobs is no longer held", ids[1])), "{lost}");
        for id in [ids[0], ids[2]] {
            bench.completes(id).await;
        }
        assert_eq!(bench.notes().await, ["a", "b"], "{theft}");
        assert_eq!(bench.count("true").await, bench.count(row).await, "{theft}");
        bench.sql("TRUNCATE jobs, notes").await;
    }
    running.shutdown().await;
}

#[actix::test]
async fn a_handler_may_go_on_without_a_job_that_was_lost() {
    let bench = Bench::with(one_worker).await;
    bench.rival().await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<usize>, jobs: Vec<Job<Note>>, mut ctx: BatchContext| {
        probe.say(jobs.len());
        probe.pass().await;
        // Whoever begins again without a word is told again.
        for _ in 0..2 {
            assert!(matches!(ctx.begin().await, Err(CompletionError::Lost { id, .. }) if id == jobs[1].id));
        }
        assert!(ctx.fail(jobs[1].id, "lost"));
        take_all(&jobs, &mut ctx).await
    };
    let running = bench.start(Handlers::new().batch("Note", full(3), batched(probe.clone(), handler))).await;

    let ids = bench.enqueue_notes(&["a", "lost", "b"]).await;
    assert_eq!(hear(&mut heard).await, 3);
    bench.sql(&format!("{} WHERE id = {}", TAKEN[2].0, ids[1])).await;
    probe.open(1);

    bench.completes(ids[0]).await;
    bench.completes(ids[2]).await;
    assert_eq!(bench.notes().await, ["a", "b"]);
    assert!(bench.holds(ids[1], TAKEN[2].1).await, "its new owner's row is left as it is");
    running.shutdown().await;
    assert!(heard.try_recv().is_err(), "the handler ran once");
}

/// A row that somebody only touches is no lost job: the removal waits for its end.
#[actix::test]
async fn a_batch_waits_for_rows_that_others_have_locked() {
    let bench = Bench::with(one_worker).await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().batch("Note", full(3), batched((probe.clone(), false), held_up))).await;
    let ids = bench.enqueue_notes(&["a", "b", "c"]).await;
    assert_eq!(hear(&mut heard).await, "started");
    let mut other = bench.db.client().await;
    let touching = other.transaction().await.unwrap();
    touching.batch_execute(&format!("UPDATE jobs SET priority = 7 WHERE id = {}", ids[1])).await.unwrap();

    probe.open(1);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%job_queue_mine%'
                    AND datname = current_database()";
    eventually("the removal's wait", async || (bench.ask::<i64>(waits).await == 1).then_some(())).await;
    touching.commit().await.unwrap();

    for id in ids {
        bench.completes(id).await;
    }
    assert_eq!(bench.notes().await, ["a", "b", "c"]);
    running.shutdown().await;
    assert!(heard.try_recv().is_err(), "nothing was lost");
}

#[actix::test]
async fn a_batch_with_nothing_to_write_is_removed_by_complete_and_a_lost_job_loses_nothing() {
    let bench = Bench::with(one_worker).await;
    bench.rival().await;
    let mut ends = bench.listen().await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<usize>, jobs: Vec<Job<Note>>, ctx: BatchContext| {
        probe.say(jobs.len());
        probe.pass().await;
        let done = ctx.complete().await?;
        assert_eq!(ctx.remaining(), [jobs[1].id]);
        Ok(done)
    };
    let running = bench.start(Handlers::new().batch("Note", full(3), batched(probe.clone(), handler))).await;

    let jobs = ["a", "b", "c"].map(|text| note(text).notify(text));
    let ids = bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();
    assert_eq!(hear(&mut heard).await, 3);
    bench.sql(&format!("{} WHERE id = {}", TAKEN[2].0, ids[1])).await;
    probe.open(1);

    bench.completes(ids[0]).await;
    bench.completes(ids[2]).await;
    assert!(bench.holds(ids[1], TAKEN[2].1).await);
    let mut told = [hear(&mut ends).await, hear(&mut ends).await];
    told.sort();
    assert_eq!(told, ["a", "c"].map(|text| ("jobs.completed".to_owned(), text.to_owned())));
    running.shutdown().await;
    assert!(heard.try_recv().is_err(), "the handler ran once");
}

/// Tells how its batch was taken away.
pub(super) async fn endless(probe: Probe<Option<Cancelled>>, _: Vec<Job<Note>>, ctx: BatchContext) -> Done {
    probe.say(ctx.cancelled());
    ctx.cancellation().cancelled().await;
    probe.say(ctx.cancelled());
    std::future::pending().await
}

/// Heartbeats tell of single jobs too; the handler is stopped when all are lost.
#[actix::test]
async fn a_batch_whose_jobs_are_all_lost_is_told_and_dropped() {
    let bench = Bench::with(|queue| queue.arbiters(1).dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let batching = Batching::up_to(2).within(Duration::from_millis(500));
    let running = bench.start(Handlers::new().batch("Note", batching, batched(probe, endless))).await;

    let ids = bench.enqueue_notes(&["a", "b"]).await;
    assert_eq!(hear(&mut heard).await, None);
    for id in ids {
        assert!(heard.try_recv().is_err());
        bench.sql(&format!("DELETE FROM jobs WHERE id = {id}")).await;
    }

    assert_eq!(hear(&mut heard).await, Some(Cancelled::Lost));
    let report = running.shutdown().await;
    assert_eq!((report.returned, report.left, report.failed), (0, 0, 0), "{report}");
}
