//! The actor door, for callers without a transaction.

use std::time::Duration;

use actix::MailboxError;
use actix_job_queue::{
    Context, DatabaseOptions, Enqueue, EnqueueError, Handlers, Job, Queue, tokio_postgres::error::SqlState,
};
use futures_util::future::join_all;

use crate::{
    common::{Bench, eventually, job, number, recording},
    names::all_wait,
    support::{
        cluster::{Cluster, Options},
        connect,
    },
};

#[actix::test]
async fn a_job_that_is_sent_runs() -> Result<(), Box<dyn std::error::Error>> {
    let bench = Bench::new().await;
    let running = bench.jobs.start(recording()).await?;
    all_wait(&bench.client, 1).await;

    let id = bench.jobs.addr().send(Enqueue(job())).await??;

    bench.done(&[id]).await;
    running.shutdown().await;
    Ok(())
}

#[actix::test]
async fn jobs_that_are_sent_at_once_share_statements_and_get_ids_of_their_own() {
    let bench = Bench::new().await;
    let door = bench.jobs.addr();

    let sent = (0..200).map(|number| door.send(Enqueue(job().priority(number))));
    let ids: Vec<i64> = join_all(sent).await.into_iter().map(|answer| answer.unwrap().unwrap()).collect();

    for (id, priority) in ids.iter().zip(0..) {
        assert!(bench.flag(&format!("SELECT priority = {priority} FROM jobs WHERE id = {id}")).await);
    }
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 200);
    let transactions = bench.number("SELECT count(DISTINCT xmin::text) FROM jobs").await;
    assert!(transactions < 200, "{transactions} transactions");
}

#[actix::test]
async fn a_refused_job_fails_alone_among_those_that_share_its_statement() {
    let bench = Bench::new().await;
    let door = bench.jobs.addr();

    let sent = (0..200).map(|number| {
        door.send(Enqueue(match number {
            50 => job().max_attempts(0),
            100 => job().notify("x".repeat(9_000)),
            _ => job().priority(number),
        }))
    });
    let answers = join_all(sent).await.into_iter().map(Result::unwrap);

    for (number, answer) in answers.enumerate() {
        match answer {
            Ok(id) => assert!(bench.flag(&format!("SELECT priority = {number} FROM jobs WHERE id = {id}")).await),
            Err(EnqueueError::Database(error)) => {
                assert!([50, 100].contains(&number), "{number}: {error:?}");
                assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION));
            }
            Err(error) => panic!("{number}: {error:?}"),
        }
    }
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 198);
}

#[actix::test]
async fn a_job_that_a_trigger_keeps_out_is_told_and_the_door_stays_open() {
    let bench = Bench::new().await;
    let keep_out = "CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
                    CREATE TRIGGER keep_out BEFORE INSERT ON jobs FOR EACH ROW
                    WHEN (NEW.priority = 13) EXECUTE FUNCTION keep_out()";
    bench.client.batch_execute(keep_out).await.unwrap();
    let door = bench.jobs.addr();

    let refused = door.send(Enqueue(job().priority(13))).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("0 of 1 jobs"), "{refused}");
    let sent = (0..20).map(|number| door.send(Enqueue(job().priority(number))));
    let answers: Vec<_> = join_all(sent).await.into_iter().map(Result::unwrap).collect();

    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), number == 13, "{number}: {answer:?}");
    }
    let ids: Vec<i64> = answers.into_iter().filter_map(Result::ok).collect();
    let kept: i64 =
        bench.client.query_one("SELECT count(*) FROM jobs WHERE id = ANY ($1)", &[&ids]).await.unwrap().get(0);
    assert_eq!(kept, 19);
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 19, "none of them twice");
}

/// What the trigger has done for those that it keeps out is rolled back with the statement that they shared.
#[actix::test]
async fn a_trigger_that_keeps_out_all_who_share_a_statement_has_its_effects_once_a_job() {
    let bench = Bench::new().await;
    let merge = "CREATE TABLE merged (job integer);
                 CREATE FUNCTION merge() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN INSERT INTO merged VALUES (NEW.priority); RETURN NULL; END';
                 CREATE TRIGGER merge BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION merge()";
    bench.client.batch_execute(merge).await.unwrap();
    let door = bench.jobs.addr();

    let sent = (0..50).map(|number| door.send(Enqueue(job().priority(number))));
    let answers: Vec<_> = join_all(sent).await.into_iter().map(Result::unwrap).collect();

    assert!(answers.iter().all(|answer| matches!(answer, Err(EnqueueError::KeptOut { .. }))), "{answers:?}");
    assert_eq!(bench.number("SELECT count(*) FROM merged").await, 50);
    assert_eq!(bench.number("SELECT count(DISTINCT job) FROM merged").await, 50);
}

#[actix::test]
async fn the_door_answers_while_the_server_is_away_and_enqueues_once_it_is_back() {
    let mut cluster = Cluster::start(Options::default()).unwrap();
    let url = cluster.url("postgres");
    let options = DatabaseOptions::new().connection_timeout(Duration::from_secs(1));
    let database = options.connect(&url).await.unwrap();
    let jobs = Queue::builder(&database, "jobs").build().unwrap();
    jobs.migrate().await.unwrap();
    let door = jobs.addr();
    door.send(Enqueue(job())).await.unwrap().unwrap();

    cluster.stop("INT").unwrap();
    let away = door.send(Enqueue(job())).await.unwrap().unwrap_err();
    assert!(matches!(away, EnqueueError::Database(_)), "{away:?}");
    cluster.start_again().unwrap();

    eventually("the door enqueues again", async || door.send(Enqueue(job())).await.unwrap().is_ok()).await;
    assert!(number(&connect(&url).await, "SELECT count(*) FROM jobs").await >= 2);
}

/// A handler has a connection of the pool for its own while its completion is open, and may do there what it likes.
#[actix::test]
async fn a_plan_that_a_handler_has_deallocated_is_made_anew() {
    let bench = Bench::new().await;
    let database = DatabaseOptions::new().pool_size(1).connect(&bench.db.url()).await.unwrap();
    let jobs = Queue::builder(&database, "jobs").arbiters(1).build().unwrap();
    let door = jobs.addr();
    let handler = async |_: Job<serde_json::Value>, mut ctx: Context| {
        let completion = ctx.begin().await?;
        completion.batch_execute("DEALLOCATE ALL").await?;
        Ok(completion.commit().await?)
    };
    let handlers = Handlers::new().any(handler);
    let running = jobs.start(handlers).await.unwrap();

    let later = || job().schedule_in(Duration::from_secs(3_600));
    for _ in 0..2 {
        // The second time it is planned already, and the plan would be good for a second more.
        door.send(Enqueue(later())).await.unwrap().unwrap();
        join_all([door.send(Enqueue(later())), door.send(Enqueue(later()))]).await;
    }
    let id = door.send(Enqueue(job())).await.unwrap().unwrap();
    let gone = format!("SELECT NOT EXISTS (SELECT FROM jobs WHERE id = {id})");
    eventually("the job's end", async || bench.flag(&gone).await).await;

    door.send(Enqueue(later())).await.unwrap().unwrap();
    for answer in join_all([door.send(Enqueue(later())), door.send(Enqueue(later()))]).await {
        answer.unwrap().unwrap();
    }
    running.shutdown().await;
}

/// The address is the same for all clones of a queue, and one that is kept lives as long as the `System`.
#[actix::test]
async fn every_clone_of_a_queue_has_the_same_door() {
    let bench = Bench::new().await;
    let clone = bench.jobs.clone();

    assert_eq!(bench.jobs.addr(), clone.addr());
    assert!(clone.addr().connected());
}

/// A plain tokio test: no System runs on its thread.
#[tokio::test]
async fn outside_a_system_the_address_answers_that_its_mailbox_is_closed() {
    let bench = Bench::new().await;

    let answer = bench.jobs.addr().send(Enqueue(job())).await;

    assert!(matches!(answer, Err(MailboxError::Closed)), "{answer:?}");
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 0);
    // The transactional door needs no System.
    bench.jobs.enqueue(&bench.client, job()).await.unwrap();
}

/// An application that makes its queue before its System, and tests that have a System each.
#[test]
fn a_door_that_was_closed_with_its_system_opens_in_the_next() {
    let outer = tokio::runtime::Runtime::new().unwrap();
    let bench = outer.block_on(Bench::new());
    for count in 1..=2 {
        actix::System::new().block_on(async {
            bench.jobs.addr().send(Enqueue(job())).await.unwrap().unwrap();
        });
        assert_eq!(outer.block_on(bench.number("SELECT count(*) FROM jobs")), count);
    }
}
