//! The forms that a handler can have, and what it is given.

use std::{
    cell::Cell,
    collections::BTreeSet,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use actix_job_queue::{Context, Handler, Handlers, Job, NewJob};
use serde_json::Value;

use crate::bench::{Bench, Done, HOUR, Note, Probe, bare, eventually, hear, note, take_note, with, write};

#[actix::test]
async fn functions_closures_and_async_closures_are_handlers() {
    let bench = Bench::new().await;
    let said = "by a closure".to_owned();
    let closure = move |job: Job<Value>, mut ctx: Context| {
        let said = said.clone();
        async move {
            let completion = ctx.begin().await?;
            write(&completion, job.id, &said).await?;
            Ok(completion.commit().await?)
        }
    };
    let async_closure = async |job: Job<Value>, mut ctx: Context| {
        let completion = ctx.begin().await?;
        write(&completion, job.id, "by an async closure").await?;
        Ok(completion.commit().await?)
    };
    let handlers = Handlers::new().on("Note", take_note).on("Closure", closure).on("AsyncClosure", async_closure);
    let running = bench.start(handlers).await;

    for job in [note("by a function"), bare("Closure"), bare("AsyncClosure")] {
        let id = bench.enqueue(job).await;
        bench.completes(id).await;
    }

    assert_eq!(bench.notes().await, ["by a closure", "by a function", "by an async closure"]);
    running.shutdown().await;
}

struct Numbering {
    next: AtomicUsize,
}

impl Handler<Note> for Numbering {
    async fn perform(&self, job: Job<Note>, mut ctx: Context) -> Done {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let completion = ctx.begin().await?;
        write(&completion, job.id, &format!("number {number}")).await?;
        Ok(completion.commit().await?)
    }
}

/// Each number comes once, so both arbiters were given the same value.
#[actix::test]
async fn a_type_with_state_serves_all_arbiters() {
    let bench = Bench::with(|queue| queue.max_demand(4)).await;
    let running = bench.start(Handlers::new().on("Note", Numbering { next: AtomicUsize::new(0) })).await;

    bench.jobs.enqueue_many(&bench.client, &vec![note("x"); 9]).await.unwrap();

    let expected: Vec<_> = (0..9).map(|number| format!("number {number}")).collect();
    eventually("nine numbers", async || (bench.notes().await == expected).then_some(())).await;
    running.shutdown().await;
}

/// Would not compile if a handler's future had to be `Send`.
#[actix::test]
async fn a_handlers_future_need_not_be_send() {
    let bench = Bench::new().await;
    let handler = async |job: Job<Note>, mut ctx: Context| -> Done {
        let shared = Rc::new(Cell::new(0));
        for _ in 0..3 {
            let other = Rc::clone(&shared);
            tokio::task::yield_now().await;
            other.set(other.get() + 1);
        }
        let completion = ctx.begin().await?;
        write(&completion, job.id, &shared.get().to_string()).await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", handler)).await;

    let id = bench.enqueue(note("x")).await;

    bench.completes(id).await;
    assert_eq!(bench.notes().await, ["3"]);
    running.shutdown().await;
}

/// State that cannot leave its thread.
struct Local {
    made_on: ThreadId,
    performed: Rc<Cell<usize>>,
    probe: Probe<(ThreadId, usize)>,
}

impl Handler<Note> for Local {
    async fn perform(&self, _: Job<Note>, ctx: Context) -> Done {
        assert_eq!(thread::current().id(), self.made_on);
        self.performed.set(self.performed.get() + 1);
        self.probe.say((self.made_on, self.performed.get()));
        self.probe.pass().await;
        Ok(ctx.complete().await?)
    }
}

/// Held up, the jobs spread over both arbiters, and each arbiter counts its own.
#[actix::test]
async fn a_handler_made_on_each_arbiter_keeps_state_that_is_not_send() {
    let bench = Bench::with(|queue| queue.max_demand(6)).await;
    let (probe, mut heard) = Probe::new();
    let made = Arc::new(AtomicUsize::new(0));
    let handlers = Handlers::new().on_each_arbiter("Note", {
        let (probe, made) = (probe.clone(), Arc::clone(&made));
        move || {
            made.fetch_add(1, Ordering::Relaxed);
            Local { made_on: thread::current().id(), performed: Rc::default(), probe: probe.clone() }
        }
    });
    let running = bench.start(handlers).await;

    bench.jobs.enqueue_many(&bench.client, &vec![note("x"); 6]).await.unwrap();
    let mut counts = BTreeSet::new();
    let mut threads = Vec::new();
    for _ in 0..6 {
        let (thread, count) = hear(&mut heard).await;
        threads.push(thread);
        counts.insert((format!("{thread:?}"), count));
    }
    probe.open(6);

    assert_eq!(made.load(Ordering::Relaxed), 2);
    assert_eq!(counts.len(), 6, "{counts:?}");
    assert_eq!(threads.iter().filter(|thread| **thread == threads[0]).count(), 3, "{threads:?}");
    assert!(!threads.contains(&thread::current().id()), "no job runs on the caller's thread");
    eventually("six ends", async || (bench.count("true").await == 0).then_some(())).await;
    running.shutdown().await;
}

#[actix::test]
async fn a_handler_is_given_the_jobs_columns_and_its_attempt() {
    let bench = Bench::new().await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<(Job<Note>, i32)>, job: Job<Note>, ctx: Context| {
        probe.say((job, ctx.attempt()));
        if ctx.attempt() < 2 { Err("again".into()) } else { Ok(ctx.complete().await?) }
    };
    let running = bench.start(Handlers::new().on("Note", with(probe, handler))).await;

    let id = bench.enqueue(note("x").priority(-3).max_attempts(9).notify("n")).await;
    bench.becomes(id, "RETRY").await;
    bench.hurry(id).await;
    bench.completes(id).await;

    let (first, attempt) = hear(&mut heard).await;
    assert_eq!((attempt, first.attempt), (1, 1));
    assert_eq!((first.id, first.kind.as_deref(), first.params), (id, Some("Note"), Note { text: "x".into() }));
    assert_eq!((first.max_attempts, first.priority, first.notify.as_deref()), (9, -3, Some("n")));
    assert_eq!(first.schedule, first.inserted_at, "it was due when it was inserted");
    let (second, attempt) = hear(&mut heard).await;
    assert_eq!((attempt, second.attempt), (2, 2));
    assert_eq!(second.inserted_at, first.inserted_at);
    assert!(second.schedule > first.schedule, "it was due again later");
    running.shutdown().await;
}

/// The times are the database's to the microsecond.
#[actix::test]
async fn a_handler_sees_the_times_that_the_table_holds() {
    let bench = Bench::new().await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<Job<Note>>, job: Job<Note>, ctx: Context| {
        probe.say(job);
        Ok(ctx.complete().await?)
    };
    let id = bench.enqueue(note("x").schedule_in(HOUR)).await;
    bench
        .sql("UPDATE jobs SET schedule = '2020-02-03 04:05:06.123456Z', inserted_at = '2019-01-01 00:00:00.000001Z'")
        .await;
    let running = bench.start(Handlers::new().on("Note", with(probe, handler))).await;

    let job = hear(&mut heard).await;

    assert_eq!(job.id, id);
    assert_eq!(job.schedule.to_rfc3339(), "2020-02-03T04:05:06.123456+00:00");
    assert_eq!(job.inserted_at.to_rfc3339(), "2019-01-01T00:00:00.000001+00:00");
    running.shutdown().await;
}

/// Params may hold what the sender's type has and the handler's has not.
#[actix::test]
async fn a_handler_may_read_less_than_the_params_hold() {
    let bench = Bench::with(|queue| queue.retry_timeout(Duration::ZERO)).await;
    let running = bench.start(Handlers::new().on("Note", take_note)).await;
    let params = serde_json::json!({"text": "part", "more": [1, 2, 3]});

    let id = bench.enqueue(NewJob::of_type("Note", &params).unwrap()).await;

    bench.completes(id).await;
    assert_eq!(bench.notes().await, ["part"]);
    running.shutdown().await;
}

/// Whoever runs many queues for a short time each, as tests do, runs out of connections otherwise.
#[actix::test]
async fn a_queue_that_was_shut_down_and_dropped_keeps_no_connection() {
    let Bench { db: _db, client, jobs } = {
        let bench = Bench::new().await;
        let running = bench.start(Handlers::new().on("Note", take_note)).await;
        let id = bench.enqueue(note("x")).await;
        bench.completes(id).await;
        running.shutdown().await;
        bench
    };

    drop(jobs);

    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let left = async || client.query_typed_one(others, &[]).await.unwrap().get::<_, i64>(0);
    eventually("the connections' end", async || (left().await == 0).then_some(())).await;
}
