//! Jobs that must be found by notification alone: neither a poll nor a follow-up sweep comes within an hour.

use std::time::Duration;

use actix_job_queue::{
    DatabaseOptions, Queue, Running,
    tokio_postgres::{Client, IsolationLevel},
};
use futures_util::future::join_all;

use crate::{
    harness::{Entry, HOUR, all_entered, calm, entering, eventually, migrated, number, queue, waiting},
    support::TestDb,
};

async fn idle_queue(db: &TestDb) -> (Queue, Running) {
    migrated(&db.url()).await;
    let jobs = queue(&db.url(), DatabaseOptions::new(), |queue| queue.dead_after(HOUR)).await;
    let running = jobs.start(entering()).await.unwrap();
    (jobs, running)
}

#[actix::test]
async fn a_committed_job_reaches_an_idle_worker() {
    let db = TestDb::new().await;
    let (jobs, running) = idle_queue(&db).await;
    let mut client = db.client().await;

    for n in 1..=10 {
        waiting(&client, 1).await;
        if n < 3 {
            calm(&client).await;
        }
        let transaction = client.transaction().await.unwrap();
        jobs.enqueue(&transaction, Entry::job(n)).await.unwrap();
        transaction.commit().await.unwrap();
        all_entered(&client, n).await;
    }
    running.shutdown().await;
}

#[actix::test]
async fn a_job_put_there_by_plain_sql_reaches_an_idle_worker() {
    let db = TestDb::new().await;
    let (_jobs, running) = idle_queue(&db).await;
    let client = db.client().await;
    waiting(&client, 1).await;
    calm(&client).await;

    client.batch_execute(r#"INSERT INTO jobs (params) VALUES ('{"n": 1}'), ('{"n": 2}')"#).await.unwrap();

    all_entered(&client, 2).await;
    running.shutdown().await;
}

#[actix::test]
async fn a_scheduled_job_runs_when_it_is_due_and_not_before() {
    let db = TestDb::new().await;
    let (jobs, running) = idle_queue(&db).await;
    let client = db.client().await;
    waiting(&client, 1).await;
    calm(&client).await;

    // The far one first, so that the nearer one must cut its sleep short.
    jobs.enqueue(&client, Entry::job(2).schedule_in(Duration::from_secs(3))).await.unwrap();
    jobs.enqueue(&client, Entry::job(1).schedule_in(Duration::from_secs(1))).await.unwrap();
    client.batch_execute("CREATE TABLE planned AS SELECT id, schedule FROM jobs").await.unwrap();

    all_entered(&client, 2).await;
    let early = "SELECT count(*) FROM ledger JOIN planned ON id = job_id WHERE at < schedule";
    assert_eq!(number(&client, early).await, 0);
    let order = "SELECT count(*) FROM ledger AS one JOIN ledger AS two ON one.n = 1 AND two.n = 2 AND one.at < two.at";
    assert_eq!(number(&client, order).await, 1);
    running.shutdown().await;
}

/// Its insert found nobody waiting and stayed silent; the worker has looked at it again and again since.
#[actix::test]
async fn a_job_inserted_before_the_worker_waited_and_committed_long_after_is_found() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let (mut early, client) = (db.client().await, db.client().await);
    let jobs = queue(&db.url(), DatabaseOptions::new(), |queue| queue.dead_after(HOUR)).await;
    let transaction = early.transaction().await.unwrap();
    jobs.enqueue(&transaction, Entry::job(1)).await.unwrap();

    let running = jobs.start(entering()).await.unwrap();
    waiting(&client, 1).await;
    looked_often(&client).await;
    transaction.commit().await.unwrap();

    all_entered(&client, 1).await;
    // And once it has ended, nobody looks any more.
    calm(&client).await;
    running.shutdown().await;
}

/// Waits until the waiting producer has looked behind a transaction that may hide jobs, many times.
async fn looked_often(client: &Client) {
    let look = "SELECT max(query_start)::text FROM pg_stat_activity \
                 WHERE datname = current_database() AND query LIKE '%a mark behind which nothing is hidden%' AND pid <> pg_backend_pid()";
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    eventually("the producer looks again and again", || async {
        let row = client.query_typed_one(look, &[]).await.unwrap();
        seen.borrow_mut().extend(row.get::<_, Option<String>>(0));
        (seen.borrow().len() > 9).then_some(())
    })
    .await;
}

/// It has a number, and so it holds every snapshot's horizon back; but it cannot hide a job.
#[actix::test]
async fn a_long_transaction_elsewhere_neither_keeps_a_worker_looking_nor_a_job_from_it() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let (mut elsewhere, client) = (db.client().await, db.client().await);
    client.batch_execute("CREATE TABLE elsewhere (id int)").await.unwrap();
    let transaction = elsewhere.transaction().await.unwrap();
    transaction.batch_execute("INSERT INTO elsewhere VALUES (1)").await.unwrap();
    let jobs = queue(&db.url(), DatabaseOptions::new(), |queue| queue.dead_after(HOUR)).await;
    let running = jobs.start(entering()).await.unwrap();

    waiting(&client, 1).await;
    calm(&client).await;
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();

    all_entered(&client, 1).await;
    transaction.rollback().await.unwrap();
    running.shutdown().await;
}

/// How an application may insert.
#[derive(Debug, Clone, Copy)]
enum Way {
    Plain,
    LongTransaction,
    RepeatableRead,
    Savepoint,
    Copy,
}

/// Bursts from 20 connections, with pauses of random lengths, against three producers that go busy and idle
/// all the while; each burst must be drained before the next, which would announce what was forgotten. The
/// long transactions insert while all workers are busy, so that nobody is told, and most of them commit when
/// all are idle again, with nothing to follow.
#[actix::test]
async fn nothing_is_left_waiting_however_it_was_inserted_while_workers_go_busy_and_idle() {
    const BURSTS: i64 = 30;
    const WAYS: [Way; 5] = [Way::Plain, Way::LongTransaction, Way::RepeatableRead, Way::Savepoint, Way::Copy];
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let mut running = Vec::new();
    for max_demand in [1, 2, 5] {
        let jobs =
            queue(&db.url(), DatabaseOptions::new(), |queue| queue.dead_after(HOUR).max_demand(max_demand)).await;
        running.push(jobs.start(entering()).await.unwrap());
    }
    let mut inserters = Vec::new();
    for _ in 0..20 {
        inserters.push(db.client().await);
    }

    for burst in 0..BURSTS {
        let inserts = inserters.iter_mut().enumerate().map(|(number, inserter)| {
            let n = burst * 20 + i64::try_from(number).unwrap();
            insert(inserter, WAYS[number % WAYS.len()], n)
        });
        join_all(inserts).await;
        all_entered(&client, (burst + 1) * 20).await;
    }
    waiting(&client, 3).await;
    for running in running {
        running.shutdown().await;
    }
}

async fn insert(client: &mut Client, way: Way, n: i64) {
    let sql = format!(r#"INSERT INTO jobs (params) VALUES ('{{"n": {n}, "work_ms": 60}}')"#);
    pause(30).await;
    if matches!(way, Way::LongTransaction | Way::Savepoint) {
        // By now the others' jobs keep all workers busy.
        pause(40).await;
    }
    match way {
        Way::Plain => client.batch_execute(&sql).await.unwrap(),
        Way::LongTransaction => {
            let transaction = client.transaction().await.unwrap();
            transaction.batch_execute(&sql).await.unwrap();
            pause(400).await;
            transaction.commit().await.unwrap();
        }
        Way::RepeatableRead => {
            let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
            let transaction = builder.start().await.unwrap();
            transaction.batch_execute("SELECT count(*) FROM jobs").await.unwrap();
            pause(30).await;
            transaction.batch_execute(&sql).await.unwrap();
            pause(30).await;
            transaction.commit().await.unwrap();
        }
        Way::Savepoint => {
            let mut transaction = client.transaction().await.unwrap();
            let savepoint = transaction.transaction().await.unwrap();
            savepoint.batch_execute(&sql).await.unwrap();
            savepoint.commit().await.unwrap();
            pause(400).await;
            transaction.commit().await.unwrap();
        }
        Way::Copy => {
            let transaction = client.transaction().await.unwrap();
            let copy = format!(r#"COPY jobs (params) FROM PROGRAM $$echo '{{"n": {n}, "work_ms": 60}}'$$"#);
            transaction.batch_execute(&copy).await.unwrap();
            pause(30).await;
            transaction.commit().await.unwrap();
        }
    }
}

/// The application's own work between its statements.
async fn pause(most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=most_ms))).await;
}
