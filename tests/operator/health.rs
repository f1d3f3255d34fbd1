//! Who works, and whether all is as it should be.

use actix_job_queue::{Completed, Context, Handlers, Job, JobError};
use serde_json::Value;

use crate::bench::{Bench, Said, as_told, eventually};

async fn hang(_: Job<Value>, _: Context) -> Result<Completed, JobError> {
    std::future::pending().await
}

#[actix::test]
async fn processes_are_told_with_what_they_run_since_when() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Hang", hang)).await;
    let id = bench.ok(&["enqueue", "Hang"]).await.out.trim().to_owned();
    bench.until("its start", "SELECT state = 'IN_PROGRESS' FROM jobs").await;

    let processes = bench.ok(&["processes", "--json"]).await.json();
    let told = bench.ok(&["processes"]).await.out;

    let one = &processes[0];
    assert!(one["name"].as_str().unwrap().contains(&format!(":{} (", std::process::id())), "{one}");
    assert_eq!((one["heard"].as_bool(), one["jobs"][0]["type"].as_str()), (Some(true), Some("Hang")));
    assert_eq!(one["jobs"][0]["id"].to_string(), id);
    assert!(told.contains("Hang") && told.contains("lately"), "{told}");
    running.shutdown().await;
    let gone = bench.ok(&["processes"]).await.out;
    assert!(gone.contains("no process works"), "{gone}");
}

fn graded(said: &Said, grade: &str) -> Vec<(String, String, String)> {
    let findings = said.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let wanted = findings.as_array().unwrap().iter().filter(|finding| finding["grade"] == grade);
    wanted.map(|one| (text(&one["check"]), text(&one["found"]), text(&one["advice"]))).collect()
}

#[actix::test]
async fn the_doctor_finds_nothing_wrong_with_a_fresh_queue() {
    let bench = Bench::new().await;

    let said = bench.ok(&["doctor", "--json"]).await;

    assert_eq!((graded(&said, "warning"), graded(&said, "fault")), (vec![], vec![]), "{said:?}");
    let checks: Vec<_> = graded(&said, "fine").into_iter().map(|(check, ..)| check).collect();
    for check in [
        "server",
        "connections",
        "clocks",
        "schema",
        "indexes",
        "triggers",
        "bloat",
        "notifications",
        "horizon",
        "latency",
        "processes",
    ] {
        assert!(checks.iter().any(|known| known == check), "{check} is missing in {checks:?}");
    }
}

#[actix::test]
async fn each_fault_is_told_with_what_mends_it() {
    for (harm, check, told) in [
        ("DROP INDEX jobs_expires_idx", "indexes", "(expires) is missing"),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_late_idx'::regclass",
            "indexes",
            "jobs_late_idx\" is not valid",
        ),
        ("ALTER TABLE jobs DISABLE TRIGGER job_queue_admit", "triggers", "job_queue_admit is missing or disabled"),
        ("ALTER TABLE jobs SET (autovacuum_enabled = false)", "autovacuum", "autovacuum is off"),
        ("DELETE FROM job_queue_migrations WHERE target = 'jobs' AND version = 3", "schema", "run migrate()"),
        (
            "INSERT INTO jobs (params, schedule) VALUES ('{}', now() - interval '1 h')",
            "latency",
            "no process is heard from",
        ),
    ] {
        let bench = Bench::new().await;
        bench.sql(harm).await;

        let said = bench.run(&["doctor", "--json"]).await;

        let faults = graded(&said, "fault");
        assert_eq!((said.code, faults.len()), (6, 1), "{harm}: {said:?}");
        assert!(faults[0].0 == check && faults[0].1.contains(told) && !faults[0].2.is_empty(), "{faults:?}");
    }
}

#[actix::test]
async fn what_is_worth_a_look_is_no_fault() {
    let bench = Bench::new().await;
    bench.ok(&["pause", "--type", "A", "--reason", "at night"]).await;
    bench
        .sql(
            "INSERT INTO jobs (params) VALUES ('{}');
             UPDATE jobs SET state = 'IN_PROGRESS', node = 99, attempt = 1, expires = now() + interval '1 h'",
        )
        .await;

    let said = bench.ok(&["doctor", "--json"]).await;

    let warnings = graded(&said, "warning");
    assert!(warnings.iter().any(|(check, found, _)| check == "pauses" && found.contains("at night")), "{warnings:?}");
    assert!(warnings.iter().any(|(check, found, _)| check == "processes" && found.contains("99")), "{warnings:?}");
}

#[actix::test]
async fn health_is_an_exit_code() {
    let bench = Bench::new().await;
    assert_eq!(bench.ok(&["health"]).await.out.trim(), "well");

    bench.sql("INSERT INTO jobs (params, schedule) VALUES ('{}', now() - interval '10 min')").await;
    let late = bench.run(&["health"]).await;
    assert_eq!(late.code, 6, "{late:?}");
    assert!(late.out.contains("longer than 5 min"), "{late:?}");
    bench.ok(&["health", "--max-waiting", "1h"]).await;
    bench.ok(&["pause"]).await;
    bench.ok(&["health"]).await;
    bench.ok(&["resume"]).await;

    bench.sql("UPDATE jobs SET state = 'FAILED'").await;
    bench.ok(&["health", "--max-failed", "1"]).await;
    assert_eq!(bench.run(&["health", "--max-failed", "0"]).await.code, 6);

    let running = bench.start(Handlers::new().any(as_told)).await;
    bench.ok(&["retry", "--all", "--yes"]).await;
    eventually("its health", async || (bench.run(&["health", "--max-failed", "0"]).await.code == 0).then_some(()))
        .await;
    running.shutdown().await;
    bench.sql("DELETE FROM job_queue_migrations WHERE target = '' AND version = 3").await;
    let old = bench.run(&["health", "--json"]).await;
    assert_eq!((old.code, old.json()["ready"].as_bool()), (6, Some(false)), "{old:?}");
}
