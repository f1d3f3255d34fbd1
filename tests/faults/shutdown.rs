//! The end of a queue: in order, in time, and with nothing left behind.

use std::{
    sync::{Arc, Mutex, mpsc as blocking},
    time::Duration,
};

use actix_job_queue::{Context, Database, DatabaseOptions, Handlers, Job, Queues, Running, ShutdownReport};
use tokio::sync::Semaphore;

use crate::{
    harness::{Entry, all_entered, builder, enter, entering, migrated, number, queue, until, write},
    support::TestDb,
};

/// Neither state may survive a shutdown.
const HELD: &str = "SELECT count(*) FROM jobs WHERE state IN ('RESERVED', 'IN_PROGRESS')";

fn minute(queue: actix_job_queue::QueueBuilder) -> actix_job_queue::QueueBuilder {
    // A rescue shall not hide what the shutdown forgot.
    queue.dead_after(Duration::from_secs(600))
}

/// Each round is shut down in the midst of its load, the last one works what the others left.
#[actix::test]
async fn a_shutdown_under_load_lets_running_handlers_finish_and_leaves_nothing_held() {
    const JOBS: i64 = 600;
    let db = TestDb::new().await;
    let jobs = migrated(&db.url()).await;
    let client = db.client().await;
    let entries: Vec<_> = (0..JOBS).map(|n| Entry::working(n, n.unsigned_abs() % 40)).collect();
    jobs.enqueue_many(&client, &entries).await.unwrap();

    for goal in [100, 200, 300, 400, 500] {
        let jobs = queue(&db.url(), DatabaseOptions::new(), |queue| minute(queue).max_demand(30)).await;
        let running = jobs.start(entering()).await.unwrap();
        until(&client, "the ledger grows", &format!("(SELECT count(*) FROM ledger) >= {goal}")).await;

        let report = running.shutdown().await;

        assert_eq!((report.left, report.returned, report.failed), (0, 0, 0), "{report}");
        assert_eq!(number(&client, HELD).await, 0);
        assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE attempt > 0").await, 0);
        let entered = number(&client, "SELECT count(*) FROM ledger").await;
        assert_eq!(number(&client, "SELECT count(*) FROM jobs").await, JOBS - entered);
        assert_eq!(number(&client, "SELECT count(*) FROM job_queue_nodes").await, 0);
    }
    let running = jobs.start(entering()).await.unwrap();
    all_entered(&client, JOBS).await;
    running.shutdown().await;
}

/// The running jobs are let go once the shutdown is seen, so every one of them ends within the grace.
#[actix::test]
async fn the_report_of_a_shutdown_agrees_with_the_table() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let set = |queue| minute(queue).max_demand(9).shutdown_timeout(Duration::from_secs(1));
    let jobs = queue(&db.url(), DatabaseOptions::new(), set).await;
    let client = db.client().await;
    let entries: Vec<_> = (0..12).map(|n| Entry::job(n).max_attempts(1)).collect();
    jobs.enqueue_many(&client, &entries).await.unwrap();
    let handlers = Handlers::new().any(|job: Job<Entry>, ctx: Context| async move {
        ctx.shutting_down().cancelled().await;
        match job.params.n % 3 {
            0 => enter(job, ctx).await,
            1 => Err("it does not work".into()),
            _ => std::future::pending().await,
        }
    });
    let running = jobs.start(handlers).await.unwrap();
    until(&client, "nine run", "(SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS') = 9").await;

    let report = running.shutdown().await;

    let ShutdownReport { completed, failed, returned, unreserved, left, .. } = report;
    assert_eq!((completed, failed, returned, unreserved, left), (3, 3, 3, 0, 0), "{report}");
    assert_eq!(number(&client, "SELECT count(*) FROM ledger").await, 3);
    assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE state = 'FAILED' AND attempt = 1").await, 3);
    // The three that were broken off have lost no attempt, and three were never claimed.
    assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE state = 'AVAILABLE' AND attempt = 0").await, 6);
    assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE errors IS NOT NULL").await, 3);
}

/// Each handler ends only when the other queue drains too; one after the other, they would wait in vain.
#[actix::test]
async fn a_shutdown_begins_in_all_queues_at_once() {
    let db = TestDb::new().await;
    let one = migrated(&db.url()).await;
    let database = Database::connect(&db.url()).await.unwrap();
    let two = actix_job_queue::Queue::builder(&database, "more_jobs").shutdown_timeout(HALF_MINUTE).build().unwrap();
    two.migrate().await.unwrap();
    let one = minute(builder(&database)).shutdown_timeout(HALF_MINUTE).build().inspect(|_| drop(one)).unwrap();
    let client = db.client().await;
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let handlers = || {
        let barrier = Arc::clone(&barrier);
        Handlers::new().any(move |job: Job<Entry>, ctx: Context| {
            let barrier = Arc::clone(&barrier);
            async move {
                ctx.shutting_down().cancelled().await;
                barrier.wait().await;
                enter(job, ctx).await
            }
        })
    };
    one.enqueue(&client, Entry::job(1)).await.unwrap();
    two.enqueue(&client, Entry::job(2)).await.unwrap();
    let running = Queues::new().add(&one, handlers()).add(&two, handlers()).start().await.unwrap();
    for table in ["jobs", "more_jobs"] {
        until(&client, "both run", &format!("EXISTS (SELECT FROM {table} WHERE state = 'IN_PROGRESS')")).await;
    }

    let report = running.shutdown().await;

    assert_eq!((report.completed, report.returned, report.left), (2, 0, 0), "{report}");
}

const HALF_MINUTE: Duration = Duration::from_secs(30);

/// Four graces of five seconds each, one after the other, would take longer than the test waits.
#[actix::test]
async fn all_queues_share_one_deadline() {
    let db = TestDb::new().await;
    let database = Database::connect(&db.url()).await.unwrap();
    let client = db.client().await;
    let mut queues = Queues::new();
    let tables = ["one", "two", "three", "four"];
    for table in tables {
        let queue =
            actix_job_queue::Queue::builder(&database, table).shutdown_timeout(Duration::from_secs(5)).build().unwrap();
        queue.migrate().await.unwrap();
        queue.enqueue_many(&client, &[1, 2].map(Entry::job)).await.unwrap();
        queues = queues.add(&queue, Handlers::new().any(|_: Job<Entry>, _: Context| std::future::pending()));
    }
    let running = queues.start().await.unwrap();
    for table in tables {
        until(&client, "they run", &format!("(SELECT count(*) FROM {table} WHERE state = 'IN_PROGRESS') = 2")).await;
    }

    let report = tokio::time::timeout(Duration::from_secs(19), running.shutdown()).await.expect("one deadline");

    assert_eq!((report.returned, report.left, report.completed), (8, 0, 0), "{report}");
    for table in tables {
        let returned = format!("SELECT count(*) FROM {table} WHERE state = 'AVAILABLE' AND attempt = 0");
        assert_eq!(number(&client, &returned).await, 2);
    }
}

/// Blocks its thread until the test says otherwise, before its completion or within it.
struct Blocker {
    release: blocking::Sender<()>,
    handlers: Handlers,
    outcomes: tokio::sync::mpsc::UnboundedReceiver<String>,
}

fn blocker(within_completion: bool) -> Blocker {
    let (release, released) = blocking::channel();
    let released = Arc::new(Mutex::new(released));
    let (tell, outcomes) = tokio::sync::mpsc::unbounded_channel();
    let handlers = Handlers::new().any(move |job: Job<Entry>, mut ctx: Context| {
        let (released, tell) = (Arc::clone(&released), tell.clone());
        async move {
            let block = move || released.lock().unwrap().recv();
            // The completion goes on in a task of its own, whatever becomes of its job.
            let work = async move {
                if within_completion {
                    let completion = ctx.begin().await?;
                    write(&completion, job.id, job.params.n).await?;
                    block()?;
                    Ok(completion.commit().await?)
                } else {
                    block()?;
                    enter(job, ctx).await
                }
            };
            let done = actix::spawn(async move {
                let done: Result<_, actix_job_queue::JobError> = work.await;
                let told = done.as_ref().map_or_else(ToString::to_string, |_| "completed".to_owned());
                // The test may have ended.
                let _ = tell.send(told);
                done
            });
            done.await?
        }
    });
    Blocker { release, handlers, outcomes }
}

async fn blocked(db: &TestDb, handlers: Handlers, jobs_there: i64) -> Running {
    migrated(&db.url()).await;
    let set = |queue| minute(queue).arbiters(1).max_demand(4).shutdown_timeout(Duration::from_millis(500));
    let jobs = queue(&db.url(), DatabaseOptions::new(), set).await;
    let client = db.client().await;
    let running = jobs.start(handlers).await.unwrap();
    let entries: Vec<_> = (1..=jobs_there).map(Entry::job).collect();
    jobs.enqueue_many(&client, &entries).await.unwrap();
    until(&client, "one runs", "EXISTS (SELECT FROM jobs WHERE state = 'IN_PROGRESS')").await;
    running
}

#[actix::test]
async fn a_handler_that_blocks_its_thread_does_not_hold_up_a_shutdown_and_its_job_is_given_back() {
    let db = TestDb::new().await;
    let Blocker { release, handlers, mut outcomes } = blocker(false);
    let running = blocked(&db, handlers, 1).await;
    let client = db.client().await;

    let report = running.shutdown().await;

    assert_eq!((report.returned, report.left, report.completed), (1, 0, 0), "{report}");
    assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE state = 'AVAILABLE' AND attempt = 0").await, 1);
    // When it comes to itself, the job is not its own any more; or its thread has ended with it.
    release.send(()).unwrap();
    let outcome = outcomes.recv().await;
    assert!(outcome.as_deref() != Some("completed"), "{outcome:?}");
    assert_eq!(number(&client, "SELECT count(*) FROM ledger").await, 0);
    let other = queue(&db.url(), DatabaseOptions::new(), |queue| queue).await.start(entering()).await.unwrap();
    all_entered(&client, 1).await;
    other.shutdown().await;
}

/// Its transaction keeps the row locked; it is ended by closing its connection.
#[actix::test]
async fn a_handler_that_blocks_within_its_completion_has_it_undone_and_its_job_given_back() {
    let db = TestDb::new().await;
    let Blocker { release, handlers, mut outcomes } = blocker(true);
    let running = blocked(&db, handlers, 1).await;
    let client = db.client().await;
    until(
        &client,
        "its completion is open",
        "EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' \
         AND datname = current_database())",
    )
    .await;

    let report = running.shutdown().await;

    assert_eq!((report.returned, report.left, report.completed), (1, 0, 0), "{report}");
    assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE state = 'AVAILABLE' AND attempt = 0").await, 1);
    release.send(()).unwrap();
    // Its thread may have ended with it.
    let outcome = outcomes.recv().await;
    assert!(outcome.as_deref() != Some("completed"), "{outcome:?}");
    let other = queue(&db.url(), DatabaseOptions::new(), |queue| queue).await.start(entering()).await.unwrap();
    all_entered(&client, 1).await;
    other.shutdown().await;
}

/// What waits behind the blocked thread is claimed and cannot start.
#[actix::test]
async fn jobs_that_are_reserved_behind_a_blocked_thread_are_given_back_by_a_shutdown() {
    let db = TestDb::new().await;
    let Blocker { release, handlers, outcomes } = blocker(false);
    let running = blocked(&db, handlers, 1).await;
    let client = db.client().await;
    client
        .batch_execute(r#"INSERT INTO jobs (params) VALUES ('{"n": 2}'), ('{"n": 3}'), ('{"n": 4}'), ('{"n": 5}')"#)
        .await
        .unwrap();
    until(&client, "three are reserved", "(SELECT count(*) FROM jobs WHERE state = 'RESERVED') = 3").await;

    let report = running.shutdown().await;

    assert_eq!((report.unreserved, report.returned, report.left), (3, 1, 0), "{report}");
    assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE state = 'AVAILABLE' AND attempt = 0").await, 5);
    release.send(()).unwrap();
    drop(outcomes);
}

/// The other arbiters go on all the while.
#[actix::test]
async fn a_blocked_thread_holds_up_neither_other_handlers_nor_their_end() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let (release, released) = blocking::channel::<()>();
    let released = Mutex::new(released);
    let (entered_gate, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let handlers = Handlers::new().any({
        let (released, entered_gate, gate) = (Arc::new(released), Arc::clone(&entered_gate), Arc::clone(&gate));
        move |job: Job<Entry>, ctx: Context| {
            let (released, entered_gate, gate) = (Arc::clone(&released), Arc::clone(&entered_gate), Arc::clone(&gate));
            async move {
                match job.params.n {
                    0 => {
                        released.lock().unwrap().recv()?;
                        Err("blocked".into())
                    }
                    _ => {
                        entered_gate.add_permits(1);
                        gate.acquire().await?.forget();
                        enter(job, ctx).await
                    }
                }
            }
        }
    });
    let set = |queue| minute(queue).arbiters(2).max_demand(4).shutdown_timeout(Duration::from_secs(2));
    let jobs = queue(&db.url(), DatabaseOptions::new(), set).await;
    let running = jobs.start(handlers).await.unwrap();
    jobs.enqueue(&client, Entry::job(0)).await.unwrap();
    until(&client, "one blocks", "EXISTS (SELECT FROM jobs WHERE state = 'IN_PROGRESS')").await;
    jobs.enqueue_many(&client, &[1, 2].map(Entry::job)).await.unwrap();
    entered_gate.acquire_many(1).await.unwrap().forget();

    let ending = actix::spawn(running.shutdown());
    gate.add_permits(2);
    let report = ending.await.unwrap();

    assert!(report.completed >= 1, "{report}");
    let entered = number(&client, "SELECT count(*) FROM ledger").await.unsigned_abs();
    assert_eq!(report.completed, entered, "{report}");
    assert_eq!(report.returned + report.unreserved, 3 - entered, "{report}");
    assert_eq!(number(&client, HELD).await, 0);
    release.send(()).unwrap();
}
