//! actix restarts no actor that panicked: each is replaced all the same, and the demand stays exact.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_postgres::Client;

use super::{hold_up, let_go, one_is_held_up, support::TestDb};
use crate::{
    Completed, Context, DatabaseOptions, Handlers, Job, JobError, Listen, Queue, Running,
    actors::{Crash, Look},
};

/// A queue of two slots on two arbiters, whose handlers run until they are let go.
struct Gated {
    client: Client,
    running: Running,
    gate: Arc<Semaphore>,
    at_work: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gated {
    async fn new() -> Self {
        Self::with(Listen::Same, Duration::from_secs(1)).await
    }

    async fn with(listen: Listen, dead_after: Duration) -> Self {
        let db = TestDb::new().await;
        let database = DatabaseOptions::new().listen(listen).connect(&db.url()).await.unwrap();
        let queue = Queue::builder(&database, "jobs")
            .max_demand(2)
            .arbiters(2)
            .dead_after(dead_after)
            .retry_timeout(Duration::from_secs(3600))
            .claim_ahead(Duration::ZERO)
            .poll_interval(Duration::from_secs(3600));
        let queue = queue.build().unwrap();
        queue.migrate().await.unwrap();
        let (gate, at_work, most) = (Arc::new(Semaphore::new(0)), Arc::default(), Arc::default());
        let handler = {
            let (gate, at_work, most) = (Arc::clone(&gate), Arc::clone(&at_work), Arc::clone(&most));
            move |_: Job<serde_json::Value>, ctx: Context| {
                gated(Arc::clone(&gate), Arc::clone(&at_work), Arc::clone(&most), ctx)
            }
        };
        let running = queue.start(Handlers::new().any(handler)).await.unwrap();
        Self { client: db.client().await, running, gate, at_work, most }
    }

    async fn enqueue(&self, count: i64) {
        let sql = format!("INSERT INTO jobs (params) SELECT '{{}}' FROM generate_series(1, {count})");
        self.client.batch_execute(&sql).await.unwrap();
    }

    async fn in_state(&self, state: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM jobs WHERE state = '{state}'");
        self.client.query_typed_one(&sql, &[]).await.unwrap().get(0)
    }

    async fn until(&self, state: &str, count: i64) {
        for _ in 0..1500 {
            if self.in_state(state).await == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} jobs are {state} and not {count}", self.in_state(state).await);
    }

    /// Waits until so many handlers run: before that an attempt does not count.
    async fn until_at_work(&self, count: i64) {
        self.until("IN_PROGRESS", count).await;
        for _ in 0..1500 {
            if self.at_work.load(Ordering::SeqCst) == usize::try_from(count).unwrap() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} handlers run and not {count}", self.at_work.load(Ordering::SeqCst));
    }

    /// Both slots are taken, and a third job is claimed for the next hour and given to nobody.
    async fn with_one_reserved() -> Self {
        let queue = Self::new().await;
        queue.enqueue(2).await;
        queue.until("IN_PROGRESS", 2).await;
        let reserved = "INSERT INTO jobs (params) VALUES ('{}');
                        UPDATE jobs SET state = 'RESERVED', expires = now() + interval '1 h',
                                        node = (SELECT node FROM job_queue_nodes) WHERE state = 'AVAILABLE'";
        queue.client.batch_execute(reserved).await.unwrap();
        queue
    }

    /// Those two and the third, and is then as it was.
    async fn performs_all_three(&self) {
        self.gate.add_permits(3);
        self.until("IN_PROGRESS", 0).await;
        self.until("AVAILABLE", 0).await;
        self.has_exactly_two_slots().await;
    }

    /// Three jobs take two slots and no more, and all of them are done in the end.
    async fn has_exactly_two_slots(&self) {
        self.enqueue(3).await;
        self.until("IN_PROGRESS", 2).await;
        assert_eq!(self.in_state("AVAILABLE").await, 1, "demand is the only bound");
        self.gate.add_permits(3);
        self.until("AVAILABLE", 0).await;
        self.until("IN_PROGRESS", 0).await;
        assert!(self.most.load(Ordering::SeqCst) <= 2);
    }
}

/// One job at work, counted also if its future is dropped.
struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn gated(
    gate: Arc<Semaphore>,
    at_work: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    ctx: Context,
) -> Result<Completed, JobError> {
    let now = at_work.fetch_add(1, Ordering::SeqCst) + 1;
    let _at_work = AtWork(at_work);
    most.fetch_max(now, Ordering::SeqCst);
    gate.acquire().await?.forget();
    Ok(ctx.complete().await?)
}

#[actix::test]
async fn a_producer_that_panicked_is_replaced_and_claims_for_the_room_that_there_is() {
    let queue = Gated::new().await;
    queue.enqueue(1).await;
    queue.until("IN_PROGRESS", 1).await;

    let before = queue.running.present().await;
    assert!(before.producer.send(Crash).await.is_err(), "its mailbox is closed for good");

    // The job that runs is not touched, and the slot beside it is demanded anew.
    queue.enqueue(2).await;
    queue.until("IN_PROGRESS", 2).await;
    assert_eq!(queue.in_state("AVAILABLE").await, 1);
    assert_ne!(queue.running.present().await.producer, before.producer);
    queue.gate.add_permits(3);
    queue.until("AVAILABLE", 0).await;
    queue.until("IN_PROGRESS", 0).await;
    queue.has_exactly_two_slots().await;
}

/// Otherwise what a producer had claimed and given to nobody would wait for its reservation to lapse.
#[actix::test]
async fn what_a_producer_that_panicked_had_claimed_is_available_again() {
    let queue = Gated::with_one_reserved().await;

    assert!(queue.running.present().await.producer.send(Crash).await.is_err());

    queue.until("AVAILABLE", 1).await;
    queue.performs_all_three().await;
}

#[actix::test]
async fn what_a_worker_that_panicked_had_not_started_is_available_again() {
    let queue = Gated::with_one_reserved().await;

    let workers = queue.running.present().await.workers;
    assert!(workers[0].send(Crash).await.is_err());

    queue.until("RETRY", 1).await;
    queue.until("RESERVED", 0).await;
    queue.gate.add_permits(2);
    queue.until("IN_PROGRESS", 0).await;
    queue.until("AVAILABLE", 0).await;
    queue.has_exactly_two_slots().await;
}

/// Each claim tells that something is due; that is not to bring forward what has just failed.
#[actix::test]
async fn a_sweep_that_fails_waits_for_its_turn_however_many_claims_succeed() {
    let queue = Gated::new().await;
    let refused = "INSERT INTO jobs (params, state, schedule) VALUES ('{}', 'SCHEDULED', now() + interval '1 h');
                   UPDATE jobs SET schedule = now();
                   CREATE SEQUENCE tries;
                   CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN
                       PERFORM nextval('tries');
                       RAISE EXCEPTION 'not this one';
                   END $$;
                   CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW
                       WHEN (OLD.state = 'SCHEDULED') EXECUTE FUNCTION refuse()";
    queue.client.batch_execute(refused).await.unwrap();
    queue.gate.add_permits(40);
    for _ in 0..40 {
        queue.enqueue(1).await;
        queue.until("AVAILABLE", 0).await;
        queue.until("IN_PROGRESS", 0).await;
    }
    let tries: i64 = queue.client.query_typed_one("SELECT last_value FROM tries", &[]).await.unwrap().get(0);
    assert!((2..=20).contains(&tries), "{tries} tries");
    assert_eq!(queue.in_state("SCHEDULED").await, 1);
}

/// A reservation that lapses by itself does so an hour later, and no poll comes sooner.
#[actix::test]
async fn what_could_not_be_given_back_is_given_back_at_the_next_try() {
    let queue = Gated::with_one_reserved().await;
    // A sequence counts refusals too, which are rolled back.
    let refused = "CREATE SEQUENCE tries;
                   CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN
                       IF nextval('tries') = 1 THEN RAISE EXCEPTION 'not yet'; END IF;
                       RETURN NEW;
                   END $$;
                   CREATE TRIGGER refuse_once BEFORE UPDATE ON jobs FOR EACH ROW
                       WHEN (OLD.state = 'RESERVED' AND NEW.state = 'AVAILABLE') EXECUTE FUNCTION refuse_once()";
    queue.client.batch_execute(refused).await.unwrap();

    assert!(queue.running.present().await.producer.send(Crash).await.is_err());

    queue.until("AVAILABLE", 1).await;
    let tries: i64 = queue.client.query_typed_one("SELECT last_value FROM tries", &[]).await.unwrap().get(0);
    assert_eq!(tries, 2, "it was refused once and tried once more");
    queue.performs_all_three().await;
}

/// As another process's claim does that looked at the job just before it was taken.
#[actix::test]
async fn what_somebody_has_locked_is_given_back_when_it_is_free() {
    let queue = Gated::with_one_reserved().await;
    queue.client.batch_execute("BEGIN; SELECT FROM jobs WHERE state = 'RESERVED' FOR UPDATE").await.unwrap();

    assert!(queue.running.present().await.producer.send(Crash).await.is_err());
    // It has been passed over by then.
    let passed = "SELECT count(*) > 0 FROM pg_stat_activity \
                   WHERE query LIKE '%claimed and will not perform%' AND state = 'idle' AND datname = current_database()";
    loop {
        // What is seen of others stays the same within a transaction otherwise.
        queue.client.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
        let row = queue.client.query_typed_one(passed, &[]).await.unwrap();
        if row.get::<_, bool>(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    queue.client.batch_execute("COMMIT").await.unwrap();

    queue.until("AVAILABLE", 1).await;
    queue.performs_all_three().await;
}

#[actix::test]
async fn a_poller_that_panicked_is_replaced_and_jobs_become_due() {
    let queue = Gated::new().await;
    queue
        .client
        .batch_execute("INSERT INTO jobs (params, schedule) VALUES ('{}', now() + interval '1 h')")
        .await
        .unwrap();
    // An UPDATE announces nothing, so only the new poller's first sweep can find it.
    queue.client.batch_execute("UPDATE jobs SET schedule = now()").await.unwrap();

    let before = queue.running.present().await;
    assert!(before.poller.send(Crash).await.is_err());

    queue.until("IN_PROGRESS", 1).await;
    queue.gate.add_permits(1);
    queue.until("IN_PROGRESS", 0).await;
    queue.has_exactly_two_slots().await;
}

#[actix::test]
async fn a_worker_that_panicked_is_replaced_and_its_share_of_the_demand_with_it() {
    let queue = Gated::new().await;
    queue.enqueue(2).await;
    queue.until_at_work(2).await;

    for worker in queue.running.present().await.workers {
        assert!(worker.send(Crash).await.is_err());
    }

    // What it performed is tried again later, and says why.
    queue.until("RETRY", 2).await;
    let sql = "SELECT count(*) FROM jobs WHERE errors -> 0 ->> 'error' LIKE '%worker that performed it died%'";
    assert_eq!(queue.client.query_typed_one(sql, &[]).await.unwrap().get::<_, i64>(0), 2);
    queue.has_exactly_two_slots().await;
}

#[actix::test]
async fn nothing_runs_after_a_shutdown() {
    let queue = Gated::new().await;
    let present = queue.running.present().await;

    let report = queue.running.shutdown().await;

    assert_eq!(report.left, 0);
    for _ in 0..500 {
        if !present.producer.connected() && !present.poller.connected() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!present.producer.connected() && !present.poller.connected());
    assert!(present.workers.iter().all(|worker| !worker.connected()));
    assert_eq!(queue.at_work.load(Ordering::SeqCst), 0);
}

#[actix::test]
async fn nothing_is_held_in_the_database_while_a_handler_does_slow_work() {
    let queue = Gated::new().await;
    queue.enqueue(2).await;
    queue.until("IN_PROGRESS", 2).await;

    // The start's own statement may just be ending.
    let held = "SELECT (SELECT count(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL)
                     + (SELECT count(*) FROM pg_locks
                         WHERE relation = 'jobs'::regclass AND pid <> pg_backend_pid())";
    let mut left = 1_i64;
    for _ in 0..500 {
        left = queue.client.query_typed_one(held, &[]).await.unwrap().get(0);
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    assert_eq!(left, 0, "transactions or locks are held");
    queue.gate.add_permits(2);
    queue.until("IN_PROGRESS", 0).await;
}

#[actix::test]
async fn inserts_of_a_busy_queue_announce_nothing_and_those_of_an_idle_one_do() {
    let queue = Gated::new().await;
    let waits = "SELECT count(*) FROM pg_locks AS held
                  WHERE held.locktype = 'advisory' AND held.mode = 'ShareLock' AND held.granted
                    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let until_waiting = async |count: i64| {
        for _ in 0..1500 {
            if queue.client.query_typed_one(waits, &[]).await.unwrap().get::<_, i64>(0) == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{count} producers should wait");
    };

    until_waiting(1).await;
    queue.enqueue(2).await;
    queue.until("IN_PROGRESS", 2).await;
    until_waiting(0).await;

    queue.gate.add_permits(2);
    queue.until("IN_PROGRESS", 0).await;
    until_waiting(1).await;
}

/// Without notifications no other claim would follow until the next sweep.
#[actix::test]
async fn a_job_that_is_changed_while_it_is_claimed_is_claimed_at_once() {
    let queue = Gated::with(Listen::Off, Duration::from_secs(3600)).await;
    // Those of the start have ended, and the look from the beginning that follows them.
    tokio::time::sleep(Duration::from_secs(2)).await;
    queue.enqueue(1).await;
    hold_up(&queue.client, "job_queue_pauses").await;
    queue.running.present().await.producer.send(Look).await.unwrap();
    one_is_held_up(&queue.client).await;

    queue.client.batch_execute("UPDATE jobs SET priority = 1").await.unwrap();
    let_go(&queue.client).await;

    queue.until_at_work(1).await;
    queue.gate.add_permits(1);
    queue.until("IN_PROGRESS", 0).await;
}

#[actix::test]
async fn a_job_that_something_keeps_from_being_claimed_is_tried_at_intervals_and_hides_no_other() {
    let queue = Gated::with(Listen::Same, Duration::from_secs(3600)).await;
    queue
        .client
        .batch_execute(
            "CREATE SEQUENCE tries;
             CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM nextval('tries'); RETURN NULL; END $$;
             CREATE TRIGGER keep BEFORE UPDATE ON jobs FOR EACH ROW WHEN (OLD.priority = 1) EXECUTE FUNCTION keep();
             INSERT INTO jobs (params, priority) VALUES ('{}', 1)",
        )
        .await
        .unwrap();
    let tries =
        async || -> i64 { queue.client.query_typed_one("SELECT last_value FROM tries", &[]).await.unwrap().get(0) };
    while tries().await < 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (before, since) = (tries().await, std::time::Instant::now());

    queue.enqueue(1).await;
    queue.until_at_work(1).await;
    queue.gate.add_permits(1);
    queue.until("IN_PROGRESS", 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    // Each job that comes and goes brings claims of its own.
    let most = 20 + i64::try_from(since.elapsed().as_millis() / 20).unwrap();
    assert!(tries().await - before < most, "{} tries in {:?}", tries().await - before, since.elapsed());
    queue.client.batch_execute("DROP TRIGGER keep ON jobs").await.unwrap();
    queue.until_at_work(1).await;
}
