//! Tables that are no queues are left alone.

use actix_job_queue::{MigrateError, Queue};

use crate::{
    common::{Bench, dump, psql},
    support::TestDb,
};

use actix_job_queue::Database;

#[actix::test]
async fn a_table_that_is_no_queue_is_refused_and_untouched() {
    let made = [
        "CREATE TABLE mine (id int PRIMARY KEY)",
        "CREATE VIEW mine AS SELECT 1 AS id",
        "CREATE SEQUENCE mine",
        "CREATE TABLE other (id int); CREATE INDEX mine ON other (id)",
    ];
    for sql in made {
        let db = TestDb::new().await;
        psql(&db, sql);
        let before = dump(&db);
        let database = Database::connect(&db.url()).await.unwrap();
        let queue = Queue::builder(&database, "mine").build().unwrap();

        match queue.migrate().await {
            Err(MigrateError::Foreign(name)) => assert_eq!(name, "mine"),
            other => panic!("{sql}: {other:?}"),
        }
        assert_eq!(dump(&db), before, "{sql}");

        queue.migrate_to(0).await.unwrap();
        assert_eq!(dump(&db), before, "{sql}, on the way down");
    }
}

#[actix::test]
async fn a_table_that_is_no_queue_is_refused_beside_queues_too() {
    let bench = Bench::new().await;
    psql(&bench.db, "CREATE TABLE mine (id int PRIMARY KEY); INSERT INTO mine VALUES (7)");
    let before = dump(&bench.db);
    let queue = Queue::builder(&bench.database, "mine").build().unwrap();

    let refused = queue.migrate().await.unwrap_err();

    assert!(refused.to_string().contains("mine exists and is no queue"), "{refused}");
    assert_eq!(dump(&bench.db), before);
    assert_eq!(bench.number("SELECT count(*) FROM mine").await, 1);
}

#[actix::test]
async fn a_foreign_table_in_the_place_of_a_shared_one_is_refused_and_untouched() {
    for name in ["job_queue_nodes", "job_queue_migrations"] {
        let db = TestDb::new().await;
        psql(&db, &format!("CREATE TABLE {name} (mine int)"));
        let before = dump(&db);
        let database = Database::connect(&db.url()).await.unwrap();
        let queue = Queue::builder(&database, "jobs").build().unwrap();

        let refused = queue.migrate().await.unwrap_err();

        assert!(matches!(&refused, MigrateError::Foreign(object) if object.contains(name)), "{refused:?}");
        assert_eq!(dump(&db), before);
    }
}
