//! What is left when queues have ended.
use crate::bench::{Bench, note, take_note, eventually};
use actix_job_queue::Handlers;

#[actix::test]
async fn a_queue_that_has_ended_keeps_no_connection() {
    for run in [false, true] {
        let bench = Bench::new().await;
        if run {
            let running = bench.start(Handlers::new().on("Note", take_note)).await;
            let id = bench.enqueue(note("x")).await;
            bench.completes(id).await;
            running.shutdown().await;
        }
        let Bench { db: _db, client, jobs } = bench;
        drop(jobs);
        let left = "SELECT coalesce(string_agg(query, ' | '), '') FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let begun = std::time::Instant::now();
        eventually("end of connections", async || {
            let left: String = client.query_typed_one(left, &[]).await.unwrap().get(0);
            if begun.elapsed().as_secs() > 5 { eprintln!("run {run}: {left}"); return Some(()); }
            left.is_empty().then_some(())
        }).await;
    }
}
