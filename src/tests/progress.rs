//! Claims that go on from where they have come to bring what claims from the beginning would.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::{MINUTE, Table, hold_up, let_go, node, until_held_up};
use crate::{
    run::{node::Node, progress::Progress},
    store::{Claim, Onward, Take, Verdict},
};

/// A process that claims, and never from the beginning once it has a course.
struct Claimer {
    node: Arc<Node>,
    progress: Progress,
    now: Instant,
    /// The last claim may have passed by some jobs.
    again: bool,
}

impl Claimer {
    async fn new(table: &Table) -> Self {
        let node = node(&table.store).await;
        Self { node, progress: Progress::tolerating(50), now: Instant::now(), again: false }
    }

    fn onward(&self) -> Onward {
        self.progress.next(self.now).expect("it has a course")
    }

    async fn claim(&mut self, table: &Table, limit: usize) -> Claim {
        if self.progress.next(self.now).is_some_and(|onward| onward.is_blind()) {
            let claim = self.claim_from_where_it_is(table, 0).await;
            assert_eq!((claim.jobs.len(), claim.walked), (0, 0));
        }
        let mut claim = self.claim_from_where_it_is(table, limit).await;
        if self.again && claim.jobs.len() < limit {
            let rest = Box::pin(self.claim(table, limit - claim.jobs.len())).await;
            claim.jobs.extend(rest.jobs);
        }
        claim
    }

    async fn claim_from_where_it_is(&mut self, table: &Table, limit: usize) -> Claim {
        let claim = match self.progress.next(self.now) {
            Some(onward) => table.store.claim_onward(limit, Take::Reserve(MINUTE), &self.node, &onward).await,
            None => table.store.claim(limit, Take::Reserve(MINUTE), &self.node).await,
        }
        .unwrap();
        self.again = self.progress.claimed(limit, &claim, self.now, self.now);
        claim
    }

    async fn ids(&mut self, table: &Table, limit: usize) -> Vec<i64> {
        self.claim(table, limit).await.jobs.iter().map(|job| job.id).collect()
    }
}

const JOBS: i64 = 300;

/// What every test begins with: a transaction that holds the horizon, jobs of two hours ago of which many are
/// claimed, and a claimer whose course is past those.
async fn under_way() -> (Table, Client, Claimer) {
    let table = Table::new().await;
    let holder = table.db.client().await;
    holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM jobs").await.unwrap();
    let insert = format!(
        "INSERT INTO jobs (params, schedule)
         SELECT '{{}}', now() - interval '2 hours' + make_interval(secs => n) FROM generate_series(1, {JOBS}) AS n"
    );
    table.run_sql(&insert).await;
    let mut claimer = Claimer::new(&table).await;
    claimer.claim(&table, 150).await;
    for _ in 0..4 {
        claimer.claim(&table, 10).await;
    }
    assert!(claimer.claim(&table, 1).await.walked < 10, "{:?}", claimer.onward());
    assert_eq!(claimer.onward().places.len(), 1);
    (table, holder, claimer)
}

async fn first_id(table: &Table) -> i64 {
    table.client.query_typed_one("SELECT min(id) FROM jobs", &[]).await.unwrap().get(0)
}

#[actix::test]
async fn claims_walk_over_what_is_gone_once_and_no_more() {
    let (table, _holder, mut claimer) = under_way().await;

    for _ in 0..10 {
        let claim = claimer.claim(&table, 5).await;
        assert_eq!(claim.jobs.len(), 5);
        assert!(claim.walked < 20, "{} entries", claim.walked);
    }
    let mut other = Claimer::new(&table).await;
    let from_the_beginning = other.claim(&table, 1).await;
    assert!(from_the_beginning.walked > 200, "the horizon is held: {} entries", from_the_beginning.walked);
}

/// Nobody can see the jobs that were claimed any more, so their entries are passed over, but their pages are there.
#[actix::test]
async fn claims_read_the_pages_of_what_is_gone_once_and_no_more() {
    let table = Table::new().await;
    table
        .run_sql(
            "ALTER TABLE jobs SET (autovacuum_enabled = off);
             INSERT INTO jobs (params, schedule)
             SELECT '{}', now() - interval '2 hours' FROM generate_series(1, 20000); ANALYZE jobs",
        )
        .await;
    let mut claimer = Claimer::new(&table).await;
    for _ in 0..19 {
        claimer.claim(&table, 1_000).await;
    }
    // One of these marks what is gone, one has the first place to go on from.
    for _ in 0..4 {
        claimer.claim(&table, 10).await;
    }
    let mut other = Claimer::new(&table).await;

    let from_the_beginning = other.claim(&table, 10).await;
    assert!(from_the_beginning.pages > 50, "{} pages", from_the_beginning.pages);
    for _ in 0..10 {
        let claim = claimer.claim(&table, 5).await;
        assert_eq!(claim.jobs.len(), 5);
        assert!(claim.pages < 30, "{} pages", claim.pages);
    }
}

#[actix::test]
async fn nobody_has_a_course_while_claims_are_short_walks() {
    let table = Table::new().await;
    table.run_sql("INSERT INTO jobs (params) SELECT '{}' FROM generate_series(1, 10000); ANALYZE jobs").await;
    let mut claimer = Claimer::new(&table).await;

    let claim = claimer.claim(&table, 50).await;
    assert!((50..=51).contains(&claim.walked), "{} entries", claim.walked);
    assert_eq!(claimer.progress.next(claimer.now), None);
}

#[actix::test]
async fn the_course_ends_with_the_transaction_that_made_it_necessary() {
    let (table, holder, mut claimer) = under_way().await;
    holder.batch_execute("COMMIT").await.unwrap();
    table.run_sql("VACUUM jobs").await;

    claimer.now += MINUTE;
    assert_eq!(claimer.progress.next(claimer.now), None, "a look from the beginning is due");
    assert_eq!(claimer.claim(&table, 1).await.jobs.len(), 1);

    assert_eq!(claimer.progress.next(claimer.now), None, "and its walk was short");
}

#[actix::test]
async fn more_urgent_jobs_come_first_known_or_not() {
    let (table, _holder, mut claimer) = under_way().await;

    let urgent = table.insert("priority", "-1").await;
    assert_eq!(claimer.ids(&table, 1).await, [urgent]);
    let (more, most) = (table.insert("priority", "-1").await, table.insert("priority", "-2147483648").await);
    assert_eq!(claimer.ids(&table, 2).await, [most, more]);
    let (last, idle) = (table.insert("priority", "2147483647").await, table.insert("priority", "5").await);
    let rest = claimer.ids(&table, 1_000).await;
    assert_eq!(rest[rest.len() - 2..], [idle, last]);
    let again = [table.insert("priority", "-1").await, table.insert("", "").await, table.insert("priority", "5").await];
    assert_eq!(claimer.ids(&table, 10).await, again);
}

#[actix::test]
async fn whatever_comes_back_is_claimed_next() {
    let (table, _holder, mut claimer) = under_way().await;
    let first = first_id(&table).await;
    let mut other = Claimer::new(&table).await;
    other.node = Arc::clone(&claimer.node);

    for round in 0..3 {
        assert_eq!(table.store.unreserve(&claimer.node, Some(&[first]), None).await.unwrap().0, 1);
        assert_eq!(claimer.ids(&table, 1).await, [first], "a reservation that was given back, {round}");
    }

    table.run_sql(&format!("UPDATE jobs SET expires = now() - interval '1 s' WHERE id = {first}")).await;
    assert_eq!(table.store.sweep().await.unwrap().rescued, 1);
    let claimed = claimer.claim(&table, 1).await.jobs;
    assert_eq!(claimed[0].id, first, "a rescue");

    let wanted = (crate::store::Lease { id: first, lease: claimed[0].lease }, MINUTE);
    let started = table.store.start(&[wanted], &claimer.node).await.unwrap()[0].lease;
    table.store.settle(&[(started, Verdict::Return)]).await.unwrap();
    let claimed = claimer.claim(&table, 1).await.jobs;
    assert_eq!(claimed[0].id, first, "a job that was returned");

    let wanted = (crate::store::Lease { id: first, lease: claimed[0].lease }, MINUTE);
    let started = table.store.start(&[wanted], &claimer.node).await.unwrap()[0].lease;
    let verdict = Verdict::Retry { after: std::time::Duration::ZERO, error: vec!["no".into()] };
    table.store.settle(&[(started, verdict)]).await.unwrap();
    // As if it had been due for long.
    table.run_sql(&format!("UPDATE jobs SET schedule = now() - interval '3 hours' WHERE id = {first}")).await;
    assert_eq!(table.store.sweep().await.unwrap().activated, 1);
    assert_eq!(claimer.ids(&table, 1).await, [first], "a retry");

    table.run_sql(&format!("UPDATE jobs SET state = 'FAILED', expires = NULL WHERE id = {first}")).await;
    table.store.requeue(&table.client, &[first]).await.unwrap();
    table.run_sql(&format!("UPDATE jobs SET schedule = now() - interval '3 hours' WHERE id = {first}")).await;
    assert_eq!(table.store.sweep().await.unwrap().activated, 1);
    assert_eq!(claimer.ids(&table, 1).await, [first], "a requeue");
}

/// It came back in the sight of both, and is claimed by the one and not looked for by the other for ever.
#[actix::test]
async fn what_comes_back_is_known_to_every_process() {
    let (table, _holder, mut one) = under_way().await;
    let mut other = Claimer::new(&table).await;
    for _ in 0..4 {
        other.claim(&table, 5).await;
    }
    let first = first_id(&table).await;
    table.store.unreserve(&one.node, Some(&[first]), None).await.unwrap();

    assert_eq!(other.ids(&table, 1).await, [first]);
    let next = one.claim(&table, 1).await;
    assert!(next.jobs[0].id > first);
    let next = one.claim(&table, 1).await;
    assert!(next.walked < 30, "{} entries", next.walked);
}

#[actix::test]
async fn an_insert_whose_time_has_long_passed_is_claimed_next() {
    let (table, _holder, mut claimer) = under_way().await;

    let old = table.insert("schedule", "now() - interval '3 hours'").await;

    assert_eq!(claimer.ids(&table, 1).await, [old]);
}

/// Jobs of now go by, for long enough that places move on past the beginning of this.
async fn jobs_go_by(table: &Table, claimer: &mut Claimer) {
    claimer.ids(table, 1_000).await;
    for _ in 0..6 {
        let id = table.insert("", "").await;
        assert_eq!(claimer.ids(table, 1).await, [id]);
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    }
}

#[actix::test]
async fn an_insert_that_is_committed_late_is_claimed_next() {
    let (table, _holder, mut claimer) = under_way().await;
    let early = table.db.client().await;
    early.batch_execute("BEGIN; INSERT INTO jobs (params) VALUES ('{}')").await.unwrap();
    jobs_go_by(&table, &mut claimer).await;

    let young = table.insert("", "").await;
    early.batch_execute("COMMIT").await.unwrap();

    assert!(claimer.ids(&table, 1).await[0] < young);
    assert_eq!(claimer.ids(&table, 2).await, [young]);
}

#[actix::test]
async fn an_insert_by_a_transaction_that_began_long_ago_is_claimed_next() {
    let (table, _holder, mut claimer) = under_way().await;
    let early = table.db.client().await;
    early.batch_execute("BEGIN; SELECT now()").await.unwrap();
    jobs_go_by(&table, &mut claimer).await;

    let young = table.insert("", "").await;
    early.batch_execute("INSERT INTO jobs (params) VALUES ('{}'); COMMIT").await.unwrap();

    assert!(claimer.ids(&table, 1).await[0] > young);
    assert_eq!(claimer.ids(&table, 2).await, [young]);
}

/// Two hours are a long time, so no transaction of today keeps the place back.
#[actix::test]
async fn a_row_that_others_had_locked_is_claimed_next_when_they_let_go() {
    let (table, _holder, mut claimer) = under_way().await;
    let (locker, claims) = (table.db.client().await, table.client.query_typed(AVAILABLE, &[]).await.unwrap());
    let locked: i64 = claims[3].get(0);
    locker.batch_execute(&format!("BEGIN; SELECT FROM jobs WHERE id = {locked} FOR KEY SHARE")).await.unwrap();

    for _ in 0..4 {
        assert!(!claimer.ids(&table, 10).await.contains(&locked));
    }
    locker.batch_execute("ROLLBACK").await.unwrap();

    assert_eq!(claimer.ids(&table, 1).await, [locked]);
}

#[actix::test]
async fn what_was_paused_is_claimed_once_it_is_resumed_however_far_claims_have_come() {
    let (table, _holder, mut claimer) = under_way().await;
    let pause = "INSERT INTO job_queue_pauses (queue, kind) VALUES ('jobs', 'held'), ('jobs', 'other')";
    table.run_sql(pause).await;
    for priority in [0, 1] {
        let insert = "INSERT INTO jobs (params, priority, schedule)
                      SELECT '{\"type\": \"held\"}', {}, now() - interval '3 hours' FROM generate_series(1, 5)";
        table.run_sql(&insert.replace("{}", &priority.to_string())).await;
    }
    for _ in 0..4 {
        assert_eq!(claimer.ids(&table, 10).await.len(), 10);
    }
    let kinds = "SELECT id FROM jobs WHERE params ->> 'type' = 'held' ORDER BY priority, id";
    let held: Vec<i64> = table.client.query_typed(kinds, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(!claimer.ids(&table, 10).await.iter().any(|id| held.contains(id)));

    table.run_sql("DELETE FROM job_queue_pauses WHERE kind = 'held'").await;
    claimer.ids(&table, 1).await;
    assert_eq!(claimer.ids(&table, 4).await, held[..4]);
    let rest = claimer.ids(&table, 1_000).await;
    assert_eq!((rest[0], &rest[rest.len() - 5..]), (held[4], &held[5..]));
    assert_eq!(expected(&table, 1).await, [0; 0]);

    // And with nothing else to claim.
    let insert = "INSERT INTO jobs (params, schedule) VALUES ('{\"type\": \"other\"}', now() - interval '3 hours')";
    table.run_sql(insert).await;
    for _ in 0..4 {
        assert_eq!(claimer.ids(&table, 10).await, [0; 0]);
    }
    table.run_sql("DELETE FROM job_queue_pauses").await;
    assert_eq!(claimer.ids(&table, 10).await.len(), 1);
}

/// A look from the beginning has its fill of others, and is the first to see that nothing is paused any more.
#[actix::test]
async fn what_was_resumed_before_a_look_comes_before_what_is_younger() {
    let (table, _holder, mut claimer) = under_way().await;
    table.run_sql("INSERT INTO job_queue_pauses (queue, kind) VALUES ('jobs', 'T')").await;
    let held = table.insert("priority, schedule", "1, now() - interval '3 hours'").await;
    table.run_sql("INSERT INTO jobs (params, priority, schedule) VALUES ('{}', 1, now() - interval '2 hours')").await;
    for _ in 0..4 {
        assert!(!claimer.ids(&table, 1_000).await.contains(&held));
    }
    assert_eq!(claimer.onward().places.len(), 2);
    table.run_sql("INSERT INTO jobs (params, priority) VALUES ('{}', 0), ('{}', 0), ('{}', 1)").await;
    let [urgent, second, young] = [1, 2, 3].map(|after| held + 1 + after);

    table.run_sql("DELETE FROM job_queue_pauses").await;
    claimer.now += MINUTE;
    assert_eq!(claimer.ids(&table, 1).await, [urgent]);
    assert_eq!(claimer.ids(&table, 2).await, [second, held]);
    assert_eq!(claimer.ids(&table, 2).await, [young]);
}

/// Nobody is told of these: a claim from the beginning comes across them, and those after it bring the rest.
#[actix::test]
async fn what_somebody_puts_before_the_course_is_claimed_one_claim_after_the_other_from_a_look_on() {
    let (table, _holder, mut claimer) = under_way().await;
    let reserved = table.client.query_typed_one("SELECT max(schedule) FROM jobs WHERE state = 'RESERVED'", &[]).await;
    let before = reserved.unwrap().get::<_, chrono::DateTime<chrono::Utc>>(0) - chrono::TimeDelta::minutes(1);
    table.run_sql(&format!("UPDATE jobs SET schedule = '{before}' WHERE state = 'AVAILABLE' AND id % 2 = 0")).await;
    let moved = format!("state = 'AVAILABLE' AND schedule = '{before}'");
    let moved = format!("SELECT id FROM jobs WHERE {moved} ORDER BY id");
    let moved: Vec<i64> = table.client.query_typed(&moved, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(!claimer.ids(&table, 10).await.iter().any(|id| moved.contains(id)));

    claimer.now += MINUTE;
    for ids in moved.chunks_exact(10) {
        assert_eq!(claimer.ids(&table, 10).await, ids);
        assert!(claimer.progress.next(claimer.now).is_some(), "it has a course");
    }
}

const AVAILABLE: &str = "SELECT id FROM jobs WHERE state = 'AVAILABLE' ORDER BY priority, schedule, id";

/// What a claim from the beginning would bring now.
async fn expected(table: &Table, limit: usize) -> Vec<i64> {
    let sql = format!("{AVAILABLE} LIMIT {limit} FOR UPDATE SKIP LOCKED");
    table.client.query_typed(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Inserts of all kinds in transactions of all lengths, locks, returns, retries and rescues, at random, while
/// three processes claim by turns.
#[actix::test]
async fn three_processes_claim_what_a_look_from_the_beginning_finds_whatever_happens() {
    let (table, _holder, claimer) = under_way().await;
    let mut claimers = [claimer, Claimer::new(&table).await, Claimer::new(&table).await];
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push((table.db.client().await, false));
    }
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut claimed, mut onward) = (0, 0);
    for turn in 0..400 {
        let (session, open) = &mut sessions[random.usize(..4)];
        let sql = match random.u8(..12) {
            0..=1 if !*open => "BEGIN".to_owned(),
            0..=1 => if random.bool() { "COMMIT" } else { "ROLLBACK" }.to_owned(),
            2..=3 => format!(
                "INSERT INTO jobs (params, priority) SELECT '{{}}', {} FROM generate_series(1, {})",
                random.i32(-1..2),
                random.u8(1..9)
            ),
            4 => format!(
                "INSERT INTO jobs (params, schedule) VALUES ('{{}}', now() - make_interval(secs => {}))",
                random.u32(..10_000)
            ),
            5 => format!("SELECT FROM jobs WHERE id = {} FOR UPDATE SKIP LOCKED", random.i64(1..JOBS)),
            6 => {
                let due = "INSERT INTO jobs (params, schedule) VALUES ('{}', clock_timestamp() + interval '1 ms')";
                due.to_owned()
            }
            7 => "SELECT pg_sleep(0.02)".to_owned(),
            8 => {
                table.store.sweep().await.unwrap();
                continue;
            }
            9 => {
                let node = &claimers[random.usize(..3)].node;
                let ids: Vec<i64> = (1..JOBS).filter(|_| random.u8(..30) == 0).collect();
                table.store.unreserve(node, Some(&ids), None).await.unwrap();
                continue;
            }
            _ => {
                let limit = random.usize(1..8);
                let claimer = &mut claimers[random.usize(..3)];
                let expected = expected(&table, limit).await;
                onward += usize::from(claimer.progress.next(claimer.now).is_some());
                let ids = claimer.ids(&table, limit).await;
                assert_eq!(ids, expected, "turn {turn} of seed {seed}");
                claimed += ids.len();
                continue;
            }
        };
        *open = matches!(sql.as_str(), "BEGIN") || *open && !matches!(sql.as_str(), "COMMIT" | "ROLLBACK");
        session.batch_execute(&sql).await.unwrap();
    }
    assert!(claimed > 50 && onward > 30, "{claimed} jobs, {onward} claims onward, seed {seed}");
}

#[actix::test]
async fn a_job_that_is_changed_while_it_is_claimed_is_claimed_next_and_so_is_what_came_after_it() {
    let (table, _holder, mut claimer) = under_way().await;
    let first = "SELECT min(id), max(id) FROM jobs WHERE state = 'AVAILABLE'";
    let row = table.client.query_typed_one(first, &[]).await.unwrap();
    let (moved, last): (i64, i64) = (row.get(0), row.get(1));
    hold_up(&table.client, "job_queue_pauses").await;

    let mut claim = Box::pin(claimer.claim_from_where_it_is(&table, 2));
    until_held_up(&table.client, &mut claim).await;
    table.run_sql(&format!("UPDATE jobs SET priority = 1 WHERE id = {moved}")).await;
    let_go(&table.client).await;
    let claim = claim.await;

    assert!(claim.moved);
    assert_eq!(claim.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [moved + 1]);
    let rest: Vec<_> = (moved + 2..=last).chain([moved]).collect();
    assert_eq!(claimer.ids(&table, 1_000).await, rest);
}
