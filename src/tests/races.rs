//! Two connections race for each guarded statement, in both orders.
//!
//! The first to come holds its transaction open while the second arrives; then the first commits, or rolls
//! back. Whatever the order, a job is never won twice, and a winner that rolls back has won nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postgres_types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient};

use super::{MINUTE, Table, hold_up, let_go, node, until_held_up};
use crate::store::{Lease, Onward, Settlement, Take, missed, started, unzip};

/// What can be done to a job, as the library does it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Claim,
    Start,
    Unreserve,
    BeginCompletion,
    Complete,
    Fail,
    Rescue,
    Requeue,
    Cancel,
}

/// Where the job stands when the race begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Available,
    Reserved,
    InProgress,
    Failed,
}

impl Step {
    /// Runs the statement; whether the job was won by it.
    async fn run(self, table: &Table, client: &impl GenericClient, job: Lease) -> bool {
        let sql = &table.store.sql;
        let (node, ids, leases) = (table.node.number(), vec![job.id], vec![job.lease]);
        let name = "test";
        let count = async |sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]| {
            client.query_typed(sql, parameters).await.expect("the statement runs")
        };
        match self {
            Step::Claim => {
                let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
                    (&1_i64, Type::INT8),
                    (&60_f64, Type::FLOAT8),
                    (&node, Type::INT8),
                    (&10_f64, Type::FLOAT8),
                    (&name, Type::TEXT),
                    (&None::<&str>, Type::TEXT),
                ];
                let rows = count(&sql.claim.free, &parameters).await;
                rows.iter().any(|row| row.get::<_, Option<i64>>("id").is_some())
            }
            Step::Start => !turn(client, &sql.turn, &[], &[job], node).await.is_empty(),
            Step::Unreserve => {
                let none = None::<Vec<i64>>;
                let parameters: [(&(dyn ToSql + Sync), Type); 3] =
                    [(&node, Type::INT8), (&none, Type::INT8_ARRAY), (&none, Type::INT8_ARRAY)];
                count(&sql.unreserve, &parameters).await[0].get::<_, i64>("returned") == 1
            }
            Step::BeginCompletion => {
                let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&job.id, Type::INT8), (&job.lease, Type::INT8)];
                !count(&sql.begin_completion, &parameters).await.is_empty()
            }
            Step::Complete => !turn(client, &sql.turn, &[job], &[], node).await.is_empty(),
            Step::Fail => {
                let (verdicts, delays, errors) = (vec!["RETRY"], vec![60_f64], vec![r#"["no"]"#]);
                let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
                    (&ids, Type::INT8_ARRAY),
                    (&leases, Type::INT8_ARRAY),
                    (&verdicts, Type::TEXT_ARRAY),
                    (&delays, Type::FLOAT8_ARRAY),
                    (&errors, Type::TEXT_ARRAY),
                ];
                !count(&sql.settle, &parameters).await.is_empty()
            }
            Step::Rescue => {
                let whole = (&None::<DateTime<Utc>> as &(dyn ToSql + Sync), Type::TIMESTAMPTZ);
                let parameters = [
                    (&1000_i64 as &(dyn ToSql + Sync), Type::INT8),
                    (&1_f64, Type::FLOAT8),
                    whole.clone(),
                    whole.clone(),
                    whole,
                ];
                let swept = count(&sql.sweep, &parameters).await;
                swept[0].get::<_, i64>("rescued") + swept[0].get::<_, i64>("failed") == 1
            }
            Step::Requeue => !count(&sql.requeue, &[(&ids, Type::INT8_ARRAY)]).await.is_empty(),
            Step::Cancel => {
                let deleted = client.execute_typed("DELETE FROM jobs WHERE id = $1", &[(&job.id, Type::INT8)]).await;
                deleted.expect("the delete runs") == 1
            }
        }
    }

    /// Whether the job's present holder, if it has one, must be told apart from this step: a rescue needs a
    /// process that is dead.
    fn needs_a_dead_holder(self) -> bool {
        self == Step::Rescue
    }
}

/// A job at the stage, whose holder is dead if the race has a rescue in it.
async fn prepare(table: &Table, stage: Stage, dead: bool) -> Lease {
    table.run_sql("TRUNCATE jobs").await;
    let id = table.insert("", "").await;
    let mut job = Lease { id, lease: 0 };
    if stage != Stage::Available {
        let reserved = table.claim(1).await.remove(0);
        if stage != Stage::Reserved {
            job = table.start(&reserved).await.unwrap();
        }
    }
    if stage == Stage::Failed {
        let verdict = crate::store::Verdict::Fail { error: vec!["no".into()] };
        table.store.settle(&[(job, verdict)]).await.unwrap();
    }
    if dead {
        table.kill(table.node.number()).await;
    }
    job
}

/// Runs a turn, or what a test has made of it; the jobs that were removed or started.
async fn turn(client: &impl GenericClient, sql: &str, done: &[Lease], wanted: &[Lease], node: i64) -> Vec<i64> {
    let (done_ids, done_leases) = unzip(done.iter().copied());
    let (ids, leases) = unzip(wanted.iter().copied());
    let timeouts = vec![300_f64; ids.len()];
    let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
        (&done_ids, Type::INT8_ARRAY),
        (&done_leases, Type::INT8_ARRAY),
        (&ids, Type::INT8_ARRAY),
        (&leases, Type::INT8_ARRAY),
        (&timeouts, Type::FLOAT8_ARRAY),
        (&node, Type::INT8),
    ];
    let row = client.query_typed_one(sql, &parameters).await.expect("the statement runs");
    let missed = missed(done, &row);
    let removed = done.iter().filter(|job| !missed.contains(job)).map(|job| job.id);
    removed.chain(started(&row).iter().map(|started| started.lease.id)).collect()
}

/// Removes a batch; the ids of those that were removed, in their order.
async fn remove_batch(client: &impl GenericClient, sql: &str, jobs: &[Lease]) -> Vec<i64> {
    let (ids, leases) = unzip(jobs.iter().copied());
    let rows = client.query_typed(sql, &[(&ids, Type::INT8_ARRAY), (&leases, Type::INT8_ARRAY)]).await;
    let mut removed: Vec<_> = rows.expect("the statement runs").iter().map(|row| row.get("id")).collect();
    removed.sort_unstable();
    removed
}

/// Has `second` arrive while `first` is not committed yet; who won, in this order.
async fn race(
    table: &Table,
    clients: &mut (Client, Client),
    stage: Stage,
    (first, second): (Step, Step),
    commit: bool,
) -> (bool, bool) {
    let job = prepare(table, stage, first.needs_a_dead_holder() || second.needs_a_dead_holder()).await;
    let open = clients.0.transaction().await.unwrap();
    let first_won = first.run(table, &open, job).await;
    let mut second = Box::pin(second.run(table, &clients.1, job));
    // The second is on its way before the first ends; if it waits for a lock it is served after that.
    let early = tokio::time::timeout(Duration::from_millis(20), &mut second).await;
    if commit {
        open.commit().await.unwrap();
    } else {
        open.rollback().await.unwrap();
    }
    let second_won = match early {
        Ok(won) => won,
        Err(_) => tokio::time::timeout(MINUTE, second).await.expect("the second is served in the end"),
    };
    (first_won && commit, second_won)
}

#[actix::test]
async fn a_job_is_never_won_twice_whoever_comes_first() {
    use Step::*;
    let table = Table::new().await;
    let mut clients = (table.db.client().await, table.db.client().await);
    let races = [
        (Stage::Available, vec![Claim, Cancel]),
        (Stage::Reserved, vec![Start, Unreserve, Rescue, Cancel]),
        (Stage::InProgress, vec![BeginCompletion, Complete, Fail, Rescue, Cancel]),
        (Stage::Failed, vec![Requeue, Cancel]),
    ];
    let mut run = 0;
    for (stage, steps) in races {
        for &first in &steps {
            for &second in &steps {
                // A row that was made available again may be deleted all the same; that is no second win.
                let compatible = |step| matches!(step, Unreserve | Fail | Rescue | Requeue | Claim | Start);
                let (first_won, second_won) = race(&table, &mut clients, stage, (first, second), true).await;
                assert!(first_won, "{stage:?}: {first:?} before {second:?}");
                let allowed = second == Cancel && compatible(first);
                assert!(!second_won || allowed, "{stage:?}: {second:?} won after {first:?}");

                let (_, second_won) = race(&table, &mut clients, stage, (first, second), false).await;
                let waits = matches!(second, Start | BeginCompletion | Requeue | Cancel);
                assert!(
                    second_won || !waits,
                    "{stage:?}: {second:?} waited for {first:?}, which was rolled back, and won nothing"
                );
                run += 2;
            }
        }
    }
    assert_eq!(run, 2 * (4 + 16 + 25 + 4));
}

#[actix::test]
async fn a_hundred_claims_at_once_share_the_jobs_out() {
    let table = Table::new().await;
    table.run_sql("INSERT INTO jobs (params) SELECT '{}' FROM generate_series(1, 1000)").await;

    let claims =
        futures_util::future::join_all((0..100).map(|_| table.store.claim(20, Take::Reserve(MINUTE), &table.node)))
            .await;

    let mut ids: Vec<_> = claims.into_iter().flat_map(|claim| claim.unwrap().jobs).map(|job| job.id).collect();
    let claimed = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), claimed, "no job was claimed twice");
    let mut rest = table.claim(1000).await.len();
    rest += claimed;
    assert_eq!(rest, 1000);
}

/// A sweep whose snapshot is old when it comes to lock the row.
#[actix::test]
async fn a_sweep_that_saw_a_dead_holder_leaves_the_job_to_the_next_one() {
    let table = Table::new().await;
    let dead = node(&table.store).await;
    let id = table.insert("max_attempts", "2").await;
    table.store.claim(1, Take::Reserve(MINUTE), &dead).await.unwrap();
    table.store.start(&[(Lease { id, lease: 0 }, MINUTE)], &dead).await.unwrap();
    table.kill(dead.number()).await;
    hold_up(&table.client, "job_queue_nodes").await;

    let mut sweep = Box::pin(table.store.sweep());
    until_held_up(&table.client, &mut sweep).await;
    // What another sweep, a claim and a start by this process come to, which need that table too.
    table
        .run_sql(&format!(
            "UPDATE jobs SET state = 'AVAILABLE', expires = NULL, node = NULL WHERE id = {id};
             UPDATE jobs SET state = 'IN_PROGRESS', lease = 2, attempt = 2, node = {}, expires = now() + interval '1 h'
              WHERE id = {id}",
            table.node.number()
        ))
        .await;
    let_go(&table.client).await;
    let swept = sweep.await.unwrap();

    assert_eq!((swept.rescued, swept.failed), (0, 0));
    let row = table.row(id).await.unwrap();
    assert_eq!((row.state.as_str(), row.node), ("IN_PROGRESS", Some(table.node.number())));
}

#[actix::test]
async fn a_job_that_is_changed_while_it_is_claimed_is_told_of_and_left_to_the_next_claim() {
    let table = Table::new().await;
    let (moved, other) = (table.insert("", "").await, table.insert("", "").await);
    hold_up(&table.client, "job_queue_pauses").await;

    let mut claim = Box::pin(table.store.claim(2, Take::Reserve(MINUTE), &table.node));
    until_held_up(&table.client, &mut claim).await;
    table.run_sql(&format!("UPDATE jobs SET priority = -1 WHERE id = {moved}")).await;
    let_go(&table.client).await;
    let claim = claim.await.unwrap();

    assert!(claim.moved);
    assert_eq!(claim.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [other]);
    assert_eq!(table.row(moved).await.unwrap().state, "AVAILABLE");
    let next = table.store.claim(2, Take::Reserve(MINUTE), &table.node).await.unwrap();
    assert!(!next.moved);
    assert_eq!(next.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [moved]);
}

#[actix::test]
async fn a_job_that_is_changed_while_it_is_removed_is_left_to_the_next_removal() {
    let table = Table::new().await;
    let (moved, other) = (table.started("", "").await, table.started("", "").await);
    // Only for its function: the removal reads no table but the queue's.
    hold_up(&table.client, "job_queue_pauses").await;
    let (from, held_up) = (
        "FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease)",
        "FROM (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS jobs (id, lease) WHERE held_up()) AS wanted",
    );
    let remove = table.store.sql.turn.replacen(from, held_up, 1);
    assert!(remove.contains(held_up));
    let remover = table.db.client().await;

    let done = [moved, other];
    let mut removal = Box::pin(turn(&remover, &remove, &done, &[], 0));
    until_held_up(&table.client, &mut removal).await;
    table.run_sql(&format!("UPDATE jobs SET priority = 1 WHERE id = {}", moved.id)).await;
    let_go(&table.client).await;

    assert_eq!(removal.await, [other.id]);
    assert_eq!(table.row(moved.id).await.unwrap().state, "IN_PROGRESS");
    assert_eq!(table.store.complete(&[moved]).await.unwrap(), [Settlement::Completed]);
}

#[actix::test]
async fn a_batch_whose_job_is_changed_while_it_is_removed_is_removed_whole() {
    let table = Table::new().await;
    let batch = [table.started("", "").await, table.started("", "").await, table.started("", "").await];
    // Only for its function: the removal reads no table but the queue's.
    hold_up(&table.client, "job_queue_pauses").await;
    let remove =
        table.store.sql.begin_batch.replacen("(id, lease) ORDER BY", "(id, lease) WHERE held_up() ORDER BY", 1);
    assert!(remove.contains("held_up()"));
    let remover = table.db.client().await;

    let mut removal = Box::pin(remove_batch(&remover, &remove, &batch));
    until_held_up(&table.client, &mut removal).await;
    table.run_sql(&format!("UPDATE jobs SET priority = 1 WHERE id = {}", batch[1].id)).await;
    let_go(&table.client).await;

    assert_eq!(removal.await, batch.map(|job| job.id));
    for job in batch {
        assert!(table.row(job.id).await.is_none());
    }
}

/// Rows of different tables lie at the same place.
#[actix::test]
async fn what_a_table_with_partitions_or_children_has_at_the_same_place_is_left_alone() {
    let partitions = "ALTER TABLE jobs RENAME TO plain;
                      CREATE TABLE jobs (LIKE plain INCLUDING ALL) PARTITION BY HASH (id);
                      CREATE TABLE jobs_0 PARTITION OF jobs FOR VALUES WITH (MODULUS 3, REMAINDER 0);
                      CREATE TABLE jobs_1 PARTITION OF jobs FOR VALUES WITH (MODULUS 3, REMAINDER 1);
                      CREATE TABLE jobs_2 PARTITION OF jobs FOR VALUES WITH (MODULUS 3, REMAINDER 2);
                      INSERT INTO jobs (id, params) SELECT n, '{}' FROM generate_series(1, 30) AS n";
    let children = "CREATE TABLE older (LIKE jobs INCLUDING ALL);
                    ALTER TABLE older INHERIT jobs;
                    INSERT INTO jobs (id, params) SELECT n, '{}' FROM generate_series(1, 15) AS n;
                    INSERT INTO older (id, params) SELECT n, '{}' FROM generate_series(16, 30) AS n";
    for divided in [partitions, children] {
        let table = Table::new().await;
        table.run_sql(divided).await;
        let states = "SELECT count(*) FILTER (WHERE state = 'AVAILABLE'), count(*) FILTER (WHERE state = 'RESERVED'),
                             count(*) FILTER (WHERE state = 'IN_PROGRESS') FROM jobs";
        let states = async || {
            let row = table.client.query_typed_one(states, &[]).await.unwrap();
            (row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2))
        };
        let onward = Onward::default();
        let (take, mut held) = (Take::Reserve(MINUTE), Vec::new());

        for claimed in 1..=20 {
            let claim = match claimed % 2 {
                0 => table.store.claim(1, take, &table.node).await,
                _ => table.store.claim_onward(1, take, &table.node, &onward).await,
            };
            let claim = claim.unwrap();
            assert_eq!((claim.jobs.len(), claim.moved), (1, false));
            assert_eq!(states().await, (30 - claimed, 1, claimed - 1));
            held.push(table.start(&claim.jobs[0]).await.unwrap());
        }
        for removed in 1..=10 {
            let job = held.swap_remove(removed % held.len());
            assert_eq!(table.store.complete(&[job]).await.unwrap(), [Settlement::Completed]);
            assert_eq!(states().await, (10, 0, 20 - i64::try_from(removed).unwrap()));
        }
        for batch in 1..=5 {
            let mut jobs = [held.swap_remove(batch % held.len()), held.swap_remove(0)];
            jobs.sort_unstable();
            assert_eq!(remove_batch(&table.client, &table.store.sql.begin_batch, &jobs).await, jobs.map(|job| job.id));
            assert_eq!(states().await, (10, 0, 10 - 2 * i64::try_from(batch).unwrap()));
        }
    }
}
