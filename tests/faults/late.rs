//! Processes that wake when everybody believes them dead.

use crate::{
    harness::{Entry, all_entered, migrated, number, until},
    process::Worker,
    support::TestDb,
};

/// The handler goes on in a task of its own when its job is taken away, so its completion is tried whatever
/// the heartbeat finds first.
#[actix::test]
async fn a_worker_that_wakes_late_cannot_complete_what_another_has_completed() {
    let db = TestDb::new().await;
    let queue = migrated(&db.url()).await;
    let client = db.client().await;
    let late = Worker::start(&db.url(), &[]).await;
    queue.enqueue(&client, Entry::working(1, 1_000)).await.unwrap();
    late.says("running 1 attempt 1").await;
    late.signal("STOP").await;

    let other = Worker::start(&db.url(), &[]).await;
    all_entered(&client, 1).await;
    late.signal("CONT").await;

    let refused = late.says("refused 1 attempt 1").await;
    assert!(refused.contains("could not tell the database for 1s that it lives"), "{refused}");
    assert_eq!(number(&client, "SELECT pid::bigint FROM ledger").await, i64::from(other.pid()));
    assert_eq!(late.said(), ["ready", "running 1 attempt 1", &refused]);
}

/// The same while the other is at it still: neither the completion nor what follows it touches the new hold.
#[actix::test]
async fn a_worker_that_wakes_late_cannot_complete_or_fail_what_another_is_performing() {
    let db = TestDb::new().await;
    let queue = migrated(&db.url()).await;
    let client = db.client().await;
    let late = Worker::start(&db.url(), &[]).await;
    queue.enqueue(&client, Entry::working(1, 1_000)).await.unwrap();
    late.says("running 1 attempt 1").await;
    late.signal("STOP").await;
    client.batch_execute("UPDATE jobs SET params = jsonb_set(params, '{work_ms}', '3000')").await.unwrap();
    let other = Worker::start(&db.url(), &[]).await;
    other.says("running 1 attempt 2").await;

    late.signal("CONT").await;
    let refused = late.says("refused 1 attempt 1").await;

    assert!(refused.contains("could not tell the database for 1s that it lives"), "{refused}");
    assert_eq!(number(&client, "SELECT count(*) FROM ledger").await, 0, "the other has not come so far");
    let unharmed =
        format!("EXISTS (SELECT FROM jobs WHERE state = 'IN_PROGRESS' AND attempt = 2 AND node IN {})", other.nodes());
    until(&client, "the other still holds it", &unharmed).await;
    all_entered(&client, 1).await;
    assert_eq!(number(&client, "SELECT pid::bigint FROM ledger").await, i64::from(other.pid()));
    assert_eq!(other.said(), ["ready", "running 1 attempt 2"]);
}
