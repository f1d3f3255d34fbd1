//! Every path of migrations ends in the same schema.

use actix_job_queue::{Database, MigrateError, Queue};
use futures_util::StreamExt;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::{
    common::{dump, psql},
    support::TestDb,
};

async fn queue(db: &TestDb) -> Queue {
    let database = Database::connect(&db.url()).await.unwrap();
    Queue::builder(&database, "jobs").schema("work").build().unwrap()
}

/// What a fresh install looks like: its schema, and which migrations are recorded.
async fn fresh() -> (String, String) {
    let db = TestDb::new().await;
    queue(&db).await.migrate().await.unwrap();
    state(&db)
}

fn state(db: &TestDb) -> (String, String) {
    (dump(db), psql(db, "SELECT target, version FROM work.job_queue_migrations ORDER BY 1, 2"))
}

#[actix::test]
async fn migrating_again_changes_nothing_and_keeps_the_jobs() {
    let db = TestDb::new().await;
    let jobs = queue(&db).await;
    jobs.migrate().await.unwrap();
    jobs.enqueue(&db.client().await, crate::common::job()).await.unwrap();
    let before = state(&db);

    jobs.migrate().await.unwrap();
    jobs.migrate_to(Queue::newest_migration()).await.unwrap();

    assert_eq!(state(&db), before);
    assert_eq!(psql(&db, "SELECT count(*) FROM work.jobs").trim(), "1");
}

#[actix::test]
async fn every_prefix_of_the_migrations_is_carried_on_to_the_fresh_schema() {
    let expected = fresh().await;
    for version in 0..=Queue::newest_migration() {
        let db = TestDb::new().await;
        let jobs = queue(&db).await;

        jobs.migrate_to(version).await.unwrap();
        jobs.migrate().await.unwrap();

        assert_eq!(state(&db), expected, "by way of migration {version}");
    }
}

#[actix::test]
async fn every_way_down_leads_to_that_version_and_up_again_to_the_fresh_schema() {
    let expected = fresh().await;
    for version in 0..Queue::newest_migration() {
        let (up, down) = (TestDb::new().await, TestDb::new().await);
        queue(&up).await.migrate_to(version).await.unwrap();
        let jobs = queue(&down).await;
        jobs.migrate().await.unwrap();

        jobs.migrate_to(version).await.unwrap();

        if version > 0 {
            assert_eq!(state(&down), state(&up), "down to migration {version}");
        }
        jobs.migrate().await.unwrap();
        assert_eq!(state(&down), expected, "from migration {version} up again");
    }
}

#[actix::test]
async fn the_printed_sql_makes_the_fresh_schema_and_takes_it_away() {
    let expected = fresh().await;
    let db = TestDb::new().await;
    psql(&db, "CREATE SCHEMA work");
    let before = dump(&db);
    let jobs = queue(&db).await;
    let sql = jobs.migration_sql();

    psql(&db, &sql.shared_up);
    psql(&db, &sql.up);

    assert_eq!(state(&db), expected);
    jobs.migrate().await.unwrap();
    assert_eq!(state(&db), expected, "migrate() finds nothing to do after the printed SQL");

    psql(&db, &sql.down);
    psql(&db, &sql.shared_down);
    assert_eq!(dump(&db), before);
}

#[actix::test]
async fn the_printed_sql_takes_away_what_migrate_made_and_the_other_way_round() {
    let db = TestDb::new().await;
    psql(&db, "CREATE SCHEMA work");
    let before = dump(&db);
    let jobs = queue(&db).await;
    let sql = jobs.migration_sql();

    jobs.migrate().await.unwrap();
    psql(&db, &(sql.down.clone() + &sql.shared_down));
    assert_eq!(dump(&db), before);

    psql(&db, &(sql.shared_up.clone() + &sql.up));
    jobs.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), before);
}

#[actix::test]
async fn shared_objects_of_the_first_version_are_carried_on() {
    let expected = fresh().await;
    let db = TestDb::new().await;
    let jobs = queue(&db).await;
    let script = jobs.migration_sql().shared_up;
    let first = script.find("-- Guarantees that inserts of a busy queue").expect("where the second migration begins");
    psql(&db, "CREATE SCHEMA work");
    psql(&db, &script[..first]);
    assert_eq!(psql(&db, "SELECT max(version) FROM work.job_queue_migrations").trim(), "1");

    jobs.migrate().await.unwrap();

    assert_eq!(state(&db), expected);
}

#[actix::test]
async fn down_leaves_nothing_behind_and_touches_nothing_else() {
    let db = TestDb::new().await;
    psql(&db, "CREATE SCHEMA work; CREATE TABLE work.mine (id int PRIMARY KEY); CREATE TABLE public.jobs (id int)");
    let before = dump(&db);
    let jobs = queue(&db).await;
    jobs.migrate().await.unwrap();

    jobs.migrate_to(0).await.unwrap();

    assert_eq!(dump(&db), before);
}

#[actix::test]
async fn down_from_nothing_makes_nothing() {
    let db = TestDb::new().await;
    let before = dump(&db);
    let jobs = queue(&db).await;

    jobs.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), before, "not even the schema");

    psql(&db, "CREATE SCHEMA work");
    let before = dump(&db);
    jobs.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), before);
}

#[actix::test]
async fn the_shared_objects_stay_while_another_queue_is_there() {
    let db = TestDb::new().await;
    let jobs = queue(&db).await;
    let database = Database::connect(&db.url()).await.unwrap();
    let other = Queue::builder(&database, "other").schema("work").build().unwrap();
    psql(&db, "CREATE SCHEMA work");
    let before = dump(&db);
    jobs.migrate().await.unwrap();
    let alone = dump(&db);
    other.migrate().await.unwrap();

    other.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), alone);

    other.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), alone, "a queue that is not there takes nothing from one that is");

    jobs.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), before);
}

#[actix::test]
async fn a_table_that_was_dropped_by_hand_is_made_again_or_forgotten() {
    let expected = fresh().await;
    let db = TestDb::new().await;
    psql(&db, "CREATE SCHEMA work");
    let before = dump(&db);
    let jobs = queue(&db).await;
    jobs.migrate().await.unwrap();

    psql(&db, "DROP TABLE work.jobs");
    jobs.migrate().await.unwrap();
    assert_eq!(state(&db), expected);

    psql(&db, "DROP TABLE work.jobs");
    jobs.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), before);
}

#[actix::test]
async fn a_queue_at_a_newer_version_is_refused_and_untouched() {
    refuses_newer("jobs", "work.jobs", Queue::newest_migration()).await;
}

#[actix::test]
async fn shared_objects_at_a_newer_version_are_refused_and_untouched() {
    refuses_newer("", "shared objects", 3).await;
}

async fn refuses_newer(target: &str, named: &str, newest: i32) {
    let db = TestDb::new().await;
    let jobs = queue(&db).await;
    jobs.migrate().await.unwrap();
    psql(&db, &format!("INSERT INTO work.job_queue_migrations (target, version) VALUES ('{target}', 99)"));
    let before = state(&db);

    for version in 0..=Queue::newest_migration() {
        match jobs.migrate_to(version).await {
            Err(MigrateError::Newer { target, found: 99, known }) => {
                assert!(target.contains(named), "{target}");
                assert_eq!(known, newest);
            }
            other => panic!("{other:?}"),
        }
    }

    assert_eq!(state(&db), before);
    let refused = jobs.start(crate::common::recording()).await.unwrap_err().to_string();
    assert!(refused.contains("99") && refused.contains("upgrade"), "{refused}");
}

#[actix::test]
async fn a_migration_that_does_not_exist_is_refused() {
    let db = TestDb::new().await;
    let jobs = queue(&db).await;
    for version in [-1, Queue::newest_migration() + 1] {
        let refused = jobs.migrate_to(version).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Unknown { asked, .. } if asked == version), "{refused}");
    }
}

/// Whether a listener hears an insert that no producer waits for.
async fn is_heard(db: &TestDb) -> bool {
    let (client, mut connection) = tokio_postgres::connect(&db.url(), NoTls).await.unwrap();
    let (hear, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
    tokio::spawn(async move {
        while let Some(Ok(AsyncMessage::Notification(notification))) = messages.next().await {
            hear.send(notification.channel().to_owned()).unwrap();
        }
    });
    // One transaction each, so that the end is heard after the insert.
    for statement in
        ["LISTEN \"work.jobs\"; LISTEN done", "INSERT INTO work.jobs (params) VALUES ('{}')", "NOTIFY done"]
    {
        client.batch_execute(statement).await.unwrap();
    }
    heard.recv().await.unwrap() == "work.jobs"
}

#[actix::test]
async fn a_table_notifies_as_the_last_migration_was_set() {
    let db = TestDb::new().await;
    let database = Database::connect(&db.url()).await.unwrap();
    let always = Queue::builder(&database, "jobs").schema("work").always_notify().build().unwrap();

    always.migrate().await.unwrap();
    assert!(is_heard(&db).await);
    queue(&db).await.migrate().await.unwrap();
    assert!(!is_heard(&db).await);
    assert_eq!(state(&db), fresh().await);
    always.migrate().await.unwrap();
    assert!(is_heard(&db).await);
}

#[actix::test]
async fn a_queue_that_always_notifies_is_migrated_by_its_sql_too() {
    let (by_sql, by_call) = (TestDb::new().await, TestDb::new().await);
    let mut scripts = Vec::new();
    for db in [&by_sql, &by_call] {
        let database = Database::connect(&db.url()).await.unwrap();
        scripts.push(Queue::builder(&database, "jobs").schema("work").always_notify().build().unwrap());
    }
    let client = by_sql.client().await;
    client.batch_execute("CREATE SCHEMA work").await.unwrap();
    let sql = scripts[0].migration_sql();
    for script in [sql.shared_up, sql.up] {
        client.batch_execute(&script).await.unwrap();
    }
    scripts[1].migrate().await.unwrap();

    assert_eq!(state(&by_sql), state(&by_call));
}
