//! Servers that stop, in order or not, and come back.

use std::time::Duration;

use actix_job_queue::{DatabaseOptions, Enqueue};

use crate::{
    harness::{Entry, all_entered, entering, eventually, migrated, number, queue, until},
    support::{
        self,
        cluster::{Cluster, Options},
    },
};

/// A server whose commits survive its crash.
fn durable() -> Cluster {
    Cluster::start(Options { durable: true, ..Options::default() }).unwrap()
}

/// The children of a server that was killed may linger for a moment.
async fn start_again(cluster: &mut Cluster) {
    let cluster = std::cell::RefCell::new(cluster);
    eventually("the server starts again", || async { cluster.borrow_mut().start_again().ok() }).await;
}

/// Stopped at a third and at two thirds of the work, in the midst of claims, completions and commits.
async fn survives(signal: &str) {
    const JOBS: i64 = 600;
    let mut cluster = durable();
    let url = cluster.url("postgres");
    migrated(&url).await;
    let options = DatabaseOptions::new().connection_timeout(Duration::from_secs(1));
    let jobs = queue(&url, options, |queue| queue.max_demand(20).dead_after(Duration::from_secs(5))).await;
    let client = support::connect(&url).await;
    let entries: Vec<_> =
        (0..JOBS).map(|n| Entry::working(n, n.unsigned_abs() % 30).max_attempts(1_000)).collect();
    jobs.enqueue_many(&client, &entries).await.unwrap();
    drop(client);
    let running = jobs.start(entering()).await.unwrap();

    for goal in [JOBS / 3, JOBS * 2 / 3] {
        let client = support::connect(&url).await;
        until(&client, "the ledger grows", &format!("(SELECT count(*) FROM ledger) >= {goal}")).await;
        cluster.stop(signal).unwrap();
        start_again(&mut cluster).await;
    }

    let client = support::connect(&url).await;
    all_entered(&client, JOBS).await;
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned), (0, 0), "{report}");
}

#[actix::test]
async fn a_queue_comes_back_by_itself_after_a_fast_stop_of_the_server() {
    survives("INT").await;
}

#[actix::test]
async fn a_queue_comes_back_by_itself_after_an_immediate_stop_of_the_server() {
    survives("QUIT").await;
}

#[actix::test]
async fn a_queue_comes_back_by_itself_after_a_crash_of_the_server() {
    survives("KILL").await;
}

/// The whole chain of causes, as an operator reads it.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[actix::test]
async fn a_time_out_of_the_pool_names_why_there_was_no_connection() {
    let mut cluster = Cluster::start(Options::default()).unwrap();
    let url = cluster.url("postgres");
    migrated(&url).await;
    let options = DatabaseOptions::new().connection_timeout(Duration::from_millis(500));
    let jobs = queue(&url, options.clone(), |queue| queue).await;
    let running = jobs.start(entering()).await.unwrap();
    jobs.addr().send(Enqueue(Entry::job(1))).await.unwrap().unwrap();

    cluster.stop("INT").unwrap();

    let connecting = options.connect(&url).await.unwrap_err();
    assert!(chain(&connecting).contains("refused"), "{}", chain(&connecting));
    let starting = jobs.start(entering()).await.unwrap_err();
    assert!(chain(&starting).contains("refused"), "{}", chain(&starting));
    let enqueueing = eventually("an enqueue finds no connection", || async {
        jobs.addr().send(Enqueue(Entry::job(2))).await.unwrap().err().map(|error| chain(&error)).filter(|error| {
            // One that lay idle in the pool says first that it is closed.
            !error.contains("closed") && !error.contains("terminat")
        })
    })
    .await;
    assert!(enqueueing.contains("refused"), "{enqueueing}");

    start_again(&mut cluster).await;
    let client = support::connect(&url).await;
    jobs.addr().send(Enqueue(Entry::job(3))).await.unwrap().unwrap();
    until(&client, "it works again", "EXISTS (SELECT FROM ledger WHERE n = 3)").await;
    assert_eq!(number(&client, "SELECT count(*) FROM jobs").await, 0);
    running.shutdown().await;
}
