//! What the tests of faults share: a queue with a ledger, and patience with a bound.

use std::{future::Future, time::Duration};

use actix_job_queue::{
    Completed, Context, Database, DatabaseOptions, Handlers, Job, JobError, NewJob, Queue, QueueBuilder,
    tokio_postgres::{Client, types::Type},
};
use serde::{Deserialize, Serialize};

/// Longer than anything here takes, and far below each poll interval of an hour and every time-out.
const PATIENCE: Duration = Duration::from_secs(60);

/// A time that no test lives to see.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Params of a job whose effect is one row in the ledger.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) n: i64,
    #[serde(default)]
    pub(crate) work_ms: u64,
}

impl Entry {
    pub(crate) fn job(n: i64) -> NewJob {
        Self::working(n, 0)
    }

    /// A job that takes a while before it opens its completion.
    pub(crate) fn working(n: i64, work_ms: u64) -> NewJob {
        NewJob::new(&Entry { n, work_ms }).unwrap()
    }
}

/// Enters the job in the ledger, whose unique key admits no second effect.
pub(crate) async fn enter(job: Job<Entry>, mut context: Context) -> Result<Completed, JobError> {
    if job.params.work_ms > 0 {
        tokio::time::sleep(Duration::from_millis(job.params.work_ms)).await;
    }
    let completion = context.begin().await?;
    write(&completion, job.id, job.params.n).await?;
    Ok(completion.commit().await?)
}

/// The effect itself.
pub(crate) async fn write(
    transaction: &actix_job_queue::tokio_postgres::Transaction<'_>,
    id: i64,
    n: i64,
) -> Result<(), JobError> {
    let pid = i32::try_from(std::process::id())?;
    transaction
        .execute_typed(
            "INSERT INTO ledger (job_id, n, pid) VALUES ($1, $2, $3)",
            &[(&id, Type::INT8), (&n, Type::INT8), (&pid, Type::INT4)],
        )
        .await?;
    Ok(())
}

pub(crate) fn entering() -> Handlers {
    Handlers::new().any(enter)
}

/// The queue `jobs` and its ledger, made in this database.
pub(crate) async fn migrated(url: &str) -> Queue {
    let queue = queue(url, DatabaseOptions::new(), |queue| queue).await;
    queue.migrate().await.unwrap();
    let client = crate::support::connect(url).await;
    client
        .batch_execute(
            "CREATE TABLE ledger (job_id bigint NOT NULL, n bigint NOT NULL UNIQUE, pid integer NOT NULL, \
             at timestamptz NOT NULL DEFAULT clock_timestamp())",
        )
        .await
        .unwrap();
    queue
}

/// A handle of its own to the queue `jobs`, as another process would have it.
pub(crate) async fn queue(
    url: &str,
    options: DatabaseOptions,
    set: impl FnOnce(QueueBuilder) -> QueueBuilder,
) -> Queue {
    let database = options.connect(url).await.unwrap();
    set(builder(&database)).build().unwrap()
}

/// Settings that make faults show in seconds, and nothing be found by a poll that should be found without.
pub(crate) fn builder(database: &Database) -> QueueBuilder {
    Queue::builder(database, "jobs")
        .max_demand(10)
        .arbiters(2)
        .poll_interval(HOUR)
        .dead_after(Duration::from_secs(1))
        .retry_timeout(Duration::from_millis(100))
        .log_level(log::Level::Debug)
}

/// Looks every 20 ms until there is something to see.
pub(crate) async fn eventually<T, Fut: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> Fut) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "it did not come to pass within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The one number that a query answers.
pub(crate) async fn number(client: &Client, sql: &str) -> i64 {
    client.query_typed_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until the condition is true in the database.
pub(crate) async fn until(client: &Client, what: &str, condition: &str) {
    let sql = format!("SELECT CASE WHEN {condition} THEN 1::bigint ELSE 0 END");
    let begun = std::time::Instant::now();
    while number(client, &sql).await == 0 {
        if begun.elapsed() > PATIENCE {
            let sql = "SELECT (SELECT count(*) FROM ledger) || ' effects at ' || now() \
                       || COALESCE(string_agg(E'\\n' || jobs::text, ''), ', no jobs') FROM (TABLE jobs LIMIT 20) AS jobs";
            let table: String = client.query_typed_one(sql, &[]).await.unwrap().get(0);
            panic!("it did not come to pass within {PATIENCE:?}: {what}; {table}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every job has had its one effect, and is gone.
pub(crate) async fn all_entered(client: &Client, jobs: i64) {
    until(client, "the queue is empty", "NOT EXISTS (SELECT FROM jobs)").await;
    assert_eq!(number(client, "SELECT count(*) FROM ledger").await, jobs);
    assert_eq!(number(client, "SELECT count(DISTINCT job_id) FROM ledger").await, jobs);
}

/// The queue's producer has claimed all there is, and waits with the lock by which inserts see it.
pub(crate) async fn waiting(client: &Client, producers: i64) {
    let waits = "FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    until(client, "the producers wait", &format!("(SELECT count(*) {waits}) = {producers}")).await;
}

/// Nobody else has asked this database anything for a while: for longer than a producer whose question went with its
/// connection takes to look once more.
pub(crate) async fn calm(client: &Client) {
    until(
        client,
        "the database is calm",
        "(SELECT COALESCE(max(query_start) < clock_timestamp() - interval '800 ms', true) FROM pg_stat_activity \
           WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid())",
    )
    .await;
}
