//! Whose completion a proof is of.

use std::sync::{Arc, Mutex};

use actix_job_queue::{BatchContext, Completed, Handlers, Job, NewJob};
use serde_json::json;

use super::{batched, full, one_worker, take_all};
use crate::bench::{Bench, Note};

type Kept = Arc<Mutex<Option<Completed>>>;

/// Keeps the proof of what it commits first, and hands it in for the next, which waits for its slots.
#[actix::test]
async fn the_proof_of_another_batch_is_refused() {
    let bench = Bench::with(|queue| one_worker(queue).max_demand(2)).await;
    let kept = Kept::default();
    let handler = async |kept: Kept, jobs: Vec<Job<Note>>, mut ctx: BatchContext| {
        if jobs[0].params.text == "first" {
            *kept.lock().unwrap() = Some(take_all(&jobs, &mut ctx).await?);
            return Err("kept the proof for itself".into());
        }
        kept.lock().unwrap().take().ok_or_else(|| "no proof is left".into())
    };
    let running = bench.start(Handlers::new().batch("Note", full(2), batched(kept, handler))).await;

    for id in bench.enqueue_notes(&["first", "first too"]).await {
        bench.completes(id).await;
    }
    let one = NewJob::of_type("Note", &json!({"text": "second"})).unwrap();
    let ids = bench.jobs.enqueue_many(&bench.client, &[one.clone(), one]).await.unwrap();

    for id in ids {
        bench.becomes(id, "RETRY").await;
        assert_eq!(bench.error(id).await, "no proof is left", "each was performed again, alone");
    }
    assert_eq!(bench.notes().await, ["first", "first too"]);
    running.shutdown().await;
}

#[actix::test]
async fn the_proof_of_another_batch_fails_a_batch_of_one() {
    let bench = Bench::with(|queue| one_worker(queue).max_demand(1)).await;
    let kept = Kept::default();
    let handler = async |kept: Kept, jobs: Vec<Job<Note>>, mut ctx: BatchContext| {
        if let Some(proof) = kept.lock().unwrap().take() {
            return Ok(proof);
        }
        *kept.lock().unwrap() = Some(take_all(&jobs, &mut ctx).await?);
        Err("kept the proof for itself".into())
    };
    let running = bench.start(Handlers::new().batch("Note", full(1), batched(kept, handler))).await;

    let ids = [bench.enqueue_notes(&["first"]).await[0], bench.enqueue_notes(&["second"]).await[0]];

    bench.completes(ids[0]).await;
    bench.becomes(ids[1], "RETRY").await;
    assert!(bench.error(ids[1]).await.contains("the proof of another job's completion"));
    assert_eq!(bench.notes().await, ["first"]);
    running.shutdown().await;
}
