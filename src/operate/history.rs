//! Completed jobs, where a queue keeps them for a while.

use chrono::{DateTime, Utc};
use postgres_types::{ToSql, Type};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_postgres::Row;

use super::{
    Cursor, Failure, OperateError, Operator,
    filter::Place,
    jobs::{as_json, failures},
    walk::Walk,
};
use crate::job::RawParams;

/// A job that was completed.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CompletedJob {
    /// The key that its row had.
    pub id: i64,
    /// Its type, if it had one.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// How often it was started.
    pub attempt: i32,
    /// After how many attempts it would have been given up.
    pub max_attempts: i32,
    /// Lower ran first.
    pub priority: i32,
    /// The earliest time to run.
    pub schedule: DateTime<Utc>,
    /// When it was enqueued.
    pub inserted_at: DateTime<Utc>,
    /// When its last attempt began.
    pub started_at: DateTime<Utc>,
    /// When the transaction that completed it began.
    pub completed_at: DateTime<Utc>,
    /// The number of the process.
    pub node: Option<i64>,
    /// What was announced.
    pub notify: Option<String>,
    /// Its params as JSON; none if they are no JSON.
    pub params: Option<Box<RawValue>>,
    /// Its failed attempts.
    pub errors: Vec<Failure>,
}

/// Some of the completed jobs that are kept.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CompletedPage {
    /// The latest first.
    pub jobs: Vec<CompletedJob>,
    /// Where the next page begins; none if there is no more.
    pub next: Option<Cursor>,
}

impl Operator {
    /// Completed jobs that are kept, of one type or with one id, from a place on.
    ///
    /// # Errors
    /// The place belongs to another list, or the database could not be asked.
    pub async fn completed(
        &self,
        kind: Option<&str>,
        id: Option<i64>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<CompletedPage, OperateError> {
        if let Some(cursor) = from.filter(|cursor| cursor.walk != Walk::Completed) {
            return Err(OperateError::Filter(format!("the place {cursor} belongs to another list")));
        }
        let last = from.and_then(|cursor| cursor.last);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).clamp(1, 10_000);
        let sql = self.fill(include_str!("../../sql/operate/history.sql"), |_| None);
        let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
            (&last.map(|last| last.time), Type::TIMESTAMPTZ),
            (&last.map(|last| last.id), Type::INT8),
            (&kind, Type::TEXT),
            (&id, Type::INT8),
            (&limit, Type::INT8),
        ];
        let rows = self.ask("list completed jobs", &sql, &parameters).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
        let place = |row: &Row| Place { priority: 0, time: row.get("completed_at"), id: row.get("id") };
        let next = rows.last().filter(|_| full).map(|row| Cursor { walk: Walk::Completed, last: Some(place(row)) });
        Ok(CompletedPage { jobs: rows.iter().map(completed).collect(), next })
    }
}

fn completed(row: &Row) -> CompletedJob {
    let binary: Option<RawParams> = row.get("binary_params");
    let errors: Option<&str> = row.get("errors");
    CompletedJob {
        id: row.get("id"),
        kind: row.get::<_, Option<String>>("kind").or_else(|| binary.as_ref().and_then(RawParams::binary_kind)),
        attempt: row.get("attempt"),
        max_attempts: row.get("max_attempts"),
        priority: row.get("priority"),
        schedule: row.get("schedule"),
        inserted_at: row.get("inserted_at"),
        started_at: row.get("started_at"),
        completed_at: row.get("completed_at"),
        node: row.get("node"),
        notify: row.get("notify"),
        params: row.get::<_, Option<RawParams>>("params").or(binary).and_then(as_json),
        errors: errors.and_then(|text| serde_json::from_str(text).ok()).as_ref().map(failures).unwrap_or_default(),
    }
}
