//! The PostgreSQL that everything is measured on: a throw-away one, or the one that DATABASE_URL names.

use std::{cell::Cell, env};

use tokio_postgres::{Client, Config, NoTls, config::SslMode};

use crate::{
    cluster::{self, Cluster},
    failure::Failure,
    field::Field,
};

/// What a throw-away server is given: a small production server's memory, and no checkpoint inside of a run,
/// which would fall into one contender's round or the other's by chance. What is committed is safe on disk. It keeps
/// the segments of its log, as one does that has been at work for a while: a commit that needs a new one waits until
/// it is full of zeroes.
const SETTINGS: [(&str, &str); 4] =
    [("shared_buffers", "512MB"), ("max_wal_size", "8GB"), ("min_wal_size", "2GB"), ("checkpoint_timeout", "30min")];

/// Settings that say what a commit costs, for the report.
const TOLD: [&str; 10] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "commit_delay",
    "shared_buffers",
    "max_wal_size",
    "min_wal_size",
    "checkpoint_timeout",
    "autovacuum",
];

pub(crate) struct Server {
    cluster: Option<Cluster>,
    url: String,
    fields: Cell<u32>,
}

impl Server {
    /// The server that the environment names, or a new one that is gone with this process.
    pub(crate) fn start() -> Result<Self, Failure> {
        if let Some(url) = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
            let config: Config = url.parse().map_err(Failure::because("read DATABASE_URL"))?;
            if config.get_ssl_mode() == SslMode::Require {
                return Err("the bare loops speak no TLS: give a DATABASE_URL without sslmode=require".into());
            }
            return Ok(Self { cluster: None, url, fields: Cell::default() });
        }
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let options = cluster::Options { settings, durable: true, ..cluster::Options::default() };
        let cluster = Cluster::start(options).map_err(Failure::because("start a throw-away PostgreSQL"))?;
        Ok(Self { url: cluster.url("postgres"), cluster: Some(cluster), fields: Cell::default() })
    }

    /// A connection beside the databases that are measured.
    pub(crate) async fn admin(&self) -> Result<Client, Failure> {
        connect(&self.url).await
    }

    /// A new database.
    pub(crate) async fn field(&self) -> Result<Field<'_>, Failure> {
        self.field_like("template1").await
    }

    /// A copy of a database to which nobody is connected.
    pub(crate) async fn field_like(&self, template: &str) -> Result<Field<'_>, Failure> {
        self.fields.set(self.fields.get() + 1);
        let name = self.name(self.fields.get());
        self.admin()
            .await?
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .map_err(Failure::because("make a database to measure in (the role needs CREATEDB)"))?;
        Ok(Field::new(self, &name, with_database(&self.url, &name)))
    }

    /// Drops the databases that a run which broke off has left.
    pub(crate) async fn clean(&self) -> Result<(), Failure> {
        let admin = self.admin().await?;
        for number in 1..=self.fields.get() {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name(number));
            admin.batch_execute(&drop).await.map_err(Failure::because("drop a database of the benchmark's own"))?;
        }
        Ok(())
    }

    /// Keeps autovacuum from being counted among a database's transactions, or lets it on again. Only the
    /// throw-away server is set so; on the user's own, the counts may be a little too high.
    pub(crate) async fn autovacuum(&self, on: bool) -> Result<(), Failure> {
        if self.cluster.is_none() {
            return Ok(());
        }
        let admin = self.admin().await?;
        for statement in [&format!("ALTER SYSTEM SET autovacuum = {on}"), "SELECT pg_reload_conf()"] {
            admin.batch_execute(statement).await.map_err(Failure::because("turn autovacuum off and on"))?;
        }
        Ok(())
    }

    /// The process all of whose children are the server's, where it runs here.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        self.cluster.as_ref().and_then(Cluster::postmaster)
    }

    /// Its version and what a commit costs there.
    pub(crate) async fn describe(&self) -> Result<(String, Vec<(String, String)>), Failure> {
        let admin = self.admin().await?;
        let mut values = Vec::new();
        for name in ["server_version"].into_iter().chain(TOLD) {
            let row = admin.query_typed_one(&format!("SHOW {name}"), &[]).await?;
            values.push((name.to_owned(), row.get::<_, String>(0)));
        }
        Ok((values.remove(0).1, values))
    }

    fn name(&self, number: u32) -> String {
        format!("job_queue_bench_{}_{number}", std::process::id())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Failure::because("run a statement of the benchmark")(error)
    }
}

/// A plain connection, which lasts as long as its client.
pub(crate) async fn connect(url: &str) -> Result<Client, Failure> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.map_err(Failure::because("connect to the PostgreSQL"))?;
    tokio::spawn(connection);
    Ok(client)
}

/// The same server's address with another database.
fn with_database(url: &str, name: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // Of two values of a key the later one counts.
        return format!("{url} dbname={name}");
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let host = place.split('/').next().unwrap_or_default();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{host}/{name}{query}")
}
