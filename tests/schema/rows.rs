//! What the table makes of a new row, and what it refuses.

use std::time::Duration;

use actix_job_queue::{
    EnqueueError, NewJob, Queue,
    tokio_postgres::{Client, SimpleQueryMessage, error::SqlState},
};
use chrono::{DateTime, TimeDelta, Utc};

use crate::common::{Bench, job};

/// An expression over a job's row, as text.
async fn column(client: &Client, id: i64, expression: &str) -> String {
    let sql = format!("SELECT {expression} FROM jobs WHERE id = {id}");
    let answer = client.simple_query(&sql).await.unwrap();
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.expect("the job's row").get(0).unwrap_or("null").to_owned()
}

#[actix::test]
async fn what_is_given_with_a_job_is_in_its_row() {
    let Bench { jobs, client, .. } = &Bench::new().await;
    let plain = jobs.enqueue(client, job()).await.unwrap();
    let given = jobs.enqueue(client, job().priority(-3).max_attempts(9).notify("it's")).await.unwrap();

    let all = "concat_ws(' ', state, priority, max_attempts, notify, attempt, lease, params ->> 'type')";
    assert_eq!(column(client, plain, all).await, "AVAILABLE 0 5 0 0 Note");
    assert_eq!(column(client, given, all).await, "AVAILABLE -3 9 it's 0 0 Note");
}

#[actix::test]
async fn a_time_that_has_passed_is_available_and_one_to_come_is_scheduled() {
    let Bench { jobs, client, .. } = &Bench::new().await;
    let now: DateTime<Utc> = client.query_one("SELECT now()", &[]).await.unwrap().get(0);
    let past = jobs.enqueue(client, job().schedule_at(now - TimeDelta::days(3))).await.unwrap();
    let future = jobs.enqueue(client, job().schedule_at(now + TimeDelta::days(3))).await.unwrap();
    let soon = jobs.enqueue(client, job().schedule_in(Duration::from_secs(60))).await.unwrap();
    let at_once = jobs.enqueue(client, job().schedule_in(Duration::ZERO)).await.unwrap();

    assert_eq!(column(client, past, "state").await, "AVAILABLE");
    assert_eq!(column(client, future, "state").await, "SCHEDULED");
    assert_eq!(column(client, soon, "state").await, "SCHEDULED");
    assert_eq!(column(client, at_once, "state").await, "AVAILABLE");
    let kept: DateTime<Utc> =
        client.query_one("SELECT schedule FROM jobs WHERE id = $1", &[&past]).await.unwrap().get(0);
    assert_eq!(kept, now - TimeDelta::days(3), "to the microsecond");
}

/// The transaction's `now()` is put a while behind the call's time before the job is enqueued in it.
#[actix::test]
async fn a_delay_counts_from_the_call_in_a_transaction_that_began_before() {
    let Bench { jobs, db, .. } = &Bench::new().await;
    let mut client = db.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute("SELECT now(), pg_sleep(0.3)").await.unwrap();
    let before: DateTime<Utc> = transaction.query_one("SELECT clock_timestamp()", &[]).await.unwrap().get(0);

    let id = jobs.enqueue(&transaction, job().schedule_in(Duration::from_secs(60))).await.unwrap();

    let after: DateTime<Utc> = transaction.query_one("SELECT clock_timestamp()", &[]).await.unwrap().get(0);
    transaction.commit().await.unwrap();
    let schedule: DateTime<Utc> =
        client.query_one("SELECT schedule FROM jobs WHERE id = $1", &[&id]).await.unwrap().get(0);
    let minute = TimeDelta::seconds(60);
    assert!((before + minute..=after + minute).contains(&schedule), "{before} {schedule} {after}");
}

/// A short delay is over when a long transaction commits, and no delay counts from its beginning.
#[actix::test]
async fn a_row_is_judged_by_the_clock_and_not_by_its_transactions_beginning() {
    let mut bench = Bench::new().await;
    let transaction = bench.client.transaction().await.unwrap();
    transaction.batch_execute("SELECT now(), pg_sleep(0.05)").await.unwrap();
    let sql = "INSERT INTO jobs (params, schedule) VALUES ('{}', now() + interval '10 ms') RETURNING state";
    let state: String = transaction.query_one(sql, &[]).await.unwrap().get(0);
    transaction.rollback().await.unwrap();

    assert_eq!(state, "AVAILABLE");
}

/// `expected` is the code with which the server refuses the row.
async fn refused(jobs: &Queue, client: &Client, job: NewJob, expected: &SqlState) {
    let error = jobs.enqueue(client, job.clone()).await.unwrap_err();
    match &error {
        EnqueueError::Database(source) => assert_eq!(source.code(), Some(expected), "{job:?}: {error:?}"),
        _ => panic!("{job:?}: {error:?}"),
    }
}

#[actix::test]
async fn the_table_refuses_jobs_that_could_not_run() {
    let bench = Bench::new().await;
    let (jobs, client) = (&bench.jobs, &bench.client);
    let check = &SqlState::CHECK_VIOLATION;

    refused(jobs, client, job().max_attempts(0), check).await;
    refused(jobs, client, job().max_attempts(-1), check).await;
    refused(jobs, client, job().notify("x".repeat(8000)), check).await;
    refused(jobs, client, job().notify("ü".repeat(4000)), check).await;
    jobs.enqueue(client, job().notify("x".repeat(7999))).await.unwrap();

    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 1);
}

#[actix::test]
async fn the_table_refuses_rows_of_plain_sql_that_are_no_jobs() {
    let bench = Bench::new().await;
    for (columns, values) in [
        ("max_attempts", "0"),
        ("max_attempts", "NULL"),
        ("notify", "repeat('x', 8000)"),
        ("schedule", "'infinity'"),
        ("schedule", "'-infinity'"),
        ("schedule", "NULL"),
        ("schedule", "'4713-01-01 BC'"),
        ("schedule", "'10000-01-01'"),
        ("inserted_at", "'infinity'"),
        ("lease", "-1"),
        ("errors", "'{}'"),
        ("params", "NULL"),
    ] {
        let sql = match columns {
            "params" => format!("INSERT INTO jobs (params) VALUES ({values})"),
            _ => format!("INSERT INTO jobs (params, {columns}) VALUES ('{{}}', {values})"),
        };
        let error = bench.client.batch_execute(&sql).await.unwrap_err();
        let code = error.code().unwrap();
        assert!([&SqlState::CHECK_VIOLATION, &SqlState::NOT_NULL_VIOLATION].contains(&code), "{sql}: {error:?}");
    }
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 0);
}

/// An insert is put right, for its writer may not know better; an update says what it wants.
#[actix::test]
async fn the_table_refuses_bad_states_of_rows_that_are_there() {
    let Bench { jobs, client, .. } = &Bench::new().await;
    let id = jobs.enqueue(client, job()).await.unwrap();

    for change in [
        "state = 'DONE'",
        "state = 'available'",
        "state = NULL",
        "state = 'RESERVED'",
        "state = 'IN_PROGRESS'",
        "expires = now()",
        "state = 'IN_PROGRESS', expires = 'infinity'",
        "attempt = -1",
        "schedule = 'infinity'",
    ] {
        let error = client.batch_execute(&format!("UPDATE jobs SET {change}")).await.unwrap_err();
        let code = error.code().unwrap();
        assert!([&SqlState::CHECK_VIOLATION, &SqlState::NOT_NULL_VIOLATION].contains(&code), "{change}: {error:?}");
    }
    assert_eq!(column(client, id, "concat(state, attempt, expires)").await, "AVAILABLE0");
}

#[actix::test]
async fn a_new_row_is_not_started_and_held_by_nobody_whatever_its_writer_said() {
    let bench = Bench::new().await;
    let values = [
        "'FAILED', 7, NULL, NULL, now()",
        "'IN_PROGRESS', 1, now(), 3, now()",
        "'SCHEDULED', 0, NULL, NULL, now()",
        "'RETRY', 2, NULL, 9, now() - interval '1 day'",
        "'NONSENSE', -1, 'infinity', NULL, now()",
    ];
    for values in values {
        let columns = "state, attempt, expires, node, schedule";
        let sql = format!(
            "INSERT INTO jobs (params, {columns}) VALUES ('{{}}', {values})
             RETURNING concat_ws(' ', state, attempt, expires, node)"
        );
        let row: String = bench.client.query_one(&sql, &[]).await.unwrap().get(0);
        assert_eq!(row, "AVAILABLE 0", "{values}");
    }
}

#[actix::test]
async fn params_of_the_other_kind_are_refused_with_what_to_do() {
    let bench = Bench::new().await;
    let binary = Queue::builder(&bench.database, "bytes").binary().build().unwrap();
    binary.migrate().await.unwrap();

    let one = binary.enqueue(&bench.client, job()).await.unwrap_err();
    let other = bench.jobs.enqueue(&bench.client, NewJob::binary(&7).unwrap()).await.unwrap_err();
    let mixed = binary.enqueue_many(&bench.client, &[NewJob::binary(&7).unwrap(), job()]).await.unwrap_err();
    let sent = binary.addr().send(actix_job_queue::Enqueue(job())).await.unwrap().unwrap_err();

    for error in [&one, &mixed, &sent] {
        assert_eq!(error.to_string(), "queue bytes keeps binary params: make the job with NewJob::binary");
    }
    assert_eq!(other.to_string(), "queue jobs keeps JSON params: make the job with NewJob::new");
    assert_eq!(bench.number("SELECT count(*) FROM bytes").await, 0);
}
