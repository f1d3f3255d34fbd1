//! What a queue costs that has nothing to do.

use std::time::Duration;

use actix_job_queue::DatabaseOptions;

use crate::{
    harness::{Entry, all_entered, calm, entering, eventually, migrated, queue, waiting},
    support::{
        self,
        cluster::{Cluster, Options},
    },
};

/// A statement as the server logged it: when, in milliseconds, and what.
fn statements(log: &str) -> Vec<(f64, &str)> {
    log.split("@@")
        .filter_map(|entry| {
            let (at, what) = entry.split_once("@ ")?;
            let what = what.strip_prefix("LOG:  execute ").or_else(|| what.strip_prefix("LOG:  statement: "))?;
            Some((at.parse::<f64>().ok()? * 1_000.0, what))
        })
        .collect()
}

/// The whole of the server's log is read, from the moment that it has become quiet until the fifth sweep.
#[actix::test]
async fn an_idle_queue_asks_one_statement_a_poll_interval_and_that_is_the_sweep() {
    const POLL_INTERVAL: Duration = Duration::from_secs(2);
    let settings = [("log_statement", "all"), ("log_line_prefix", "@@%n@ ")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let cluster = Cluster::start(Options { settings, ..Options::default() }).unwrap();
    let url = cluster.url("postgres");
    migrated(&url).await;
    let jobs = queue(&url, DatabaseOptions::new(), |queue| queue.poll_interval(POLL_INTERVAL)).await;
    let client = support::connect(&url).await;
    let running = jobs.start(entering()).await.unwrap();
    jobs.enqueue_many(&client, &(1..=50).map(Entry::job).collect::<Vec<_>>()).await.unwrap();
    all_entered(&client, 50).await;
    waiting(&client, 1).await;
    calm(&client).await;
    let told = "SELECT coalesce(sum(started), 0)::bigint FROM job_queue_activity";
    eventually("what the jobs did being written down", || async {
        let started: i64 = client.query_typed_one(told, &[]).await.unwrap().get(0);
        (started >= 50).then_some(())
    })
    .await;
    drop(client);
    let sweep = "Guarantees that what is due becomes available";
    let sweeps = |log: &str| log.matches(sweep).count();
    // The sweep that follows up the last claim is the end of what the work has cost.
    let busy = sweeps(&cluster.log_tail(usize::MAX));
    eventually("the follow-up sweep", || async { (sweeps(&cluster.log_tail(usize::MAX)) > busy).then_some(()) }).await;
    let skip = cluster.log_tail(usize::MAX).len();

    let idle = eventually("five sweeps", || async {
        let log = cluster.log_tail(usize::MAX).split_off(skip);
        (sweeps(&log) >= 5).then_some(log)
    })
    .await;

    let idle = statements(&idle);
    assert!(idle.iter().all(|(_, what)| what.contains(sweep)), "{idle:#?}");
    let least = POLL_INTERVAL.as_secs_f64() * 1_000.0 * 0.95;
    assert!(idle.windows(2).all(|pair| pair[1].0 - pair[0].0 >= least), "{idle:#?}");
    running.shutdown().await;
}
