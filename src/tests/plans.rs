//! What the planner makes of the statements that recur: their plans outlive what it knew of the table.

use super::Table;
use crate::database::{steered_for_once, steered_for_what_recurs};

/// How the table may have looked when the plan was made.
const TIMES: [&str; 3] = [
    "SELECT",
    // It had been drained, and vacuumed since.
    "VACUUM ANALYZE jobs",
    "INSERT INTO jobs (params) VALUES ('{}'); ANALYZE jobs; DELETE FROM jobs",
];

/// So many parameters that tell nothing.
fn unknown(parameters: usize) -> String {
    vec!["NULL"; parameters].join(", ")
}

/// The lines of a statement's plan with these parameters.
async fn plan(table: &Table, sql: &str, parameters: &str) -> Vec<String> {
    table.run_sql(&format!("PREPARE recurs AS {sql}")).await;
    let rows = table.client.simple_query(&format!("EXPLAIN EXECUTE recurs ({parameters})")).await.unwrap();
    table.run_sql("DEALLOCATE recurs").await;
    let line = |message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    rows.into_iter().filter_map(line).collect()
}

/// The lines that say so of a scan, each with the one after it.
fn scans<'a>(plan: &'a [String], how: &str) -> Vec<(&'a str, &'a str)> {
    let pairs = plan.windows(2).filter(|pair| pair[0].contains(&format!("{how} ")));
    pairs.map(|pair| (&*pair[0], &*pair[1])).collect()
}

#[actix::test]
async fn a_plan_made_for_an_empty_table_looks_up_what_has_a_key_or_a_place() {
    let table = Table::new().await;
    table.run_sql(steered_for_what_recurs()).await;
    let sql = &table.store.sql;
    let claims = [&sql.claim, &sql.claim_start].map(|claims| [(&claims.free, 6, 0), (&claims.careful, 6, 0)]);
    let onward = [&sql.claim_onward, &sql.claim_start_onward];
    let onward = onward.map(|claims| [(&claims.free, 12, 0), (&claims.careful, 12, 0)]);
    for time in TIMES {
        for statement in time.split("; ") {
            table.run_sql(statement).await;
        }
        // What is to be removed, and what is to be started.
        for (sql, parameters, keys) in [claims.concat(), onward.concat(), vec![(&sql.turn, 6, 2)]].concat() {
            let plan = plan(&table, sql, &unknown(parameters)).await;
            let text = plan.join("\n");

            assert!(!text.contains("Seq Scan on jobs"), "{time}\n{text}");
            let by_key = scans(&plan, "using jobs_pkey");
            assert_eq!(by_key.len(), keys, "{text}");
            assert!(by_key.iter().all(|(_, next)| next.contains("Index Cond")), "{time}\n{text}");
            let by_place = scans(&plan, "Tid Scan on jobs");
            assert_eq!(by_place.len(), 1, "{text}");
            assert!(by_place.iter().all(|(_, next)| next.contains("TID Cond")), "{time}\n{text}");
        }
        for (sql, parameters, _) in onward.concat() {
            let plan = plan(&table, sql, &unknown(parameters)).await;
            let text = plan.join("\n");

            assert_eq!(scans(&plan, "using jobs_late_idx").len(), 2, "{time}\n{text}");
            let in_order = scans(&plan, "using jobs_priority_schedule_id_idx");
            assert!(in_order.iter().all(|(_, next)| next.contains("Index Cond")), "{time}\n{text}");
        }
    }
}

/// A flood has passed, its entries are there still, and the table was found empty when it was analysed.
#[actix::test]
async fn a_heartbeat_and_a_settlement_after_a_flood_look_up_each_job_by_its_key() {
    let table = Table::new().await;
    let flood = "ALTER TABLE jobs SET (autovacuum_enabled = off);
                 INSERT INTO jobs (params) SELECT '{}' FROM generate_series(1, 20000);
                 DELETE FROM jobs;
                 ANALYZE jobs";
    for statement in flood.split(';') {
        table.run_sql(statement).await;
    }
    let numbers = |from: i64| {
        let numbers = (from..from + 1_000).map(|number| number.to_string()).collect::<Vec<_>>();
        format!("'{{{}}}'", numbers.join(","))
    };
    let (ids, leases) = (numbers(100_000), numbers(1));
    let words = |word: &str| format!("array_fill('{word}'::text, ARRAY[1000])");
    let sql = &table.store.sql;
    let settled = format!("{ids}, {leases}, {}, array_fill(0::float8, ARRAY[1000]), {}", words("FAIL"), words("[]"));
    for (steering, sql, parameters) in [
        (steered_for_once(), &sql.beat, format!("1, 'name', 10, {ids}, {leases}")),
        (steered_for_what_recurs(), &sql.settle, settled),
    ] {
        table.run_sql(steering).await;
        let plan = plan(&table, sql, &parameters).await;
        let text = plan.join("\n");

        let by_key = scans(&plan, "using jobs_pkey");
        assert!(!by_key.is_empty(), "{text}");
        assert!(by_key.iter().all(|(_, next)| next.contains("Index Cond")), "{text}");
    }
}
