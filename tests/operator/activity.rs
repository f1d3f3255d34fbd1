//! What jobs did, as the processes tell it.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use actix_job_queue::Handlers;
use serde_json::json;

use crate::bench::{Bench, as_told};

#[actix::test]
async fn rates_latencies_and_reasons_are_told_of_each_type_by_all_processes_together() {
    let bench = Bench::new().await;
    for _ in 0..2 {
        let running = bench.start(Handlers::new().any(as_told)).await;
        bench
            .sql(
                "INSERT INTO jobs (params) SELECT '{\"type\": \"Fine\"}' FROM generate_series(1, 30);
                 INSERT INTO jobs (params) SELECT jsonb_build_object('type', 'Bad', 'fail', 'smtp ' || n || ' is away') FROM generate_series(1, 7) AS n",
            )
            .await;
        bench.until("the end of those", "SELECT count(*) FILTER (WHERE state <> 'RETRY') = 0 FROM jobs").await;
        // What has gathered is written down at the latest by the end of its process.
        running.shutdown().await;
    }

    let activity = bench.ok(&["stats", "--json"]).await.json()["activity"].clone();

    let types = activity["types"].as_array().unwrap();
    let of = |kind: &str| types.iter().find(|one| one["type"] == kind).unwrap().clone();
    let (fine, bad) = (of("Fine"), of("Bad"));
    assert_eq!(
        (fine["started"].as_i64(), fine["completed"].as_i64(), fine["failed"].as_i64()),
        (Some(60), Some(60), Some(0))
    );
    assert_eq!(
        (bad["started"].as_i64(), bad["completed"].as_i64(), bad["failed"].as_i64()),
        (Some(14), Some(0), Some(14))
    );
    for times in ["waited", "ran"] {
        let (p50, p99) = (fine[times]["p50"].as_f64().unwrap(), fine[times]["p99"].as_f64().unwrap());
        assert!(p50 > 0.0 && p99 >= p50, "{fine}");
    }
    let steps = activity["steps"].as_array().unwrap();
    assert_eq!((steps.len(), activity["step_seconds"].as_i64()), (60, Some(60)));
    assert_eq!(steps.iter().map(|step| step["completed"].as_i64().unwrap()).sum::<i64>(), 60);
    assert!(steps.iter().any(|step| step["waited"]["p95"].is_f64() && step["ran"]["p95"].is_f64()), "{steps:?}");
    let reasons = activity["failures"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert_eq!((&reasons[0]["error"], &reasons[0]["failures"]), (&json!("smtp # is away"), &json!(14)));

    let told = bench.ok(&["stats"]).await.out;
    for word in ["60 jobs completed", "smtp # is away", "p99"] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[actix::test]
async fn what_happens_is_written_down_while_the_process_lives_and_what_is_old_is_rolled_up_and_goes() {
    let bench = Bench::new().await;
    bench
        .sql(
            "INSERT INTO job_queue_activity VALUES ('jobs', now() - interval '3 days', 'Old', 1, 1, 0, '{1}', '{}', 1);
             INSERT INTO job_queue_activity
             SELECT 'jobs', date_trunc('hour', now()) - make_interval(mins => ago), 'Hours', 1, 1, 0, '{1}', '{}', 1
               FROM generate_series(301, 314) AS ago;
             INSERT INTO job_queue_failures VALUES ('jobs', now() - interval '30 days', 'Old', 'old', 1, now(), 1)",
        )
        .await;
    let running = bench.start(Handlers::new().any(as_told)).await;
    bench.ok(&["enqueue", &"long".repeat(2_000), r#"{"fail": "a\u0001b"}"#]).await;

    bench.until("what it did", "SELECT sum(failed) = 1 FROM job_queue_activity").await;

    let of_hours = "SELECT count(*) * 100 + sum(completed)::bigint FROM job_queue_activity WHERE kind = 'Hours'";
    assert_eq!(bench.ask::<i64>(of_hours).await, 114, "14 minutes are one quarter of an hour");
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM job_queue_activity WHERE kind = 'Old'").await, 0);
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM job_queue_failures WHERE kind = 'Old'").await, 0);
    running.shutdown().await;
}

#[actix::test]
async fn a_watch_looks_again_and_tells_how_fast_jobs_come_in() {
    let bench = Bench::new().await;
    let mut watch = bench.command(&["stats", "--watch", "--every", "1s"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();

    let told =
        tokio::task::spawn_blocking(move || lines.find(|line| line.as_ref().unwrap().contains("a second come in")));

    assert!(told.await.unwrap().is_some());
    watch.kill().unwrap();
    watch.wait().unwrap();
}
