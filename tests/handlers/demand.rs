//! How many jobs run at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_job_queue::{Context, Handlers, Job, JobError, NewJob, Tuned};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::bench::{Bench, Done, HOUR, Note, Probe, bare, eventually, hear, with};

/// How many are inside at a time, and how many were at most.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

/// One that is inside.
struct Inside(Gauge);

impl Gauge {
    fn enter(&self) -> Inside {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Inside(self.clone())
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

type Gated = (Probe<i64>, Gauge);

/// Waits at the gate, and is counted while it does.
async fn gated((probe, gauge): Gated, job: Job<Value>, ctx: Context) -> Done {
    let _inside = gauge.enter();
    probe.say(job.id);
    probe.pass().await;
    Ok(ctx.complete().await?)
}

/// Shows that exactly `max_demand` jobs run at a time: of two more, none is even claimed, whatever wakes
/// the queue, until one of those that run has ended; then one is, and so on.
async fn assert_room_for(max_demand: usize, bench: &Bench, gate: &Gated, heard: &mut UnboundedReceiver<i64>) {
    let jobs = vec![bare("Gated"); max_demand + 2];
    bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();
    for _ in 0..max_demand {
        hear(heard).await;
    }
    let waiting = "SELECT count(*) FROM jobs WHERE state = 'AVAILABLE' AND params->>'type' = 'Gated'";
    for left in [2, 1, 0] {
        for _ in 0..5 {
            bench.sql("NOTIFY jobs").await;
            assert_eq!(bench.ask::<i64>(waiting).await, left, "jobs that wait");
        }
        assert!(heard.try_recv().is_err(), "more run than may");
        gate.0.open(1);
        if left > 0 {
            hear(heard).await;
        }
    }
    gate.0.open(max_demand - 1);
    let gone = "params->>'type' = 'Gated'";
    eventually("the end of all at the gate", async || (bench.count(gone).await == 0).then_some(())).await;
    assert_eq!(gate.1.most(), max_demand);
}

#[actix::test]
async fn no_more_jobs_run_at_a_time_than_max_demand_over_all_arbiters() {
    for (max_demand, arbiters) in [(1, 2), (3, 2), (5, 3)] {
        let bench =
            Bench::with(|queue| queue.max_demand(max_demand).arbiters(arbiters).claim_ahead(Duration::ZERO)).await;
        let (probe, mut heard) = Probe::new();
        let gate = (probe, Gauge::default());
        let running = bench.start(Handlers::new().on("Gated", with(gate.clone(), gated))).await;

        assert_room_for(max_demand, &bench, &gate, &mut heard).await;

        running.shutdown().await;
    }
}

/// What runs in bulk is bounded too, and each job runs once.
#[actix::test]
async fn a_rush_of_jobs_never_exceeds_max_demand() {
    let bench = Bench::with(|queue| queue.max_demand(3)).await;
    bench.sql("CREATE TABLE runs (job bigint PRIMARY KEY)").await;
    let gauge = Gauge::default();
    let handler = async |gauge: Gauge, job: Job<Value>, mut ctx: Context| {
        let _inside = gauge.enter();
        let completion = ctx.begin().await?;
        completion.batch_execute(&format!("INSERT INTO runs VALUES ({})", job.id)).await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Rush", with(gauge.clone(), handler))).await;

    bench.jobs.enqueue_many(&bench.client, &vec![bare("Rush"); 200]).await.unwrap();

    eventually("two hundred ends", async || (bench.count("true").await == 0).then_some(())).await;
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM runs").await, 200);
    assert!(gauge.most() <= 3, "{} at a time", gauge.most());
    running.shutdown().await;
}

/// Commits that announce wait for each other, so a producer that cannot follow them lets them be silent. It is on its
/// own then, and must find every job; and be told of the next one that comes when the rush is over.
#[actix::test]
async fn a_rush_of_inserts_is_silent_for_the_most_part_and_every_job_of_it_runs() {
    const SESSIONS: usize = 4;
    const JOBS: usize = 10_000;
    let bench = Bench::new().await;
    let mut heard = bench.listen_to(&["jobs"]).await;
    let handler = async |_: Job<Value>, ctx: Context| -> Done { Ok(ctx.complete().await?) };
    let running = bench.start(Handlers::new().on("Rush", handler)).await;
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND mode = 'ShareLock'
                                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    let waits = async || bench.ask::<bool>(waits).await.then_some(());
    eventually("a producer that waits", waits).await;
    let insert = format!(
        r#"DO $$ BEGIN
             FOR n IN 1 .. {} LOOP
               INSERT INTO jobs (params) VALUES ('{{"type": "Rush"}}');
               COMMIT;
             END LOOP;
           END $$"#,
        JOBS / SESSIONS
    );

    let sessions = futures_util::future::join_all((0..SESSIONS).map(|_| bench.db.client())).await;
    futures_util::future::try_join_all(sessions.iter().map(|session| session.batch_execute(&insert))).await.unwrap();

    eventually("the end of all", async || (bench.count("true").await == 0).then_some(())).await;
    eventually("a producer that waits again", waits).await;
    let announced = std::iter::from_fn(|| heard.try_recv().ok()).count();
    assert!((1..JOBS / 2).contains(&announced), "{announced} of {JOBS} are announced");
    let last = bench.enqueue(bare("Rush")).await;
    bench.completes(last).await;
    running.shutdown().await;
}

/// Claims ahead of demand are for workers that end jobs quickly: what they cannot take soon is others' again.
#[actix::test]
async fn what_was_claimed_ahead_goes_back_when_the_workers_become_slow() {
    let bench = Bench::with(|queue| queue.max_demand(2)).await;
    let (probe, mut heard) = Probe::new();
    let quick = async |_: Job<Value>, ctx: Context| -> Done { Ok(ctx.complete().await?) };
    let slow = async |probe: Probe<i64>, job: Job<Value>, ctx: Context| {
        probe.say(job.id);
        probe.pass().await;
        Ok(ctx.complete().await?)
    };
    let running = bench.start(Handlers::new().on("Quick", quick).on("Slow", with(probe.clone(), slow))).await;
    let jobs: Vec<_> = (0..600).map(|n| bare(if n < 500 { "Quick" } else { "Slow" })).collect();

    bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();
    hear(&mut heard).await;
    hear(&mut heard).await;

    let mine = "state IN ('RESERVED', 'IN_PROGRESS')";
    eventually("what nobody takes", async || (bench.count(mine).await == 2).then_some(())).await;
    assert!(heard.try_recv().is_err(), "more run than may");
    assert_eq!(bench.count("state = 'AVAILABLE'").await, 98);
    probe.open(100);
    eventually("the rest", async || (bench.count("true").await == 0).then_some(())).await;
    running.shutdown().await;
}

/// Completes its job before it waits at the gate.
async fn completed_first((probe, gauge): Gated, job: Job<Value>, ctx: Context) -> Done {
    let _inside = gauge.enter();
    let done = ctx.complete().await?;
    probe.say(job.id);
    probe.pass().await;
    Ok(done)
}

/// The next job is started while the one before it is removed, but no handler runs beside one that has not ended yet;
/// nor is a job kept for it.
#[actix::test]
async fn a_handler_that_goes_on_after_its_completion_keeps_its_slot() {
    let bench = Bench::with(|queue| queue.max_demand(1).arbiters(1).claim_ahead(Duration::ZERO)).await;
    let (probe, mut heard) = Probe::new();
    let gate = (probe, Gauge::default());
    let running = bench.start(Handlers::new().on("First", with(gate.clone(), completed_first))).await;

    let first = bench.enqueue(bare("First")).await;
    assert_eq!(hear(&mut heard).await, first);
    bench.completes(first).await;
    let second = bench.enqueue(bare("First")).await;

    let went_back = "state = 'AVAILABLE' AND lease = 1 AND attempt = 0 AND node IS NULL";
    eventually("the second going back", async || bench.holds(second, went_back).await.then_some(())).await;
    for _ in 0..5 {
        bench.sql("NOTIFY jobs").await;
        assert!(bench.holds(second, went_back).await, "it is claimed although there is no room for it");
    }
    assert!(heard.try_recv().is_err(), "its handler ran beside the first");

    gate.0.open(2);
    assert_eq!(hear(&mut heard).await, second);
    bench.completes(second).await;
    running.shutdown().await;
    assert_eq!(gate.1.most(), 1);
}

/// A job that could not begin has not been tried, however short its time.
#[actix::test]
async fn a_job_that_waits_for_a_handler_to_end_is_not_timed_out() {
    let bench = Bench::with(|queue| {
        queue.max_demand(1).arbiters(1).claim_ahead(Duration::ZERO).execution_timeout(Duration::from_millis(300))
    })
    .await;
    let (probe, mut heard) = Probe::new();
    let long = Tuned::new(with((probe.clone(), Gauge::default()), completed_first)).execution_timeout(HOUR);
    let short = async |probe: Probe<i64>, job: Job<Value>, ctx: Context| {
        probe.say(job.id);
        Ok(ctx.complete().await?)
    };
    let running = bench.start(Handlers::new().on("Long", long).on("Short", with(probe.clone(), short))).await;

    let long = bench.enqueue(bare("Long")).await;
    assert_eq!(hear(&mut heard).await, long);
    let short = bench.enqueue(bare("Short")).await;
    let went_back = "state = 'AVAILABLE' AND lease = 1 AND attempt = 0 AND errors IS NULL";
    eventually("the short one going back", async || bench.holds(short, went_back).await.then_some(())).await;

    probe.open(1);
    assert_eq!(hear(&mut heard).await, short);
    bench.completes(short).await;
    running.shutdown().await;
}

/// Of many that went back, no more are asked for than handlers have ended.
#[actix::test]
async fn what_went_back_comes_again_one_for_each_handler_that_has_ended() {
    let bench = Bench::with(|queue| queue.max_demand(3).arbiters(1).claim_ahead(Duration::ZERO)).await;
    let (probe, mut heard) = Probe::new();
    let gate = (probe, Gauge::default());
    let running = bench.start(Handlers::new().on("First", with(gate.clone(), completed_first))).await;

    bench.jobs.enqueue_many(&bench.client, &vec![bare("First"); 3]).await.unwrap();
    for _ in 0..3 {
        hear(&mut heard).await;
    }
    bench.jobs.enqueue_many(&bench.client, &vec![bare("First"); 6]).await.unwrap();
    let went_back = "state = 'AVAILABLE' AND lease = 1";
    eventually("three going back", async || (bench.count(went_back).await == 3).then_some(())).await;

    gate.0.open(1);
    hear(&mut heard).await;
    // It handed its slot over as those before it did, to one that cannot begin either.
    let went_back_again = "state = 'AVAILABLE' AND lease > 1";
    eventually("one going back again", async || (bench.count(went_back_again).await == 1).then_some(())).await;
    for _ in 0..5 {
        bench.sql("NOTIFY jobs").await;
        assert_eq!(bench.count("lease > 1").await, 1, "others are started in vain");
    }
    assert!(heard.try_recv().is_err());
    gate.0.open(8);
    eventually("the rest", async || (bench.count("true").await == 0).then_some(())).await;
    running.shutdown().await;
    assert_eq!(gate.1.most(), 3);
}

/// Whatever its jobs' states are, a process never has more than `max_demand` of them in progress.
#[actix::test]
async fn jobs_in_progress_are_no_more_than_max_demand_while_slots_are_handed_over() {
    let bench = Bench::with(|queue| queue.max_demand(4)).await;
    bench
        .sql(
            "CREATE TABLE counts (jobs bigint);
             CREATE FUNCTION count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO counts SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS';
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER counted AFTER UPDATE OF state ON jobs DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION count_jobs()",
        )
        .await;
    let gauge = Gauge::default();
    let handler = async |gauge: Gauge, _: Job<Value>, ctx: Context| {
        let _inside = gauge.enter();
        Ok(ctx.complete().await?)
    };
    let running = bench.start(Handlers::new().on("Rush", with(gauge.clone(), handler))).await;

    bench.jobs.enqueue_many(&bench.client, &vec![bare("Rush"); 300]).await.unwrap();

    eventually("three hundred ends", async || (bench.count("true").await == 0).then_some(())).await;
    assert_eq!(bench.ask::<i64>("SELECT max(jobs) FROM counts").await, 4);
    assert!(gauge.most() <= 4, "{} at a time", gauge.most());
    running.shutdown().await;
}

/// Fails, panics, hangs, and so on, as its type says.
fn every_way_out(probe: Probe<i64>) -> Handlers {
    let hang = async |_: Job<Value>, _: Context| -> Done { std::future::pending().await };
    let deleted = async |probe: Probe<i64>, job: Job<Value>, _: Context| -> Done {
        probe.say(job.id);
        std::future::pending().await
    };
    Handlers::new()
        .on("Complete", async |_: Job<Value>, ctx: Context| Ok(ctx.complete().await?))
        .on("Commit", async |_: Job<Value>, mut ctx: Context| Ok(ctx.begin().await?.commit().await?))
        .on("Drop", async |_: Job<Value>, mut ctx: Context| {
            drop(ctx.begin().await?);
            Err("changed its mind".into())
        })
        .on("Fail", async |_: Job<Value>, _: Context| Err("no luck".into()))
        .on("GiveUp", async |_: Job<Value>, _: Context| Err(JobError::new("no luck").give_up()))
        .on("Snooze", async |_: Job<Value>, _: Context| Err(JobError::snooze(HOUR)))
        .on("Panic", async |_: Job<Value>, _: Context| panic!("on purpose"))
        .on("PanicFirst", |_: Job<Value>, _: Context| -> std::future::Ready<Done> {
            panic!("before there is a future")
        })
        .on("TimeOut", Tuned::new(hang).execution_timeout(Duration::from_millis(100)))
        .on("Deleted", with(probe, deleted))
        .on("Unfit", async |_: Job<Note>, ctx: Context| Ok(ctx.complete().await?))
}

const WAYS: [&str; 12] = [
    "Complete",
    "Commit",
    "Drop",
    "Fail",
    "GiveUp",
    "Snooze",
    "Panic",
    "PanicFirst",
    "TimeOut",
    "Deleted",
    "Unfit",
    "Unknown",
];

#[actix::test]
async fn a_jobs_place_is_free_again_exactly_once_whatever_way_it_went() {
    let bench =
        Bench::with(|queue| queue.max_demand(2).claim_ahead(Duration::ZERO).dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let (deleted, mut deletions) = Probe::new();
    let gate = (probe, Gauge::default());
    let handlers = every_way_out(deleted).on("Gated", with(gate.clone(), gated));
    let running = bench.start(handlers).await;

    for _ in 0..3 {
        let jobs: Vec<NewJob> = WAYS.iter().map(|way| bare(way).max_attempts(1)).collect();
        bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();
        let id = hear(&mut deletions).await;
        bench.sql(&format!("DELETE FROM jobs WHERE id = {id}")).await;
        let under_way = "state NOT IN ('FAILED', 'SCHEDULED')";
        eventually("the round's end", async || (bench.count(under_way).await == 0).then_some(())).await;
    }

    assert_eq!(bench.count("state = 'FAILED'").await, 3 * 8);
    assert_eq!(bench.count("state = 'SCHEDULED'").await, 3);
    assert_room_for(2, &bench, &gate, &mut heard).await;
    running.shutdown().await;
}

/// Ends the arbiter that it runs on.
async fn kill(_: Job<Value>, _: Context) -> Done {
    actix_rt::Arbiter::current().stop();
    std::future::pending().await
}

/// Its own arbiter's other jobs die with it, and all that died are tried again.
#[actix::test]
async fn a_worker_whose_arbiter_was_stopped_is_replaced_with_all_its_room() {
    let bench =
        Bench::with(|queue| queue.max_demand(4).claim_ahead(Duration::ZERO).dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let gate = (probe, Gauge::default());
    let handlers = Handlers::new().on("Kill", kill).on("Gated", with(gate.clone(), gated));
    let running = bench.start(handlers).await;

    for _ in 0..3 {
        let beside = bench.jobs.enqueue_many(&bench.client, &vec![bare("Gated"); 3]).await.unwrap();
        for _ in &beside {
            hear(&mut heard).await;
        }
        let killer = bench.enqueue(bare("Kill")).await;

        bench.becomes(killer, "RETRY").await;
        let error = bench.error(killer).await;
        assert!(error.contains("the worker that performed it died"), "{error}");
        let died = "state = 'RETRY' AND params->>'type' = 'Gated'";
        eventually("the death of one beside it", async || (bench.count(died).await == 1).then_some(())).await;
        gate.0.open(2);
        let under_way = "state <> 'RETRY'";
        eventually("the others' end", async || (bench.count(under_way).await == 0).then_some(())).await;
        bench.sql("DELETE FROM jobs").await;
    }

    assert_room_for(4, &bench, &gate, &mut heard).await;
    running.shutdown().await;
}

/// Both arbiters at once, and more often than there are arbiters.
#[actix::test]
async fn jobs_run_on_after_every_arbiter_was_stopped() {
    let bench =
        Bench::with(|queue| queue.max_demand(2).claim_ahead(Duration::ZERO).dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let gate = (probe, Gauge::default());
    let handlers = Handlers::new().on("Kill", kill).on("Gated", with(gate.clone(), gated));
    let running = bench.start(handlers).await;

    bench.jobs.enqueue_many(&bench.client, &vec![bare("Kill").max_attempts(1); 5]).await.unwrap();
    eventually("five deaths", async || (bench.count("state = 'FAILED'").await == 5).then_some(())).await;

    assert_room_for(2, &bench, &gate, &mut heard).await;
    running.shutdown().await;
}
