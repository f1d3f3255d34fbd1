//! A start tells everything that is wrong in one error.

use std::time::Duration;

use actix_job_queue::{Context, Database, DatabaseOptions, Handlers, Job, Queue, QueueBuilder, Queues, StartError};
use serde_json::Value;

use crate::{
    common::{Bench, psql},
    support::TestDb,
};

async fn problems(queues: Queues) -> Vec<String> {
    match queues.start().await {
        Err(StartError::Config(error)) => {
            assert!(error.problems().iter().all(|problem| error.to_string().contains(problem)), "{error}");
            error.problems().to_vec()
        }
        other => panic!("{other:?}"),
    }
}

fn ping() -> Handlers {
    Handlers::new().on("Ping", async |_: Job<Value>, context: Context| Ok(context.complete().await?))
}

/// All that can be set wrong.
fn wrong(queue: QueueBuilder) -> QueueBuilder {
    queue
        .max_demand(0)
        .poll_interval(Duration::ZERO)
        .reservation_timeout(Duration::ZERO)
        .execution_timeout(Duration::ZERO)
        .dead_after(Duration::ZERO)
        .retry_timeout(Duration::MAX)
        .shutdown_timeout(Duration::MAX)
}

#[actix::test]
async fn one_error_lists_all_that_is_wrong_in_all_queues() {
    let db = TestDb::new().await;
    psql(&db, "CREATE SCHEMA empty");
    let database = DatabaseOptions::new().pool_size(2).connect(&db.url()).await.unwrap();
    let binary = Queue::builder(&database, "binary").binary().arbiters(1).build().unwrap();
    binary.migrate().await.unwrap();
    psql(&db, "CREATE TABLE mine (id int)");
    let queue = |table: &str| Queue::builder(&database, table).arbiters(1);
    let settings = wrong(queue("nowhere").schema("nowhere")).arbiters(0).build().unwrap();
    let crowded = Queue::builder(&database, "jobs").schema("empty").arbiters(3).build().unwrap();
    let as_json = queue("binary").build().unwrap();
    let foreign = queue("mine").build().unwrap();

    let problems = problems(
        Queues::new()
            .add(&settings, Handlers::new())
            .add(&crowded, ping().on("Ping", async |_: Job<Value>, context: Context| Ok(context.complete().await?)))
            .add(&as_json, ping())
            .add(&foreign, ping()),
    )
    .await;

    let expected = [
        ("nowhere.nowhere", "max_demand is 0"),
        ("nowhere.nowhere", "arbiters is 0"),
        ("nowhere.nowhere", "poll_interval is zero"),
        ("nowhere.nowhere", "reservation_timeout is zero"),
        ("nowhere.nowhere", "execution_timeout is zero"),
        ("nowhere.nowhere", "dead_after is zero"),
        ("nowhere.nowhere", "retry_timeout is"),
        ("nowhere.nowhere", "shutdown_timeout is"),
        ("nowhere.nowhere", "there is no handler"),
        ("nowhere.nowhere", "there is no schema \"nowhere\""),
        ("empty.jobs", "two handlers for the type \"Ping\""),
        ("empty.jobs", "pool_size is 2 and 3 arbiters"),
        ("empty.jobs", "run migrate()"),
        ("binary", "keeps its params as bytea and is declared for jsonb"),
        ("mine", "run migrate()"),
    ];
    for (queue, text) in expected {
        assert!(
            problems.iter().any(|problem| problem.starts_with(&format!("queue {queue}: ")) && problem.contains(text)),
            "{queue}: {text} is missing in\n{}",
            problems.join("\n")
        );
    }
    assert_eq!(problems.len(), expected.len(), "{}", problems.join("\n"));
    let nodes = psql(&db, "SELECT count(*) FROM job_queue_nodes");
    assert_eq!(nodes.trim(), "0", "none of them was started");
}

#[actix::test]
async fn a_json_queue_that_is_declared_binary_is_told() {
    let bench = Bench::new().await;
    let binary = Queue::builder(&bench.database, "jobs").binary().build().unwrap();

    let problems = problems(Queues::new().add(&binary, ping())).await;

    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("keeps its params as jsonb and is declared for bytea"), "{problems:?}");
}

#[actix::test]
async fn a_queue_of_an_older_migration_is_told_to_migrate() {
    let bench = Bench::new().await;
    bench.jobs.migrate_to(2).await.unwrap();

    let problems = problems(Queues::new().add(&bench.jobs, ping())).await;

    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("is at migration 2 and this version needs 4: run migrate()"), "{problems:?}");
}

#[actix::test]
async fn no_queue_at_all_is_told() {
    let problems = problems(Queues::new()).await;

    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("Queues::add"), "{problems:?}");
}

#[actix::test]
async fn a_name_that_cannot_be_is_refused_by_build_with_what_is_wrong() {
    let db = TestDb::new().await;
    let database = Database::connect(&db.url()).await.unwrap();
    let refused =
        |schema: &str, table: &str| Queue::builder(&database, table).schema(schema).build().unwrap_err().to_string();

    assert!(refused("public", "").contains("empty"));
    assert!(refused("", "jobs").contains("empty"));
    assert!(refused(&"x".repeat(64), "jobs").contains("64 bytes"));
    assert!(refused("public", &"ü".repeat(32)).contains("64 bytes"));
    assert!(refused("public", "a\0b").contains("NUL"));
    assert!(refused("public", "job_queue_nodes").contains("job_queue_nodes"));
    assert!(refused("public", "job_queue_migrations").contains("job_queue_migrations"));
}
