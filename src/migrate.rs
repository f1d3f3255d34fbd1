//! Bringing a schema to the version that this library needs, and back.

use postgres_types::Type;
use tokio_postgres::{Transaction, error::SqlState};

use crate::{
    database::Lane,
    error::{DatabaseError, MigrateError},
    job::ParamsKind,
    name::QueueName,
    store::{Store, fill},
};

/// The newest migration of what the queues of a schema share.
pub(crate) const SCHEMA_VERSION: i32 = SCHEMA.len() as i32;

/// The newest migration of a queue's table.
pub(crate) const QUEUE_VERSION: i32 = QUEUE.len() as i32;

/// One step up and the way back.
struct Step {
    up: &'static str,
    down: &'static str,
}

/// A shipped migration is never edited: a later one mends it.
const SCHEMA: [Step; 3] = [
    Step {
        up: include_str!("../sql/migrations/schema_1_nodes.up.sql"),
        down: include_str!("../sql/migrations/schema_1_nodes.down.sql"),
    },
    Step {
        up: include_str!("../sql/migrations/schema_2_functions.up.sql"),
        down: include_str!("../sql/migrations/schema_2_functions.down.sql"),
    },
    Step {
        up: include_str!("../sql/migrations/schema_3_operator.up.sql"),
        down: include_str!("../sql/migrations/schema_3_operator.down.sql"),
    },
];

const QUEUE: [Step; 3] = [
    Step {
        up: include_str!("../sql/migrations/queue_1_table.up.sql"),
        down: include_str!("../sql/migrations/queue_1_table.down.sql"),
    },
    Step {
        up: include_str!("../sql/migrations/queue_2_indexes.up.sql"),
        down: include_str!("../sql/migrations/queue_2_indexes.down.sql"),
    },
    Step {
        up: include_str!("../sql/migrations/queue_3_triggers.up.sql"),
        down: include_str!("../sql/migrations/queue_3_triggers.down.sql"),
    },
];

/// When inserts notify, which can be changed at any time.
const NOTIFY_ALWAYS: &str = include_str!("../sql/migrations/notify_always.sql");
const NOTIFY_WAITING: &str = include_str!("../sql/migrations/notify_waiting.sql");
const NOTIFIES_ALWAYS: &str = include_str!("../sql/statements/notifies_always.sql");

/// Held for the length of a migration, so that processes which start together migrate one after another.
const LOCK: &str = "SELECT pg_advisory_xact_lock(4716510246293143551)";

const EXISTING: &str = "
    SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS has_schema,
           EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                    WHERE n.nspname = $1 AND c.relname = 'job_queue_migrations') AS has_shared,
           EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                    WHERE n.nspname = $1 AND c.relname = $2) AS has_table";

/// A queue's migrations as SQL, for those who migrate with a tool of their own.
///
/// Each script is to be run in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationSql {
    /// What the queues of a schema share; once a schema, before the first queue. The schema must exist.
    pub shared_up: String,
    /// The queue itself.
    pub up: String,
    /// Takes the queue away, with its jobs.
    pub down: String,
    /// Takes away what the queues shared; after the last queue.
    pub shared_down: String,
}

impl MigrationSql {
    pub(crate) fn new(name: &QueueName, kind: ParamsKind, always_notify: bool) -> Self {
        let fill = |template: &str| fill(template, name, kind);
        let record = |target: &str, version: usize| {
            fill(&format!(
                "INSERT INTO {{schema}}.job_queue_migrations (target, version) VALUES ({target}, {version});\n\n"
            ))
        };
        let up = |steps: &[Step], target: &str| {
            steps.iter().zip(1..).map(|(step, version)| fill(step.up) + &record(target, version)).collect()
        };
        let down = |steps: &[Step]| -> String { steps.iter().rev().map(|step| fill(step.down)).collect() };
        Self {
            shared_up: up(&SCHEMA, "''"),
            up: up(&QUEUE, "{queue_literal}") + &if always_notify { fill(NOTIFY_ALWAYS) } else { String::new() },
            down: down(&QUEUE) + &fill("DELETE FROM {schema}.job_queue_migrations WHERE target = {queue_literal};\n"),
            shared_down: down(&SCHEMA),
        }
    }
}

/// Brings the queue to `version` and what it shares to the newest; 0 takes the queue away, and the shared
/// objects with the last queue of the schema.
pub(crate) async fn migrate(store: &Store, version: i32, always_notify: bool) -> Result<(), MigrateError> {
    if !(0..=QUEUE_VERSION).contains(&version) {
        return Err(MigrateError::Unknown { asked: version, known: QUEUE_VERSION });
    }
    let attempted = format!("migrate queue {}", store.name);
    let failed = |error| DatabaseError::statement(attempted.clone(), error);
    let mut connection = store.database.get(Lane::Work, &attempted).await?;
    let transaction = connection.transaction().await.map_err(failed)?;
    transaction.batch_execute(LOCK).await.map_err(failed)?;

    let (schema, table) = (store.name.schema(), store.name.table());
    let found =
        transaction.query_typed_one(EXISTING, &[(&schema, Type::TEXT), (&table, Type::TEXT)]).await.map_err(failed)?;
    let (mut shared, mut queue) = (0, 0);
    if found.get("has_shared") {
        let versions = transaction.query_typed(&store.sql.versions, &[(&table, Type::TEXT)]).await;
        let versions = versions.map_err(|error| match error.code() {
            Some(&SqlState::UNDEFINED_COLUMN) => MigrateError::Foreign(format!("{schema}.job_queue_migrations")),
            _ => failed(error).into(),
        })?;
        for row in versions {
            match row.get::<_, &str>("target") {
                "" => shared = row.get("version"),
                _ => queue = row.get("version"),
            }
        }
    }
    refuse_newer("the shared objects", shared, SCHEMA_VERSION)?;
    refuse_newer(&format!("queue {}", store.name), queue, QUEUE_VERSION)?;

    if queue > 0 && !found.get::<_, bool>("has_table") {
        // Somebody dropped the table by hand, and its migrations with it.
        forget(store, &transaction, table, 0).await?;
        queue = 0;
    }
    if version > 0 {
        if !found.get::<_, bool>("has_schema") {
            let create = fill("CREATE SCHEMA {schema}", &store.name, store.kind);
            transaction.batch_execute(&create).await.map_err(failed)?;
        }
        climb(store, &transaction, &SCHEMA, "", shared).await?;
        shared = SCHEMA_VERSION;
    }
    if version >= queue {
        climb(store, &transaction, &QUEUE[..as_index(version)], table, queue).await?;
    } else {
        descend(store, &transaction, table, version, queue).await?;
    }
    if version == QUEUE_VERSION {
        set_notify(store, &transaction, always_notify).await.map_err(failed)?;
    }
    if version == 0 && shared > 0 {
        descend_shared(store, &transaction, shared).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(())
}

/// Has inserts notify as the queue is set, where they do not yet.
async fn set_notify(store: &Store, transaction: &Transaction<'_>, always: bool) -> Result<(), tokio_postgres::Error> {
    let fill = |template: &str| fill(template, &store.name, store.kind);
    let now = transaction.query_typed_opt(&fill(NOTIFIES_ALWAYS), &[]).await?;
    // Who took the trigger away altogether did it on purpose.
    match now.map(|row| row.get::<_, bool>("always")) {
        Some(now) if now != always => {
            transaction.batch_execute(&fill(if always { NOTIFY_ALWAYS } else { NOTIFY_WAITING })).await
        }
        _ => Ok(()),
    }
}

fn refuse_newer(target: &str, found: i32, known: i32) -> Result<(), MigrateError> {
    if found > known {
        return Err(MigrateError::Newer { target: target.to_owned(), found, known });
    }
    Ok(())
}

/// Applies the steps that are not applied yet.
async fn climb(
    store: &Store,
    transaction: &Transaction<'_>,
    steps: &[Step],
    target: &str,
    applied: i32,
) -> Result<(), MigrateError> {
    for (step, version) in steps.iter().zip(1_i32..).skip(as_index(applied)) {
        let what = match target {
            "" => format!("{}.job_queue_nodes", store.name.schema()),
            _ => store.name.to_string(),
        };
        let attempted = format!("apply migration {version} of {what}");
        if let Err(error) = transaction.batch_execute(&fill(step.up, &store.name, store.kind)).await {
            if error.code() == Some(&SqlState::DUPLICATE_TABLE) {
                return Err(MigrateError::Foreign(what));
            }
            return Err(DatabaseError::statement(attempted, error).into());
        }
        transaction
            .execute_typed(&store.sql.record_migration, &[(&target, Type::TEXT), (&version, Type::INT4)])
            .await
            .map_err(|error| DatabaseError::statement(attempted, error))?;
    }
    Ok(())
}

/// Takes the queue's steps back, newest first.
async fn descend(
    store: &Store,
    transaction: &Transaction<'_>,
    table: &str,
    version: i32,
    applied: i32,
) -> Result<(), MigrateError> {
    for step in QUEUE[as_index(version)..as_index(applied)].iter().rev() {
        let down = fill(step.down, &store.name, store.kind);
        transaction.batch_execute(&down).await.map_err(|error| taken_back(store, error))?;
    }
    forget(store, transaction, table, version).await
}

/// Takes the shared objects away after the last queue.
async fn descend_shared(store: &Store, transaction: &Transaction<'_>, applied: i32) -> Result<(), MigrateError> {
    let fill = |template: &str| fill(template, &store.name, store.kind);
    let others = fill("SELECT EXISTS (SELECT FROM {schema}.job_queue_migrations WHERE target <> '') AS others");
    let row = transaction.query_typed_one(&others, &[]).await.map_err(|error| taken_back(store, error))?;
    if row.get("others") {
        return Ok(());
    }
    for step in SCHEMA[..as_index(applied)].iter().rev() {
        transaction.batch_execute(&fill(step.down)).await.map_err(|error| taken_back(store, error))?;
    }
    Ok(())
}

/// Strikes the migrations after `version` from the record.
async fn forget(store: &Store, transaction: &Transaction<'_>, table: &str, version: i32) -> Result<(), MigrateError> {
    let strike = "DELETE FROM {schema}.job_queue_migrations WHERE target = $1 AND version > $2";
    let strike = fill(strike, &store.name, store.kind);
    transaction
        .execute_typed(&strike, &[(&table, Type::TEXT), (&version, Type::INT4)])
        .await
        .map_err(|error| taken_back(store, error))?;
    Ok(())
}

fn taken_back(store: &Store, error: tokio_postgres::Error) -> DatabaseError {
    DatabaseError::statement(format!("take migrations of queue {} back", store.name), error)
}

/// Versions count from 0 and were checked against the newest.
fn as_index(version: i32) -> usize {
    usize::try_from(version).unwrap_or(0)
}
