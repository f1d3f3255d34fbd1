//! The database of one workload: its queues, their rows, and the numbers that the server keeps of it.

use std::time::{Duration, Instant};

use actix_job_queue::{Database, Queue};
use tokio_postgres::{Client, error::SqlState, types::Type};

use crate::{
    failure::Failure,
    server::{Server, connect},
};

/// How long connections that were closed may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Field<'a> {
    pub(crate) server: &'a Server,
    pub(crate) name: String,
    pub(crate) url: String,
}

impl<'a> Field<'a> {
    pub(crate) fn new(server: &'a Server, name: &str, url: String) -> Self {
        Self { server, name: name.to_owned(), url }
    }

    /// A connection, which ends with its client.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        connect(&self.url).await
    }

    /// Makes a queue's table as users get it.
    pub(crate) async fn create(&self, table: &str) -> Result<(), Failure> {
        self.create_all(&[table.to_owned()]).await
    }

    /// The same for many queues.
    pub(crate) async fn create_all(&self, tables: &[String]) -> Result<(), Failure> {
        let database = Database::connect(&self.url).await.map_err(Failure::because("connect the queue"))?;
        for table in tables {
            let queue = Queue::builder(&database, table).build().map_err(Failure::because("build the queue"))?;
            queue.migrate().await.map_err(Failure::because("make the queue's table"))?;
        }
        Ok(())
    }

    /// Runs statements, each in a transaction of its own.
    pub(crate) async fn run(&self, statements: &[&str]) -> Result<(), Failure> {
        let client = self.client().await?;
        for statement in statements {
            let what = format!("run {statement:?}");
            client.batch_execute(statement).await.map_err(Failure::because(&what))?;
        }
        Ok(())
    }

    /// Leaves a table with so many jobs that can run, and nothing to be tidied up meanwhile.
    pub(crate) async fn fill(&self, table: &str, jobs: u64) -> Result<(), Failure> {
        self.run(&[&format!("TRUNCATE {table} RESTART IDENTITY"), &insert(table, jobs)]).await?;
        self.settle().await
    }

    /// Tidies all tables up, outside of the measured time.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        self.run(&["VACUUM ANALYZE"]).await?;
        self.checkpoint().await
    }

    /// Has a throw-away server write so many megabytes of log, whose segments it can use again after a checkpoint. One
    /// of the user's own has been at work, and is spared it.
    pub(crate) async fn write_log(&self, megabytes: u32) -> Result<(), Failure> {
        if self.server.postmaster().is_none() {
            return Ok(());
        }
        let message = "SELECT count(pg_logical_emit_message(false, 'benchmark', repeat('x', 1000000)))";
        self.run(&[&format!("{message} FROM generate_series(1, {megabytes})")]).await?;
        self.checkpoint().await
    }

    /// Has what was written be on disk before the measured time.
    pub(crate) async fn checkpoint(&self) -> Result<(), Failure> {
        let client = self.client().await?;
        match client.batch_execute("CHECKPOINT").await {
            // On a server of the user's own, a checkpoint may be no affair of this role.
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(()),
            other => Ok(other?),
        }
    }

    /// One number that a query answers.
    pub(crate) async fn number(&self, sql: &str) -> Result<f64, Failure> {
        let sql = format!("SELECT ({sql})::float8");
        let row = self.client().await?.query_typed_one(&sql, &[]).await;
        let value: Option<f64> = row.map_err(Failure::because(&format!("run {sql:?}")))?.get(0);
        value.ok_or_else(|| format!("{sql:?} answered NULL").into())
    }

    /// Waits until nobody is connected: then all that was done is in the server's numbers.
    pub(crate) async fn quiet(&self) -> Result<(), Failure> {
        const OTHERS: &str =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'";
        let admin = self.server.admin().await?;
        let begun = Instant::now();
        loop {
            let others: i64 = admin.query_typed_one(OTHERS, &[(&self.name, Type::TEXT)]).await?.get(0);
            if others == 0 {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{others} connections to {} did not end within {PATIENCE:?}", self.name).into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Before PostgreSQL 15 the numbers go through a collector, which takes half a second at most.
        let version: String = admin.query_typed_one("SHOW server_version_num", &[]).await?.get(0);
        if version.parse::<u32>().is_ok_and(|version| version < 150_000) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// A number of this database that the server keeps in `pg_stat_database`; look when it is [`Field::quiet`].
    pub(crate) async fn statistic(&self, expression: &str) -> Result<f64, Failure> {
        let sql = format!("SELECT ({expression})::float8 FROM pg_stat_database WHERE datname = $1");
        let row = self.server.admin().await?.query_typed_one(&sql, &[(&self.name, Type::TEXT)]).await?;
        Ok(row.get(0))
    }

    /// Bytes of WAL that the server has written in its life.
    pub(crate) async fn wal(&self) -> Result<f64, Failure> {
        const WRITTEN: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8";
        Ok(self.server.admin().await?.query_typed_one(WRITTEN, &[]).await?.get(0))
    }

    /// Drops it with all that it holds.
    pub(crate) async fn remove(self) -> Result<(), Failure> {
        let admin = self.server.admin().await?;
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        admin.batch_execute(&drop).await.map_err(Failure::because("drop the workload's database"))
    }
}

/// Inserts jobs as somebody would who knows nothing of the library.
pub(crate) fn insert(table: &str, jobs: u64) -> String {
    format!(
        "INSERT INTO {table} (params) \
         SELECT jsonb_build_object('type', 'Job', 'n', n) FROM generate_series(1, {jobs}) AS n"
    )
}
