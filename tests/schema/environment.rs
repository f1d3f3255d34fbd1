//! Settings from the environment, which is read in a process of its own: this one's is shared by all tests.

use std::process::{Command, Output};

use actix_job_queue::{Database, Queue, QueueBuilder};

use crate::{
    common::{Bench, done, job, recording},
    support::connect,
};

/// Says to the child where the database is, and that it is one.
const URL: &str = "AJQ_TEST_CHILD_URL";

/// Runs one of this program's tests again in a child process that sees these variables.
fn again(test: &str, url: &str, variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().unwrap();
    Command::new(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(URL, url)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

async fn from_env() -> Option<QueueBuilder> {
    let url = std::env::var(URL).ok()?;
    let database = Database::connect(&url).await.unwrap();
    Some(Queue::builder(&database, "jobs").from_env("JOBS"))
}

#[actix::test]
async fn the_environment_sets_what_it_names() {
    if let Some(queue) = from_env().await {
        println!("{:?}", queue.build().unwrap());
        return;
    }
    let bench = Bench::new().await;

    let output = again(
        "environment::the_environment_sets_what_it_names",
        &bench.db.url(),
        &[
            ("JOBS_MAX_DEMAND", "7"),
            ("JOBS_ARBITERS", "2"),
            ("JOBS_POLL_INTERVAL", "500ms"),
            ("JOBS_RESERVATION_TIMEOUT", "21s"),
            ("JOBS_EXECUTION_TIMEOUT", " 2m "),
            ("JOBS_RETRY_TIMEOUT", "1h"),
            ("JOBS_DEAD_AFTER", "3 s"),
            ("JOBS_LOG_LEVEL", "debug"),
            ("OTHER_SHUTDOWN_TIMEOUT", "1s"),
        ],
    );

    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    for setting in [
        "max_demand: 7,",
        "arbiters: 2,",
        "poll_interval: 500ms,",
        "reservation_timeout: 21s,",
        "execution_timeout: 120s,",
        "retry_timeout: 3600s,",
        "dead_after: 3s,",
        "shutdown_timeout: 30s,",
        "log_level: Debug",
    ] {
        assert!(told.contains(setting), "{setting} is missing in {told}");
    }
}

/// A retry_timeout of nothing lets the second attempt follow at once; by default it is 30 s away.
#[actix::test]
async fn a_queue_runs_by_the_environment() {
    if let Some(queue) = from_env().await {
        let jobs = queue.build().unwrap();
        let client = connect(&std::env::var(URL).unwrap()).await;
        let handlers = actix_job_queue::Handlers::new().any(
            async |job: actix_job_queue::Job<serde_json::Value>, mut context: actix_job_queue::Context| {
                if job.attempt == 1 {
                    return Err(actix_job_queue::JobError::new("not yet"));
                }
                crate::common::record("", &job, &mut context).await
            },
        );
        let running = jobs.start(handlers).await.unwrap();
        let id = jobs.enqueue(&client, job()).await.unwrap();
        done(&client, &[id]).await;
        println!("{}", running.shutdown().await);
        return;
    }
    let bench = Bench::new().await;

    let output = again(
        "environment::a_queue_runs_by_the_environment",
        &bench.db.url(),
        &[("JOBS_RETRY_TIMEOUT", "0s"), ("JOBS_POLL_INTERVAL", "1h"), ("JOBS_ARBITERS", "1")],
    );

    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(bench.number("SELECT count(*) FROM done").await, 1);
}

#[actix::test]
async fn wrong_variables_are_told_at_start_with_all_else_that_is_wrong() {
    if let Some(queue) = from_env().await {
        println!("{}", queue.max_demand(0).build().unwrap().start(recording()).await.unwrap_err());
        return;
    }
    let bench = Bench::new().await;
    bench.client.batch_execute("DROP TABLE job_queue_nodes").await.unwrap();

    let output = again(
        "environment::wrong_variables_are_told_at_start_with_all_else_that_is_wrong",
        &bench.db.url(),
        &[
            ("JOBS_MAX_DEMAND", "many"),
            ("JOBS_ARBITERS", "-1"),
            ("JOBS_POLL_INTERVAL", "30"),
            ("JOBS_RESERVATION_TIMEOUT", ""),
            ("JOBS_EXECUTION_TIMEOUT", "5 weeks"),
            ("JOBS_DEAD_AFTER", "0s"),
            ("JOBS_SHUTDOWN_TIMEOUT", "99999999999999999999h"),
            ("JOBS_LOG_LEVEL", "loud"),
        ],
    );

    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    for problem in [
        "JOBS_MAX_DEMAND is \"many\": give a number",
        "JOBS_ARBITERS is \"-1\": give a number",
        "JOBS_POLL_INTERVAL is \"30\": give a time such as",
        "JOBS_RESERVATION_TIMEOUT is \"\": give a time",
        "JOBS_EXECUTION_TIMEOUT is \"5 weeks\": give a time",
        "JOBS_SHUTDOWN_TIMEOUT is \"99999999999999999999h\": give a time",
        "JOBS_LOG_LEVEL is \"loud\": give error, warn",
        "dead_after is zero",
        "max_demand is 0",
        "run migrate()",
    ] {
        assert!(told.contains(problem), "{problem} is missing in {told}");
    }
}
