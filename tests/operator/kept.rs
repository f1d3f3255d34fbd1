//! Completed jobs that a queue keeps for a while, by whatever way they were completed.

use std::time::Duration;

use actix_job_queue::{
    BatchContext, Batching, Completed, Context, Handlers, Job, JobError, Keep, NewJob, Queue,
    tokio_postgres::types::Type,
};
use serde_json::{Value, json};

use crate::bench::{Bench, as_told};

const HOUR: Duration = Duration::from_secs(3_600);

async fn begin(job: Job<Value>, mut ctx: Context) -> Result<Completed, JobError> {
    let completion = ctx.begin().await?;
    completion.execute_typed("INSERT INTO done VALUES ($1)", &[(&job.id, Type::INT8)]).await?;
    Ok(completion.commit().await?)
}

async fn with(job: Job<Value>, ctx: Context) -> Result<Completed, JobError> {
    Ok(ctx.complete_with("INSERT INTO done VALUES ($1)", &[(&job.id, Type::INT8)]).await?)
}

async fn batch(_: Vec<Job<Value>>, mut ctx: BatchContext) -> Result<Completed, JobError> {
    Ok(ctx.begin().await?.commit().await?)
}

async fn batch_with(jobs: Vec<Job<Value>>, ctx: BatchContext) -> Result<Completed, JobError> {
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    assert_eq!(ids.len(), 2);
    Ok(ctx.complete_with("INSERT INTO done SELECT unnest($1::bigint[])", &[(&ids, Type::INT8_ARRAY)]).await?)
}

fn handlers() -> Handlers {
    let batching = Batching::up_to(10).within(Duration::from_millis(5));
    Handlers::new()
        .on("Begin", begin)
        .on("With", with)
        .batch("Batch", batching, batch)
        .batch("BatchWith", Batching::up_to(2).within(Duration::from_secs(5)), batch_with)
        .any(as_told)
}

async fn run_some(bench: &Bench) {
    bench.sql("CREATE TABLE done (id bigint)").await;
    let running = bench.start(handlers()).await;
    for kind in ["Begin", "With", "Batch", "Batch", "BatchWith", "BatchWith", "Simple"] {
        let job = NewJob::of_type(kind, &json!({ "x": kind })).unwrap().notify("n");
        bench.jobs.enqueue(&bench.client, job).await.unwrap();
    }
    bench.until("their completion", "SELECT count(*) = 0 FROM jobs").await;
    running.shutdown().await;
}

#[actix::test]
async fn every_way_to_complete_a_job_keeps_it_where_the_queue_says_so() {
    let bench = Bench::with(|queue| queue.keep_completed(Keep::during(HOUR))).await;

    run_some(&bench).await;

    let page = bench.ok(&["completed", "--json"]).await.json();
    let mut kinds: Vec<_> = page["jobs"].as_array().unwrap().iter().map(|job| job["type"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["Batch", "Batch", "BatchWith", "BatchWith", "Begin", "Simple", "With"]);
    for job in page["jobs"].as_array().unwrap() {
        assert_eq!(
            (&job["attempt"], &job["params"]["x"], &job["notify"]),
            (&json!(1), &job["type"], &json!("n")),
            "{job}"
        );
        assert!(job["started_at"].is_string() && job["node"].is_i64(), "{job}");
    }
    let (mut seen, mut from) = (0, None::<String>);
    loop {
        let mut args = vec!["completed", "--json", "--limit", "2"];
        args.extend(from.iter().flat_map(|at| ["--from", at.as_str()]));
        let page = bench.ok(&args).await.json();
        seen += page["jobs"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => from = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, 7);
    let shown = bench.ok(&["show", "1"]).await.out;
    assert!(shown.contains("is completed") && shown.contains("Begin"), "{shown}");
    assert_eq!(bench.ok(&["completed", "--type", "With", "--json"]).await.json()["jobs"].as_array().unwrap().len(), 1);
}

#[actix::test]
async fn a_queue_that_does_not_ask_keeps_none_and_a_completion_that_is_undone_neither() {
    let bench = Bench::new().await;
    run_some(&bench).await;
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM job_queue_history").await, 0);

    let keeping = Bench::with(|queue| queue.keep_completed(Keep::during(HOUR))).await;
    let undone = async |_: Job<Value>, mut ctx: Context| -> Result<Completed, JobError> {
        let completion = ctx.begin().await?;
        drop(completion);
        Err(JobError::new("no").give_up())
    };
    let running = keeping.start(Handlers::new().any(undone)).await;
    keeping.ok(&["enqueue", "Undone"]).await;
    keeping.until("its failure", "SELECT state = 'FAILED' FROM jobs").await;
    running.shutdown().await;
    assert_eq!(keeping.ask::<i64>("SELECT count(*) FROM job_queue_history").await, 0);
}

#[actix::test]
async fn what_is_too_old_or_too_much_goes() {
    let bench = Bench::with(|queue| {
        queue.keep_completed(Keep::during(HOUR).at_most(1_500)).poll_interval(Duration::from_secs(1))
    })
    .await;
    bench
        .sql(
            "INSERT INTO job_queue_history (queue, id, attempt, max_attempts, priority, schedule, inserted_at, started_at, completed_at)
             SELECT queue, n, 1, 5, 0, now(), now(), now(), now() - make_interval(mins => age)
               FROM generate_series(1, 2500) AS n, (VALUES ('jobs', 0), ('jobs', 90), ('other', 90)) AS of (queue, age)",
        )
        .await;
    let running = bench.start(handlers()).await;

    bench.until("the rest being gone", "SELECT count(*) = 1500 FROM job_queue_history WHERE queue = 'jobs'").await;

    assert_eq!(bench.ask::<i64>("SELECT min(id) FROM job_queue_history WHERE queue = 'jobs'").await, 1_001);
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM job_queue_history WHERE queue = 'other'").await, 2_500);
    running.shutdown().await;
}

#[actix::test]
async fn a_binary_queue_keeps_and_shows_its_params_too() {
    let bench = Bench::new().await;
    let database = actix_job_queue::Database::connect(&bench.db.url()).await.unwrap();
    let queue =
        Queue::builder(&database, "packed").binary().arbiters(1).keep_completed(Keep::during(HOUR)).build().unwrap();
    queue.migrate().await.unwrap();
    let running = queue.start(Handlers::new().any(as_told)).await.unwrap();
    bench.ok(&["enqueue", "--queue", "packed", "Note", r#"{"text": "hello"}"#]).await;
    bench.until("its completion", "SELECT count(*) = 0 FROM packed").await;

    let kept = bench.ok(&["completed", "--queue", "packed", "--json"]).await.json();

    assert_eq!((&kept["jobs"][0]["type"], &kept["jobs"][0]["params"]["text"]), (&json!("Note"), &json!("hello")));
    let refused = bench.run(&["list", "--queue", "packed", "--type", "Note"]).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    running.shutdown().await;
}
