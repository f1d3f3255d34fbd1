//! A real PostgreSQL for every test: one server a test program, one database a test.

pub mod barrier;
pub mod cluster;
pub mod proxy;
pub mod serve;

use std::{
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use cluster::{Cluster, Options};
use tokio_postgres::{Client, NoTls};

fn server() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(|| Cluster::start(Options::default()).expect("a PostgreSQL for the tests"))
}

/// A database of this test's own.
pub struct TestDb {
    pub name: String,
}

impl TestDb {
    pub async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = connect(&server().url("postgres")).await;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a new database");
        Self { name }
    }

    pub fn url(&self) -> String {
        server().url(&self.name)
    }

    /// Another user's way to the same database.
    pub fn url_as(&self, role: &str) -> String {
        self.url().replace("postgres@", &format!("{role}@"))
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], server().port()))
    }

    /// The path of `psql`, `pg_dump` and the like.
    pub fn program(&self, name: &str) -> std::path::PathBuf {
        server().binaries().join(name)
    }

    /// A connection of the test's own.
    pub async fn client(&self) -> Client {
        connect(&self.url()).await
    }
}

/// A plain connection, whose end is no concern of the test.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}
