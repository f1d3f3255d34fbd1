//! The transactional door: a job exists if and only if the caller's transaction commits, whatever its driver.

use actix_job_queue::{Queue, tokio_postgres::NoTls};
use bb8_postgres::PostgresConnectionManager;
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::{
    common::{Bench, done, job, psql, recording},
    names::all_wait,
};

/// Params that a [`recording`] handler takes.
const PARAMS: &str = r#"{"type": "Note", "text": "it's"}"#;

#[actix::test]
async fn a_job_of_a_transaction_that_commits_runs_and_of_one_that_rolls_back_never_does() {
    let bench = Bench::new().await;
    let running = bench.jobs.start(recording()).await.unwrap();
    let mut client = bench.db.client().await;

    let transaction = client.transaction().await.unwrap();
    let never = bench.jobs.enqueue(&transaction, job()).await.unwrap();
    transaction.rollback().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let dropped = bench.jobs.enqueue(&transaction, job()).await.unwrap();
    drop(transaction);
    let mut transaction = client.transaction().await.unwrap();
    let savepoint = transaction.transaction().await.unwrap();
    let inner = bench.jobs.enqueue(&savepoint, job()).await.unwrap();
    savepoint.rollback().await.unwrap();
    let kept = bench.jobs.enqueue(&transaction, job()).await.unwrap();
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 0, "nobody sees it before the commit");
    transaction.commit().await.unwrap();

    bench.done(&[kept]).await;
    running.shutdown().await;
    assert_eq!(bench.number("SELECT count(*) FROM done").await, 1, "not {never}, {dropped} or {inner}");
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 0);
}

/// The worker waits by then; only the commit's announcement wakes it.
#[actix::test]
async fn a_job_is_announced_when_its_transaction_commits() {
    let bench = Bench::new().await;
    let running = bench.jobs.start(recording()).await.unwrap();
    let mut client = bench.db.client().await;
    all_wait(&bench.client, 1).await;

    let transaction = client.transaction().await.unwrap();
    let id = bench.jobs.enqueue(&transaction, job()).await.unwrap();
    transaction.commit().await.unwrap();

    bench.done(&[id]).await;
    running.shutdown().await;
}

#[actix::test]
async fn any_client_of_the_driver_is_a_door() {
    let bench = Bench::new().await;
    let jobs = &bench.jobs;
    let manager = PostgresConnectionManager::new_from_stringlike(bench.db.url(), NoTls).unwrap();
    let pool = bb8::Pool::builder().max_size(1).build(manager).await.unwrap();
    let mut client = bench.db.client().await;

    let by_client = jobs.enqueue(&client, job()).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let by_transaction = jobs.enqueue(&transaction, job()).await.unwrap();
    transaction.commit().await.unwrap();
    let mut pooled = pool.get().await.unwrap();
    let by_pool = jobs.enqueue(&*pooled, job()).await.unwrap();
    let transaction = pooled.transaction().await.unwrap();
    let by_pooled_transaction = jobs.enqueue(&transaction, job()).await.unwrap();
    transaction.commit().await.unwrap();

    let running = jobs.start(recording()).await.unwrap();
    bench.done(&[by_client, by_transaction, by_pool, by_pooled_transaction]).await;
    running.shutdown().await;
}

/// The caller's transaction is aborted by the refused job, as by any statement that fails, and a savepoint
/// keeps it.
#[actix::test]
async fn a_refused_job_takes_its_transaction_with_it_unless_a_savepoint_keeps_it() {
    let bench = Bench::new().await;
    let mut client = bench.db.client().await;

    let mut transaction = client.transaction().await.unwrap();
    let kept = bench.jobs.enqueue(&transaction, job()).await.unwrap();
    let savepoint = transaction.transaction().await.unwrap();
    assert!(bench.jobs.enqueue(&savepoint, job().max_attempts(0)).await.is_err());
    savepoint.rollback().await.unwrap();
    transaction.commit().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    assert!(bench.jobs.enqueue(&transaction, job().max_attempts(0)).await.is_err());
    assert!(bench.jobs.enqueue(&transaction, job()).await.is_err());
    drop(transaction);

    assert_eq!(bench.number("SELECT min(id) FROM jobs HAVING count(*) = 1").await, kept);
}

#[actix::test]
async fn psql_enqueues_by_the_printed_statement() {
    let bench = Bench::new().await;
    let running = bench.jobs.start(recording()).await.unwrap();
    let enqueue = format!(
        "PREPARE enqueue (jsonb) AS {}; EXECUTE enqueue('{}');",
        bench.jobs.enqueue_sql(),
        PARAMS.replace('\'', "''")
    );

    psql(&bench.db, &format!("BEGIN; {enqueue} ROLLBACK;"));
    let id: i64 = psql(&bench.db, &enqueue).trim().parse().unwrap();

    bench.done(&[id]).await;
    running.shutdown().await;
    assert_eq!(bench.number("SELECT count(*) FROM done").await, 1);
}

#[actix::test]
async fn sqlx_enqueues_by_the_printed_statement_in_its_own_transaction() {
    let bench = Bench::new().await;
    let running = bench.jobs.start(recording()).await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&bench.db.url()).await.unwrap();
    let params: serde_json::Value = serde_json::from_str(PARAMS).unwrap();

    let mut transaction = connection.begin().await.unwrap();
    let never: i64 = sqlx::query_scalar(AssertSqlSafe(bench.jobs.enqueue_sql()))
        .bind(&params)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let row = sqlx::query(AssertSqlSafe(bench.jobs.enqueue_sql())).bind(&params).fetch_one(&mut *transaction);
    let id: i64 = row.await.unwrap().get("id");
    transaction.commit().await.unwrap();

    done(&bench.client, &[id]).await;
    running.shutdown().await;
    assert_ne!(id, never);
    assert_eq!(bench.number("SELECT count(*) FROM done").await, 1);
    connection.close().await.unwrap();
}

#[actix::test]
async fn sqlx_enqueues_into_a_binary_queue_and_one_of_any_name() {
    let bench = Bench::new().await;
    let queue = Queue::builder(&bench.database, "it's \"$1\"").schema("a.b").binary().build().unwrap();
    queue.migrate().await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&bench.db.url()).await.unwrap();
    // What NewJob::binary writes: a pair of the type's name and the params.
    let params = rmp_serde::to_vec_named(&(Some("Note"), 7)).unwrap();

    let id: i64 =
        sqlx::query_scalar(AssertSqlSafe(queue.enqueue_sql())).bind(&params).fetch_one(&mut connection).await.unwrap();

    let handlers = actix_job_queue::Handlers::new().on(
        "Note",
        async |job: actix_job_queue::Job<u8>, mut context: actix_job_queue::Context| {
            let completion = context.begin().await?;
            let sql = format!("INSERT INTO done VALUES ('{}', {})", job.params, job.id);
            completion.batch_execute(&sql).await?;
            Ok(completion.commit().await?)
        },
    );
    let running = queue.start(handlers).await.unwrap();
    bench.done(&[id]).await;
    running.shutdown().await;
    assert_eq!(bench.number("SELECT count(*) FROM done WHERE queue = '7'").await, 1);
}

/// A plan that the connection keeps changes nothing of what is enqueued.
#[actix::test]
async fn a_prepared_enqueue_puts_the_same_job_into_the_callers_transaction() {
    let bench = Bench::new().await;
    let mut client = bench.db.client().await;
    let prepared = bench.jobs.prepare(&client).await.unwrap();
    let job = || job().priority(3).max_attempts(2).notify("done").schedule_in(std::time::Duration::from_secs(60));

    let transaction = client.transaction().await.unwrap();
    prepared.enqueue(&transaction, job()).await.unwrap();
    prepared.enqueue_many(&transaction, &[job(), job()]).await.unwrap();
    transaction.rollback().await.unwrap();
    let plain = bench.jobs.enqueue(&client, job()).await.unwrap();
    let planned = prepared.enqueue(&client, job()).await.unwrap();
    let together = prepared.enqueue_many(&client, &[job(), job(), job()]).await.unwrap();

    assert!(together.is_sorted() && together.len() == 3, "{together:?}");
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 5, "what was rolled back is not there");
    let same = format!(
        "SELECT count(DISTINCT (params, priority, max_attempts, notify, state)) = 1
            AND max(schedule) - min(schedule) < interval '30 s'
           FROM jobs WHERE id IN ({plain}, {planned}, {}, {}, {})",
        together[0], together[1], together[2]
    );
    assert!(bench.flag(&same).await);
}
