use postgres_types::Type;
use serde::Serialize;

use super::OperateError;
use crate::{
    database::{Database, Lane},
    job::ParamsKind,
    migrate::{QUEUE_VERSION, SCHEMA_VERSION},
    name::QueueName,
    store::fill,
};

/// A queue of this database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KnownQueue {
    /// Its schema.
    pub schema: String,
    /// Its table.
    pub table: String,
    /// Whether its params are MessagePack.
    pub binary: bool,
    /// The migration that its table is at.
    pub version: i32,
    /// The migration that the shared objects of its schema are at.
    pub shared_version: i32,
    /// Whether both are what this version of the library needs.
    pub current: bool,
}

/// The queues of a database, in the schemas that may be looked into.
///
/// # Errors
/// The database could not be asked.
pub async fn queues(database: &Database) -> Result<Vec<KnownQueue>, OperateError> {
    let mut found = Vec::new();
    for schema in schemas(database).await? {
        found.extend(in_schema(database, &schema).await?);
    }
    Ok(found)
}

async fn schemas(database: &Database) -> Result<Vec<String>, OperateError> {
    let sql = include_str!("../../sql/operate/schemas.sql");
    let rows = database.query(Lane::Work, "look for queues", sql, &[]).await?;
    Ok(rows.iter().filter(|row| row.get("readable")).map(|row| row.get("schema")).collect())
}

/// The queues of one schema; none if there is no such schema.
pub(super) async fn in_schema(database: &Database, schema: &str) -> Result<Vec<KnownQueue>, OperateError> {
    // The table's name is no part of the statement.
    let name = QueueName::new(schema, "jobs")?;
    let exists = include_str!("../../sql/operate/has_queues.sql");
    let attempted = format!("look for queues in schema {schema}");
    if database.query(Lane::Work, &attempted, exists, &[(&schema, Type::TEXT)]).await?.is_empty() {
        return Ok(Vec::new());
    }
    let sql = fill(include_str!("../../sql/operate/queues.sql"), &name, ParamsKind::Json);
    let rows = database.query(Lane::Work, &attempted, &sql, &[]).await?;
    let known = rows.iter().filter_map(|row| {
        let params: Option<&str> = row.get("params");
        let (version, shared) = (row.get("version"), row.get::<_, Option<i32>>("shared").unwrap_or(0));
        Some(KnownQueue {
            schema: schema.to_owned(),
            table: row.get("queue"),
            binary: params? == "bytea",
            version,
            shared_version: shared,
            current: version == QUEUE_VERSION && shared == SCHEMA_VERSION,
        })
    });
    Ok(known.collect())
}
