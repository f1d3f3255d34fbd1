//! Connections that break or fall silent between the process and its server.

use std::{sync::Arc, time::Duration};

use actix_job_queue::{Cancelled, Context, DatabaseOptions, Enqueue, Handlers, Job, Listen};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    harness::{Entry, HOUR, all_entered, calm, enter, entering, migrated, number, queue, until, waiting, write},
    support::{
        TestDb,
        proxy::{Mode, Proxy},
    },
};

/// From here on, jobs that are done as soon as they are begun, and leave no effect.
const SHORT: i64 = 1_000;

/// Handlers that wait at a gate, and are to run once only.
fn gated(gate: &Arc<Semaphore>) -> Handlers {
    let gate = Arc::clone(gate);
    Handlers::new().any(move |job: Job<Entry>, ctx: Context| {
        let gate = Arc::clone(&gate);
        async move {
            if job.params.n >= SHORT {
                return Ok(ctx.complete().await?);
            }
            gate.acquire().await?.forget();
            assert_eq!(job.attempt, 1, "a job was taken from its process");
            enter(job, ctx).await
        }
    })
}

/// A process at work through a proxy, and a vigilant one beside it that would rescue what it loses.
struct Scene {
    db: TestDb,
    proxy: Proxy,
    gate: Arc<Semaphore>,
    running: Vec<actix_job_queue::Running>,
    client: actix_job_queue::tokio_postgres::Client,
}

const DEAD_AFTER: Duration = Duration::from_secs(4);

async fn at_work(jobs_there: i64) -> Scene {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let proxy = Proxy::start(db.address()).await;
    let gate = Arc::new(Semaphore::new(0));
    let jobs =
        queue(&proxy.url(&db.name), DatabaseOptions::new(), |queue| queue.dead_after(DEAD_AFTER).max_demand(60)).await;
    let mut running = vec![jobs.start(gated(&gate)).await.unwrap()];
    let entries: Vec<_> = (1..=jobs_there).map(Entry::job).collect();
    jobs.enqueue_many(&client, &entries).await.unwrap();
    let all = format!("(SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS') = {jobs_there}");
    until(&client, "all run", &all).await;
    let often = Duration::from_millis(100);
    let vigilant = queue(&db.url(), DatabaseOptions::new(), |queue| queue.poll_interval(often)).await;
    running.push(vigilant.start(entering()).await.unwrap());
    Scene { db, proxy, gate, running, client }
}

impl Scene {
    /// Two heartbeats more have reached the server, so the process has outlived the fault.
    async fn beats(&self) {
        for _ in 0..2 {
            let dead_at = number(&self.client, LATEST).await;
            until(&self.client, "it beats", &format!("({LATEST}) > {dead_at}")).await;
        }
    }

    /// What is sent vanishes, past the time of the next beat, and not yet that of the one after it.
    async fn fall_silent(&self) {
        self.proxy.set(Mode::Swallow);
        let dead_at = number(&self.client, LATEST).await;
        let quarter = DEAD_AFTER.as_micros() / 4;
        let silent = format!("(EXTRACT(epoch FROM clock_timestamp()) * 1e6)::bigint > {dead_at} - {quarter} * 5 / 2");
        until(&self.client, "a beat is swallowed", &silent).await;
        self.proxy.set(Mode::Pass);
    }

    /// Everything was done before.
    async fn end(self) {
        for running in self.running {
            let report = running.shutdown().await;
            assert_eq!((report.left, report.returned, report.unreserved), (0, 0, 0), "{report}");
        }
        drop((self.db, self.proxy));
    }

    async fn kept_its_jobs(self, jobs: i64) {
        let kept = "SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS' AND attempt = 1 AND errors IS NULL";
        assert_eq!(number(&self.client, kept).await, jobs, "jobs were taken from a process that had come back");
        self.gate.add_permits(usize::try_from(jobs).unwrap());
        all_entered(&self.client, jobs).await;
        for running in self.running {
            let report = running.shutdown().await;
            assert_eq!((report.left, report.returned, report.failed), (0, 0, 0), "{report}");
        }
        drop((self.db, self.proxy));
    }
}

/// When the process behind the proxy, the first that was started, counts as dead; in microseconds.
const LATEST: &str = "SELECT (EXTRACT(epoch FROM dead_at) * 1e6)::bigint FROM job_queue_nodes ORDER BY node LIMIT 1";

#[actix::test]
async fn a_process_whose_connections_are_cut_keeps_its_jobs_if_it_is_back_in_time() {
    let scene = at_work(5).await;

    for _ in 0..3 {
        scene.proxy.cut();
        scene.beats().await;
    }

    scene.kept_its_jobs(5).await;
}

/// A half-open connection: what is sent on it vanishes, and nobody says so. The network works again long
/// before the process counts as dead, but none of the old connections does.
#[actix::test]
async fn a_process_whose_connections_fall_silent_keeps_its_jobs_if_the_network_is_back_in_time() {
    let scene = at_work(5).await;
    scene.beats().await;

    scene.fall_silent().await;

    scene.beats().await;
    scene.kept_its_jobs(5).await;
}

/// The same in the midst of its work: statements of every kind are under way and unanswered, and what they
/// keep waiting is not the heartbeat.
#[actix::test]
async fn a_busy_process_whose_connections_fall_silent_keeps_its_jobs_too() {
    let Scene { db, proxy, gate, mut running, client } = at_work(5).await;
    running.pop().unwrap().shutdown().await;
    // One that rescues what it may, and is kept from work of its own by the one job that it takes.
    let set = |queue: actix_job_queue::QueueBuilder| queue.max_demand(1).poll_interval(Duration::from_millis(100));
    let jobs = queue(&db.url(), DatabaseOptions::new(), set).await;
    let held_back = Arc::new(Semaphore::new(0));
    let handlers = Handlers::new().any({
        let held_back = Arc::clone(&held_back);
        move |job: Job<Entry>, ctx: Context| {
            let held_back = Arc::clone(&held_back);
            async move {
                let _permit = held_back.acquire().await?;
                if job.params.n >= SHORT { Ok(ctx.complete().await?) } else { enter(job, ctx).await }
            }
        }
    });
    let vigilant = jobs.start(handlers).await.unwrap();
    let entries: Vec<_> = (SHORT..SHORT + 8_000).map(|n| Entry::job(n).max_attempts(100)).collect();
    jobs.enqueue_many(&client, &entries).await.unwrap();
    until(&client, "it is busy", "(SELECT count(*) FROM jobs) < 7500").await;
    until(&client, "one is held back", "(SELECT count(DISTINCT node) FROM jobs WHERE state = 'IN_PROGRESS') = 2").await;
    let scene = Scene { db, proxy, gate, running, client };

    scene.fall_silent().await;
    scene.beats().await;

    let Scene { db, proxy, gate, running, client } = scene;
    assert!(number(&client, "SELECT count(*) FROM jobs").await > 5, "it was not busy any more");
    let kept = "SELECT count(*) FROM jobs WHERE (params->>'n')::int < 10 AND state = 'IN_PROGRESS' AND attempt = 1";
    assert_eq!(number(&client, kept).await, 5);
    gate.add_permits(5);
    held_back.add_permits(1);
    // What was sent into the void waits for an answer until its connection breaks.
    proxy.cut();
    all_entered(&client, 5).await;
    vigilant.shutdown().await;
    for running in running {
        running.shutdown().await;
    }
    drop(db);
}

/// The process's own connections are silent for good; what it held is rescued by the other.
#[actix::test]
async fn a_process_that_stays_silent_loses_its_jobs_to_others_and_completes_none_of_them() {
    let Scene { db, proxy, gate, running, client } = at_work(5).await;

    proxy.set(Mode::Swallow);

    all_entered(&client, 5).await;
    proxy.set(Mode::Pass);
    proxy.cut();
    gate.add_permits(5);
    for running in running {
        let report = running.shutdown().await;
        assert_eq!((report.completed, report.left), (0, 0), "{report}");
    }
    all_entered(&client, 5).await;
    drop(db);
}

/// There is nobody else who could take its job, and the row is its own still: what it cannot know, it must not rely on.
#[actix::test]
async fn a_process_that_nobody_hears_of_stops_its_handlers_and_goes_on_as_another() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let proxy = Proxy::start(db.address()).await;
    let dead_after = Duration::from_secs(2);
    let jobs = queue(&proxy.url(&db.name), DatabaseOptions::new(), |queue| queue.dead_after(dead_after)).await;
    let healed = Arc::new(Semaphore::new(0));
    let (tell, mut told) = mpsc::unbounded_channel();
    let handlers = Handlers::new().any({
        let healed = Arc::clone(&healed);
        move |job: Job<Entry>, mut ctx: Context| {
            let (healed, tell) = (Arc::clone(&healed), tell.clone());
            async move {
                if job.attempt > 1 {
                    return enter(job, ctx).await;
                }
                // A task of its own outlives the handler and tries what it may no longer do.
                actix::spawn(async move {
                    ctx.cancellation().cancelled().await;
                    tell.send(format!("{:?}", ctx.cancelled())).unwrap();
                    healed.acquire().await.unwrap().forget();
                    let removed = ctx.complete().await.map(|_| ()).unwrap_err();
                    let opened = ctx.begin().await.map(drop).unwrap_err();
                    tell.send(format!("{removed}; {opened}")).unwrap();
                });
                std::future::pending().await
            }
        }
    });
    let running = jobs.start(handlers).await.unwrap();
    jobs.enqueue(&client, Entry::job(1)).await.unwrap();
    until(&client, "it runs", "EXISTS (SELECT FROM jobs WHERE state = 'IN_PROGRESS')").await;
    let before = number(&client, "SELECT node FROM jobs").await;

    proxy.set(Mode::Swallow);
    let reason = told.recv().await.unwrap();
    assert_eq!(reason, format!("{:?}", Some(Cancelled::Unheard)));
    assert_eq!(number(&client, "SELECT count(*) FROM jobs WHERE state = 'IN_PROGRESS'").await, 1, "nobody rescued it");
    proxy.set(Mode::Pass);
    healed.add_permits(1);

    let refused = told.recv().await.unwrap();
    assert_eq!(refused.matches("could not tell the database for 2s that it lives").count(), 2, "{refused}");
    proxy.cut();
    all_entered(&client, 1).await;
    let newer = format!("(SELECT max(node) FROM job_queue_nodes) > {before}");
    until(&client, "it has another number", &newer).await;
    let report = running.shutdown().await;
    assert_eq!((report.returned, report.failed, report.left), (0, 0, 0), "{report}");
}

/// A process whose start of two jobs hangs at the server, with a third for which it has no room; it claims that one once
/// it has, and looks alive from then on.
async fn hangs_in_a_start() -> Scene {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let hanging = "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$;
                   CREATE TRIGGER hang BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.state = 'IN_PROGRESS')
                   EXECUTE FUNCTION hang();
                   CREATE TABLE gone_back (job_id bigint);
                   CREATE FUNCTION go_back() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN INSERT INTO gone_back VALUES (NEW.id); RETURN NEW; END $$;
                   CREATE TRIGGER go_back AFTER UPDATE ON jobs FOR EACH ROW
                   WHEN (OLD.state = 'RESERVED' AND NEW.state = 'AVAILABLE') EXECUTE FUNCTION go_back();
                   SELECT pg_advisory_lock(1)";
    client.batch_execute(hanging).await.unwrap();
    let proxy = Proxy::start(db.address()).await;
    let set = |queue: actix_job_queue::QueueBuilder| {
        queue.dead_after(Duration::from_secs(2)).reservation_timeout(HOUR).max_demand(2)
    };
    let jobs = queue(&proxy.url(&db.name), DatabaseOptions::new().listen(Listen::At(db.url())), set).await;
    let entries: Vec<_> = (1..=3).map(Entry::job).collect();
    jobs.enqueue_many(&client, &entries).await.unwrap();
    let running = vec![jobs.start(entering()).await.unwrap()];
    until(&client, "a start hangs", &format!("EXISTS (SELECT {HANGING})")).await;
    until(&client, "two are reserved", "(SELECT count(*) FROM jobs WHERE state = 'RESERVED') = 2").await;
    Scene { db, proxy, gate: Arc::new(Semaphore::new(0)), running, client }
}

const HANGING: &str = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

const NODE: &str = "SELECT max(node) FROM job_queue_nodes";

/// It has been silent for so long, and nobody has done anything about it yet.
const COUNTS_AS_DEAD: &str = "NOT EXISTS (SELECT FROM job_queue_nodes WHERE dead_at > clock_timestamp())";

/// How many jobs went from reserved to available.
const GONE_BACK: &str = "SELECT count(*) FROM gone_back";

/// Ends what hangs, and lets starts pass.
async fn let_go(client: &actix_job_queue::tokio_postgres::Client) {
    let let_go = format!("SELECT pg_terminate_backend(pid) {HANGING}; SELECT pg_advisory_unlock(1)");
    client.batch_execute(&let_go).await.unwrap();
}

#[actix::test]
async fn a_process_is_heard_of_while_its_starts_are_under_way_and_starts_what_it_holds_when_they_are_given_up() {
    let scene = hangs_in_a_start().await;
    let before = number(&scene.client, NODE).await;

    scene.proxy.strand();
    scene.beats().await;
    let_go(&scene.client).await;

    all_entered(&scene.client, 3).await;
    assert_eq!(number(&scene.client, NODE).await, before, "it was not heard of meanwhile");
    assert_eq!(number(&scene.client, GONE_BACK).await, 0, "it gave up what it held");
    scene.end().await;
}

#[actix::test]
async fn jobs_that_were_reserved_when_their_process_fell_silent_for_too_long_come_back_as_soon_as_it_does() {
    let scene = hangs_in_a_start().await;
    let before = number(&scene.client, NODE).await;

    scene.proxy.set(Mode::Swallow);
    until(&scene.client, "it counts as dead", COUNTS_AS_DEAD).await;
    let_go(&scene.client).await;
    // It learns that its start has failed before anybody can hear of it again.
    scene.proxy.cut();
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'";
    until(&scene.client, "all is cut", &format!("(SELECT count(*) {others}) = 2")).await;
    scene.proxy.set(Mode::Pass);
    scene.proxy.cut();

    all_entered(&scene.client, 3).await;
    let now = number(&scene.client, NODE).await;
    assert!(now > before, "it goes on in a life in which it did not start what it held");
    assert_eq!(number(&scene.client, GONE_BACK).await, 2);
    scene.end().await;
}

#[actix::test]
async fn a_job_whose_start_is_answered_too_late_comes_back_as_soon_as_its_process_is_heard_of() {
    let scene = hangs_in_a_start().await;

    scene.client.batch_execute("BEGIN; LOCK TABLE job_queue_nodes").await.unwrap();
    until(&scene.client, "it counts as dead", COUNTS_AS_DEAD).await;
    scene.client.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    until(&scene.client, "one is started", "EXISTS (SELECT FROM jobs WHERE state = 'IN_PROGRESS')").await;
    scene.client.batch_execute("COMMIT").await.unwrap();

    all_entered(&scene.client, 3).await;
    scene.end().await;
}

/// The connection stays open and swallows all, while new ones work. The server must not keep the job's row locked
/// for the transaction that nobody can end any more.
#[actix::test]
async fn a_job_whose_completion_fell_silent_runs_again_when_its_time_is_over() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let proxy = Arc::new(Proxy::start(db.address()).await);
    let often = |queue: actix_job_queue::QueueBuilder| {
        queue.execution_timeout(Duration::from_secs(1)).poll_interval(Duration::from_millis(100))
    };
    let jobs = queue(&proxy.url(&db.name), DatabaseOptions::new(), often).await;
    let handlers = Handlers::new().any({
        let proxy = Arc::clone(&proxy);
        move |job: Job<Entry>, mut ctx: Context| {
            let proxy = Arc::clone(&proxy);
            async move {
                let completion = ctx.begin().await?;
                if job.attempt == 1 {
                    proxy.strand();
                }
                write(&completion, job.id, job.params.n).await?;
                Ok(completion.commit().await?)
            }
        }
    });
    let running = jobs.start(handlers).await.unwrap();

    jobs.enqueue(&client, Entry::job(1)).await.unwrap();

    all_entered(&client, 1).await;
    running.shutdown().await;
}

#[actix::test]
async fn connections_that_died_idle_are_replaced_before_anybody_sees_them() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let proxy = Proxy::start(db.address()).await;
    let options = DatabaseOptions::new().listen(Listen::At(db.url()));
    let jobs = queue(&proxy.url(&db.name), options, |queue| queue.dead_after(HOUR)).await;
    let client = db.client().await;
    let running = jobs.start(entering()).await.unwrap();

    for n in 0..5 {
        waiting(&client, 1).await;
        // By the message, then by notification alone: both find only dead connections in the pools.
        jobs.addr().send(Enqueue(Entry::job(2 * n))).await.unwrap().unwrap();
        all_entered(&client, 2 * n + 1).await;
        // A connection that dies at work is replaced at once, and then not every one in the pools is dead.
        calm(&client).await;
        let cut: String = client.query_one("SELECT clock_timestamp()::text", &[]).await.unwrap().get(0);
        proxy.cut();
        // Only the listener is left of them, which goes past the proxy.
        let older = format!(
            "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND backend_start < '{cut}') = 1"
        );
        until(&client, "they are dead", &older).await;
        jobs.enqueue(&client, Entry::job(2 * n + 1)).await.unwrap();
        all_entered(&client, 2 * n + 2).await;
        assert_eq!(number(&client, "SELECT COALESCE(sum(attempt), 0)::bigint FROM jobs").await, 0);
    }
    running.shutdown().await;
}

#[actix::test]
async fn a_job_that_gets_no_connection_tells_what_the_server_said_and_runs_when_there_is_one() {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let client = db.client().await;
    let role = format!("few_{}", db.name);
    client
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
             REVOKE INSERT, UPDATE, DELETE ON job_queue_migrations, job_queue_pauses FROM {role}"
        ))
        .await
        .unwrap();
    let second = Duration::from_secs(1);
    let options = DatabaseOptions::new().listen(Listen::Off).connection_timeout(second);
    let jobs = queue(&db.url_as(&role), options, |queue| queue.dead_after(HOUR).poll_interval(second)).await;
    let running = jobs.start(entering()).await.unwrap();
    // Those that are open stay.
    client.batch_execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 1")).await.unwrap();

    jobs.enqueue(&client, Entry::job(1)).await.unwrap();

    until(&client, "it fails", "EXISTS (SELECT FROM jobs WHERE errors IS NOT NULL)").await;
    let told = "SELECT count(*) FROM jobs WHERE (errors -> 0)::text LIKE '%too many connections for role%'";
    assert_eq!(number(&client, told).await, 1);
    client.batch_execute(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await.unwrap();
    all_entered(&client, 1).await;
    running.shutdown().await;
}
