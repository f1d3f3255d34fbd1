//! Each row of the contract's table of transitions.

use std::time::Duration;

use super::{MINUTE, Row, Table, node};
use crate::{
    database::Lane,
    job::State,
    store::{Lease, Settlement, Take, Verdict},
};

fn retry(after: Duration, error: &str) -> Verdict {
    Verdict::Retry { after, error: vec![error.to_owned()] }
}

async fn settle(table: &Table, job: Lease, verdict: Verdict) -> Settlement {
    table.store.settle(&[(job, verdict)]).await.unwrap()[0]
}

#[actix::test]
async fn a_plain_insert_is_available_at_once_with_the_contracts_defaults() {
    let table = Table::new().await;
    let id = table.insert("", "").await;

    let expected = Row { state: "AVAILABLE".into(), attempt: 0, lease: 0, held: false, node: None, errors: 0 };
    assert_eq!(table.row(id).await, Some(expected));
    let defaults = "max_attempts = 5 AND priority = 0 AND notify IS NULL AND schedule <= now()
                AND inserted_at <= now() AND updated_at <= now()";
    assert!(table.holds(id, defaults).await);
    assert_eq!(table.claim(1).await[0].kind.as_deref(), Some("T"));
}

#[actix::test]
async fn a_row_with_a_future_schedule_is_scheduled_whatever_its_writer_said() {
    let table = Table::new().await;
    for state in ["AVAILABLE", "SCHEDULED", "RETRY", "FAILED"] {
        let id = table.insert("schedule, state", &format!("now() + interval '1 h', '{state}'")).await;
        assert_eq!(table.row(id).await.unwrap().state, "SCHEDULED", "its writer said {state}");
    }
    assert_eq!(table.claim(10).await.len(), 0);
}

#[actix::test]
async fn a_row_whose_schedule_is_past_is_available_whatever_its_writer_said() {
    let table = Table::new().await;
    for state in ["AVAILABLE", "SCHEDULED", "RETRY", "FAILED"] {
        let id = table.insert("schedule, state", &format!("now() - interval '1 h', '{state}'")).await;
        assert_eq!(table.row(id).await.unwrap().state, "AVAILABLE", "its writer said {state}");
    }
    table.insert("state, expires, node, attempt", "'IN_PROGRESS', now(), 1, 3").await;
    assert_eq!(table.claim(10).await.len(), 5);
}

#[actix::test]
async fn what_is_due_becomes_available_and_nothing_else_does() {
    let table = Table::new().await;
    let due = table.insert("schedule", "now() + interval '1 h'").await;
    let later = table.insert("schedule", "now() + interval '1 h'").await;
    let retried = table.started("", "").await;
    settle(&table, retried, retry(MINUTE, "no")).await;
    table.run_sql(&format!("UPDATE jobs SET schedule = now() WHERE id IN ({due}, {})", retried.id)).await;

    let swept = table.store.sweep().await.unwrap();

    assert_eq!(swept.activated, 2);
    assert_eq!(table.row(due).await.unwrap().state, "AVAILABLE");
    let retried = table.row(retried.id).await.unwrap();
    assert_eq!((retried.state.as_str(), retried.held, retried.attempt), ("AVAILABLE", false, 1));
    assert_eq!(table.row(later).await.unwrap().state, "SCHEDULED");
    let due_in = table.store.sweep().await.unwrap().due_in.unwrap();
    assert!(due_in > Duration::from_secs(3000) && due_in <= Duration::from_secs(3600), "{due_in:?}");
}

#[actix::test]
async fn a_claim_reserves_no_more_than_was_asked_for() {
    let table = Table::new().await;
    for _ in 0..3 {
        table.insert("", "").await;
    }

    let claimed = table.claim(2).await;

    assert_eq!(claimed.len(), 2);
    let row = table.row(claimed[0].id).await.unwrap();
    let expected =
        Row { state: "RESERVED".into(), attempt: 0, lease: 0, held: true, node: Some(table.node.number()), errors: 0 };
    assert_eq!(row, expected);
    assert!(table.holds(claimed[0].id, "expires = updated_at + interval '60 s'").await);
    assert_eq!(table.claim(5).await.len(), 1);
}

#[actix::test]
async fn jobs_are_claimed_in_the_order_priority_schedule_id_within_a_batch_too() {
    let table = Table::new().await;
    let third = table.insert("priority, schedule", "1, now() - interval '1 h'").await;
    let last = table.insert("priority, schedule", "1, now()").await;
    let second = table.insert("priority, schedule", "0, now() - interval '1 min'").await;
    let first = table.insert("priority, schedule", "0, now() - interval '2 min'").await;
    let urgent = table.insert("priority", "-5").await;
    let twin = table.insert("priority, schedule", "1, (SELECT schedule FROM jobs ORDER BY id LIMIT 1)").await;

    let order: Vec<_> = table.claim(10).await.iter().map(|job| job.id).collect();

    assert_eq!(order, [urgent, first, second, third, twin, last]);
}

#[actix::test]
async fn rows_locked_by_others_are_skipped() {
    let table = Table::new().await;
    let locked = table.insert("", "").await;
    let free = table.insert("", "").await;
    let mut other = table.db.client().await;
    let holding = other.transaction().await.unwrap();
    holding.batch_execute(&format!("SELECT FROM jobs WHERE id = {locked} FOR UPDATE")).await.unwrap();

    assert_eq!(table.claim(10).await.iter().map(|job| job.id).collect::<Vec<_>>(), [free]);
}

#[actix::test]
async fn a_start_counts_the_attempt_and_moves_the_fence() {
    let table = Table::new().await;
    let job = table.started("", "").await;

    let row = table.row(job.id).await.unwrap();

    assert_eq!((row.state.as_str(), row.attempt, row.lease, job.lease), ("IN_PROGRESS", 1, 1, 1));
    assert!(table.holds(job.id, "expires = updated_at + interval '300 s'").await);
}

#[actix::test]
async fn the_execution_timeout_is_times_the_attempt() {
    let table = Table::new().await;
    let job = table.started("", "").await;
    settle(&table, job, retry(Duration::ZERO, "no")).await;
    table.store.sweep().await.unwrap();
    let again = table.claim(1).await;
    table.start(&again[0]).await.unwrap();

    assert!(table.holds(job.id, "expires = updated_at + interval '600 s'").await);
}

#[actix::test]
async fn a_start_whose_hold_lapsed_or_that_is_not_the_holders_is_dropped() {
    let table = Table::new().await;
    let id = table.insert("", "").await;
    let reserved = table.claim(1).await.remove(0);
    let wanted = [(Lease { id, lease: 0 }, MINUTE)];

    let stranger = node(&table.store).await;
    assert_eq!(table.store.start(&wanted, &stranger).await.unwrap(), []);
    let wrong = [(Lease { id, lease: 1 }, MINUTE)];
    assert_eq!(table.store.start(&wrong, &table.node).await.unwrap(), []);
    table.run_sql("UPDATE jobs SET expires = now() - interval '1 us'").await;
    assert_eq!(table.start(&reserved).await, None);
    assert_eq!(table.row(id).await.unwrap().state, "RESERVED");
}

#[actix::test]
async fn a_start_whose_answer_was_lost_is_found() {
    let table = Table::new().await;
    let job = table.started("", "").await;
    let before = Lease { id: job.id, lease: job.lease - 1 };

    let found = table.store.started(&[before], &table.node).await.unwrap();

    assert_eq!(found[0].lease, job);
    assert_eq!(table.store.started(&[before], &*node(&table.store).await).await.unwrap(), []);
}

#[actix::test]
async fn a_completed_job_is_deleted_and_only_by_its_holder() {
    let table = Table::new().await;
    let job = table.started("", "").await;
    let late = Lease { lease: job.lease - 1, ..job };

    assert_eq!(table.store.complete(&[late]).await.unwrap(), [Settlement::Lost]);
    let (other, same) = (table.started("", "").await, job);
    assert_eq!(table.store.complete(&[same, other]).await.unwrap(), [Settlement::Completed; 2]);
    assert_eq!(table.row(job.id).await, None);
    assert_eq!(table.store.complete(&[job]).await.unwrap(), [Settlement::Gone]);
}

/// Whoever asks again because an answer was lost must not take a job for done that waits to be run again.
#[actix::test]
async fn a_removal_tells_a_row_that_is_gone_from_one_that_was_rescued() {
    let table = Table::new().await;
    let (rescued, gone) = (table.started("", "").await, table.started("", "").await);
    table.store.complete(&[gone]).await.unwrap();
    table.kill(table.node.number()).await;
    table.store.sweep().await.unwrap();

    let outcomes = table.store.complete(&[rescued, gone]).await.unwrap();

    assert_eq!(outcomes, [Settlement::Lost, Settlement::Gone]);
}

#[actix::test]
async fn a_failed_attempt_is_retried_after_its_backoff_while_attempts_are_left() {
    let table = Table::new().await;
    let job = table.started("max_attempts", "2").await;

    assert_eq!(settle(&table, job, retry(MINUTE, "no")).await, Settlement::Settled(State::Retry));

    let row = table.row(job.id).await.unwrap();
    assert_eq!((row.state.as_str(), row.attempt, row.held, row.node), ("RETRY", 1, false, None));
    assert!(table.holds(job.id, "schedule = updated_at + interval '60 s'").await);
}

#[actix::test]
async fn the_last_failed_attempt_leaves_the_row_failed() {
    let table = Table::new().await;
    let job = table.started("max_attempts", "1").await;

    assert_eq!(settle(&table, job, retry(MINUTE, "no")).await, Settlement::Settled(State::Failed));

    let row = table.row(job.id).await.unwrap();
    assert_eq!((row.state.as_str(), row.held), ("FAILED", false));
    assert_eq!(table.store.sweep().await.unwrap().due_in, None);
}

#[actix::test]
async fn only_the_holder_decides_what_becomes_of_an_attempt() {
    let table = Table::new().await;
    let job = table.started("", "").await;
    let late = Lease { lease: job.lease - 1, ..job };

    for verdict in [retry(MINUTE, "no"), Verdict::Fail { error: vec![] }, Verdict::Return] {
        assert_eq!(settle(&table, late, verdict).await, Settlement::Lost);
    }
    assert_eq!(table.row(job.id).await.unwrap().state, "IN_PROGRESS");
}

#[actix::test]
async fn a_snoozed_or_returned_attempt_does_not_count() {
    let table = Table::new().await;
    let snoozed = table.started("", "").await;
    let returned = table.started("", "").await;

    let snooze = Verdict::Snooze { after: MINUTE };
    assert_eq!(settle(&table, snoozed, snooze).await, Settlement::Settled(State::Scheduled));
    assert_eq!(settle(&table, returned, Verdict::Return).await, Settlement::Settled(State::Available));

    for job in [snoozed, returned] {
        let row = table.row(job.id).await.unwrap();
        assert_eq!((row.attempt, row.lease, row.errors, row.held), (0, 1, 0, false));
    }
    assert!(table.holds(snoozed.id, "schedule = updated_at + interval '60 s'").await);
}

#[actix::test]
async fn a_reservation_that_lapsed_is_available_and_its_attempt_not_counted() {
    let table = Table::new().await;
    let id = table.insert("", "").await;
    table.claim(1).await;
    assert_eq!(table.store.sweep().await.unwrap().rescued, 0);
    table.run_sql("UPDATE jobs SET expires = now() - interval '1 us'").await;

    assert_eq!(table.store.sweep().await.unwrap().rescued, 1);

    let expected = Row { state: "AVAILABLE".into(), attempt: 0, lease: 0, held: false, node: None, errors: 0 };
    assert_eq!(table.row(id).await, Some(expected));
}

#[actix::test]
async fn an_execution_that_lapsed_is_available_or_failed_on_its_last_attempt() {
    let table = Table::new().await;
    let job = table.started("", "").await;
    let last = table.started("max_attempts", "1").await;
    table.run_sql("UPDATE jobs SET expires = now() - interval '2 s'").await;

    let swept = table.store.sweep().await.unwrap();

    assert_eq!((swept.rescued, swept.failed), (1, 1));
    let row = table.row(job.id).await.unwrap();
    assert_eq!((row.state.as_str(), row.attempt, row.held, row.errors), ("AVAILABLE", 1, false, 1));
    assert_eq!(table.row(last.id).await.unwrap().state, "FAILED");
    assert!(table.holds(job.id, "errors -> 0 ->> 'error' LIKE '%the hold lapsed%'").await);
}

#[actix::test]
async fn what_a_dead_process_held_comes_back_without_waiting_for_its_timeout() {
    let table = Table::new().await;
    let running = table.started("", "").await;
    let last = table.started("max_attempts", "1").await;
    let reserved = table.insert("", "").await;
    table.claim(1).await;
    assert_eq!(table.store.sweep().await.unwrap().rescued, 0, "it is alive");

    table.kill(table.node.number()).await;
    let swept = table.store.sweep().await.unwrap();

    assert_eq!((swept.rescued, swept.failed), (2, 1));
    assert_eq!(table.row(running.id).await.unwrap().state, "AVAILABLE");
    assert_eq!(table.row(reserved).await.unwrap().attempt, 0);
    assert_eq!(table.row(last.id).await.unwrap().state, "FAILED");
    assert!(table.holds(last.id, "errors -> 0 ->> 'error' LIKE '%died%'").await);
    let of_the_dead = format!(
        "(errors -> 0 ->> 'node')::bigint = {} AND (errors -> 0 ->> 'seconds')::float8 >= 0",
        table.node.number()
    );
    assert!(table.holds(last.id, &of_the_dead).await);
}

#[actix::test]
async fn a_process_that_is_heard_from_in_time_keeps_its_jobs() {
    let table = Table::new().await;
    let job = table.started("", "").await;
    table.kill(table.node.number()).await;

    let kept = table.store.beat(&table.node, &[job]).await.unwrap();

    assert!(kept.contains(&job));
    assert_eq!(table.store.sweep().await.unwrap().rescued, 0);
}

#[actix::test]
async fn a_heartbeat_tells_which_jobs_were_lost() {
    let table = Table::new().await;
    let (kept, deleted) = (table.started("", "").await, table.started("", "").await);
    table.run_sql(&format!("DELETE FROM jobs WHERE id = {}", deleted.id)).await;

    let still = table.store.beat(&table.node, &[kept, deleted]).await.unwrap();

    assert_eq!(still.into_iter().collect::<Vec<_>>(), [kept]);
}

#[actix::test]
async fn a_claim_by_a_process_that_was_silent_counts_as_a_sign_of_life() {
    let table = Table::new().await;
    table.kill(table.node.number()).await;
    table.insert("", "").await;
    table.claim(1).await;

    assert_eq!(table.store.sweep().await.unwrap().rescued, 0);
}

#[actix::test]
async fn a_requeued_job_starts_over_and_its_earlier_lives_cannot_touch_it() {
    let table = Table::new().await;
    let job = table.started("max_attempts", "1").await;
    settle(&table, job, retry(MINUTE, "no")).await;
    let waiting = table.insert("", "").await;

    let requeued = table.store.requeue(&table.client, &[job.id, waiting, 999]).await.unwrap();

    assert_eq!(requeued, [job.id]);
    let row = table.row(job.id).await.unwrap();
    assert_eq!((row.state.as_str(), row.attempt, row.lease, row.held), ("SCHEDULED", 0, 1, false));
    assert!(table.holds(job.id, "schedule <= now()").await);
    table.store.sweep().await.unwrap();
    table.run_sql(&format!("UPDATE jobs SET priority = -1 WHERE id = {}", job.id)).await;
    let again = table.claim(1).await;
    assert_eq!(table.start(&again[0]).await, Some(Lease { id: job.id, lease: 2 }));
    assert_eq!(table.store.complete(&[job]).await.unwrap(), [Settlement::Lost], "the attempt number is the same again");
}

#[actix::test]
async fn every_failed_attempt_leaves_its_error_time_and_number_and_the_newest_twenty_stay() {
    let table = Table::new().await;
    table.insert("max_attempts", "100").await;
    let mut id = 0;
    for attempt in 1..=25 {
        let job = table.claim(1).await.remove(0);
        let lease = table.start(&job).await.unwrap();
        settle(
            &table,
            lease,
            Verdict::Retry { after: Duration::ZERO, error: vec![format!("outer {attempt}"), "inner".into()] },
        )
        .await;
        table.store.sweep().await.unwrap();
        id = job.id;
    }

    assert_eq!(table.row(id).await.unwrap().errors, 20);
    assert!(table.holds(id, "errors -> 0 -> 'attempt' = '6'").await);
    assert!(table.holds(id, r#"errors -> 19 -> 'error' = '["outer 25", "inner"]'"#).await);
    assert!(table.holds(id, "(errors -> 19 ->> 'at')::timestamptz BETWEEN now() - interval '1 min' AND now()").await);
}

#[actix::test]
async fn maintenance_never_waits_for_a_lock_that_a_handler_holds() {
    let table = Table::new().await;
    let job = table.started("", "").await;
    let mut handler = table.db.client().await;
    let completion = handler.transaction().await.unwrap();
    let opened = table.store.begin_completion(&completion, &crate::database::Plans::default(), job).await.unwrap();
    assert!(opened.is_some());
    // The second connection sees the row as it was, and must pass it by.
    let dead =
        format!("UPDATE job_queue_nodes SET dead_at = now() - interval '1 ms' WHERE node = {}", table.node.number());
    table.run_sql(&dead).await;

    assert_eq!(table.store.sweep().await.unwrap().rescued, 0);
    assert_eq!(settle(&table, job, retry(MINUTE, "no")).await, Settlement::Busy);
    assert_eq!(table.store.complete(&[job]).await.unwrap(), [Settlement::Busy]);

    completion.commit().await.unwrap();
    assert_eq!(table.row(job.id).await, None);
}

#[actix::test]
async fn failed_rows_cost_the_claim_nothing() {
    let table = Table::new().await;
    let sql = "INSERT INTO jobs (params) SELECT '{}' FROM generate_series(1, 20000);
               UPDATE jobs SET state = 'FAILED'; VACUUM ANALYZE jobs";
    for statement in sql.split(';') {
        table.run_sql(statement).await;
    }
    table.insert("", "").await;

    let plan = "EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) SELECT id FROM jobs WHERE state = 'AVAILABLE'
                 ORDER BY priority, schedule, id LIMIT 100 FOR UPDATE SKIP LOCKED";
    let rows = table.client.query_typed(plan, &[]).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();

    assert!(plan.iter().any(|line| line.contains("Index Scan using")), "{plan:#?}");
    assert!(!plan.iter().any(|line| line.contains("Rows Removed")), "{plan:#?}");
}

#[actix::test]
async fn times_are_the_databases_clock_to_the_microsecond() {
    let table = Table::new().await;
    table.insert("", "").await;
    let wait = Duration::from_micros(1_234_567);
    let claimed = table.store.claim(1, Take::Reserve(wait), &table.node).await.unwrap().jobs;

    assert!(table.holds(claimed[0].id, "expires = updated_at + interval '1.234567 s'").await);
}

#[actix::test]
async fn a_rows_extremes_are_refused_or_fail_alone() {
    let table = Table::new().await;
    for (column, value) in [
        ("max_attempts", "0"),
        ("attempt", "-1"),
        ("state", "'DONE'"),
        ("schedule", "'infinity'"),
        ("schedule", "'-infinity'"),
        ("notify", "repeat('x', 8000)"),
        ("lease", "-1"),
        ("errors", "'{}'"),
    ] {
        let sql = format!("INSERT INTO jobs (params, {column}) VALUES ('{{}}', {value})");
        let refused = table.client.batch_execute(&sql).await;
        // A new row has no attempts and no state of its writer's, so those are put right instead.
        assert_eq!(refused.is_err(), !["attempt", "state"].contains(&column), "{column} = {value}");
    }
    let extreme = table.insert("max_attempts, priority", "2147483647, -2147483648").await;
    table.run_sql(&format!("UPDATE jobs SET attempt = 2147483647 WHERE id = {extreme}")).await;
    let claimed = table.claim(10).await;
    let wanted: Vec<_> = claimed.iter().map(|job| (Lease { id: job.id, lease: job.lease }, Duration::MAX)).collect();

    assert_eq!(table.store.start(&wanted, &table.node).await.unwrap().len(), claimed.len());
}

/// Whatever happens in order is found by the sweeps that look no further back than where the last one ended.
#[actix::test]
async fn a_sweep_from_where_the_last_one_ended_misses_nothing_that_comes_due_or_lapses_or_dies() {
    let table = Table::new().await;
    let held = [table.started("", "").await, table.started("", "").await];
    let swept = table.store.sweep().await.unwrap();
    assert_eq!((swept.activated, swept.rescued, swept.died), (0, 0, false));
    assert_eq!(swept.processes, 1, "both are held by one");
    let locker = table.db.client().await;
    let due = [
        table.insert("schedule", "now() + interval '1 h'").await,
        table.insert("schedule", "now() + interval '1 h'").await,
    ];
    let locked = due[0];
    table.run_sql("UPDATE jobs SET schedule = now() WHERE state = 'SCHEDULED'").await;
    locker.batch_execute(&format!("BEGIN; SELECT FROM jobs WHERE id = {locked} FOR UPDATE")).await.unwrap();
    table.run_sql(&format!("UPDATE jobs SET expires = now() - interval '1100 ms' WHERE id = {}", held[0].id)).await;

    let swept = table.store.sweep_since(swept.since).await.unwrap();
    assert_eq!((swept.activated, swept.rescued, swept.died), (1, 1, false));
    assert!(swept.lapse_in.is_some_and(|lapse| lapse <= table.node.dead_after), "the next to die, maybe");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let swept = table.store.sweep_since(swept.since).await.unwrap();
    assert_eq!((swept.activated, swept.due_in), (0, Some(Duration::ZERO)), "it is locked still");
    locker.batch_execute("ROLLBACK").await.unwrap();
    let swept = table.store.sweep_since(swept.since).await.unwrap();
    assert_eq!((swept.activated, swept.due_in), (1, None));

    table.kill(table.node.number()).await;
    let swept = table.store.sweep_since(swept.since).await.unwrap();
    assert_eq!((swept.rescued, swept.died), (0, true), "its holds have not ended");
    let swept = table.store.sweep().await.unwrap();
    assert_eq!(swept.rescued, 1);
    assert!(!table.store.sweep_since(swept.since).await.unwrap().died, "it is dealt with");
}

/// The planner takes an unknown number of jobs for a tenth of the table, and would rather plan each claim anew, and
/// compile it, than run one that dear.
#[actix::test]
async fn a_claim_of_a_large_queue_is_planned_once_and_not_compiled() {
    let table = Table::new().await;
    table.run_sql("INSERT INTO jobs (params) SELECT '{}' FROM generate_series(1, 100000); ANALYZE jobs").await;
    table.store.database.trust_sessions();
    for _ in 0..10 {
        assert_eq!(table.claim(3).await.len(), 3);
    }

    let connection = table.store.database.get(Lane::Control, "look at what is planned").await.unwrap();
    let sql = "SELECT sum(generic_plans)::bigint, sum(custom_plans)::bigint, current_setting('jit')
                 FROM pg_prepared_statements WHERE statement LIKE '%that a job is reserved by one process at most%'";
    let row = connection.query_typed_one(sql, &[]).await.unwrap();

    assert_eq!((row.get(0), row.get(1), row.get(2)), (9_i64, 0_i64, "off"), "the first was not planned to be kept");
}

/// Its row tells those whose sweeps look no further back than where the last one ended.
#[actix::test]
async fn a_process_that_stops_and_leaves_jobs_is_one_of_the_dead_and_one_that_leaves_none_is_gone() {
    let table = Table::new().await;
    let left = table.started("", "").await;
    let since = table.store.sweep().await.unwrap().since;

    table.store.retire_node(table.node.number()).await.unwrap();

    let swept = table.store.sweep_since(since).await.unwrap();
    assert_eq!((swept.died, swept.rescued), (true, 0));
    assert_eq!(table.store.sweep().await.unwrap().rescued, 1);
    assert_eq!(table.row(left.id).await.unwrap().state, "AVAILABLE");
    table.store.retire_node(table.node.number()).await.unwrap();
    let nodes: i64 = table.client.query_typed_one("SELECT count(*) FROM job_queue_nodes", &[]).await.unwrap().get(0);
    assert_eq!(nodes, 0);
}
