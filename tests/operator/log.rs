//! What the program writes to its log.

use crate::bench::{Bench, Said};

async fn run_with(bench: &Bench, filter: &str, args: &[&str]) -> Said {
    let mut command = bench.command(args);
    command.env("RUST_LOG", filter);
    let said = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    said.into()
}

#[cfg(feature = "tls-rustls")]
#[actix::test]
async fn a_verb_logs_warnings_unless_another_level_is_asked_for_and_nothing_where_all_is_well() {
    let bench = Bench::new().await;
    assert_eq!(bench.ok(&["list"]).await.err, "");
    let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, format!("{root}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).unwrap();
    let url = format!("{}?sslmode=verify-ca&sslrootcert={}", bench.db.url(), file.display());
    let told = async |filter: Option<&str>| {
        let mut command = bench.command(&["list"]);
        command.env("DATABASE_URL", &url).envs(filter.map(|filter| ("RUST_LOG", filter)));
        Said::from(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
    };

    let (plain, off) = (told(None).await, told(Some("off")).await);

    let line = " WARN  actix_job_queue::database: 1 of the 2 certificates in ";
    assert!(plain.err.contains(line) && plain.out.is_empty(), "{plain:?}");
    assert!(!off.err.contains(line) && off.err.starts_with("job-queue: "), "{off:?}");
}

#[actix::test]
async fn no_params_are_logged_at_any_level() {
    let bench = Bench::new().await;

    for filter in ["trace", "tokio_postgres::query=trace,actix_job_queue::job=trace,debug"] {
        for args in [
            &["enqueue", "Login", r#"{"password": "hunter2"}"#, "--notify", "hunter2"][..],
            &["list"],
            &["show", "1"],
            &["list", "--params", r#"$.password == "hunter2""#],
            &["export"],
        ] {
            let said = run_with(&bench, filter, args).await;
            assert!(said.code == 0 && !said.err.contains("hunter2"), "{said:?}");
        }
    }
}

#[cfg(feature = "web")]
#[actix::test]
async fn what_serves_says_so_and_tells_of_requests_that_could_not_be_answered() {
    let bench = Bench::new().await;
    let (mut serving, url) = crate::support::serve::serve(bench.command(&["serve", "--listen", "127.0.0.1:0"])).await;
    bench.sql("DROP TABLE job_queue_nodes CASCADE; DROP TABLE job_queue_activity; DROP TABLE job_queue_pauses").await;

    let answer = awc::Client::default().get(format!("{url}queues/public/jobs")).send().await.unwrap();
    serving.start_kill().unwrap();
    let mut log = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut serving.stderr.take().unwrap(), &mut log).await.unwrap();

    assert!(answer.status().is_server_error(), "{}", answer.status());
    assert!(
        log.contains(" INFO  actix_server::")
            && log.contains(" ERROR actix_job_queue::web: the dashboard could not answer"),
        "{log}"
    );
}
