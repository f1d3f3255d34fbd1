//! What a failed attempt leaves, as show tells it.

use actix_job_queue::{Completed, Context, Handlers, Job, JobError};
use serde_json::Value;

use crate::bench::Bench;

async fn trip(job: Job<Value>, _: Context) -> Result<Completed, JobError> {
    panic!("tripped over {}", job.params["over"])
}

#[actix::test]
async fn a_panic_is_shown_with_its_place_its_process_and_its_time() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Trip", trip)).await;
    let id = bench.ok(&["enqueue", "Trip", r#"{"over": "a stone"}"#, "--max-attempts", "1"]).await.out;
    bench.until("the failure", "SELECT state = 'FAILED' FROM jobs").await;

    let shown = bench.ok(&["show", id.trim()]).await.out;

    let process = format!(":{} (", std::process::id());
    for told in ["tripped over \"a stone\" (at tests/operator/record.rs:", process.as_str(), "attempt 1 failed"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    running.shutdown().await;
}
