//! A row that any program puts there by plain SQL is a job.

use actix_job_queue::Queue;

use crate::common::{Bench, done, psql, recording};

/// Name, type, whether it may be null, and the value that a row of plain SQL gets, as the contract lists them.
const COLUMNS: [(&str, &str, bool, &str); 15] = [
    ("id", "bigint", false, "id > 0"),
    ("state", "text", false, "state = 'AVAILABLE'"),
    ("expires", "timestamp with time zone", true, "expires IS NULL"),
    ("schedule", "timestamp with time zone", false, "schedule = now()"),
    ("attempt", "integer", false, "attempt = 0"),
    ("max_attempts", "integer", false, "max_attempts = 5"),
    ("params", "jsonb", false, r#"params = '{"type": "SendEmail"}'"#),
    ("notify", "text", true, "notify IS NULL"),
    ("priority", "integer", false, "priority = 0"),
    ("inserted_at", "timestamp with time zone", false, "inserted_at = now()"),
    ("updated_at", "timestamp with time zone", false, "updated_at = now()"),
    ("lease", "bigint", false, "lease = 0"),
    ("node", "bigint", true, "node IS NULL"),
    ("errors", "jsonb", true, "errors IS NULL"),
    ("late", "xid8", true, "late IS NULL"),
];

const INSERT: &str = r#"INSERT INTO jobs (params) VALUES ('{"type":"SendEmail"}') RETURNING id"#;

#[actix::test]
async fn the_columns_are_those_of_the_contract() {
    let bench = Bench::new().await;
    let sql = "SELECT column_name::text, data_type::text, is_nullable = 'YES', is_identity = 'YES'
                 FROM information_schema.columns
                WHERE table_schema = 'public' AND table_name = 'jobs' ORDER BY ordinal_position";

    let rows = bench.client.query_typed(sql, &[]).await.unwrap();

    let found: Vec<(String, String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let expected: Vec<_> =
        COLUMNS.iter().map(|(name, kind, null, _)| ((*name).to_owned(), (*kind).to_owned(), *null)).collect();
    assert_eq!(found, expected);
    let identities: Vec<String> = rows.iter().filter(|row| row.get(3)).map(|row| row.get(0)).collect();
    assert_eq!(identities, ["id"]);
}

#[actix::test]
async fn the_params_of_a_binary_queue_are_bytes_and_all_else_is_the_same() {
    let bench = Bench::new().await;
    Queue::builder(&bench.database, "bytes").binary().build().unwrap().migrate().await.unwrap();
    let columns = |table: &str| {
        format!(
            "SELECT string_agg(concat_ws(' ', column_name, data_type, is_nullable, column_default), E'\\n' ORDER BY ordinal_position)
               FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}'"
        )
    };

    let json: String = bench.client.query_one(&columns("jobs"), &[]).await.unwrap().get(0);
    let binary: String = bench.client.query_one(&columns("bytes"), &[]).await.unwrap().get(0);

    assert_eq!(json.replace("params jsonb", "params bytea"), binary);
}

/// In the transaction of the insert, so that now() is the row's own.
#[actix::test]
async fn a_row_of_plain_sql_gets_every_default_of_the_contract() {
    let mut bench = Bench::new().await;
    let transaction = bench.client.transaction().await.unwrap();
    let id: i64 = transaction.query_one(INSERT, &[]).await.unwrap().get(0);

    for (name, _, _, expected) in COLUMNS {
        let sql = format!("SELECT {expected} FROM jobs WHERE id = {id}");
        let holds: bool = transaction.query_one(&sql, &[]).await.unwrap().get(0);
        assert!(holds, "the default of {name}");
    }
    transaction.rollback().await.unwrap();
}

#[actix::test]
async fn a_row_of_plain_sql_runs_at_once() {
    let bench = Bench::new().await;
    let running = bench.jobs.start(recording()).await.unwrap();
    crate::names::all_wait(&bench.client, 1).await;

    let id: i64 = psql(&bench.db, INSERT).trim().parse().unwrap();

    done(&bench.client, &[id]).await;
    running.shutdown().await;
}

/// However many rows a statement brings, and by COPY too.
#[actix::test]
async fn rows_that_are_copied_in_run_at_once() {
    let bench = Bench::new().await;
    let running = bench.jobs.start(recording()).await.unwrap();
    crate::names::all_wait(&bench.client, 1).await;

    psql(&bench.db, "COPY jobs (id, params) FROM stdin;\n1000\t{\"type\": \"A\"}\n1001\t{\"type\": \"B\"}\n\\.\n");

    done(&bench.client, &[1000, 1001]).await;
    running.shutdown().await;
}
