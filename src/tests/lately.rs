//! What jobs did lately, as an operator is told it: steps without a gap, read by indexes alone.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use postgres_types::{ToSql, Type};

use super::Table;
use crate::{
    job::ParamsKind,
    operate::{Operator, Throughput},
    store::fill_more,
};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

async fn operator(table: &Table) -> Operator {
    Operator::open(&table.store.database, "public", "jobs").await.unwrap()
}

/// A minute's row so many minutes ago, with the table's counter as it was then.
fn minute(ago: i64, kind: &str, inserted: i64) -> String {
    format!(
        "INSERT INTO job_queue_activity
         VALUES ('jobs', date_trunc('minute', now()) - interval '{ago} min', '{kind}', 3, 2, 1, '{{0,0,0,3}}', '{{3}}', {inserted});"
    )
}

fn told(step: &Throughput) -> (Option<i64>, i64, i64) {
    (step.inserted, step.completed, step.failed)
}

#[tokio::test]
async fn steps_have_no_gap_and_what_came_in_is_known_by_the_minute_before() {
    let table = Table::new().await;
    let operator = operator(&table).await;
    assert_eq!(operator.activity(HOUR).await.unwrap().steps.len(), 60);
    let minutes = [(600, 100), (50, 150), (2, 400), (1, 50), (0, 60)];
    let rows = minutes.map(|(ago, inserted)| minute(ago, "A", inserted)).concat();
    table.run_sql(&format!("BEGIN; {rows} {} COMMIT", minute(2, "B", 390))).await;
    let last = "SELECT max(minute) FROM job_queue_activity";
    let last: DateTime<Utc> = table.client.query_typed_one(last, &[]).await.unwrap().get(0);

    let hour = operator.throughput(HOUR).await.unwrap();
    let activity = operator.activity(HOUR).await.unwrap();

    assert!(hour.windows(2).all(|two| two[1].from - two[0].from == TimeDelta::minutes(1)));
    // A minute may have ended since the rows were written.
    let ago = |ago| *activity.steps.iter().find(|step| step.throughput.from == last - TimeDelta::minutes(ago)).unwrap();
    for (minutes, figures, why) in [
        (50, (Some(50), 2, 1), "by the counter of ten hours ago"),
        (30, (Some(0), 0, 0), "nothing happened"),
        (2, (Some(250), 4, 2), "two types"),
        (1, (None, 2, 1), "the counters were reset"),
        (0, (Some(10), 2, 1), "one more"),
    ] {
        let step = ago(minutes);
        assert_eq!(told(&step.throughput), figures, "{why}");
        assert!(hour.contains(&step.throughput), "{why}");
        assert_eq!((step.waited.is_some(), step.ran.is_some()), (minutes != 30, minutes != 30), "{why}");
    }
    assert!(ago(2).waited.is_some_and(|times| times.p50 > 0.002) && ago(2).ran.is_some_and(|times| times.p99 < 0.0011));
    let types: Vec<_> = activity.types.iter().map(|kind| (kind.kind.as_deref(), kind.completed)).collect();
    assert_eq!(types, [(Some("A"), 8), (Some("B"), 2)]);
    let day = operator.activity(DAY).await.unwrap();
    assert_eq!((day.steps.len(), day.step_seconds), (96, 900));
    assert_eq!(day.steps.iter().map(|step| step.throughput.completed).sum::<i64>(), 12);
    assert!(day.steps.iter().all(|step| step.throughput.from.timestamp() % 900 == 0), "{day:?}");
    let reset = day.steps.iter().rfind(|step| step.throughput.from <= last - TimeDelta::minutes(1)).unwrap();
    assert_eq!(reset.throughput.inserted, None, "one of its minutes is not known");
}

#[tokio::test]
async fn what_grows_old_takes_less_room_and_is_told_as_before() {
    let table = Table::new().await;
    let operator = operator(&table).await;
    // For 23 hours, so that it is in the last day however long this takes: three types, of which none is at work in every
    // minute, with times of all lengths.
    table
        .run_sql(
            "INSERT INTO job_queue_activity
             SELECT queue, date_trunc('minute', now()) - make_interval(mins => ago), kind, 1 + ago % 5, ago % 4, ago % 2,
                    ARRAY(SELECT (ago + bucket) % 7 FROM generate_series(1, ago % 9) AS bucket),
                    ARRAY(SELECT (ago + bucket) % 5 FROM generate_series(1, ago * 3 % 13) AS bucket), 1000000 - ago * 7
               FROM generate_series(1, 1380) AS ago, unnest('{jobs,other}'::text[]) AS queue, unnest('{A,BB,\"\"}'::text[]) AS kind
              WHERE (ago + length(kind)) % 3 <> 0",
        )
        .await;
    let rows = async |rest: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM job_queue_activity WHERE {rest}");
        table.client.query_typed_one(&sql, &[]).await.unwrap().get(0)
    };
    let until_none_is_left = async || while table.store.roll_up().await.unwrap() {};
    let two_hours = 2 * HOUR;
    let (day, fine) = (operator.activity(DAY).await.unwrap(), operator.activity(two_hours).await.unwrap());
    assert_eq!(rows("queue = 'jobs'").await, 2 * 1_380);

    // Two processes do so at once.
    futures_util::join!(until_none_is_left(), until_none_is_left());
    until_none_is_left().await;

    let left = rows("queue = 'jobs'").await;
    assert!(left <= 3 * (23 * 4 + 1) + 2 * 136, "{left}");
    assert_eq!(rows("queue = 'other'").await, 2 * 1_380);
    let (rolled_day, rolled_fine) =
        (operator.activity(DAY).await.unwrap(), operator.activity(two_hours).await.unwrap());
    assert_eq!(rolled_day.types, day.types);
    for (rolled, known) in [(rolled_day, day), (rolled_fine, fine)] {
        // The first of them may have ended meanwhile.
        let known: Vec<_> = known.steps.iter().filter(|step| step.throughput.from >= rolled.since).collect();
        assert!(known.len() + 1 >= rolled.steps.len() && !known.is_empty());
        assert!(known.iter().zip(&rolled.steps).all(|(known, rolled)| *known == rolled), "{known:?}\n{rolled:?}");
    }
}

#[tokio::test]
async fn of_very_many_types_the_latest_steps_are_told_whole() {
    let table = Table::new().await;
    let operator = operator(&table).await;
    table
        .run_sql(
            "INSERT INTO job_queue_activity
             SELECT 'jobs', date_trunc('minute', now()) - make_interval(mins => ago), 'type ' || n, 1, 1, 0, '{1}', '{1}', 1000 - ago
               FROM generate_series(0, 59) AS ago, generate_series(1, 1000) AS n",
        )
        .await;

    let activity = operator.activity(HOUR).await.unwrap();

    // A minute may have begun since the rows were written, and another since that was read.
    assert!((48..=51).contains(&activity.steps.len()), "{}", activity.steps.len());
    assert_eq!(activity.since, activity.steps[0].throughput.from);
    let throughput = operator.throughput(HOUR).await.unwrap().len();
    assert!((activity.steps.len()..=activity.steps.len() + 1).contains(&throughput), "{throughput}");
    for step in &activity.steps[..48] {
        assert_eq!((step.throughput.completed, step.throughput.inserted), (1_000, Some(1)), "{step:?}");
    }
}

#[tokio::test]
async fn no_question_of_the_dashboard_scans_a_table() {
    let table = Table::new().await;
    table
        .run_sql(
            "INSERT INTO jobs (params, state, expires)
             SELECT '{\"type\": \"A\"}', CASE n % 100 WHEN 0 THEN 'IN_PROGRESS' WHEN 1 THEN 'FAILED' ELSE 'AVAILABLE' END,
                    CASE n % 100 WHEN 0 THEN now() END
               FROM generate_series(1, 50000) AS n;
             INSERT INTO job_queue_activity
             SELECT queue, date_trunc('minute', now()) - make_interval(mins => ago), kind, 1, 1, 0, '{1}', '{1}', ago
               FROM generate_series(0, 2879) AS ago, unnest('{jobs,a,b,c}'::text[]) AS queue, unnest('{A,B,C,D}'::text[]) AS kind;
             INSERT INTO job_queue_failures
             SELECT queue, date_trunc('hour', now()) - make_interval(hours => ago), 'A', 'error ' || n, 1, now(), n
               FROM generate_series(0, 335) AS ago, unnest('{jobs,a,b,c}'::text[]) AS queue, generate_series(1, 30) AS n;
             ANALYZE jobs, job_queue_activity, job_queue_failures",
        )
        .await;

    let (hour, rows, most, reasons) = (3_600.0_f64, 50_000_i64, 10_001_i64, 50_i64);
    let (hour, rows): (&(dyn ToSql + Sync), &(dyn ToSql + Sync)) = (&hour, &rows);
    let steps = vec![(&3_600_i64 as &(dyn ToSql + Sync), Type::INT8), (rows, Type::INT8), (&60_i64, Type::INT8)];
    for (sql, parameters) in [
        (include_str!("../../sql/operate/activity.sql"), steps.clone()),
        (include_str!("../../sql/operate/throughput.sql"), steps),
        (
            include_str!("../../sql/operate/failures.sql"),
            vec![(hour, Type::FLOAT8), (&reasons as _, Type::INT8), (rows, Type::INT8)],
        ),
        (include_str!("../../sql/operate/held.sql"), vec![(&most as _, Type::INT8)]),
        (include_str!("../../sql/operate/depth.sql"), vec![(&most as _, Type::INT8)]),
    ] {
        let fill = |sql, hole: &str| {
            fill_more(sql, &table.store.name, ParamsKind::Json, |name| (name == "minutes").then(|| hole.to_owned()))
        };
        let minutes = fill(include_str!("../../sql/operate/minutes.sql"), "");
        let sql = format!("EXPLAIN {}", fill(sql, &minutes));
        let plan = table.client.query_typed(&sql, &parameters).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let scans: Vec<_> = plan.iter().filter(|line| line.contains("Seq Scan")).collect();
        assert!(scans.is_empty(), "{sql}\n{}", plan.join("\n"));
    }
}
