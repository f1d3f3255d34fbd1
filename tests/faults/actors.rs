//! actix's own traps: arbiters and systems that end, and what lives on them.

use std::sync::{Arc, Mutex, mpsc as blocking};

use actix::{Arbiter, System};
use actix_job_queue::{
    Completed, Context, Database, DatabaseOptions, Enqueue, Handlers, Job, JobError, StartError,
    tokio_postgres::types::Type,
};
use futures_util::future::join_all;

use crate::{
    harness::{Entry, HOUR, all_entered, enter, entering, migrated, number, queue, until, write},
    support::TestDb,
};

/// Ends all connections but the one that asks.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity \
                         WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// The connection was opened from the first queue's arbiter, which has ended; the backend is the same.
#[actix::test]
async fn a_connection_that_was_opened_on_an_arbiter_outlives_it() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    client.batch_execute("CREATE TABLE backends (n bigint, pid int)").await.unwrap();
    let options = DatabaseOptions::new().pool_size(1);
    let jobs = queue(&db.url(), options, |queue| queue.arbiters(1)).await;
    let handlers = || {
        Handlers::new().any(async |job: Job<Entry>, mut ctx: Context| -> Result<Completed, JobError> {
            let completion = ctx.begin().await?;
            write(&completion, job.id, job.params.n).await?;
            let sql = "INSERT INTO backends VALUES ($1, pg_backend_pid())";
            completion.execute_typed(sql, &[(&job.params.n, Type::INT8)]).await?;
            Ok(completion.commit().await?)
        })
    };
    // The first look of connecting opened one already; this one is to be the arbiter's.
    number(&client, TERMINATE).await;

    for n in 1..=3 {
        let running = jobs.start(handlers()).await.unwrap();
        jobs.enqueue(&client, Entry::job(n)).await.unwrap();
        all_entered(&client, n).await;
        running.shutdown().await;
    }

    assert_eq!(number(&client, "SELECT count(DISTINCT pid) FROM backends").await, 1);
}

/// What the test holds the other end of.
type Released = Arc<Mutex<blocking::Receiver<()>>>;

/// Handlers that enter their jobs, after one of them has blocked something until it is released.
fn blocking_at(n: i64, block: fn(&Released)) -> (blocking::Sender<()>, Handlers) {
    let (release, released) = blocking::channel();
    let released = Released::new(Mutex::new(released));
    let handlers = Handlers::new().any(move |job: Job<Entry>, ctx: Context| {
        let released = Arc::clone(&released);
        async move {
            if job.params.n == n {
                block(&released);
            }
            enter(job, ctx).await
        }
    });
    (release, handlers)
}

/// The pool's only connection was opened on the arbiter that is blocked then.
#[actix::test]
async fn a_blocked_arbiter_freezes_no_statement_elsewhere() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let (release, handlers) = blocking_at(2, |released| released.lock().unwrap().recv().unwrap());
    let jobs = queue(&db.url(), DatabaseOptions::new().pool_size(1), |queue| queue.arbiters(1)).await;
    let running = jobs.start(handlers).await.unwrap();
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();
    all_entered(&client, 1).await;
    jobs.enqueue(&client, Entry::job(2)).await.unwrap();
    until(&client, "it blocks", "EXISTS (SELECT FROM jobs WHERE state = 'IN_PROGRESS')").await;

    for n in 3..=6 {
        jobs.addr().send(Enqueue(Entry::job(n))).await.unwrap().unwrap();
    }
    let dead_at = "SELECT (EXTRACT(epoch FROM dead_at) * 1e6)::bigint FROM job_queue_nodes";
    for _ in 0..5 {
        let before = number(&client, dead_at).await;
        until(&client, "its process goes on beating", &format!("({dead_at}) > {before}")).await;
    }
    let kept = "SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS' AND attempt = 1";
    assert_eq!(number(&client, kept).await, 1, "dead_after is a second, and it has blocked for longer");
    release.send(()).unwrap();

    all_entered(&client, 6).await;
    running.shutdown().await;
}

/// More tasks than a runtime has threads for, each of which never lets go of its thread.
#[actix::test]
async fn tasks_that_a_handler_spawned_and_that_block_freeze_no_statement() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let (release, handlers) = blocking_at(1, |released| {
        for _ in 0..16 {
            let released = Arc::clone(released);
            // It ends once nobody holds the other end.
            tokio::spawn(async move { released.lock().unwrap().recv() });
        }
    });
    let jobs = queue(&db.url(), DatabaseOptions::new().pool_size(1), |queue| queue.arbiters(1)).await;
    let running = jobs.start(handlers).await.unwrap();
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();
    all_entered(&client, 1).await;

    for n in 2..=4 {
        // Connections are opened too. What is under way is another test's.
        let busy = "SELECT FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
        until(&client, "it is at rest", &format!("NOT EXISTS ({busy})")).await;
        assert!(number(&client, TERMINATE).await > 0);
        jobs.enqueue(&client, Entry::job(n)).await.unwrap();
        all_entered(&client, n).await;
    }

    drop(release);
    running.shutdown().await;
}

/// The library's arbiters are its own, so the end of the one that started the queue is nothing to it.
#[actix::test]
async fn a_queue_outlives_the_arbiter_that_started_it() {
    let db = TestDb::new().await;
    let jobs = migrated(&db.url()).await;
    let client = db.client().await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let arbiter = Arbiter::new();
    let starting = jobs.clone();
    arbiter.spawn(async move {
        let address = starting.addr();
        let id = address.send(Enqueue(Entry::job(1))).await.unwrap().unwrap();
        let running = starting.start(entering()).await.unwrap();
        assert!(tell.send((running, address, id)).is_ok());
    });
    let (running, address, _) = told.await.unwrap();
    all_entered(&client, 1).await;

    arbiter.stop();
    arbiter.join().unwrap();

    address.send(Enqueue(Entry::job(2))).await.unwrap().unwrap();
    jobs.addr().send(Enqueue(Entry::job(3))).await.unwrap().unwrap();
    all_entered(&client, 3).await;
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned), (0, 0), "{report}");
}

/// The worker on it dies with its arbiter and all its jobs; it is replaced, and they are tried again.
#[actix::test]
async fn an_arbiter_that_is_stopped_under_its_worker_is_replaced_and_its_jobs_run_again() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let handlers = Handlers::new().any(async |job: Job<Entry>, ctx: Context| -> Result<Completed, JobError> {
        if job.params.n % 10 == 0 && job.attempt == 1 {
            Arbiter::current().stop();
            std::future::pending::<()>().await;
        }
        enter(job, ctx).await
    });
    let jobs = queue(&db.url(), DatabaseOptions::new(), |queue| queue.arbiters(2)).await;
    let running = jobs.start(handlers).await.unwrap();

    jobs.enqueue_many(&client, &(1..=40).map(|n| Entry::working(n, 5)).collect::<Vec<_>>()).await.unwrap();

    all_entered(&client, 40).await;
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned), (0, 0), "{report}");
}

/// `System::stop` takes the arbiters with it, and the jobs in them. The process lives, but beats no more.
#[actix::test]
async fn a_system_that_stops_without_a_shutdown_has_its_jobs_rescued_like_a_dead_process() {
    let db = TestDb::new().await;
    let jobs = migrated(&db.url()).await;
    let client = db.client().await;
    jobs.enqueue_many(&client, &(1..=5).map(Entry::job).collect::<Vec<_>>()).await.unwrap();
    let (url, (running_tells, is_running)) = (db.url(), tokio::sync::oneshot::channel());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let system = System::new();
        let running = system.block_on(async move {
            let jobs = queue(&url, DatabaseOptions::new(), |queue| queue).await;
            let pending = Handlers::new().any(|_: Job<Entry>, _: Context| std::future::pending());
            let running = jobs.start(pending).await.unwrap();
            running_tells.send(()).unwrap();
            actix::spawn(async move {
                stopped.await.unwrap();
                System::current().stop();
            });
            (running, jobs)
        });
        system.run().unwrap();
        running
    });
    is_running.await.unwrap();
    until(&client, "they run", "(SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS') = 5").await;

    stop.send(()).unwrap();
    let abandoned = tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
    let other = queue(&db.url(), DatabaseOptions::new(), |queue| queue).await.start(entering()).await.unwrap();

    all_entered(&client, 5).await;
    other.shutdown().await;
    drop(abandoned);
}

/// Each test of an application has a system of its own; its database may be a static.
#[actix::test]
async fn a_database_serves_one_system_after_another() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let database = Database::connect(&db.url()).await.unwrap();

    for n in 1..=3 {
        let (database, url) = (database.clone(), db.url());
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                let jobs = crate::harness::builder(&database).build().unwrap();
                let running = jobs.start(entering()).await.unwrap();
                jobs.addr().send(Enqueue(Entry::job(n))).await.unwrap().unwrap();
                let client = crate::support::connect(&url).await;
                all_entered(&client, n).await;
                if n % 2 == 0 {
                    running.shutdown().await;
                }
                System::current().stop();
            });
        });
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
    }
    all_entered(&client, 3).await;
}

#[tokio::test]
async fn outside_a_system_a_start_is_an_error_and_no_panic_and_the_transactional_door_is_open() {
    let db = TestDb::new().await;
    let jobs = migrated(&db.url()).await;
    let client = db.client().await;

    assert!(matches!(jobs.start(entering()).await, Err(StartError::Arbiter(_))));
    assert!(jobs.addr().send(Enqueue(Entry::job(1))).await.is_err());
    jobs.enqueue(&client, Entry::job(2)).await.unwrap();

    assert_eq!(number(&client, "SELECT count(*) FROM jobs").await, 1);
}

/// A mailbox of 16, as actix makes them, would refuse most of these.
#[actix::test]
async fn a_flood_of_enqueue_messages_is_answered_whole() {
    let db = TestDb::new().await;
    let jobs = migrated(&db.url()).await;
    let client = db.client().await;
    let address = jobs.addr();

    let sent = (0..5_000).map(|n| address.send(Enqueue(Entry::job(n).schedule_in(HOUR))));
    let mut ids: Vec<_> = join_all(sent).await.into_iter().map(|id| id.unwrap().unwrap()).collect();

    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5_000);
    assert_eq!(number(&client, "SELECT count(*) FROM jobs").await, 5_000);
}
