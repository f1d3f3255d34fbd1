//! The program among very many jobs.

use crate::bench::Bench;

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
