//! Many jobs at once.

use actix_job_queue::{Database, NewJob, Queue};
use serde_json::json;

use crate::{
    common::{Bench, job, number},
    support::{
        cluster::{Cluster, Options},
        connect,
    },
};

fn numbered(count: i64) -> Vec<NewJob> {
    (0..count).map(|number| NewJob::of_type("Note", &json!({"number": number})).unwrap()).collect()
}

#[actix::test]
async fn the_ids_of_many_jobs_are_in_their_order() {
    let bench = Bench::new().await;
    // An order that is neither that of priorities nor of schedules.
    let jobs: Vec<_> = numbered(5_000).into_iter().zip(0..).map(|(job, number)| job.priority(-(number % 7))).collect();

    let ids = bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();

    assert_eq!(ids.len(), jobs.len());
    assert!(ids.is_sorted_by(|one, other| one < other));
    let sql = "SELECT count(*) FROM jobs JOIN unnest($1::bigint[]) WITH ORDINALITY AS given (id, place) USING (id)
                WHERE (params ->> 'number')::bigint = place - 1 AND priority = -((place - 1) % 7)";
    let matching: i64 = bench.client.query_one(sql, &[&ids]).await.unwrap().get(0);
    assert_eq!(matching, 5_000);
}

/// Counted by the server itself.
#[actix::test]
async fn a_hundred_thousand_jobs_take_few_statements() {
    let settings = vec![("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned())];
    let cluster = Cluster::start(Options { settings, ..Options::default() }).unwrap();
    let url = cluster.url("postgres");
    let database = Database::connect(&url).await.unwrap();
    let jobs = Queue::builder(&database, "jobs").build().unwrap();
    jobs.migrate().await.unwrap();
    let (mut client, look) = (connect(&url).await, connect(&url).await);
    look.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let many = numbered(100_000);
    let counted = "SELECT sum(calls)::bigint FROM pg_stat_statements
                    WHERE toplevel AND query NOT LIKE '%pg_stat_statements%'";

    look.batch_execute("SELECT pg_stat_statements_reset()").await.unwrap();
    let ids = jobs.enqueue_many(&client, &many).await.unwrap();
    let statements = number(&look, counted).await;
    assert!(statements <= 11, "{statements} statements");

    look.batch_execute("SELECT pg_stat_statements_reset()").await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let more = jobs.enqueue_many(&transaction, &many).await.unwrap();
    transaction.rollback().await.unwrap();
    let statements = number(&look, counted).await;
    assert!(statements <= 11 + 2, "{statements} statements, BEGIN and ROLLBACK among them");

    for ids in [&ids, &more] {
        assert_eq!(ids.len(), many.len());
        assert!(ids.is_sorted_by(|one, other| one < other));
    }
    let first_and_last = format!(
        "SELECT count(*) FROM jobs WHERE (id, params ->> 'number') IN (({}, '0'), ({}, '99999'))",
        ids[0],
        ids[ids.len() - 1]
    );
    assert_eq!(number(&look, &first_and_last).await, 2);
    assert_eq!(number(&look, "SELECT count(*) FROM jobs").await, 100_000, "the second time was rolled back");
}

#[actix::test]
async fn no_jobs_are_no_statement_and_no_ids() {
    let bench = Bench::new().await;

    assert_eq!(bench.jobs.enqueue_many(&bench.client, &[]).await.unwrap(), Vec::<i64>::new());
}

#[actix::test]
async fn one_refused_job_among_many_leaves_none_of_its_transaction() {
    let mut bench = Bench::new().await;
    let mut many = numbered(20_000);
    many.push(job().max_attempts(0));

    let transaction = bench.client.transaction().await.unwrap();
    assert!(bench.jobs.enqueue_many(&transaction, &many).await.is_err());
    drop(transaction);

    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 0);
}

/// A trigger of the application's own may keep rows out, and the caller must not take another row's id for
/// its job's.
#[actix::test]
async fn jobs_that_a_trigger_keeps_out_are_told() {
    let bench = Bench::new().await;
    bench
        .client
        .batch_execute(
            "CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER keep_out BEFORE INSERT ON jobs FOR EACH ROW
             WHEN (NEW.priority = 13) EXECUTE FUNCTION keep_out()",
        )
        .await
        .unwrap();

    let one = bench.jobs.enqueue(&bench.client, job().priority(13)).await.unwrap_err();
    let many = bench.jobs.enqueue_many(&bench.client, &[job().priority(13), job()]).await.unwrap_err();

    assert!(one.to_string().contains("0 of 1 jobs"), "{one}");
    assert!(many.to_string().contains("1 of 2 jobs"), "{many}");
}
