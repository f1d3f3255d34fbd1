//! A database with queues, and the program as it is run from a shell.

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use actix_job_queue::{Completed, Context, Database, Handlers, Job, JobError, Queue, QueueBuilder, Running};
use serde_json::Value;
use tokio_postgres::Client;

use crate::support::TestDb;

/// The longest that any test waits for what must come about.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) db: TestDb,
    pub(crate) client: Client,
    pub(crate) jobs: Queue,
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|queue| queue).await
    }

    pub(crate) async fn with(set: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Self {
        let db = TestDb::new().await;
        let client = db.client().await;
        let database = Database::connect(&db.url()).await.unwrap();
        let queue = Queue::builder(&database, "jobs").arbiters(1).shutdown_timeout(Duration::ZERO);
        let jobs = set(queue).build().unwrap();
        jobs.migrate().await.unwrap();
        Self { db, client, jobs }
    }

    pub(crate) async fn start(&self, handlers: Handlers) -> Running {
        self.jobs.start(handlers).await.unwrap()
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.client.query_typed_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn state(&self, id: i64) -> Option<String> {
        let sql = format!("SELECT state FROM jobs WHERE id = {id}");
        self.client.query_typed_opt(&sql, &[]).await.unwrap().map(|row| row.get(0))
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        let sql = format!("SELECT coalesce(({expression})::boolean, false)");
        eventually(what, async || self.ask::<bool>(&sql).await.then_some(())).await;
    }

    /// The program as a script would call it: a free environment, no terminal.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_job-queue"));
        command.env_clear().env("DATABASE_URL", self.db.url()).args(args).stdin(Stdio::null());
        command
    }

    /// What it says, while this test's own workers go on.
    pub(crate) async fn run(&self, args: &[&str]) -> Said {
        let mut command = self.command(args);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
    }

    /// The same for what must succeed.
    pub(crate) async fn ok(&self, args: &[&str]) -> Said {
        let said = self.run(args).await;
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said
    }
}

/// Waits until there is an answer.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(answer) = look().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Fails with what the params say, or completes where they say nothing.
pub(crate) async fn as_told(job: Job<Value>, ctx: Context) -> Result<Completed, JobError> {
    match job.params["fail"].as_str() {
        Some(text) => Err(JobError::new(text).retry_in(Duration::from_secs(3_600))),
        None => Ok(ctx.complete().await?),
    }
}

/// Jobs in every state, none of which runs: ids 1 to 6 in the order of a job's life, of the types A and B by turns.
pub(crate) const ONE_OF_EACH: &str = r#"
    INSERT INTO jobs (params, schedule) SELECT '{"type": "A", "size": 1}', now() + interval '1 day';
    INSERT INTO jobs (params) SELECT '{"type": "B", "size": 2}';
    INSERT INTO jobs (params) SELECT jsonb_build_object('type', CASE n % 2 WHEN 1 THEN 'A' ELSE 'B' END, 'size', n)
      FROM generate_series(3, 6) AS n;
    UPDATE jobs SET state = 'RESERVED', expires = now() + interval '1 day', node = 77 WHERE id = 3;
    UPDATE jobs SET state = 'IN_PROGRESS', expires = now() + interval '1 day', node = 77, attempt = 1, lease = 1 WHERE id = 4;
    UPDATE jobs SET state = 'RETRY', attempt = 1, schedule = now() + interval '1 day',
           errors = '[{"at": "2026-01-01T00:00:00Z", "attempt": 1, "error": ["not yet", "Connection refused"]}]' WHERE id = 5;
    UPDATE jobs SET state = 'FAILED', attempt = 5, inserted_at = now() - interval '3 days',
           errors = '[{"at": "2026-01-01T00:00:00Z", "attempt": 5, "error": ["smtp said 50% of \"nothing\""], "seconds": 2.5,
                       "node": 77, "process": "host:1 (worker)"}]' WHERE id = 6;
    INSERT INTO job_queue_nodes (node, name, dead_at) VALUES (77, 'host:77 (worker)', now() + interval '1 day');
"#;
