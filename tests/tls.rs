//! TLS, against a PostgreSQL whose certificate the test has made.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

#[allow(dead_code, unreachable_pub)]
mod support;

use std::{error::Error, io::Write};

use actix_job_queue::{Completed, ConnectError, Context, Database, Enqueue, Handlers, Job, JobError, NewJob, Queue};
use support::cluster::{Cluster, Options};
use tempfile::NamedTempFile;

/// An authority, and a certificate that it has signed for a name.
struct Authority {
    pem: NamedTempFile,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        let mut pem = NamedTempFile::new().unwrap();
        pem.write_all(certificate.pem().as_bytes()).unwrap();
        Self { pem, issuer: rcgen::Issuer::new(parameters, key) }
    }

    /// A certificate and its key.
    fn sign(&self, names: &[&str]) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn path(&self) -> &str {
        self.pem.path().to_str().unwrap()
    }
}

fn server(tls: Option<(String, String)>) -> Cluster {
    Cluster::start(Options { tls, ..Options::default() }).unwrap()
}

/// Connects, and tells whether the connection is encrypted.
async fn encrypted(server: &Cluster, parameters: &str) -> Result<bool, String> {
    let url = format!("{}?{parameters}", server.url("postgres"));
    let database = Database::connect(&url).await.map_err(|error| chain(&error))?;
    let queue = Queue::builder(&database, "jobs").build().unwrap();
    queue.migrate().await.unwrap();
    let plain = support::connect(&server.url("postgres")).await;
    let sql = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                WHERE application_name = 'actix-job-queue' AND pid <> pg_backend_pid()";
    Ok(plain.query_typed_one(sql, &[]).await.unwrap().get(0))
}

/// The error's text with those of its causes.
fn chain(error: &ConnectError) -> String {
    let mut texts = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts = format!("{texts}: {error}");
        cause = error.source();
    }
    texts
}

#[actix::test]
async fn each_sslmode_checks_what_it_is_named_after() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = server(Some(authority.sign(&["localhost", "127.0.0.1"])));
    let (known, unknown) = (authority.path(), stranger.path());

    assert_eq!(encrypted(&server, "sslmode=disable").await, Ok(false));
    assert_eq!(encrypted(&server, "sslmode=prefer").await, Ok(true));
    assert_eq!(encrypted(&server, "sslmode=require").await, Ok(true));
    for mode in ["require", "verify-ca", "verify-full"] {
        let trusted = format!("sslmode={mode}&sslrootcert={known}");
        assert_eq!(encrypted(&server, &trusted).await, Ok(true), "{mode}");
        let refused = encrypted(&server, &format!("sslmode={mode}&sslrootcert={unknown}")).await.unwrap_err();
        assert!(refused.contains("invalid peer certificate"), "{mode}: {refused}");
    }
    let public = encrypted(&server, "sslmode=verify-full&sslrootcert=system").await.unwrap_err();
    assert!(public.contains("invalid peer certificate"), "{public}");
}

#[actix::test]
async fn a_certificate_of_another_name_passes_verify_ca_and_not_verify_full() {
    let authority = Authority::new();
    let server = server(Some(authority.sign(&["db.example.com"])));
    let root = authority.path();

    assert_eq!(encrypted(&server, &format!("sslmode=verify-ca&sslrootcert={root}")).await, Ok(true));
    let refused = encrypted(&server, &format!("sslmode=verify-full&sslrootcert={root}")).await.unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
}

#[actix::test]
async fn a_server_without_tls_is_refused_where_encryption_was_asked_for() {
    let authority = Authority::new();
    let server = server(None);

    assert_eq!(encrypted(&server, "sslmode=prefer").await, Ok(false));
    for mode in ["require".to_owned(), format!("verify-full&sslrootcert={}", authority.path())] {
        let refused = encrypted(&server, &format!("sslmode={mode}")).await.unwrap_err();
        assert!(refused.contains("server does not support TLS"), "{refused}");
    }
}

#[actix::test]
async fn jobs_run_and_notifications_come_over_tls() {
    let authority = Authority::new();
    let server = server(Some(authority.sign(&["localhost", "127.0.0.1"])));
    let url = format!("{}?sslmode=verify-full&sslrootcert={}", server.url("postgres"), authority.path());
    let database = Database::connect(&url).await.unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let queue = Queue::builder(&database, "jobs").poll_interval(hour).build().unwrap();
    queue.migrate().await.unwrap();
    let (done, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |job: Job<serde_json::Value>, mut ctx: Context| {
        let done = done.clone();
        async move {
            let completed: Completed = ctx.begin().await?.commit().await?;
            done.send(job.id)?;
            Ok::<_, JobError>(completed)
        }
    };
    let running = queue.start(Handlers::new().any(handler)).await.unwrap();

    for _ in 0..3 {
        let job = NewJob::new(&serde_json::json!({})).unwrap();
        let id = queue.addr().send(Enqueue(job)).await.unwrap().unwrap();
        let arrived = tokio::time::timeout(std::time::Duration::from_secs(30), arrivals.recv()).await;
        assert_eq!(arrived.unwrap(), Some(id), "only a notification can have woken the worker");
    }
    running.shutdown().await;
}
