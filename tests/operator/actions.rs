//! What is done to jobs, beside workers that run.

use std::{sync::Arc, time::Duration};

use actix_job_queue::{Cancelled, Completed, CompletionError, Context, Handlers, Job, JobError};
use serde_json::Value;
use tokio::sync::mpsc::unbounded_channel;

use crate::bench::{Bench, ONE_OF_EACH, as_told};

#[actix::test]
async fn an_enqueued_job_runs() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().any(as_told)).await;

    let id = bench.ok(&["enqueue", "Note", r#"{"fail": "smtp is away"}"#, "--max-attempts", "1"]).await;
    let id: i64 = id.out.trim().parse().unwrap();
    bench.until("its failure", &format!("SELECT state = 'FAILED' FROM jobs WHERE id = {id}")).await;
    let later = bench.ok(&["enqueue", "Note", "--in", "1h", "--json"]).await.json()["id"].as_i64().unwrap();
    assert_eq!(bench.state(later).await.as_deref(), Some("SCHEDULED"));

    bench.sql(r#"UPDATE jobs SET params = '{"type": "Note"}'"#).await;
    let retried = bench.ok(&["retry", "--error", "SMTP", "--yes"]).await;
    assert_eq!(retried.out.trim(), "1 job will run again");
    bench.until("its completion", &format!("SELECT count(*) = 0 FROM jobs WHERE id = {id}")).await;
    bench.ok(&["run-now", &later.to_string(), "--yes"]).await;
    bench.until("the other's completion", "SELECT count(*) = 0 FROM jobs").await;
    running.shutdown().await;
}

#[actix::test]
async fn a_cancelled_job_stops_and_its_completion_is_refused() {
    let bench = Bench::with(|queue| queue.dead_after(Duration::from_secs(1))).await;
    let (tell, mut told) = unbounded_channel();
    let tell = Arc::new(tell);
    let handler = {
        let tell = Arc::clone(&tell);
        move |job: Job<Value>, ctx: Context| {
            let tell = Arc::clone(&tell);
            async move {
                tell.send(format!("{} runs", job.id)).unwrap();
                let token = ctx.cancellation();
                let late = tokio::spawn({
                    let tell = Arc::clone(&tell);
                    async move {
                        token.cancelled().await;
                        tell.send("stopped".to_owned()).unwrap();
                    }
                });
                if job.params["type"] == "Hang" {
                    std::future::pending::<()>().await;
                }
                while ctx.cancelled().is_none() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                drop(late);
                let refused = ctx.complete().await;
                tell.send(format!("{:?} {}", ctx.cancelled(), matches!(refused, Err(CompletionError::Lost { .. }))))
                    .unwrap();
                Result::<Completed, JobError>::Ok(refused?)
            }
        }
    };
    let running = bench.start(Handlers::new().any(handler)).await;
    let id = bench.ok(&["enqueue", "Hang"]).await.out.trim().to_owned();
    assert_eq!(told.recv().await.unwrap(), format!("{id} runs"));

    let said = bench.ok(&["cancel", &id, "--yes", "--reason", "not at night"]).await;

    assert_eq!(said.out.trim(), "1 job is cancelled");
    assert_eq!(told.recv().await.unwrap(), "stopped");
    let shown = bench.ok(&["show", &id]).await.out;
    assert!(shown.contains("FAILED") && shown.contains("not at night"), "{shown}");
    let _ = Cancelled::Lost;
    running.shutdown().await;
    assert_eq!(bench.state(id.parse().unwrap()).await.as_deref(), Some("FAILED"));
}

#[actix::test]
async fn each_verb_touches_only_the_jobs_that_it_is_for() {
    for (verb, changed) in [
        (&["retry", "--all"][..], &[6][..]),
        (&["run-now", "--all"], &[1, 5]),
        (&["cancel", "--all"], &[1, 2, 3, 4, 5]),
        (&["delete", "--all"], &[1, 2, 3, 4, 5, 6]),
        (&["purge", "--all"], &[6]),
        (&["purge", "--older", "7d"], &[]),
        (&["delete", "--type", "A"], &[1, 3, 5]),
        (&["cancel", "2", "6"], &[2]),
        (&["delete", "--state", "available,failed"], &[2, 6]),
    ] {
        let bench = Bench::new().await;
        bench.sql(ONE_OF_EACH).await;
        bench.sql("CREATE TABLE before AS SELECT * FROM jobs").await;

        let mut args = verb.to_vec();
        args.extend(["--yes", "--json"]);
        let said = bench.ok(&args).await;

        let touched: Vec<i64> = bench
            .ask("SELECT coalesce(array_agg(b.id ORDER BY b.id), '{}') FROM before AS b LEFT JOIN jobs AS j USING (id) WHERE j.state IS DISTINCT FROM b.state")
            .await;
        assert_eq!(touched, changed, "{verb:?}");
        assert_eq!(said.json()["done"].as_u64(), Some(changed.len() as u64), "{said:?}");
    }
}

#[actix::test]
async fn nothing_is_done_unless_somebody_said_which_and_agreed() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;

    let unsaid = bench.run(&["delete", "--yes"]).await;
    assert_eq!(unsaid.code, 2, "{unsaid:?}");
    let unasked = bench.run(&["delete", "--all"]).await;
    assert_eq!(unasked.code, 4, "{unasked:?}");
    assert!(unasked.err.contains("Delete for good 6 jobs of queue jobs?"), "{unasked:?}");
    let unfit = bench.run(&["retry", "--state", "available", "--yes"]).await;
    assert_eq!(unfit.code, 2, "{unfit:?}");
    let some = bench.ok(&["retry", "6", "2", "99", "--yes"]).await;
    assert_eq!(some.out, "1 job will run again\n2 of them are not there, or in no state for this\n");
    let missing = bench.run(&["retry", "99", "--yes"]).await;
    assert_eq!(missing.code, 3, "{missing:?}");

    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs").await, 6);
}

#[actix::test]
async fn a_job_whose_completion_is_open_is_left_and_told() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;
    let mut other = bench.db.client().await;
    let completion = other.transaction().await.unwrap();
    completion.batch_execute("DELETE FROM jobs WHERE id = 4").await.unwrap();

    for verb in ["cancel", "delete"] {
        let said = bench.run(&[verb, "4", "2", "--yes", "--json"]).await;
        assert_eq!(said.code, 5, "{said:?}");
        assert_eq!(said.json()["locked"], 1, "{said:?}");
    }

    completion.rollback().await.unwrap();
    assert_eq!(bench.state(4).await.as_deref(), Some("IN_PROGRESS"));
}

#[actix::test]
async fn many_jobs_are_done_with_in_batches() {
    let bench = Bench::new().await;
    bench
        .sql("INSERT INTO jobs (params) SELECT '{\"type\": \"Old\"}' FROM generate_series(1, 45001); UPDATE jobs SET state = 'FAILED'")
        .await;

    let said = bench.ok(&["purge", "--type", "Old", "--yes"]).await;

    assert_eq!(said.out.trim(), "45,001 jobs are deleted");
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs").await, 0);
}
