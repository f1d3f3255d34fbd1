//! Jobs as lines of JSON, out of a queue and into one.

use chrono::{DateTime, Utc};
use postgres_types::{ToSql, Type};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use tokio_postgres::Row;

use super::{OperateError, Operator, jobs::as_json};
use crate::{
    database::Lane,
    error::DatabaseError,
    job::{NewJob, ParamsKind, RawParams, State},
};

/// A job as it is told to another queue: what is missing has its default there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PortableJob {
    /// The key that it had, for people; it gets a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// The state that it had. FAILED stays so; any other is waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Its type, where it does not stand in the params, as in a binary queue.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The handler's input.
    pub params: Box<RawValue>,
    /// The earliest time to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<DateTime<Utc>>,
    /// How often it was started; kept for a failed job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// After how many attempts it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i32>,
    /// Lower runs first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// What is announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
    /// When it was enqueued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inserted_at: Option<DateTime<Utc>>,
    /// Its failed attempts, as the column has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Box<RawValue>>,
}

impl Operator {
    /// These jobs as they are told to another queue, with whole params; those that are gone are missing.
    ///
    /// # Errors
    /// The params of a binary queue cannot be told in JSON, or the database could not be asked.
    pub async fn export(&self, ids: &[i64]) -> Result<Vec<PortableJob>, OperateError> {
        let sql = self.fill(include_str!("../../sql/operate/export.sql"), |_| None);
        let rows = self.ask("export jobs", &sql, &[(&ids, Type::INT8_ARRAY)]).await?;
        rows.iter().map(portable).collect()
    }

    /// Puts jobs into the queue, all or none; their new ids in order. With `rerun`, failed ones run again.
    ///
    /// # Errors
    /// The params cannot be kept by a queue of this kind, or the database refuses.
    pub async fn import(&self, jobs: &[PortableJob], rerun: bool) -> Result<Vec<i64>, OperateError> {
        let (mut json, mut binary) = (Vec::new(), Vec::new());
        for job in jobs {
            match self.raw(job)? {
                RawParams::Json(text) => json.push(text),
                RawParams::Binary(bytes) => binary.push(bytes),
            }
        }
        let params: (&(dyn ToSql + Sync), Type) = match self.store.kind {
            ParamsKind::Json => (&json, Type::TEXT_ARRAY),
            ParamsKind::Binary => (&binary, Type::BYTEA_ARRAY),
        };
        let failed = |job: &PortableJob| !rerun && job.state == Some(State::Failed);
        let schedules: Vec<_> = jobs.iter().map(|job| job.schedule).collect();
        let max_attempts: Vec<_> = jobs.iter().map(|job| job.max_attempts).collect();
        let priorities: Vec<_> = jobs.iter().map(|job| job.priority).collect();
        let notify: Vec<_> = jobs.iter().map(|job| job.notify.as_deref()).collect();
        let inserted_at: Vec<_> = jobs.iter().map(|job| job.inserted_at).collect();
        let errors: Vec<_> = jobs.iter().map(|job| job.errors.as_ref().map(|errors| errors.get())).collect();
        let parameters = [
            params,
            (&schedules, Type::TIMESTAMPTZ_ARRAY),
            (&max_attempts, Type::INT4_ARRAY),
            (&priorities, Type::INT4_ARRAY),
            (&notify, Type::TEXT_ARRAY),
            (&inserted_at, Type::TIMESTAMPTZ_ARRAY),
            (&errors, Type::TEXT_ARRAY),
        ];
        let attempted = self.store.attempted(&format!("import {} jobs", jobs.len()));
        let refused = |error| DatabaseError::statement(attempted.clone(), error);
        let mut connection = self.store.database.get(Lane::Work, &attempted).await?;
        let transaction = connection.transaction().await.map_err(refused)?;
        let sql = self.fill(include_str!("../../sql/operate/import.sql"), |_| None);
        let rows = transaction.query_typed(&sql, &parameters).await.map_err(refused)?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get("id")).collect();
        let kept = ids.iter().zip(jobs).filter(|(_, job)| failed(job));
        let (kept, attempts): (Vec<i64>, Vec<i32>) =
            kept.map(|(id, job)| (*id, job.attempt.unwrap_or_default().max(0))).unzip();
        if !kept.is_empty() {
            let sql = self.fill(include_str!("../../sql/operate/import_failed.sql"), |_| None);
            let parameters: [(&(dyn ToSql + Sync), Type); 2] =
                [(&kept, Type::INT8_ARRAY), (&attempts, Type::INT4_ARRAY)];
            transaction.execute_typed(&sql, &parameters).await.map_err(refused)?;
        }
        transaction.commit().await.map_err(refused)?;
        Ok(ids)
    }

    /// The params as this queue keeps them.
    fn raw(&self, job: &PortableJob) -> Result<RawParams, OperateError> {
        if self.store.kind == ParamsKind::Json {
            return Ok(RawParams::Json(job.params.get().to_owned()));
        }
        let wrong = |why: String| OperateError::Filter(format!("a job's params cannot be kept as MessagePack: {why}"));
        let value: Value = serde_json::from_str(job.params.get()).map_err(|error| wrong(error.to_string()))?;
        let kind = job.kind.clone().or_else(|| value["type"].as_str().map(str::to_owned));
        let new = match kind {
            Some(kind) => NewJob::binary_of_type(&kind, &value),
            None => NewJob::binary(&value),
        };
        new.map(|job| job.params).map_err(|error| wrong(error.to_string()))
    }
}

fn portable(row: &Row) -> Result<PortableJob, OperateError> {
    let (id, raw): (i64, RawParams) = (row.get("id"), row.get("params"));
    let kind = raw.binary_kind();
    let params = as_json(raw).ok_or_else(|| {
        OperateError::Filter(format!("the params of job {id} are MessagePack that cannot be told in JSON"))
    })?;
    let errors: Option<String> = row.get("errors");
    Ok(PortableJob {
        id: Some(id),
        state: row.get::<_, &str>("state").parse().ok(),
        kind,
        params,
        schedule: Some(row.get("schedule")),
        attempt: Some(row.get("attempt")),
        max_attempts: Some(row.get("max_attempts")),
        priority: Some(row.get("priority")),
        notify: row.get("notify"),
        inserted_at: Some(row.get("inserted_at")),
        errors: errors.and_then(|text| RawValue::from_string(text).ok()),
    })
}
