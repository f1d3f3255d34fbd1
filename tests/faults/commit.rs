//! Commits whose answer, or which themselves, are lost on the way.

use std::{sync::Arc, time::Duration};

use actix_job_queue::{
    BatchContext, Batching, CompletionError, Context, DatabaseOptions, Handlers, Job, Listen, Queue, QueueBuilder,
};
use tokio::sync::mpsc;
use tokio_postgres::{Client, types::Type};

use crate::{
    harness::{Entry, HOUR, all_entered, entering, migrated, number, queue, until, write},
    support::{
        TestDb,
        proxy::{Mode, Proxy},
    },
};

/// A COMMIT as the simple protocol sends it: the library's own statements only speak of it.
const COMMIT: &str = "COMMIT\0";

/// A queue behind a proxy, which LISTENs past it.
async fn proxied(db: &TestDb, set: impl FnOnce(QueueBuilder) -> QueueBuilder) -> (Arc<Proxy>, Queue) {
    migrated(&db.url()).await;
    let proxy = Arc::new(Proxy::start(db.address()).await);
    let options = DatabaseOptions::new().listen(Listen::At(db.url()));
    let jobs = queue(&proxy.url(&db.name), options, set).await;
    (proxy, jobs)
}

/// Performs one job through a proxy that is in `fault` at the first attempt; what its commits came to.
async fn commits_under(db: &TestDb, fault: Mode) -> Vec<Result<(), CompletionError>> {
    let (proxy, jobs) = proxied(db, |queue| queue).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let handlers = Handlers::new().any(move |job: Job<Entry>, mut ctx: Context| {
        let (proxy, tell, fault) = (Arc::clone(&proxy), tell.clone(), fault.clone());
        async move {
            let completion = ctx.begin().await?;
            write(&completion, job.id, job.params.n).await?;
            proxy.set(if job.attempt == 1 { fault } else { Mode::Pass });
            let (outcome, result) = match completion.commit().await {
                Ok(completed) => (Ok(()), Ok(completed)),
                Err(error) => (Err(error), Err("the commit failed".into())),
            };
            tell.send(outcome)?;
            result
        }
    });
    let running = jobs.start(handlers).await.unwrap();
    let client = db.client().await;
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();
    all_entered(&client, 1).await;
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned), (0, 0), "{report}");
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

#[actix::test]
async fn a_commit_whose_answer_is_lost_is_found_to_have_happened_and_its_job_does_not_run_again() {
    let db = TestDb::new().await;

    let commits = commits_under(&db, Mode::LoseAnswerTo(COMMIT)).await;

    assert!(matches!(commits[..], [Ok(())]), "{commits:?}");
    assert_eq!(number(&db.client().await, "SELECT count(*) FROM jobs").await, 0);
}

#[actix::test]
async fn a_commit_that_does_not_reach_the_server_is_found_not_to_have_happened_and_its_job_runs_again() {
    let db = TestDb::new().await;

    let commits = commits_under(&db, Mode::CutBefore(COMMIT)).await;

    assert!(matches!(commits[..], [Err(CompletionError::Database(_)), Ok(())]), "{commits:?}");
}

/// Performs a batch of three through a proxy that is in `fault` while it has company; what its commits came to.
async fn batch_commits_under(db: &TestDb, fault: Mode) -> Vec<(usize, Result<(), CompletionError>)> {
    let (proxy, jobs) = proxied(db, |queue| queue.arbiters(1).max_demand(3)).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |jobs: Vec<Job<Entry>>, mut ctx: BatchContext| {
        let (proxy, tell, fault) = (Arc::clone(&proxy), tell.clone(), fault.clone());
        async move {
            let completion = ctx.begin().await?;
            for job in &jobs {
                write(&completion, job.id, job.params.n).await?;
            }
            proxy.set(if jobs.len() > 1 { fault } else { Mode::Pass });
            let committed = completion.commit().await;
            proxy.set(Mode::Pass);
            let (outcome, result) = match committed {
                Ok(completed) => (Ok(()), Ok(completed)),
                Err(error) => (Err(error), Err("the commit failed".into())),
            };
            tell.send((jobs.len(), outcome))?;
            result
        }
    };
    let batching = Batching::up_to(3).within(Duration::from_millis(700));
    let running = jobs.start(Handlers::new().batch("Entry", batching, handler)).await.unwrap();
    let client = db.client().await;
    jobs.enqueue_many(&client, &[1, 2, 3].map(Entry::job)).await.unwrap();
    all_entered(&client, 3).await;
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned, report.failed), (0, 0, 0), "{report}");
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

#[actix::test]
async fn a_batch_whose_commits_answer_is_lost_is_found_to_have_happened_and_no_job_runs_again() {
    let db = TestDb::new().await;

    let commits = batch_commits_under(&db, Mode::LoseAnswerTo(COMMIT)).await;

    assert!(matches!(commits[..], [(3, Ok(()))]), "{commits:?}");
}

#[actix::test]
async fn a_batch_whose_commit_does_not_reach_the_server_is_performed_again_each_job_alone() {
    let db = TestDb::new().await;

    let commits = batch_commits_under(&db, Mode::CutBefore(COMMIT)).await;

    let [(3, Err(CompletionError::Database(_))), alone @ ..] = &commits[..] else {
        panic!("{commits:?}");
    };
    assert!(matches!(alone, [(1, Ok(())), (1, Ok(())), (1, Ok(()))]), "{alone:?}");
}

/// A completion of nothing but the removal shares its statement with others'.
#[actix::test]
async fn a_removal_whose_answer_is_lost_is_found_to_have_happened_and_its_job_does_not_run_again() {
    let db = TestDb::new().await;
    let (proxy, jobs) = proxied(&db, |queue| queue).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let handlers = Handlers::new().any({
        let proxy = Arc::clone(&proxy);
        move |_: Job<Entry>, ctx: Context| {
            let (proxy, tell) = (Arc::clone(&proxy), tell.clone());
            async move {
                proxy.set(Mode::LoseAnswerTo("Jobs with nothing to write are removed"));
                let completed = ctx.complete().await;
                tell.send(completed.as_ref().map(drop).map_err(ToString::to_string))?;
                Ok(completed?)
            }
        }
    });
    let running = jobs.start(handlers).await.unwrap();
    let client = db.client().await;
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();

    proxy.answer_lost().await;
    proxy.set(Mode::Pass);

    assert_eq!(told.recv().await, Some(Ok(())));
    assert_eq!(number(&client, "SELECT count(*) FROM jobs").await, 0);
    assert_eq!(running.shutdown().await.left, 0);
    assert!(told.try_recv().is_err(), "it ran again");
}

/// Has the server wait in the middle of a statement, with the row locked, for as long as this client holds a lock.
async fn held_up(client: &Client, when: &str) {
    client
        .batch_execute(&format!(
            "CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN COALESCE(NEW, OLD); END $$;
             CREATE TRIGGER held_up BEFORE {when} EXECUTE FUNCTION held_up();
             SELECT pg_advisory_lock(77)"
        ))
        .await
        .unwrap();
}

const GO_ON: &str = "SELECT pg_advisory_unlock(77)";

/// How many sessions on this database match the condition.
fn sessions(condition: &str) -> String {
    let mine = "datname = current_database() AND pid <> pg_backend_pid()";
    format!("(SELECT count(*) FROM pg_stat_activity WHERE {mine} AND {condition})")
}

const WAITS: &str = "wait_event_type = 'Lock'";

#[actix::test]
async fn a_removal_that_goes_on_after_its_connection_was_lost_is_found_to_have_happened() {
    let db = TestDb::new().await;
    let (proxy, jobs) = proxied(&db, |queue| queue.dead_after(HOUR)).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let handlers = Handlers::new().any(move |_: Job<Entry>, ctx: Context| {
        let tell = tell.clone();
        async move {
            let completed = ctx.complete().await;
            tell.send(completed.as_ref().map(drop).map_err(ToString::to_string))?;
            Ok(completed?)
        }
    });
    let running = jobs.start(handlers).await.unwrap();
    let client = db.client().await;
    held_up(&client, "DELETE ON jobs FOR EACH ROW").await;
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();

    until(&client, "the removal is under way", &format!("{} = 1", sessions(WAITS))).await;
    proxy.cut();
    let told_so = sessions("query LIKE '%BUSY if somebody%' AND state = 'idle'");
    until(&client, "the row is found to be locked", &format!("{told_so} > 0")).await;
    client.batch_execute(GO_ON).await.unwrap();

    assert_eq!(told.recv().await, Some(Ok(())));
    assert_eq!(number(&client, "SELECT count(*) FROM jobs").await, 0);
    let report = running.shutdown().await;
    assert_eq!((report.left, report.failed), (0, 0), "{report}");
}

#[actix::test]
async fn a_start_that_goes_on_after_its_connection_was_lost_is_found_and_its_job_performed() {
    let db = TestDb::new().await;
    let (proxy, jobs) = proxied(&db, |queue| queue.dead_after(HOUR)).await;
    let running = jobs.start(entering()).await.unwrap();
    let client = db.client().await;
    held_up(&client, "UPDATE ON jobs FOR EACH ROW WHEN (NEW.state = 'IN_PROGRESS')").await;
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();

    until(&client, "the start is under way", &format!("{} = 1", sessions(WAITS))).await;
    proxy.cut();
    until(&client, "it is started again", &format!("{} = 2", sessions(WAITS))).await;
    client.batch_execute(GO_ON).await.unwrap();

    all_entered(&client, 1).await;
    assert_eq!(running.shutdown().await.left, 0);
}

/// Has the proxy let everything pass again in a moment.
fn mend_soon(proxy: Arc<Proxy>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.set(Mode::Pass);
    })
}

/// Performs one job by `complete_with` through a proxy that is in `fault` at first; how often its handler ran.
async fn completes_with_one_statement_under(fault: Mode) -> usize {
    let db = TestDb::new().await;
    let (proxy, jobs) = proxied(&db, |queue| queue).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let handlers = Handlers::new().any({
        let proxy = Arc::clone(&proxy);
        move |job: Job<Entry>, ctx: Context| {
            let (proxy, tell, fault) = (Arc::clone(&proxy), tell.clone(), fault.clone());
            async move {
                proxy.set(fault);
                tell.send(())?;
                let mend = mend_soon(proxy);
                let sql = "INSERT INTO ledger (job_id, n, pid) VALUES ($1, $2, pg_backend_pid()) /* the write */";
                let completed = ctx.complete_with(sql, &[(&job.id, Type::INT8), (&job.params.n, Type::INT8)]).await?;
                mend.await?;
                Ok(completed)
            }
        }
    });
    let running = jobs.start(handlers).await.unwrap();
    let client = db.client().await;
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();
    all_entered(&client, 1).await;
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned, report.failed), (0, 0, 0), "{report}");
    assert_eq!(number(&client, "SELECT count(*) FROM jobs").await, 0);
    std::iter::from_fn(|| told.try_recv().ok()).count()
}

#[actix::test]
async fn a_statement_whose_answer_is_lost_is_found_to_have_happened() {
    assert_eq!(completes_with_one_statement_under(Mode::LoseAnswerTo("the write")).await, 1);
}

#[actix::test]
async fn a_statement_that_does_not_reach_the_server_is_sent_again_by_the_same_attempt() {
    assert_eq!(completes_with_one_statement_under(Mode::CutBefore("the write")).await, 1);
}

/// The same with a batch of three; how many jobs its handler was given each time.
async fn completes_a_batch_with_one_statement_under(fault: Mode) -> Vec<usize> {
    let db = TestDb::new().await;
    let (proxy, jobs) = proxied(&db, |queue| queue.arbiters(1).max_demand(3)).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |jobs: Vec<Job<Entry>>, ctx: BatchContext| {
        let (proxy, tell, fault) = (Arc::clone(&proxy), tell.clone(), fault.clone());
        async move {
            proxy.set(fault);
            tell.send(jobs.len())?;
            let mend = mend_soon(proxy);
            let (ids, numbers): (Vec<_>, Vec<_>) = jobs.iter().map(|job| (job.id, job.params.n)).unzip();
            let sql = "INSERT INTO ledger (job_id, n, pid)
                       SELECT id, n, pg_backend_pid() FROM unnest($1::bigint[], $2::bigint[]) AS job (id, n)
                       /* the write */";
            let completed = ctx.complete_with(sql, &[(&ids, Type::INT8_ARRAY), (&numbers, Type::INT8_ARRAY)]).await?;
            mend.await?;
            Ok(completed)
        }
    };
    let batching = Batching::up_to(3).within(Duration::from_millis(700));
    let running = jobs.start(Handlers::new().batch("Entry", batching, handler)).await.unwrap();
    let client = db.client().await;
    jobs.enqueue_many(&client, &[1, 2, 3].map(Entry::job)).await.unwrap();
    all_entered(&client, 3).await;
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned, report.failed), (0, 0, 0), "{report}");
    assert_eq!(number(&client, "SELECT count(*) FROM jobs").await, 0);
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

#[actix::test]
async fn a_batchs_statement_takes_effect_once_whether_its_answer_or_itself_is_lost() {
    for fault in [Mode::LoseAnswerTo("the write"), Mode::CutBefore("the write")] {
        assert_eq!(completes_a_batch_with_one_statement_under(fault).await, [3]);
    }
}

/// The claim has reserved the job, and its process does not know. Nothing lapses within the hour.
#[actix::test]
async fn jobs_of_a_claim_whose_answer_is_lost_do_not_wait_for_their_reservation_to_lapse() {
    let db = TestDb::new().await;
    let (proxy, jobs) = proxied(&db, |queue| queue.reservation_timeout(HOUR).dead_after(HOUR)).await;
    let client = db.client().await;
    let running = jobs.start(entering()).await.unwrap();
    // Its first claim only looks about.
    jobs.enqueue_many(&client, &[Entry::job(0)]).await.unwrap();
    all_entered(&client, 1).await;

    proxy.set(Mode::LoseAnswerTo("state = 'RESERVED',"));
    jobs.enqueue_many(&client, &[1, 2, 3].map(Entry::job)).await.unwrap();
    proxy.answer_lost().await;
    until(&client, "they are reserved", "(SELECT count(*) FROM jobs WHERE state = 'RESERVED') = 3").await;
    proxy.set(Mode::Pass);

    all_entered(&client, 4).await;
    running.shutdown().await;
}
