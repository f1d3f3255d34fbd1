//! What is written, whatever goes wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_job_queue::{Backoff, BatchContext, BatchHandler, Batching, CompletionError, Handlers, Job, JobError, Keep};
use tokio_postgres::types::Type;

use super::{full, one_worker, take_all_at_once};
use crate::bench::{Bench, Done, Note, eventually, note, write};

/// Every fifth run fails before its completion, every seventh in it, and every eleventh panics.
struct Moody {
    runs: Arc<AtomicUsize>,
}

impl BatchHandler<Note> for Moody {
    async fn perform(&self, jobs: Vec<Job<Note>>, mut ctx: BatchContext) -> Done {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        if run.is_multiple_of(5) {
            return Err("in a mood".into());
        }
        let (bad, good): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.params.text.ends_with("99"));
        if let Some(bad) = bad.first() {
            return Err(JobError::new(format!("{} is always bad", bad.params.text)).give_up());
        }
        let late = good.iter().find(|job| job.params.text.ends_with('3') && job.attempt == 1).map(|job| job.id);
        if let Some(late) = late.filter(|_| run.is_multiple_of(2)) {
            ctx.fail(late, "not at the first attempt");
        }
        let remaining = ctx.remaining();
        if remaining.is_empty() {
            return Err("nothing left".into());
        }
        let completion = ctx.begin().await?;
        for job in good.iter().filter(|job| remaining.contains(&job.id)) {
            write(&completion, job.id, &job.params.text).await?;
            assert!(!run.is_multiple_of(11), "on purpose");
        }
        if run.is_multiple_of(7) {
            return Err("in a mood, and late".into());
        }
        Ok(completion.commit().await?)
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::linear(Duration::from_millis(1)))
    }
}

#[actix::test]
async fn whatever_fails_each_completed_job_has_its_effect_once() {
    let bench = Bench::with(|queue| queue.max_demand(40)).await;
    let runs = Arc::default();
    let handlers = Handlers::new().batch("Note", Batching::up_to(8), Moody { runs: Arc::clone(&runs) });
    let running = bench.start(handlers).await;

    let jobs: Vec<_> = (0..500).map(|n| note(&format!("{n:03}")).max_attempts(1000)).collect();
    bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();

    eventually("the end of all", async || (bench.count("state <> 'FAILED'").await == 0).then_some(())).await;
    assert_eq!(bench.count("true").await, 5, "the bad ones");
    assert_eq!(bench.count("errors->-1->'error'->>0 LIKE '%99 is always bad'").await, 5);
    let notes = bench.notes().await;
    let expected: Vec<_> = (0..500).map(|n| format!("{n:03}")).filter(|text| !text.ends_with("99")).collect();
    assert_eq!(notes, expected);
    assert!(runs.load(Ordering::SeqCst) > 62, "so many runs would do if nothing failed");
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned), (0, 0), "{report}");
}

/// A job that was taken out has no part in the statement, and what it refuses is written for none.
#[actix::test]
async fn a_batch_is_completed_by_one_statement_without_those_that_were_taken_out() {
    let bench = Bench::with(one_worker).await;
    let handler = async |jobs: Vec<Job<Note>>, mut ctx: BatchContext| -> Done {
        for job in jobs.iter().filter(|job| job.params.text == "bad") {
            ctx.fail(job.id, JobError::new("it is bad").give_up());
        }
        let refused = ctx.complete_with("SELECT 1", &[]).await.unwrap_err();
        assert!(matches!(refused, CompletionError::Statement { .. }), "{refused}");
        let failed = ctx.complete_with("INSERT INTO notes VALUES (1, 1 / 0)", &[]).await.unwrap_err();
        assert!(matches!(failed, CompletionError::Database(_)), "{failed}");
        take_all_at_once(&jobs, &ctx).await
    };
    let running = bench.start(Handlers::new().batch("Note", full(3), handler)).await;

    let ids = bench.enqueue_notes(&["a", "bad", "b"]).await;

    bench.completes(ids[0]).await;
    bench.completes(ids[2]).await;
    bench.becomes(ids[1], "FAILED").await;
    assert_eq!(bench.error(ids[1]).await, "it is bad");
    assert_eq!(bench.notes().await, ["a", "b"]);
    running.shutdown().await;
}

/// Whatever the library's own statement calls what it has beside the handler's.
#[actix::test]
async fn a_statement_reads_its_own_tables_whatever_they_are_called() {
    const NAMES: [&str; 6] = ["in_place", "kept", "mine", "moved", "removed", "written"];
    let own = NAMES.map(|name| format!("SELECT text FROM {name}")).join(" UNION ALL ");
    let sql = format!("INSERT INTO notes SELECT $1, string_agg(text, ' ' ORDER BY text) FROM ({own}) AS own");
    for batch in [1, 3] {
        let bench = Bench::with(|queue| one_worker(queue).keep_completed(Keep::during(Duration::from_secs(60)))).await;
        for name in NAMES {
            bench.sql(&format!("CREATE TABLE {name} AS SELECT '{name}' AS text")).await;
        }
        let sql = sql.clone();
        let handler = move |jobs: Vec<Job<Note>>, ctx: BatchContext| {
            let sql = sql.clone();
            async move { Ok(ctx.complete_with(&sql, &[(&jobs[0].id, Type::INT8)]).await?) }
        };
        let running = bench.start(Handlers::new().batch("Note", full(batch), handler)).await;

        let ids = bench.enqueue_notes(&["a", "b", "c"][..batch]).await;

        bench.completes(ids[0]).await;
        assert_eq!(bench.notes().await, [NAMES.join(" ")]);
        running.shutdown().await;
    }
}
