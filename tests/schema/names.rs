//! Any name that PostgreSQL can hold is a queue's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use actix_job_queue::{
    Completed, Context, Database, Handlers, Job, JobError, Queue, Queues,
    tokio_postgres::{AsyncMessage, Client, NoTls},
};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    common::{DONE, done, dump, eventually, job, number, psql, quiet, record, recording_as},
    support::TestDb,
};

/// Each is a schema with a table.
fn hostile() -> Vec<(String, String)> {
    let long = |letter: &str| letter.repeat(63 / letter.len());
    let names = [
        ("it's", "a \"quoted\" table"),
        ("select", "from"),
        ("Größe", "テーブル 🦀"),
        (r"back\slash", r"E'\\x\n"),
        ("{table}", "{schema}"),
        ("$1", "%s %I $2"),
        ("a.b.c", "d.e"),
        ("$function$", "$do$"),
        ("$job_queue$", "$body$; DROP TABLE public.done; --"),
        ("new\nline", "tab\there"),
        ("--", "/*"),
        (":name", ":'name'"),
        ("public", "public.jobs"),
        ("true", "job_queue_nodes."),
        (" ", "'"),
        ("\"", "\"\""),
    ];
    let names = names.map(|(schema, table)| (schema.to_owned(), table.to_owned()));
    let long = [(long("s"), long("t")), (long("ü"), long("🦀")), (long("\""), long("'")), (long("\\"), long("$"))];
    names.into_iter().chain(long).collect()
}

fn spelled(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Fails its first attempt and succeeds in its second.
fn second_time_lucky() -> Handlers {
    Handlers::new().any(async |job: Job<Value>, mut context: Context| -> Result<Completed, JobError> {
        if job.attempt == 1 {
            return Err(JobError::new("not yet").retry_in(Duration::ZERO));
        }
        record("", &job, &mut context).await
    })
}

/// Whatever is announced on these channels, as (channel, payload).
async fn announced_on(db: &TestDb, channels: &[String]) -> (Client, mpsc::UnboundedReceiver<(String, String)>) {
    let (client, mut connection) = actix_job_queue::tokio_postgres::connect(&db.url(), NoTls).await.unwrap();
    let (heard, hear) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                // The test may be over.
                let _ = heard.send((notification.channel().to_owned(), notification.payload().to_owned()));
            }
        }
    });
    for channel in channels {
        client.batch_execute(&format!("LISTEN {}", spelled(channel))).await.unwrap();
    }
    (client, hear)
}

#[actix::test]
async fn a_queue_of_any_name_works_end_to_end() {
    for (schema, table) in hostile() {
        works(&schema, &table).await;
    }
}

async fn works(schema: &str, table: &str) {
    let db = TestDb::new().await;
    let client = db.client().await;
    client.batch_execute(DONE).await.unwrap();
    client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", spelled(schema))).await.unwrap();
    let before = dump(&db);
    let database = Database::connect(&db.url()).await.unwrap();
    let jobs = quiet(Queue::builder(&database, table).schema(schema)).build().unwrap();
    let name = jobs.name();
    let channels = [name.channel(), name.completed_channel(), name.retry_channel(), name.failed_channel()];
    for channel in &channels {
        assert!((1..=63).contains(&channel.len()), "{channel} has {} bytes", channel.len());
    }
    let (_listening, mut announced) = announced_on(&db, &channels[1..]).await;

    jobs.migrate().await.unwrap();
    let running = jobs.start(second_time_lucky()).await.unwrap();
    let ran = jobs.enqueue(&client, job().notify("it's {table} $1")).await.unwrap();
    done(&client, &[ran]).await;
    let failed = jobs.enqueue(&client, job().max_attempts(1).notify("lost")).await.unwrap();
    let table_name = format!("{}.{}", spelled(schema), spelled(table));
    let state = format!("SELECT count(*) FROM {table_name} WHERE state = 'FAILED' AND id = {failed}");
    eventually("the job is failed", async || number(&client, &state).await == 1).await;
    // Its next attempt is its second, so that the handler is content.
    client.batch_execute(&format!("UPDATE {table_name} SET max_attempts = 2")).await.unwrap();
    assert_eq!(jobs.requeue(&client, &[failed]).await.unwrap(), [failed]);
    done(&client, &[failed]).await;
    let report = running.shutdown().await;

    assert_eq!((report.returned, report.unreserved, report.left), (0, 0, 0), "{report}");
    let mut heard = Vec::new();
    while heard.len() < 5 {
        heard.push(announced.recv().await.unwrap());
    }
    let [_, completed, retry, last] = channels;
    let expected = [(&retry, "it's {table} $1"), (&completed, "it's {table} $1"), (&last, "lost"), (&retry, "lost")];
    let expected = expected.into_iter().chain([(&completed, "lost")]);
    let expected: Vec<_> = expected.map(|(channel, payload)| (channel.clone(), payload.to_owned())).collect();
    assert_eq!(heard, expected);
    jobs.migrate_to(0).await.unwrap();
    assert_eq!(dump(&db), before, "queue {name}");
}

/// The same script in `psql`, which replaces `:name` where it is not quoted.
#[actix::test]
async fn the_printed_sql_holds_any_name() {
    for (schema, table) in hostile() {
        let (printed, migrated) = (TestDb::new().await, TestDb::new().await);
        let create = format!("CREATE SCHEMA IF NOT EXISTS {}", spelled(&schema));
        psql(&printed, &create);
        let before = dump(&printed);
        let database = Database::connect(&migrated.url()).await.unwrap();
        let queue = Queue::builder(&database, &table).schema(&schema).build().unwrap();
        queue.migrate().await.unwrap();
        let sql = queue.migration_sql();

        psql(&printed, &(sql.shared_up.clone() + &sql.up));
        assert_eq!(dump(&printed), dump(&migrated), "queue {}", queue.name());

        psql(&printed, &(sql.down.clone() + &sql.shared_down));
        assert_eq!(dump(&printed), before, "queue {}", queue.name());
    }
}

/// `a.b` in `public` and `b` in `a` announce on the same channel; nothing but an announcement wakes either.
#[actix::test]
async fn queues_whose_channels_are_one_wake_each_for_its_own_jobs() {
    let db = TestDb::new().await;
    let client = db.client().await;
    client.batch_execute(DONE).await.unwrap();
    let database = Database::connect(&db.url()).await.unwrap();
    let one = quiet(Queue::builder(&database, "a.b")).build().unwrap();
    let other = quiet(Queue::builder(&database, "b").schema("a")).build().unwrap();
    assert_eq!(one.name().channel(), other.name().channel());
    one.migrate().await.unwrap();
    other.migrate().await.unwrap();
    let running =
        Queues::new().add(&one, recording_as("one")).add(&other, recording_as("other")).start().await.unwrap();
    all_wait(&client, 2).await;

    for (queue, name) in [(&one, "one"), (&other, "other"), (&one, "one"), (&other, "other")] {
        let id = queue.enqueue(&client, job()).await.unwrap();
        let completed = format!("SELECT count(*) FROM done WHERE queue = '{name}' AND job = {id}");
        eventually("the job is done", async || number(&client, &completed).await == 1).await;
        all_wait(&client, 2).await;
    }
    running.shutdown().await;
}

/// A second start of the same queue through the same connections hears as well, and goes on hearing when the
/// first one ends.
#[actix::test]
async fn two_starts_of_one_queue_hear_each_for_itself() {
    let db = TestDb::new().await;
    let client = db.client().await;
    client.batch_execute(DONE).await.unwrap();
    let database = Database::connect(&db.url()).await.unwrap();
    let jobs = quiet(Queue::builder(&database, "jobs")).max_demand(1).build().unwrap();
    jobs.migrate().await.unwrap();
    let (first, second) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counting = |count: &Arc<AtomicU32>| {
        let count = Arc::clone(count);
        Handlers::new().any(move |job: Job<Value>, mut context: Context| {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Ordering::Relaxed);
                record("", &job, &mut context).await
            }
        })
    };
    let ends = jobs.start(counting(&first)).await.unwrap();
    let stays = jobs.start(counting(&second)).await.unwrap();
    all_wait(&client, 1).await;
    let id = jobs.enqueue(&client, job()).await.unwrap();
    done(&client, &[id]).await;

    ends.shutdown().await;
    all_wait(&client, 1).await;
    let before = second.load(Ordering::Relaxed);
    let id = jobs.enqueue(&client, job()).await.unwrap();
    done(&client, &[id]).await;

    assert_eq!(second.load(Ordering::Relaxed), before + 1);
    stays.shutdown().await;
}

/// What the first start leaves to be cleared away must not take the second one's place.
#[actix::test]
async fn a_queue_that_is_started_again_after_a_shutdown_hears() {
    let db = TestDb::new().await;
    let client = db.client().await;
    client.batch_execute(DONE).await.unwrap();
    let database = Database::connect(&db.url()).await.unwrap();
    let jobs = quiet(Queue::builder(&database, "jobs")).build().unwrap();
    jobs.migrate().await.unwrap();

    for _ in 0..10 {
        let running = jobs.start(recording_as("")).await.unwrap();
        all_wait(&client, 1).await;
        let id = jobs.enqueue(&client, job()).await.unwrap();
        done(&client, &[id]).await;
        running.shutdown().await;
    }
}

/// Waits until the producers of so many tables wait for announcements, and for nothing else.
pub(crate) async fn all_wait(client: &Client, tables: i64) {
    let sql = "SELECT count(DISTINCT objid) FROM pg_locks
                WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("all producers wait", async || number(client, sql).await == tables).await;
}
