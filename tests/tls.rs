//! TLS, against a PostgreSQL whose certificate the test has made.
#![cfg(feature = "tls-rustls")]
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

#[allow(dead_code, unreachable_pub)]
mod support;

use std::{error::Error, io::Write, time::Duration};

use actix_job_queue::{
    Completed, ConnectError, Context, Database, DatabaseOptions, Enqueue, Handlers, Job, JobError, Listen, NewJob,
    Queue,
};
use support::cluster::{Cluster, Options};
use tempfile::NamedTempFile;

/// An authority, and a certificate that it has signed for a name.
struct Authority {
    pem: NamedTempFile,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self::named("an authority")
    }

    fn named(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
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
async fn another_authority_is_the_reason_that_a_server_is_refused_for() {
    let (authority, stranger) = (Authority::new(), Authority::named("a stranger"));
    // The older protocol proves the key in another way than the newer, which the other tests speak.
    let settings = vec![("ssl_max_protocol_version".to_owned(), "TLSv1.2".to_owned())];
    let tls = Some(authority.sign(&["localhost", "127.0.0.1"]));
    let server = Cluster::start(Options { settings, tls, ..Options::default() }).unwrap();
    let (known, unknown) = (authority.path(), stranger.path());

    assert_eq!(encrypted(&server, "sslmode=require").await, Ok(true));
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(encrypted(&server, &format!("sslmode={mode}&sslrootcert={known}")).await, Ok(true), "{mode}");
        let refused = encrypted(&server, &format!("sslmode={mode}&sslrootcert={unknown}")).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer"), "{mode}: {refused}");
    }
}

#[actix::test]
async fn what_a_certificate_must_name_is_the_host_or_else_the_address() {
    let authority = Authority::new();
    let by_name = server(Some(authority.sign(&["localhost"])));
    let by_address = server(Some(authority.sign(&["127.0.0.1"])));
    let connect = async |server: &Cluster, host: &str| {
        let (port, root) = (server.port(), authority.path());
        let text = format!("{host} port={port} user=postgres sslmode=verify-full sslrootcert={root}");
        Database::connect(&text).await.map(drop).map_err(|error| chain(&error))
    };

    assert_eq!(connect(&by_name, "host=localhost").await, Ok(()));
    assert_eq!(connect(&by_name, "host=localhost hostaddr=127.0.0.1").await, Ok(()));
    assert_eq!(connect(&by_address, "hostaddr=127.0.0.1").await, Ok(()));
    for (server, host) in [(&by_name, "hostaddr=127.0.0.1"), (&by_address, "host=localhost hostaddr=127.0.0.1")] {
        let refused = connect(server, host).await.unwrap_err();
        assert!(refused.contains("not valid for name"), "{host}: {refused}");
    }
}

#[actix::test]
async fn a_root_file_that_does_not_exist_is_named() {
    let refused = Database::connect("host=localhost sslmode=verify-full sslrootcert=/nowhere/root.crt").await;

    assert!(chain(&refused.unwrap_err()).contains("/nowhere/root.crt"));
}

/// Starts a queue whose listener alone uses TLS, and tells whether the server got an encrypted connection of it.
async fn listens(server: &Cluster, root: &str) -> bool {
    let address = server.url("postgres");
    let at = format!("{address}?sslmode=verify-full&sslrootcert={root}");
    let options = DatabaseOptions::new().listen(Listen::At(at));
    let database = options.connect(&format!("{address}?sslmode=disable")).await.unwrap();
    let queue = Queue::builder(&database, "jobs").build().unwrap();
    queue.migrate().await.unwrap();
    let handler = async |_: Job<serde_json::Value>, ctx: Context| Ok::<_, JobError>(ctx.complete().await?);
    let running = queue.start(Handlers::new().any(handler)).await.unwrap();
    let plain = support::connect(&address).await;
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                               WHERE application_name = 'actix-job-queue' AND ssl)";
    let outcome = async {
        loop {
            if plain.query_typed_one(sql, &[]).await.unwrap().get(0) {
                return true;
            }
            if server.log_tail(20).contains("could not accept SSL connection") {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let listens = tokio::time::timeout(Duration::from_secs(30), outcome).await.unwrap();
    running.shutdown().await;
    listens
}

#[actix::test]
async fn the_address_to_listen_at_is_checked_as_its_own_string_says() {
    let (authority, stranger) = (Authority::new(), Authority::named("a stranger"));
    let server = || server(Some(authority.sign(&["localhost", "127.0.0.1"])));

    assert!(listens(&server(), authority.path()).await);
    assert!(!listens(&server(), stranger.path()).await, "checked by the pools' sslmode, which checks nothing");
}

#[actix::test]
async fn jobs_run_and_notifications_come_over_tls() {
    let authority = Authority::new();
    let server = server(Some(authority.sign(&["localhost", "127.0.0.1"])));
    let url = format!("{}?sslmode=verify-full&sslrootcert={}", server.url("postgres"), authority.path());
    let database = Database::connect(&url).await.unwrap();
    let hour = Duration::from_secs(3600);
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
        let arrived = tokio::time::timeout(Duration::from_secs(30), arrivals.recv()).await;
        assert_eq!(arrived.unwrap(), Some(id), "only a notification can have woken the worker");
    }
    running.shutdown().await;
}
