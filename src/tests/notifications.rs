//! What is announced, to whom, and when.

use std::time::Duration;

use futures_util::StreamExt;
use postgres_types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::{MINUTE, Table};
use crate::store::Verdict;

/// A connection that listens on all of a queue's channels and remembers what it hears.
struct Ear {
    client: Client,
    heard: tokio::sync::mpsc::UnboundedReceiver<(String, String)>,
}

impl Ear {
    async fn new(table: &Table) -> Self {
        let (client, mut connection) = tokio_postgres::connect(&table.db.url(), NoTls).await.unwrap();
        let (hear, heard) = tokio::sync::mpsc::unbounded_channel();
        let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    let heard = (notification.channel().to_owned(), notification.payload().to_owned());
                    if hear.send(heard).is_err() {
                        return;
                    }
                }
            }
        });
        let listen = r#"LISTEN jobs; LISTEN "jobs.completed"; LISTEN "jobs.retry"; LISTEN "jobs.failed""#;
        client.batch_execute(listen).await.unwrap();
        Self { client, heard }
    }

    /// All that was sent before now: a notification of its own comes after it.
    async fn all(&mut self) -> Vec<(String, String)> {
        self.client.batch_execute("LISTEN done; NOTIFY done").await.unwrap();
        let mut all = Vec::new();
        loop {
            let heard = self.heard.recv().await.unwrap();
            if heard.0 == "done" {
                return all;
            }
            all.push(heard);
        }
    }
}

fn heard(channel: &str, payload: &str) -> (String, String) {
    (channel.to_owned(), payload.to_owned())
}

/// The key that a waiting producer of this table holds.
async fn key(table: &Table) -> i64 {
    let sql = "SELECT 4716510246293143552 + 'jobs'::regclass::oid::bigint";
    table.client.query_typed_one(sql, &[]).await.unwrap().get(0)
}

#[actix::test]
async fn an_insert_is_announced_only_while_somebody_waits() {
    let table = Table::new().await;
    let mut ear = Ear::new(&table).await;
    let waiting = table.db.client().await;
    let key = key(&table).await;

    table.insert("", "").await;
    assert_eq!(ear.all().await, []);

    waiting.batch_execute(&format!("SELECT pg_advisory_lock_shared({key})")).await.unwrap();
    table.run_sql("INSERT INTO jobs (params) SELECT '{}' FROM generate_series(1, 10)").await;
    assert_eq!(ear.all().await, [heard("jobs", "")]);

    waiting.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    table.insert("", "").await;
    assert_eq!(ear.all().await, []);
}

#[actix::test]
async fn an_insert_that_is_rolled_back_announces_nothing() {
    let table = Table::new().await;
    let mut ear = Ear::new(&table).await;
    let waiting = table.db.client().await;
    waiting.batch_execute(&format!("SELECT pg_advisory_lock_shared({})", key(&table).await)).await.unwrap();

    table.run_sql("BEGIN; INSERT INTO jobs (params) VALUES ('{}'); ROLLBACK").await;

    assert_eq!(ear.all().await, []);
}

#[actix::test]
async fn completion_retry_and_failure_announce_the_jobs_payload_in_the_transaction_that_makes_them_true() {
    let table = Table::new().await;
    let mut ear = Ear::new(&table).await;
    let columns = "notify, max_attempts";

    let completed = table.started(columns, "'simple', 1").await;
    table.store.complete(&[completed]).await.unwrap();
    assert_eq!(ear.all().await, [heard("jobs.completed", "simple")]);

    let retried = table.started(columns, "'again', 2").await;
    let verdict = Verdict::Retry { after: MINUTE, error: vec!["no".into()] };
    table.store.settle(&[(retried, verdict.clone())]).await.unwrap();
    assert_eq!(ear.all().await, [heard("jobs.retry", "again")]);

    let failed = table.started(columns, "'never', 1").await;
    table.store.settle(&[(failed, verdict)]).await.unwrap();
    assert_eq!(ear.all().await, [heard("jobs.failed", "never")]);

    let died = table.started(columns, "'died', 1").await;
    table.kill(table.node.number()).await;
    table.store.sweep().await.unwrap();
    assert_eq!(ear.all().await, [heard("jobs.failed", "died")]);
    assert!(table.row(died.id).await.is_some());

    let in_transaction = table.started(columns, "'committed', 1").await;
    let mut handler = table.db.client().await;
    let completion = handler.transaction().await.unwrap();
    table
        .store
        .begin_completion(&completion, &crate::database::Plans::default(), in_transaction)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ear.all().await, []);
    completion.commit().await.unwrap();
    assert_eq!(ear.all().await, [heard("jobs.completed", "committed")]);
}

#[actix::test]
async fn whatever_makes_a_job_available_later_is_announced_to_those_who_wait() {
    let table = Table::new().await;
    let mut ear = Ear::new(&table).await;
    let waiting = table.db.client().await;
    waiting.batch_execute(&format!("SELECT pg_advisory_lock_shared({})", key(&table).await)).await.unwrap();
    let job = table.started("", "").await;
    ear.all().await;

    let verdict = Verdict::Retry { after: Duration::ZERO, error: vec!["no".into()] };
    table.store.settle(&[(job, verdict)]).await.unwrap();
    assert_eq!(ear.all().await, [heard("jobs", "")], "a retry");

    table.store.sweep().await.unwrap();
    assert_eq!(ear.all().await, [heard("jobs", "")], "an activation");

    table.claim(1).await;
    assert_eq!(table.store.unreserve(&table.node, None, None).await.unwrap().0, 1);
    assert_eq!(ear.all().await, [heard("jobs", "")], "a reservation that was given back");

    table.run_sql("UPDATE jobs SET state = 'FAILED'").await;
    table.store.requeue(&table.client, &[job.id]).await.unwrap();
    assert_eq!(ear.all().await, [heard("jobs", "")], "a requeue");
}

/// What a waiting producer asks: which transactions may hide jobs.
async fn under_way(table: &Table, mark: Option<Vec<String>>) -> Vec<String> {
    let oid = table.client.query_typed_one("SELECT 'jobs'::regclass::oid", &[]).await.unwrap().get::<_, u32>(0);
    let sql = include_str!("../../sql/statements/horizon.sql");
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&mark, Type::TEXT_ARRAY), (&oid, Type::OID)];
    table.client.query_typed_one(sql, &parameters).await.unwrap().get(0)
}

/// No transaction ends after the silent insert has begun, so that a snapshot does not know of it.
#[actix::test]
async fn a_silent_insert_is_waited_for_until_it_ends_and_later_ones_are_not() {
    let table = Table::new().await;
    assert_eq!(under_way(&table, None).await, [""; 0]);
    let mut silent = table.db.client().await;
    let open = silent.transaction().await.unwrap();
    open.batch_execute("INSERT INTO jobs (params) VALUES ('{}')").await.unwrap();

    let mark = under_way(&table, None).await;
    assert_eq!(mark.len(), 1);
    let mut later = table.db.client().await;
    let other = later.transaction().await.unwrap();
    other.batch_execute("INSERT INTO jobs (params) VALUES ('{}')").await.unwrap();
    assert_eq!(under_way(&table, Some(mark.clone())).await, mark);

    open.commit().await.unwrap();
    assert_eq!(under_way(&table, Some(mark)).await, [""; 0]);
    assert_eq!(table.claim(10).await.len(), 1);
    drop(other);
}
