//! Processes that die.

use crate::{
    harness::{Entry, all_entered, migrated, number, until, waiting},
    process::Worker,
    support::TestDb,
};

/// A kill for each 250 effects, in turn; a job that was in the hands of a killed process runs again, and its
/// row in the ledger has a unique key.
#[actix::test]
async fn every_job_has_one_effect_while_processes_are_killed_and_replaced() {
    const JOBS: i64 = 3_000;
    let db = TestDb::new().await;
    let queue = migrated(&db.url()).await;
    let client = db.client().await;
    let settings = [("MAX_DEMAND", "15")];
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(Worker::start(&db.url(), &settings).await);
    }
    let inserter = db.client().await;
    let inserting = actix::spawn(async move {
        for first in (0..JOBS).step_by(50) {
            let jobs: Vec<_> =
                (first..first + 50).map(|n| Entry::working(n, n.unsigned_abs() % 20).max_attempts(1_000)).collect();
            queue.enqueue_many(&inserter, &jobs).await.unwrap();
        }
    });

    let mut rescued = 0;
    for goal in (250..JOBS).step_by(250) {
        until(&client, "the ledger grows", &format!("(SELECT count(*) FROM ledger) >= {goal}")).await;
        let worker = workers.remove(0);
        let nodes = worker.nodes();
        worker.kill().await;
        rescued += number(&client, &format!("SELECT count(*) FROM jobs WHERE node IN {nodes}")).await;
        workers.push(Worker::start(&db.url(), &settings).await);
    }

    inserting.await.unwrap();
    all_entered(&client, JOBS).await;
    assert!(rescued > 0, "no process was killed with a job in its hands");
}

/// The poll interval is an hour and the execution timeout five minutes. The second process slept while the
/// jobs were taken, so that it only ever heard of them.
#[actix::test]
async fn a_process_that_only_listens_rescues_the_jobs_of_one_that_died() {
    let db = TestDb::new().await;
    let queue = migrated(&db.url()).await;
    let client = db.client().await;
    let idle = Worker::start(&db.url(), &[]).await;
    let dying = Worker::start(&db.url(), &[]).await;
    waiting(&client, 2).await;
    idle.signal("STOP").await;
    let jobs: Vec<_> = (0..8).map(|n| Entry::working(n, 3_600_000)).collect();
    queue.enqueue_many(&client, &jobs).await.unwrap();
    let held = format!("(SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS' AND node IN {}) = 8", dying.nodes());
    until(&client, "the jobs run", &held).await;
    // The next attempt is to be a short one.
    client.batch_execute("UPDATE jobs SET params = jsonb_set(params, '{work_ms}', '0')").await.unwrap();
    idle.signal("CONT").await;

    dying.kill().await;

    all_entered(&client, 8).await;
    let rescuer = i64::from(idle.pid());
    assert_eq!(number(&client, &format!("SELECT count(*) FROM ledger WHERE pid = {rescuer}")).await, 8);
    idle.shut_down().await;
}
