//! What the tests of this program share.

use std::{
    future::Future,
    process::Command,
    time::{Duration, Instant},
};

use actix_job_queue::{
    Completed, Context, Database, Handlers, Job, JobError, NewJob, Queue, QueueBuilder,
    tokio_postgres::{Client, types::Type},
};
use serde_json::{Value, json};

use crate::support::TestDb;

/// Longer than any test: where only a notification can wake.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A database, a migrated queue `jobs` in it, and a connection to look from.
pub(crate) struct Bench {
    pub(crate) db: TestDb,
    pub(crate) database: Database,
    pub(crate) jobs: Queue,
    pub(crate) client: Client,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let db = TestDb::new().await;
        let database = Database::connect(&db.url()).await.unwrap();
        let jobs = quiet(Queue::builder(&database, "jobs")).build().unwrap();
        jobs.migrate().await.unwrap();
        let client = db.client().await;
        client.batch_execute(DONE).await.unwrap();
        Self { db, database, jobs, client }
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        number(&self.client, sql).await
    }

    pub(crate) async fn flag(&self, sql: &str) -> bool {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until each of these jobs has been completed once.
    pub(crate) async fn done(&self, ids: &[i64]) {
        done(&self.client, ids).await;
    }
}

/// A queue of one thread, in which nothing but a notification or a due time wakes anybody: the look whether a
/// process has died, which follows a claim, is half an hour away too.
pub(crate) fn quiet(queue: QueueBuilder) -> QueueBuilder {
    queue.arbiters(1).poll_interval(HOUR).dead_after(HOUR)
}

/// Where handlers say that they have run; a second completion of a job would break its key.
pub(crate) const DONE: &str = "CREATE TABLE public.done (queue text, job bigint, PRIMARY KEY (queue, job))";

/// The handlers of a queue whose every job is written down in its completion.
pub(crate) fn recording() -> Handlers {
    recording_as("")
}

/// The same for one of several queues.
pub(crate) fn recording_as(queue: &'static str) -> Handlers {
    Handlers::new().any(async move |job: Job<Value>, mut context: Context| record(queue, &job, &mut context).await)
}

pub(crate) async fn record(queue: &str, job: &Job<Value>, context: &mut Context) -> Result<Completed, JobError> {
    let completion = context.begin().await?;
    let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] = [(&queue, Type::TEXT), (&job.id, Type::INT8)];
    completion.execute_typed("INSERT INTO public.done VALUES ($1, $2)", &values).await?;
    Ok(completion.commit().await?)
}

/// A job that [`recording`] handlers take.
pub(crate) fn job() -> NewJob {
    NewJob::of_type("Note", &json!({"text": "hello"})).unwrap()
}

/// Waits until each of these jobs has been completed once.
pub(crate) async fn done(client: &Client, ids: &[i64]) {
    let wanted = i64::try_from(ids.len()).unwrap();
    eventually("all jobs are done", async || {
        let sql = "SELECT count(*) FROM public.done WHERE job = ANY ($1)";
        let row = client.query_one(sql, &[&ids]).await.unwrap();
        row.get::<_, i64>(0) == wanted
    })
    .await;
}

pub(crate) async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until it holds, for as long as a slow machine may need.
pub(crate) async fn eventually<F, Fut>(what: &str, holds: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The schema of a database as `pg_dump` writes it.
pub(crate) fn dump(db: &TestDb) -> String {
    let output = Command::new(db.program("pg_dump")).arg("--schema-only").arg(db.url()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Newer versions fence the script with a random word.
    text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
}

/// Has `psql` run a script, in one transaction and up to its first error.
pub(crate) fn psql(db: &TestDb, script: &str) -> String {
    use std::{io::Write, process::Stdio};

    let mut psql = Command::new(db.program("psql"))
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--single-transaction"])
        .args(["--set", "ON_ERROR_STOP=1", "--file", "-"])
        .arg(db.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = psql.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\nin\n{script}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
