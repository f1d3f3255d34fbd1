//! The program among very many jobs.

use std::time::Duration;

use serde_json::Value;

use crate::{
    bench::{Bench, Said},
    questions::Terminal,
    support::barrier::Barrier,
};

/// Jobs that wait for a time of their own, a hundred of them for their next attempt, and as many that can run.
const WAITING: i64 = 100_000;

#[actix::test]
async fn jobs_are_found_among_many_that_wait_by_one_walk_over_these() {
    let bench = Bench::new().await;
    bench
        .sql(&format!(
            "SET session_replication_role = replica;
             INSERT INTO jobs (params, state, schedule)
             SELECT '{{}}', CASE WHEN n % 2 = 0 THEN 'AVAILABLE' WHEN n % 2000 = 1 THEN 'RETRY' ELSE 'SCHEDULED' END,
                    now() + make_interval(days => 1, secs => n * 7919 % 100003)
               FROM generate_series(1, 2 * {WAITING}) AS n;
             RESET session_replication_role;
             ANALYZE jobs"
        ))
        .await;
    let mut command = bench.command(&["run-now", "--state", "retry", "--yes"]);
    command.env("DATABASE_URL", format!("{}?application_name=finder", bench.db.url()));

    let said = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();

    assert_eq!(String::from_utf8(said.stdout).unwrap(), "100 jobs can run now\n");
    // What a connection did is counted for all to see when it ends.
    bench.until("its end", "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'finder'").await;
    let walked = "(SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'jobs_schedule_idx')";
    bench.until("what it read", &format!("{walked} >= {WAITING}")).await;
    let walked: i64 = bench.ask(&format!("SELECT {walked}")).await;
    assert!(walked < WAITING + WAITING / 10, "{walked}");
}

/// A queue in which the last job to be looked at is the only one that is meant.
async fn with_a_needle() -> Bench {
    let bench = Bench::new().await;
    bench
        .sql(
            r#"INSERT INTO jobs (params) VALUES ('{"type": "Needle"}');
               INSERT INTO jobs (params) SELECT '{"type": "Hay"}' FROM generate_series(1, 5000)"#,
        )
        .await;
    bench
}

/// A page is ended after a second, and a look at jobs by what they say begins with so many.
const FIRST: i64 = 500;

#[actix::test]
async fn a_search_that_takes_long_goes_on_until_the_page_is_full_or_there_is_no_more() {
    let bench = with_a_needle().await;
    let mut barrier = Barrier::close(&bench.db.url()).await;
    let mut command = bench.command(&["list", "--type", "Needle", "--limit", "2", "--json"]);
    let said = tokio::task::spawn_blocking(move || Said::from(command.output().unwrap()));
    barrier.let_one_through(&bench.db.url(), Duration::from_millis(1_100)).await;
    barrier.somebody_waits(Duration::ZERO).await;
    barrier.open().await;

    let page = said.await.unwrap().json();

    assert_eq!(
        (&page["jobs"][0]["id"], &page["searched"], &page["next"]),
        (&1.into(), &5_001.into(), &Value::Null),
        "{page}"
    );
}

#[actix::test]
async fn a_search_that_a_person_stops_tells_how_far_it_came_and_goes_on_from_there() {
    let bench = with_a_needle().await;
    let mut barrier = Barrier::close(&bench.db.url()).await;
    let list = ["list", "--type", "Needle"];
    let searching = Terminal::open(&bench, &list).await;
    barrier.let_one_through(&bench.db.url(), Duration::from_millis(1_100)).await;
    barrier.somebody_waits(Duration::ZERO).await;

    let said = searching.act(|session| session.send_control('c').unwrap()).await.end().await;

    let told = format!("stopped after {FIRST} jobs were looked through: go on with --from ");
    assert!(said.contains(&told) && !said.contains("no such jobs"), "{said}");
    let place = said.split(&told).nth(1).unwrap().split_whitespace().next().unwrap();
    barrier.open().await;
    let rest = bench.ok(&[&list[..], &["--from", place, "--json"]].concat()).await.json();
    assert_eq!((&rest["jobs"][0]["id"], &rest["searched"]), (&1.into(), &(5_001 - FIRST).into()), "{rest}");
}
