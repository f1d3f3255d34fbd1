//! When a batch goes off, and what waits for it meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_job_queue::{BatchContext, Batching, Context, Handlers, Job, NewJob};
use serde_json::{Value, json};

use super::{batched, count_and_take, full, heard_so_far, one_worker, take_all};
use crate::bench::{Bench, HOUR, Note, PATIENCE, Probe, bare, eventually, hear, note, with};

#[actix::test]
async fn a_batch_goes_off_when_it_is_full_and_what_gathers_is_given_back_by_a_shutdown() {
    // The shutdown would wait for as long as anything is in the worker's hands.
    let bench = Bench::with(|queue| one_worker(queue).shutdown_timeout(HOUR)).await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().batch("Note", full(3), batched(probe, count_and_take))).await;

    let ids = bench.enqueue_notes(&["1", "2", "3", "4", "5", "6", "7"]).await;

    for id in &ids[..6] {
        bench.completes(*id).await;
    }
    assert_eq!(bench.notes().await, ["1", "2", "3", "4", "5", "6"]);
    assert!(bench.holds(ids[6], "state = 'RESERVED' AND attempt = 0").await);
    let report = tokio::time::timeout(PATIENCE, running.shutdown()).await.expect("no wait for what gathers");
    assert_eq!((report.unreserved, report.returned, report.left), (1, 0, 0), "{report}");
    assert!(bench.holds(ids[6], "state = 'AVAILABLE' AND attempt = 0 AND errors IS NULL").await);
    assert_eq!(heard_so_far(&mut heard), [3, 3]);
}

#[actix::test]
async fn a_batch_that_is_not_full_goes_off_after_its_time() {
    let bench = Bench::new().await;
    let (probe, mut heard) = Probe::new();
    let handlers = Handlers::new().batch("Note", Batching::up_to(1000), batched(probe, count_and_take));
    let running = bench.start(handlers).await;

    for text in ["one", "another"] {
        let id = bench.enqueue(note(text)).await;
        bench.completes(id).await;
        assert_eq!(hear(&mut heard).await, 1);
    }

    assert_eq!(bench.notes().await, ["another", "one"]);
    running.shutdown().await;
}

/// What gathers has its slots, so it goes off at once when it has them all; what is not of its type runs beside it.
#[actix::test]
async fn jobs_that_gather_take_slots_and_keep_nobody_from_the_others() {
    let bench = Bench::with(|queue| one_worker(queue).max_demand(4)).await;
    let (probe, mut heard) = Probe::new();
    let handlers = Handlers::new().batch("Note", full(100), batched(probe.clone(), count_and_take)).on(
        "Other",
        with(probe, async |probe: Probe<usize>, _: Job<Value>, ctx: Context| {
            probe.say(0);
            Ok(ctx.complete().await?)
        }),
    );
    let running = bench.start(handlers).await;

    let ids = bench.enqueue_notes(&["a", "b", "c"]).await;
    for id in &ids {
        bench.becomes(*id, "RESERVED").await;
    }
    for _ in 0..3 {
        let other = bench.enqueue(bare("Other")).await;
        bench.completes(other).await;
        assert_eq!(hear(&mut heard).await, 0, "only the fourth slot is free, and it is enough");
    }
    let last = bench.enqueue(note("d")).await;

    bench.completes(last).await;
    assert_eq!(hear(&mut heard).await, 4);
    assert_eq!(bench.notes().await, ["a", "b", "c", "d"]);
    running.shutdown().await;
}

#[actix::test]
async fn no_more_jobs_run_at_a_time_than_max_demand_in_batches() {
    let bench = Bench::with(|queue| queue.max_demand(6)).await;
    let inside: Arc<(AtomicUsize, AtomicUsize)> = Arc::default();
    let handler = async |inside: Arc<(AtomicUsize, AtomicUsize)>, jobs: Vec<Job<Note>>, mut ctx: BatchContext| {
        let now = inside.0.fetch_add(jobs.len(), Ordering::SeqCst) + jobs.len();
        inside.1.fetch_max(now, Ordering::SeqCst);
        let done = if jobs.len() > 1 && jobs[0].id % 3 == 0 {
            Err("once alone".into())
        } else {
            take_all(&jobs, &mut ctx).await
        };
        inside.0.fetch_sub(jobs.len(), Ordering::SeqCst);
        done
    };
    let handlers = Handlers::new().batch("Note", Batching::up_to(5), batched(Arc::clone(&inside), handler));
    let running = bench.start(handlers).await;

    let texts: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    bench.enqueue_notes(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;

    eventually("two hundred ends", async || (bench.count("true").await == 0).then_some(())).await;
    assert_eq!(bench.notes().await.len(), 200);
    assert!(inside.1.load(Ordering::SeqCst) <= 6, "{} at a time", inside.1.load(Ordering::SeqCst));
    running.shutdown().await;
    assert_eq!(inside.0.load(Ordering::SeqCst), 0);
}

/// The time of one type is not the time of another.
#[actix::test]
async fn a_type_that_waits_for_long_holds_up_no_other() {
    let bench = Bench::with(one_worker).await;
    let (probe, mut heard) = Probe::new();
    let handlers = Handlers::new().batch("Slow", full(2), batched(probe.clone(), count_and_take)).batch(
        "Note",
        Batching::up_to(2),
        batched(probe, count_and_take),
    );
    let running = bench.start(handlers).await;
    let slow = bench.enqueue(NewJob::of_type("Slow", &json!({"text": "slow"})).unwrap()).await;
    bench.becomes(slow, "RESERVED").await;

    for _ in 0..2 {
        let quick = bench.enqueue(note("quick")).await;
        bench.completes(quick).await;
        assert_eq!(hear(&mut heard).await, 1);
    }

    assert!(bench.holds(slow, "state = 'RESERVED'").await);
    running.shutdown().await;
}

/// A handler that goes on after its completion has a slot that looks vacant: a batch does without it.
#[actix::test]
async fn a_batch_runs_with_those_that_have_room_and_the_others_go_back() {
    let bench = Bench::with(|queue| one_worker(queue).max_demand(3)).await;
    let (probe, mut heard) = Probe::new();
    let goes_on = async |probe: Probe<usize>, _: Job<Value>, ctx: Context| {
        let done = ctx.complete().await?;
        probe.say(0);
        probe.pass().await;
        Ok(done)
    };
    let handlers = Handlers::new().on("GoesOn", with(probe.clone(), goes_on)).batch(
        "Note",
        full(3),
        batched(probe.clone(), count_and_take),
    );
    let running = bench.start(handlers).await;
    bench.enqueue(bare("GoesOn")).await;
    assert_eq!(hear(&mut heard).await, 0);

    let ids = bench.enqueue_notes(&["a", "b", "c"]).await;

    assert_eq!(hear(&mut heard).await, 2);
    let left = format!("SELECT count(*) FROM jobs WHERE id IN ({}, {}, {})", ids[0], ids[1], ids[2]);
    eventually("the end of two", async || (bench.ask::<i64>(&left).await == 1).then_some(())).await;
    let went_back = "attempt = 0 AND errors IS NULL AND lease = 1";
    eventually("the third going back", async || (bench.count(went_back).await == 1).then_some(())).await;
    probe.open(1);
    let more = bench.enqueue_notes(&["d", "e"]).await;
    bench.completes(more[1]).await;
    assert_eq!(hear(&mut heard).await, 3);
    running.shutdown().await;
}

/// Jobs of a batch that are performed alone leave one by one, and so do their slots.
#[actix::test]
async fn a_job_that_hangs_alone_keeps_no_slot_but_its_own() {
    let bench = Bench::with(|queue| one_worker(queue).max_demand(3)).await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<usize>, jobs: Vec<Job<Note>>, mut ctx: BatchContext| {
        if jobs.len() > 1 {
            return Err("not together".into());
        }
        if jobs[0].params.text == "hangs" {
            probe.pass().await;
        }
        take_all(&jobs, &mut ctx).await
    };
    let other = async |probe: Probe<usize>, _: Job<Value>, ctx: Context| {
        probe.say(1);
        Ok(ctx.complete().await?)
    };
    let handlers =
        Handlers::new().batch("Note", full(3), batched(probe.clone(), handler)).on("Other", with(probe.clone(), other));
    let running = bench.start(handlers).await;

    let ids = bench.enqueue_notes(&["hangs", "a", "b"]).await;
    bench.completes(ids[1]).await;
    bench.completes(ids[2]).await;
    let others = bench.jobs.enqueue_many(&bench.client, &vec![bare("Other"); 6]).await.unwrap();

    for id in others {
        bench.completes(id).await;
        assert_eq!(hear(&mut heard).await, 1);
    }
    assert_eq!(bench.state(ids[0]).await.as_deref(), Some("IN_PROGRESS"));
    probe.open(1);
    bench.completes(ids[0]).await;
    running.shutdown().await;
}
