//! A scenario's PostgreSQL, and connections to it from outside of the library.

use tokio_postgres::{Client, NoTls};

use crate::{
    cluster::{Cluster, ClusterError},
    failure::Failure,
};

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Failure::because("run a statement of the scenario's own")(error)
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Failure::because("run a PostgreSQL")(error)
    }
}

/// How the workers name themselves to the server, in place of which connections of the scenario have no name.
pub(crate) const WORKERS: &str = "worker";

/// A plain connection, which lasts as long as its client.
pub(crate) async fn connect(url: &str) -> Result<Client, Failure> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.map_err(Failure::because("connect to the PostgreSQL"))?;
    tokio::spawn(connection);
    Ok(client)
}

/// The one number that a query answers.
pub(crate) async fn number(client: &Client, sql: &str) -> Result<i64, Failure> {
    Ok(client.query_typed_one(sql, &[]).await?.try_get(0)?)
}

/// The workers' way to the server.
pub(crate) fn workers_url(url: &str) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}application_name={WORKERS}")
}

/// Kills the server's every process at once, as the kernel does when memory is gone.
pub(crate) fn crash(cluster: &mut Cluster) -> Result<(), Failure> {
    let children = cluster.postmaster().map(crate::usage::children).unwrap_or_default();
    cluster.stop("KILL")?;
    for child in children {
        // Some have noticed by themselves that their parent is gone.
        let _ = std::process::Command::new("kill")
            .args(["-KILL", &child.to_string()])
            .stderr(std::process::Stdio::null())
            .status();
    }
    Ok(())
}

/// Starts a server again, whose last processes may linger for a moment.
pub(crate) async fn start_again(cluster: &mut Cluster) -> Result<(), Failure> {
    for _ in 0..100 {
        if tokio::task::block_in_place(|| cluster.start_again()).is_ok() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(tokio::task::block_in_place(|| cluster.start_again())?)
}
