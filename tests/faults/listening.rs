//! The connection that listens, lost or not wanted at all.

use std::{sync::Arc, time::Duration};

use actix_job_queue::{Context, DatabaseOptions, Handlers, Job, Listen};
use tokio::sync::Semaphore;

use crate::{
    harness::{Entry, HOUR, all_entered, calm, enter, entering, migrated, number, queue, until, waiting},
    support::{
        TestDb,
        proxy::{Mode, Proxy},
    },
};

/// The statements by which a listening connection is known: each may be its last.
const LISTENER: &str = "datname = current_database() AND pid <> pg_backend_pid() AND (query ILIKE 'LISTEN %' \
     OR query LIKE '%pg_try_advisory_lock_shared%' OR query LIKE '%pg_advisory_unlock_shared%' \
     OR query LIKE '%a mark behind which nothing is hidden%')";

/// Handlers that wait for permits, and then enter their job.
fn gated(gate: &Arc<Semaphore>) -> Handlers {
    let gate = Arc::clone(gate);
    Handlers::new().any(move |job: Job<Entry>, ctx: Context| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            assert_eq!(job.attempt, 1, "a running job was touched");
            enter(job, ctx).await
        }
    })
}

/// A dead_after of an hour too, so that no sweep finds what a notification should have told.
#[actix::test]
async fn a_lost_listener_touches_no_running_handler_and_comes_back_and_misses_nothing() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let jobs = queue(&db.url(), DatabaseOptions::new(), |queue| queue.dead_after(HOUR)).await;
    let client = db.client().await;
    let gate = Arc::new(Semaphore::new(0));
    let running = jobs.start(gated(&gate)).await.unwrap();
    jobs.enqueue_many(&client, &[1, 2, 3].map(Entry::job)).await.unwrap();
    until(&client, "the jobs run", "(SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS') = 3").await;

    for n in 4..=8 {
        waiting(&client, 1).await;
        let terminate = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {LISTENER}");
        assert_eq!(number(&client, &terminate).await, 1, "there is one that listens");
        jobs.enqueue(&client, Entry::job(n)).await.unwrap();
        let found = format!("(SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS') = {n}");
        until(&client, "the job committed in between is found", &found).await;
    }

    assert_eq!(number(&client, "SELECT max(attempt)::bigint FROM jobs").await, 1);
    gate.add_permits(8);
    all_entered(&client, 8).await;
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned), (0, 0), "{report}");
}

/// The job is committed while nobody can listen: the new connection has its producer look once.
#[actix::test]
async fn a_job_committed_while_the_listener_is_away_is_found_when_it_is_back() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let proxy = Proxy::start(db.address()).await;
    let options =
        DatabaseOptions::new().listen(Listen::At(proxy.url(&db.name))).listen_timeout(Duration::from_millis(300));
    let jobs = queue(&db.url(), options, |queue| queue.dead_after(HOUR)).await;
    let client = db.client().await;
    let running = jobs.start(entering()).await.unwrap();
    waiting(&client, 1).await;

    proxy.set(Mode::Swallow);
    proxy.cut();
    waiting(&client, 0).await;
    // The producer looks once when its listener is lost.
    calm(&client).await;
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE state = 'AVAILABLE'").await, 1);
    proxy.set(Mode::Pass);

    all_entered(&client, 1).await;
    waiting(&client, 1).await;
    jobs.enqueue(&client, Entry::job(2)).await.unwrap();
    all_entered(&client, 2).await;
    running.shutdown().await;
}

#[actix::test]
async fn without_a_listener_polling_alone_runs_every_job() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let options = DatabaseOptions::new().listen(Listen::Off);
    let jobs = queue(&db.url(), options, |queue| queue.poll_interval(Duration::from_millis(200))).await;
    let client = db.client().await;
    let running = jobs.start(entering()).await.unwrap();

    for burst in 0..4 {
        let entries: Vec<_> = (burst * 30..burst * 30 + 30).map(Entry::job).collect();
        jobs.enqueue_many(&client, &entries).await.unwrap();
        all_entered(&client, burst * 30 + 30).await;
    }

    assert_eq!(number(&client, &format!("SELECT count(*) FROM pg_stat_activity WHERE {LISTENER}")).await, 0);
    running.shutdown().await;
}

#[actix::test]
async fn where_nobody_answers_the_listener_polling_alone_runs_every_job() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("postgres://postgres@{}/{}", nobody.local_addr().unwrap(), db.name);
    let options = DatabaseOptions::new().listen(Listen::At(address)).listen_timeout(Duration::from_millis(100));
    let jobs = queue(&db.url(), options, |queue| queue.poll_interval(Duration::from_millis(200))).await;
    let client = db.client().await;
    let running = jobs.start(entering()).await.unwrap();

    jobs.enqueue_many(&client, &[1, 2, 3].map(Entry::job)).await.unwrap();

    all_entered(&client, 3).await;
    running.shutdown().await;
}
