//! Whatever SQL can put in the table is refused there, or is that one job's affair; the queue goes on.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::{
    failure::Failure,
    outcome::Outcome,
    scene::{Scene, Setup},
    server::number,
    stage::Stage,
};

/// What is to become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Refused,
    Done,
    Failed,
    /// Its time does not come while anybody looks.
    Waits,
}

/// A row with a column, or more, of its own.
struct Odd {
    columns: &'static str,
    values: &'static str,
    end: End,
}

const fn odd(columns: &'static str, values: &'static str, end: End) -> Odd {
    Odd { columns, values, end }
}

/// What an INSERT can give beside good params.
const INSERTED: &[Odd] = &[
    odd("priority", "2147483647", End::Done),
    odd("priority", "-2147483648", End::Done),
    odd("schedule", "'0001-01-01 00:00:00+00'", End::Done),
    odd("schedule", "'0001-12-31 00:00:00+00 BC'", End::Refused),
    odd("schedule", "'9999-12-31 23:59:59.999999+00'", End::Waits),
    odd("schedule", "'10000-01-01 00:00:00+00'", End::Refused),
    odd("schedule", "'infinity'", End::Refused),
    odd("schedule", "'-infinity'", End::Refused),
    odd("schedule", "NULL", End::Refused),
    odd("inserted_at", "'infinity'", End::Refused),
    odd("inserted_at", "'0001-01-01 00:00:00+00'", End::Done),
    odd("updated_at", "'infinity'", End::Done),
    odd("updated_at", "'-infinity'", End::Done),
    odd("max_attempts", "2147483647", End::Done),
    odd("max_attempts", "0", End::Refused),
    odd("max_attempts", "-1", End::Refused),
    odd("attempt", "2147483647", End::Done),
    odd("attempt", "-1", End::Done),
    odd("lease", "-1", End::Refused),
    odd("lease", "9223372036854775806", End::Done),
    odd("id", "-1", End::Done),
    odd("id", "-9223372036854775808", End::Done),
    odd("id", "2147483648", End::Done),
    odd("id", "9223372036854775807", End::Done),
    odd("id", "NULL", End::Refused),
    odd("notify", "repeat('x', 7999)", End::Done),
    odd("notify", "repeat('x', 8000)", End::Refused),
    odd("notify", "repeat('é', 4000)", End::Refused),
    odd("notify", "''", End::Done),
    odd("node", "-9223372036854775808", End::Done),
    odd("state", "'IN_PROGRESS'", End::Done),
    odd("state", "'FAILED'", End::Done),
    odd("state", "'DONE'", End::Done),
    odd("state", "NULL", End::Refused),
    odd("state, expires", "'RESERVED', 'infinity'", End::Done),
    odd("errors", "'{}'", End::Refused),
    odd("errors", "'[]'", End::Done),
    odd("errors", "(SELECT jsonb_agg(n) FROM generate_series(1, 100000) AS t (n))", End::Done),
    odd("late", "'18446744073709551615'", End::Done),
    odd("late", "'0'", End::Done),
];

/// What an UPDATE can make of a row that waits.
const UPDATED: &[Odd] = &[
    odd("attempt", "2147483647", End::Done),
    odd("attempt, max_attempts", "2147483647, 2147483647", End::Done),
    odd("lease", "9223372036854775806", End::Done),
    odd("lease", "9223372036854775807", End::Done),
    odd("node", "9223372036854775807", End::Done),
    odd("state, expires", "'IN_PROGRESS', 'infinity'", End::Refused),
    odd("state, expires", "'IN_PROGRESS', '-infinity'", End::Done),
    odd("state, expires, node", "'RESERVED', now(), 9223372036854775807", End::Done),
    odd("state, expires, node", "'IN_PROGRESS', now() + interval '1 year', -1", End::Done),
    odd("state, schedule", "'RETRY', '0001-01-01 00:00:00+00'", End::Done),
    odd("state", "'RESERVED'", End::Refused),
    odd("expires", "now()", End::Refused),
];

/// Params that no handler here can take, and those that are merely large.
const PARAMS: &[(&str, End)] = &[
    ("'null'", End::Failed),
    ("'true'", End::Failed),
    ("'1e1000'", End::Failed),
    ("'\"begin\"'", End::Failed),
    ("'[]'", End::Failed),
    ("'{}'", End::Failed),
    ("'{\"type\": null}'", End::Failed),
    ("'{\"type\": 1}'", End::Failed),
    ("'{\"type\": \"\"}'", End::Failed),
    ("'{\"type\": {\"type\": \"begin\"}}'", End::Failed),
    ("'{\"type\": \"begin\"}'", End::Failed),
    ("'{\"type\": \"begin\", \"n\": \"1\"}'", End::Failed),
    ("'{\"type\": \"begin\", \"n\": 9223372036854775808}'", End::Failed),
    ("'{\"type\": \"batch\", \"n\": 1e400}'", End::Failed),
    ("jsonb_build_object('type', repeat('x', 1000000))", End::Failed),
    ("('{\"type\": \"begin\", \"n\": ' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb", End::Failed),
    ("('{\"type\": \"batch\", \"n\": ' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb", End::Failed),
];

/// The good params of one of the load's kinds.
fn good(n: i64) -> String {
    let kind = ["begin", "with", "batch"][usize::try_from(n % 3).unwrap_or_default()];
    format!("'{{\"type\": \"{kind}\", \"n\": {n}}}'::jsonb")
}

pub(super) async fn odd_ones<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::begin(stage, Setup::default()).await?;
    scene.fault("is given rows of every kind");
    let client = scene.client().await?;
    client.batch_execute("CREATE TABLE odd (id bigint NOT NULL, what text NOT NULL, fate text NOT NULL)").await?;
    let mut n = 2_000_000_000;
    for Odd { columns, values, end } in INSERTED {
        n += 1;
        let insert = format!("INSERT INTO jobs (params, {columns}) VALUES ({}, {values}) RETURNING id", good(n));
        put(&mut scene, &client, n, &insert, &format!("INSERT of {columns} = {values}"), *end).await?;
    }
    for Odd { columns, values, end } in UPDATED {
        n += 1;
        // Not to be claimed before it is what it shall be; a sequence of WITHs would not see its row.
        let update = format!(
            "INSERT INTO jobs (params) VALUES ({}); \
             UPDATE jobs SET ({columns}) = ROW ({values}) WHERE params ->> 'n' = '{n}' RETURNING id",
            good(n)
        );
        put(&mut scene, &client, n, &update, &format!("UPDATE to {columns} = {values}"), *end).await?;
    }
    for (params, end) in PARAMS {
        n += 1;
        let insert = format!("INSERT INTO jobs (params, max_attempts) VALUES ({params}, 2) RETURNING id");
        put(&mut scene, &client, n, &insert, &format!("params {params}"), *end).await?;
    }
    let megabytes = stage.short_or(20, 100);
    // A connection keeps the buffer into which it has read its largest row, and there are three that claim.
    scene.room += 3.0 * f64::from(megabytes);
    for kind in ["begin", "batch"] {
        n += 1;
        let params =
            format!("jsonb_build_object('type', '{kind}', 'n', {n}, 'pad', repeat('x', {megabytes} * 1000 * 1000))");
        let insert = format!("INSERT INTO jobs (params) VALUES ({params}) RETURNING id");
        put(&mut scene, &client, n, &insert, &format!("{megabytes} MB of params"), End::Done).await?;
    }
    ends(&mut scene, &client).await?;
    scene.conclude(Instant::now()).await
}

/// Puts a row there, by statements the last of which returns its id, and writes down what is to become of it.
async fn put(
    scene: &mut Scene<'_>,
    client: &Client,
    n: i64,
    statements: &str,
    what: &str,
    end: End,
) -> Result<(), Failure> {
    let fate = match end {
        End::Refused => "refused",
        End::Done => "done",
        End::Failed => "failed",
        End::Waits => "waits",
    };
    let book =
        if end == End::Done { format!("INSERT INTO enqueued (n, fate) VALUES ({n}, 'done');") } else { String::new() };
    let put = client.simple_query(&format!("BEGIN; {book} {statements}")).await;
    let id = match &put {
        Ok(messages) => messages.iter().rev().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }),
        Err(_) => None,
    };
    let Some(id) = id else {
        client.batch_execute("ROLLBACK").await?;
        if end != End::Refused {
            let why = put.err().map_or_else(|| "no row".to_owned(), |error| format!("{error:?}"));
            scene.miss(format!("{what} was refused by the table: {why}"));
        }
        return Ok(());
    };
    if end == End::Refused {
        scene.miss(format!("{what} was not refused by the table"));
        return Ok(client.batch_execute("ROLLBACK").await?);
    }
    let told = what.replace('\'', "''").chars().take(200).collect::<String>();
    Ok(client.batch_execute(&format!("INSERT INTO odd VALUES ({id}, '{told}', '{fate}'); COMMIT")).await?)
}

/// Waits until each has come to its end, and tells of those that have not.
async fn ends(scene: &mut Scene<'_>, client: &Client) -> Result<(), Failure> {
    const OPEN: &str = "FROM odd LEFT JOIN jobs USING (id) WHERE NOT CASE fate
        WHEN 'done' THEN jobs.id IS NULL
        WHEN 'failed' THEN COALESCE(state = 'FAILED' AND errors IS NOT NULL, false)
        ELSE COALESCE(state = 'SCHEDULED', false) END";
    let begun = Instant::now();
    while number(client, &format!("SELECT count(*) {OPEN}")).await? > 0 && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sql = format!("SELECT what || ' was to be ' || fate || ', and is ' || COALESCE(state, 'gone') {OPEN}");
    for row in client.query_typed(&sql, &[]).await? {
        scene.miss(row.try_get::<_, String>(0)?);
    }
    // Nobody lives to see them, and the queue is to run empty.
    Ok(client.batch_execute("DELETE FROM jobs USING odd WHERE jobs.id = odd.id AND fate = 'waits'").await?)
}
