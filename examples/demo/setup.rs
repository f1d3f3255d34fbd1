//! What the processes of the demo agree on: the database, its tables, the queue and the folder of mails.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use actix_job_queue::{
    Database, Queue,
    tokio_postgres::{Config, NoTls, config::SslMode},
};
use bb8_postgres::PostgresConnectionManager;

use crate::Failure;

/// The application's own connections, beside those of the queue.
pub(crate) type Pool = bb8::Pool<PostgresConnectionManager<NoTls>>;

/// Where everything is; handed from the tour to its processes, the URL by the environment.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) url: String,
    /// One of the demo's own, so that it can be run in any database.
    pub(crate) schema: String,
    pub(crate) mails: PathBuf,
    /// How long the mail server that a folder stands for takes to answer.
    pub(crate) delivery: Duration,
}

impl Setup {
    /// Connects the application.
    pub(crate) async fn pool(&self) -> Result<Pool, Failure> {
        let config: Config = self.url.parse().map_err(Failure::because("read DATABASE_URL"))?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err("the demo's own connections speak no TLS: give a DATABASE_URL without sslmode=require".into());
        }
        let manager = PostgresConnectionManager::new(config, NoTls);
        bb8::Pool::builder().max_size(8).build(manager).await.map_err(Failure::because("use DATABASE_URL"))
    }

    /// The queue, with times so short that one can watch a retry and a rescue.
    pub(crate) async fn queue(&self) -> Result<Queue, Failure> {
        let database = Database::connect(&self.url).await.map_err(Failure::because("use DATABASE_URL"))?;
        Queue::builder(&database, "jobs")
            .schema(&self.schema)
            .max_demand(20)
            .retry_timeout(Duration::from_secs(1))
            .execution_timeout(Duration::from_secs(2))
            .dead_after(Duration::from_secs(2))
            .shutdown_timeout(Duration::from_secs(5))
            .from_env("DEMO")
            .build()
            .map_err(Failure::because("set up the queue"))
    }

    /// Creates what is not there yet.
    pub(crate) async fn create(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.mails).map_err(Failure::because("make the folder of mails"))?;
        self.queue().await?.migrate().await.map_err(Failure::because("create the queue's table"))?;
        let tables = TABLES.replace("{schema}", &self.schema);
        let pool = self.pool().await?;
        let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
        connection.batch_execute(&tables).await.map_err(Failure::because("create the application's tables"))
    }

    /// Removes the schema with all that it holds.
    pub(crate) async fn remove(&self) -> Result<(), Failure> {
        let pool = self.pool().await?;
        let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        connection.batch_execute(&drop).await.map_err(Failure::because("remove the demo's schema"))
    }

    /// The same with another folder of mails.
    pub(crate) fn with_mails(self, mails: &Path) -> Self {
        Self { mails: mails.to_owned(), ..self }
    }
}

/// No foreign key stands between the tables, and a mail that is counted twice is counted: were the queue
/// to break its promises, the ledger would show it instead of a constraint hiding it.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS {schema}.users (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        email text NOT NULL UNIQUE,
        signed_up_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS {schema}.mails (
        user_id bigint PRIMARY KEY,
        job_id bigint NOT NULL,
        attempt integer NOT NULL,
        process bigint NOT NULL,
        counted integer NOT NULL DEFAULT 1,
        sent_at timestamptz NOT NULL DEFAULT now()
    )";
