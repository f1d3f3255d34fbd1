//! What is paused is claimed by nobody, and once it is resumed, by everybody.

use std::time::Duration;

use actix_job_queue::{Database, DatabaseOptions, Handlers, Listen, Queue};

use crate::bench::{Bench, as_told};

/// A job that runs after whatever was paused would have: others are claimed in their order.
async fn witness(bench: &Bench, kind: &str) {
    let id = bench.ok(&["enqueue", "--queue", "jobs", kind, "--priority", "9"]).await.out;
    bench.until("the witness", &format!("SELECT count(*) = 0 FROM jobs WHERE id = {}", id.trim())).await;
}

#[actix::test]
async fn a_paused_type_waits_while_others_run_and_runs_once_it_is_resumed() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().any(as_told)).await;

    bench.ok(&["pause", "--type", "A", "--reason", "at night"]).await;
    let id = bench.ok(&["enqueue", "A"]).await.out.trim().to_owned();
    bench.sql("INSERT INTO jobs (params) VALUES ('{}'), ('[]'), ('{\"type\": null}')").await;
    witness(&bench, "B").await;
    bench.until("the others", "SELECT count(*) = 1 FROM jobs").await;
    assert_eq!(bench.state(id.parse().unwrap()).await.as_deref(), Some("AVAILABLE"));
    let shown = bench.ok(&["show", &id]).await.out;
    assert!(shown.contains("paused"), "{shown}");
    assert!(bench.ok(&["stats"]).await.out.contains("type A is paused"));

    assert!(bench.ok(&["resume", "--type", "A"]).await.out.contains("is resumed"));
    bench.until("the paused one", "SELECT count(*) = 0 FROM jobs").await;
    assert!(bench.ok(&["resume", "--type", "A"]).await.out.contains("was not paused"));
    running.shutdown().await;
}

#[actix::test]
async fn a_paused_queue_stays_paused_over_restarts_and_its_neighbour_runs() {
    let bench = Bench::new().await;
    bench.ok(&["migrate", "--queue", "other"]).await;
    let database = Database::connect(&bench.db.url()).await.unwrap();
    let other = Queue::builder(&database, "other").arbiters(1).build().unwrap();
    bench.ok(&["pause", "--queue", "jobs"]).await;

    for _ in 0..2 {
        let running = bench.start(Handlers::new().any(as_told)).await;
        let neighbour = other.start(Handlers::new().any(as_told)).await.unwrap();
        bench.sql("INSERT INTO jobs (params) VALUES ('{}'); INSERT INTO other (params) VALUES ('{}')").await;
        bench.until("the neighbour's job", "SELECT count(*) = 0 FROM other").await;
        running.shutdown().await;
        neighbour.shutdown().await;
    }
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs WHERE state = 'AVAILABLE' AND lease = 0").await, 2);

    let running = bench.start(Handlers::new().any(as_told)).await;
    bench.ok(&["resume", "--queue", "jobs"]).await;
    bench.until("what was paused", "SELECT count(*) = 0 FROM jobs").await;
    running.shutdown().await;
}

#[actix::test]
async fn the_end_of_a_pause_is_noticed_where_nothing_can_be_heard() {
    let bench = Bench::new().await;
    let database = DatabaseOptions::new().listen(Listen::Off).connect(&bench.db.url()).await.unwrap();
    let hour = Duration::from_secs(3_600);
    let deaf = Queue::builder(&database, "jobs").arbiters(1).poll_interval(hour).build().unwrap();
    bench.ok(&["pause"]).await;
    bench.sql("INSERT INTO jobs (params) VALUES ('{}')").await;
    let running = deaf.start(Handlers::new().any(as_told)).await.unwrap();

    bench.ok(&["resume"]).await;

    bench.until("the job", "SELECT count(*) = 0 FROM jobs").await;
    running.shutdown().await;
}

#[actix::test]
async fn claims_that_go_on_from_a_place_honour_a_pause_and_find_what_it_held_back() {
    let bench = Bench::new().await;
    // A transaction that sees all that was claimed keeps the entries in front of the claims.
    let mut reader = bench.db.client().await;
    let held = reader.transaction().await.unwrap();
    held.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
    bench.sql("INSERT INTO jobs (params) SELECT jsonb_build_object('type', CASE WHEN n % 100 = 0 THEN 'A' ELSE 'B' END) FROM generate_series(1, 20000) AS n").await;
    bench.ok(&["pause", "--type", "A"]).await;
    let running = bench.start(Handlers::new().any(as_told)).await;

    bench.until("those that are not paused", "SELECT count(*) = 200 FROM jobs").await;
    witness(&bench, "B").await;
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs WHERE state = 'AVAILABLE'").await, 200);
    bench.ok(&["resume", "--type", "A"]).await;

    bench.until("all", "SELECT count(*) = 0 FROM jobs").await;
    running.shutdown().await;
}

#[actix::test]
async fn a_queue_that_is_taken_away_and_made_again_is_not_paused_still() {
    let bench = Bench::new().await;
    bench.ok(&["migrate", "--queue", "other"]).await;
    for queue in ["jobs", "other"] {
        bench.ok(&["pause", "--queue", queue]).await;
    }
    bench.sql("INSERT INTO job_queue_activity VALUES ('jobs', now(), 'Old', 1, 1, 0, '{1}', '{}', 1)").await;

    bench.jobs.migrate_to(0).await.unwrap();
    bench.jobs.migrate().await.unwrap();

    let running = bench.start(Handlers::new().any(as_told)).await;
    witness(&bench, "A").await;
    running.shutdown().await;
    assert_eq!(bench.ask::<String>("SELECT string_agg(queue, ',') FROM job_queue_pauses").await, "other");
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM job_queue_activity WHERE kind = 'Old'").await, 0);
}
