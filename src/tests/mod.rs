//! The statements against a real PostgreSQL: each row of the contract's tables, races, and a model.

mod actors;
mod lately;
mod model;
mod notifications;
mod plans;
mod pool;
mod progress;
mod races;
mod transitions;

#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{fmt::Debug, sync::Arc, time::Duration};

use tokio_postgres::Client;

use crate::{
    database::Database,
    job::{ParamsKind, Reserved},
    migrate,
    name::QueueName,
    run::node::Node,
    store::{Lease, Store, Take},
};

use support::TestDb;

const MINUTE: Duration = Duration::from_secs(60);

/// A queue's table, the statements on it, and a connection to look from.
struct Table {
    db: TestDb,
    store: Store,
    client: Client,
    node: Arc<Node>,
}

/// A row as the tests look at it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    state: String,
    attempt: i32,
    lease: i64,
    held: bool,
    node: Option<i64>,
    errors: i32,
}

impl Table {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let database = Database::connect(&db.url()).await.unwrap();
        let name = QueueName::new("public", "jobs").unwrap();
        let store = Store::new(database, name, ParamsKind::Json);
        migrate::migrate(&store, migrate::QUEUE_VERSION, false).await.unwrap();
        let client = db.client().await;
        let node = node(&store).await;
        Self { db, store, client, node }
    }

    /// Inserts a row by plain SQL, with more columns and values where the test wants them.
    async fn insert(&self, columns: &str, values: &str) -> i64 {
        let (columns, values) = match columns {
            "" => (String::new(), String::new()),
            _ => (format!(", {columns}"), format!(", {values}")),
        };
        let sql = format!("INSERT INTO jobs (params{columns}) VALUES ('{{\"type\":\"T\"}}'{values}) RETURNING id");
        self.client.query_typed_one(&sql, &[]).await.unwrap().get(0)
    }

    async fn claim(&self, limit: usize) -> Vec<Reserved> {
        self.store.claim(limit, Take::Reserve(MINUTE), &self.node).await.unwrap().jobs
    }

    /// A job that was claimed and started just now.
    async fn started(&self, columns: &str, values: &str) -> Lease {
        self.insert(columns, values).await;
        let claimed = self.claim(1).await;
        self.start(&claimed[0]).await.unwrap()
    }

    async fn start(&self, job: &Reserved) -> Option<Lease> {
        let wanted = (Lease { id: job.id, lease: job.lease }, Duration::from_secs(300));
        self.store.start(&[wanted], &self.node).await.unwrap().first().map(|started| started.lease)
    }

    async fn run_sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    async fn row(&self, id: i64) -> Option<Row> {
        let sql = format!(
            "SELECT state, attempt, lease, expires IS NOT NULL, node, coalesce(jsonb_array_length(errors), 0)
               FROM jobs WHERE id = {id}"
        );
        let row = self.client.query_typed_opt(&sql, &[]).await.unwrap()?;
        Some(Row {
            state: row.get(0),
            attempt: row.get(1),
            lease: row.get(2),
            held: row.get(3),
            node: row.get(4),
            errors: row.get(5),
        })
    }

    /// Whether an expression over the job's row is true.
    async fn holds(&self, id: i64, expression: &str) -> bool {
        let sql = format!("SELECT {expression} FROM jobs WHERE id = {id}");
        self.client.query_typed_one(&sql, &[]).await.unwrap().get(0)
    }

    /// The process that holds jobs as `node` is silent for longer than it may be.
    async fn kill(&self, node: i64) {
        self.run_sql(&format!("UPDATE job_queue_nodes SET dead_at = now() - interval '1 ms' WHERE node = {node}"))
            .await;
    }
}

/// Has every statement that reads this table wait there, with the snapshot that it has, until [`let_go`]: the table is
/// put behind a function that waits, which is asked once and before the first row, for it says that it changes nothing.
async fn hold_up(client: &Client, table: &str) {
    let sql = format!(
        "CREATE FUNCTION held_up() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
         BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN true; END $$;
         ALTER TABLE {table} RENAME TO behind_it;
         CREATE VIEW {table} AS SELECT * FROM behind_it WHERE held_up();
         SELECT pg_advisory_lock(77)"
    );
    client.batch_execute(&sql).await.unwrap();
}

/// Waits for a statement that is held up.
async fn one_is_held_up(client: &Client) {
    let held_up = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'
                                     AND objid = 77 AND NOT granted
                                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    for _ in 0..6_000 {
        if client.query_typed_one(held_up, &[]).await.unwrap().get(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nothing is held up");
}

/// The same for one that a test has begun.
async fn until_held_up<T: Debug>(client: &Client, statement: impl Future<Output = T>) {
    tokio::select! {
        ended = statement => panic!("it was not held up: {ended:?}"),
        () = one_is_held_up(client) => {}
    }
}

async fn let_go(client: &Client) {
    client.batch_execute("SELECT pg_advisory_unlock(77)").await.unwrap();
}

async fn node(store: &Store) -> Arc<Node> {
    let id = store.register_node("test").await.unwrap();
    Arc::new(Node::new(id, "test".into(), Duration::from_secs(10)))
}
