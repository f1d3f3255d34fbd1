//! The books, and how they are compared.

use tokio_postgres::{Client, types::Type};

use crate::{failure::Failure, server::number};

/// Neither book has a key: what is there twice is to be counted.
pub(crate) const BOOKS: &str = "
CREATE TABLE enqueued (n bigint NOT NULL, fate text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON enqueued (at);
CREATE TABLE completed (
    n bigint NOT NULL,
    job bigint NOT NULL,
    way text NOT NULL,
    attempt integer NOT NULL,
    pid integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON completed (at);
";

/// Jobs that nobody holds any more and that are not FAILED may still run; all others must have come to their end.
const LOST: &str = "
SELECT count(*)
  FROM enqueued AS book
 WHERE NOT EXISTS (SELECT FROM completed WHERE completed.n = book.n)
   AND NOT EXISTS (SELECT FROM jobs
                    WHERE params ->> 'n' = book.n::text
                      AND (state <> 'FAILED') = (book.fate = 'done'))";

/// Jobs whose commit was answered, and that are not even in the book.
const FORGOTTEN: &str = "
SELECT count(*) FROM unnest($1::bigint[]) AS answered (n) WHERE n NOT IN (SELECT n FROM enqueued)";

/// More completions than one, or one that nobody had enqueued or that should have failed.
const DOUBLED: &str = "
SELECT (SELECT count(*) - count(DISTINCT n) FROM completed)
     + (SELECT count(*) FROM (SELECT n FROM completed EXCEPT SELECT n FROM enqueued WHERE fate = 'done') AS unknown)";

/// What has not come to its end.
pub(crate) const LEFT: &str = "SELECT count(*) FROM jobs WHERE state <> 'FAILED'";

#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) jobs: i64,
    pub(crate) lost: i64,
    pub(crate) doubled: i64,
    pub(crate) stuck: i64,
}

impl Audit {
    /// Compares the books, and the one of what was enqueued with the numbers whose commit was answered.
    pub(crate) async fn look(client: &Client, answered: &[i64]) -> Result<Self, Failure> {
        let forgotten: i64 = client.query_typed_one(FORGOTTEN, &[(&answered, Type::INT8_ARRAY)]).await?.try_get(0)?;
        Ok(Self {
            jobs: number(client, "SELECT count(*) FROM enqueued").await?,
            lost: forgotten + number(client, LOST).await?,
            doubled: number(client, DOUBLED).await?,
            stuck: number(client, LEFT).await?,
        })
    }

    pub(crate) fn misses(&self) -> Vec<String> {
        let told = [
            (self.lost, "jobs were enqueued, and are neither completed nor there to run"),
            (self.doubled, "completions are there twice, or of no job that should complete"),
            (self.stuck, "jobs have not come to their end a minute after the load had"),
        ];
        told.into_iter().filter(|(count, _)| *count != 0).map(|(count, what)| format!("{count} {what}")).collect()
    }
}

/// Some of what is left, for whoever looks into it.
pub(crate) async fn remains(client: &Client) -> Result<String, Failure> {
    let sql = "SELECT COALESCE(string_agg(row, E'\\n'), '') FROM (
        SELECT left(jobs::text, 2000) AS row FROM jobs ORDER BY id LIMIT 200) AS rows";
    let jobs: String = client.query_typed_one(sql, &[]).await?.try_get(0)?;
    let sql = "SELECT COALESCE(string_agg(nodes::text, E'\\n'), '') || E'\\nnow ' || now()
                 FROM (TABLE job_queue_nodes) AS nodes";
    let nodes: String = client.query_typed_one(sql, &[]).await?.try_get(0)?;
    let sql = "SELECT COALESCE(string_agg(row, E'\\n'), '') FROM (
        SELECT completed::text AS row FROM completed
         WHERE n IN (SELECT n FROM completed GROUP BY n HAVING count(*) > 1) ORDER BY n LIMIT 100) AS rows";
    let doubles: String = client.query_typed_one(sql, &[]).await?.try_get(0)?;
    Ok(format!("jobs:\n{jobs}\n\nnodes:\n{nodes}\n\ncompleted twice:\n{doubles}\n"))
}
