//! Servers that stop, in order or not, and come back.

use std::{sync::Arc, time::Duration};

use actix_job_queue::{Context, DatabaseOptions, Enqueue, Handlers, Job};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    harness::{Entry, HOUR, all_entered, entering, eventually, migrated, number, queue, until, write},
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
    let entries: Vec<_> = (0..JOBS).map(|n| Entry::working(n, n.unsigned_abs() % 30).max_attempts(1_000)).collect();
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

/// A crash forgets a number that no flushed record mentions, and gives it to a later transaction. That one
/// commits here before the first asks what became of its own.
#[actix::test]
async fn a_commit_that_a_crash_undid_is_not_taken_for_a_later_one_of_the_same_number() {
    let quiet = [("wal_writer_delay", "10s"), ("wal_level", "minimal"), ("max_wal_senders", "0")];
    let settings = quiet.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut cluster = Cluster::start(Options { settings, ..Options::default() }).unwrap();
    let url = cluster.url("postgres");
    migrated(&url).await;
    // No rescue shall mend what the completion gets wrong.
    let jobs = queue(&url, DatabaseOptions::new(), |queue| queue.dead_after(HOUR)).await;
    let (gate, (tell, mut told)) = (Arc::new(Semaphore::new(0)), mpsc::unbounded_channel());
    let handlers = Handlers::new().any({
        let gate = Arc::clone(&gate);
        move |job: Job<Entry>, mut ctx: Context| {
            let (gate, tell) = (Arc::clone(&gate), tell.clone());
            async move {
                gate.acquire().await?.forget();
                let completion = ctx.begin().await?;
                write(&completion, job.id, job.params.n).await?;
                gate.acquire().await?.forget();
                let committed = completion.commit().await;
                tell.send(committed.is_ok())?;
                Ok(committed?)
            }
        }
    });
    let running = jobs.start(handlers).await.unwrap();
    let client = support::connect(&url).await;
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();
    until(&client, "it runs", "EXISTS (SELECT FROM jobs WHERE state = 'IN_PROGRESS')").await;
    client.batch_execute("CHECKPOINT").await.unwrap();
    gate.add_permits(1);
    let open = "FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE 'INSERT INTO ledger%'";
    until(&client, "its completion is open", &format!("EXISTS (SELECT {open})")).await;
    let number_of = |of: &str| format!("SELECT {of}::text::bigint");
    let undone = number(&client, &format!("{} {open}", number_of("backend_xid"))).await;
    cluster.stop("QUIT").unwrap();
    start_again(&mut cluster).await;

    let client = support::connect(&url).await;
    let first = number(&client, &number_of("pg_current_xact_id()")).await;
    assert!(first <= undone, "the crash has not forgotten the number: {first} follows {undone}");
    while number(&client, &number_of("pg_current_xact_id()")).await <= undone {}
    gate.add_permits(3);

    all_entered(&client, 1).await;
    assert_eq!((told.recv().await, told.recv().await), (Some(false), Some(true)));
    running.shutdown().await;
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
    let client = support::connect(&url).await;
    until(&client, "the first is done", "EXISTS (SELECT FROM ledger WHERE n = 1)").await;

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
