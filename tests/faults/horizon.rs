//! A transaction that is left open for hours, and sees every job that ran since.

use actix_job_queue::{
    Completed, Context, DatabaseOptions, Handlers, Job, JobError,
    tokio_postgres::{Client, types::Type},
};

use crate::{
    harness::{Entry, all_entered, enter, migrated, queue, until},
    support::TestDb,
};

const JOBS: i64 = 6_000;

/// Fails now and then before it succeeds.
async fn fickle(job: Job<Entry>, context: Context) -> Result<Completed, JobError> {
    match job.attempt == 1 && job.params.n % 50 == 0 {
        true => Err("not yet".into()),
        false => enter(job, context).await,
    }
}

/// Inserts the jobs of these numbers, in one statement.
async fn insert(client: &Client, first: i64, last: i64, columns: &str, values: &str) {
    let sql = format!(
        "INSERT INTO jobs (params, {columns}) SELECT jsonb_build_object('n', n), {values} FROM generate_series($1, $2) AS n"
    );
    client.execute_typed(&sql, &[(&first, Type::INT8), (&last, Type::INT8)]).await.unwrap();
}

/// By then two processes claim from where they have come to; what lies before that place is performed all the
/// same, and long before the rest of the queue where it comes first.
#[actix::test]
async fn nothing_is_left_behind_while_a_transaction_holds_all_that_is_gone_in_the_indexes() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let (client, holder, late) = (db.client().await, db.client().await, db.client().await);
    holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM jobs").await.unwrap();
    insert(&client, 1, JOBS, "priority", "n % 3").await;
    late.batch_execute("BEGIN").await.unwrap();
    insert(&late, JOBS + 1, JOBS + 100, "priority", "1").await;
    let mut running = Vec::new();
    for _ in 0..2 {
        let jobs = queue(&db.url(), DatabaseOptions::new(), |queue| queue).await;
        running.push(jobs.start(Handlers::new().any(fickle)).await.unwrap());
    }

    let onward = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                  AND query LIKE '%starts where earlier claims have come to%')";
    until(&client, "claims go on from a place", onward).await;
    until(&client, "many are gone", "(SELECT count(*) FROM ledger) > 3000").await;
    insert(&client, JOBS + 101, JOBS + 120, "priority, schedule", "1, now() - interval '1 hour'").await;
    insert(&client, JOBS + 121, JOBS + 140, "priority", "-1").await;
    insert(&client, JOBS + 141, JOBS + 160, "schedule", "now() + make_interval(secs => n % 2)").await;
    late.batch_execute("COMMIT").await.unwrap();

    all_entered(&client, JOBS + 160).await;
    let urgent = format!(
        "(SELECT max(at) FROM ledger WHERE n BETWEEN {} AND {}) < (SELECT max(at) FROM ledger WHERE n <= {JOBS} AND n % 50 <> 0)",
        JOBS + 101,
        JOBS + 140
    );
    until(&client, "what came first ran first", &urgent).await;
    for running in running {
        running.shutdown().await;
    }
}
