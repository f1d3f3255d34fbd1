//! Migrations beside each other and beside the application's own work.

use actix_job_queue::{Database, Queue};
use futures_util::future::join_all;

use crate::{
    common::{dump, eventually, psql},
    support::TestDb,
};

/// Each with connections of its own, as processes that are deployed together have.
#[actix::test]
async fn twenty_migrations_of_two_queues_at_once_make_what_two_make_in_turn() {
    let expected = {
        let db = TestDb::new().await;
        let database = Database::connect(&db.url()).await.unwrap();
        for table in ["one", "two"] {
            Queue::builder(&database, table).schema("work").build().unwrap().migrate().await.unwrap();
        }
        dump(&db)
    };
    let db = TestDb::new().await;
    let databases = join_all((0..20).map(async |_| Database::connect(&db.url()).await.unwrap())).await;
    let queues: Vec<_> = databases
        .iter()
        .enumerate()
        .map(|(number, database)| {
            let table = if number % 2 == 0 { "one" } else { "two" };
            Queue::builder(database, table).schema("work").build().unwrap()
        })
        .collect();

    let tasks = queues.into_iter().map(|queue| tokio::spawn(async move { queue.migrate().await }));
    for outcome in join_all(tasks).await {
        outcome.unwrap().unwrap();
    }

    assert_eq!(dump(&db), expected);
    let recorded = psql(&db, "SELECT target, count(*) FROM work.job_queue_migrations GROUP BY 1 ORDER BY 1");
    assert_eq!(recorded, "|3\none|3\ntwo|3\n");
}

/// Up and down beside each other: whatever the order, the end is one of the two states.
#[actix::test]
async fn migrations_up_and_down_at_once_end_in_one_of_both() {
    let db = TestDb::new().await;
    psql(&db, "CREATE SCHEMA work");
    let nothing = dump(&db);
    let database = Database::connect(&db.url()).await.unwrap();
    let queue = Queue::builder(&database, "jobs").schema("work").build().unwrap();
    queue.migrate().await.unwrap();
    let everything = dump(&db);

    let versions = [3, 0, 3, 1, 0, 2, 3, 0].into_iter();
    let tasks = versions.map(|version| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.migrate_to(version).await })
    });
    for outcome in join_all(tasks).await {
        outcome.unwrap().unwrap();
    }

    queue.migrate().await.unwrap();
    assert_eq!(dump(&db), everything);
    queue.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), nothing);
}

/// Another transaction holds the strongest lock on every other table; a migration that touched one of them
/// would wait for it.
#[actix::test]
async fn a_new_queue_waits_for_no_lock_on_other_tables() {
    let db = TestDb::new().await;
    let database = Database::connect(&db.url()).await.unwrap();
    let first = Queue::builder(&database, "first").build().unwrap();
    first.migrate().await.unwrap();
    let mut busy = db.client().await;
    busy.batch_execute("CREATE TABLE users (id int PRIMARY KEY)").await.unwrap();
    let transaction = busy.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE users, first IN ACCESS EXCLUSIVE MODE").await.unwrap();

    Queue::builder(&database, "second").build().unwrap().migrate().await.unwrap();

    transaction.rollback().await.unwrap();
    first.migrate().await.unwrap();
}

/// The record of the last migration is held back by another transaction's row of the same key; at that point
/// the migration has done all its work, and `pg_locks` shows what it locked.
#[actix::test]
async fn an_open_migration_locks_no_table_but_its_own() {
    let db = TestDb::new().await;
    let database = Database::connect(&db.url()).await.unwrap();
    Queue::builder(&database, "first").build().unwrap().migrate().await.unwrap();
    let (mut busy, look) = (db.client().await, db.client().await);
    busy.batch_execute("CREATE TABLE users (id int PRIMARY KEY)").await.unwrap();
    let transaction = busy.transaction().await.unwrap();
    let last = Queue::newest_migration();
    let record = format!("INSERT INTO job_queue_migrations (target, version) VALUES ('second', {last})");
    transaction.batch_execute(&record).await.unwrap();
    let second = Queue::builder(&database, "second").build().unwrap();
    let migrating = tokio::spawn(async move { second.migrate().await });
    let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the migration waits", async || look.query_opt(waiting, &[]).await.unwrap().is_some()).await;

    let locked = format!(
        "SELECT DISTINCT coalesce(i.indrelid, l.relation)::regclass::text
           FROM pg_locks AS l
           LEFT JOIN pg_index AS i ON i.indexrelid = l.relation
           JOIN pg_class AS c ON c.oid = l.relation
          WHERE l.pid = ({waiting}) AND c.relnamespace = 'public'::regnamespace
          ORDER BY 1"
    );
    let locked: Vec<String> = look.query_typed(&locked, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    transaction.rollback().await.unwrap();
    migrating.await.unwrap().unwrap();

    assert_eq!(locked, ["job_queue_migrations"], "beside its own table, which nobody else can see yet");
}
