use chrono::{DateTime, Utc};
use postgres_types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row, Statement};

use super::Store;
use crate::{
    error::{DatabaseError, EnqueueError},
    events::Happened,
    job::{NewJob, ParamsKind, RawParams, When},
};

/// So many jobs, with params of so many bytes together, go into one statement: enough for its round trip and its
/// commit to cost nothing, few enough to bound its memory.
const CHUNK: (usize, usize) = (50_000, 16 << 20);

impl Store {
    /// Inserts the jobs in the client's transaction, or in one a chunk where it has none; their ids in order.
    pub(crate) async fn enqueue<C: GenericClient + Sync>(
        &self,
        client: &C,
        jobs: &[NewJob],
    ) -> Result<Vec<i64>, EnqueueError> {
        jobs.iter().try_for_each(|job| self.check_kind(job))?;
        let mut ids = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(chunk(rest));
            rest = later;
            let inserted = self.enqueue_all(client, chunk).await?;
            if inserted.len() < chunk.len() {
                return Err(self.kept_out(chunk.len(), inserted.len()));
            }
            ids.extend(inserted);
        }
        Ok(ids)
    }

    /// Inserts jobs whose params are of the queue's kind, in one statement.
    pub(crate) async fn enqueue_all<C: GenericClient + Sync>(
        &self,
        client: &C,
        jobs: &[NewJob],
    ) -> Result<Vec<i64>, DatabaseError> {
        let ids = self.insert(client, jobs).await?;
        ids.iter().for_each(|id| self.tell(*id, None, 0, &Happened::Enqueued));
        Ok(ids)
    }

    async fn insert<C: GenericClient + Sync>(&self, client: &C, jobs: &[NewJob]) -> Result<Vec<i64>, DatabaseError> {
        if let [job] = jobs {
            return self.enqueue_one(client, job).await;
        }
        let (mut json, mut binary) = (Vec::new(), Vec::new());
        for job in jobs {
            match &job.params {
                RawParams::Json(text) => json.push(text.as_str()),
                RawParams::Binary(bytes) => binary.push(bytes.as_slice()),
            }
        }
        let params: (&(dyn ToSql + Sync), Type) = match self.kind {
            ParamsKind::Json => (&json, Type::TEXT_ARRAY),
            ParamsKind::Binary => (&binary, Type::BYTEA_ARRAY),
        };
        let (at, delays): (Vec<_>, Vec<_>) = jobs.iter().map(|job| times(job.when)).unzip();
        let max_attempts: Vec<_> = jobs.iter().map(|job| job.max_attempts).collect();
        let priorities: Vec<_> = jobs.iter().map(|job| job.priority).collect();
        let notify: Vec<_> = jobs.iter().map(|job| job.notify.as_deref()).collect();
        let rows = client
            .query_typed(
                &self.sql.enqueue,
                &[
                    params,
                    (&at, Type::TIMESTAMPTZ_ARRAY),
                    (&delays, Type::FLOAT8_ARRAY),
                    (&max_attempts, Type::INT4_ARRAY),
                    (&priorities, Type::INT4_ARRAY),
                    (&notify, Type::TEXT_ARRAY),
                ],
            )
            .await
            .map_err(|error| {
                DatabaseError::statement(self.attempted(&format!("enqueue {} job(s)", jobs.len())), error)
            })?;
        Ok(rows.iter().map(|row| row.get("id")).collect())
    }

    async fn enqueue_one<C: GenericClient + Sync>(&self, client: &C, job: &NewJob) -> Result<Vec<i64>, DatabaseError> {
        let (at, delay) = times(job.when);
        let values = one(job, &at, &delay);
        let parameters: Vec<_> = values.into_iter().zip(self.types_of_one()).collect();
        let rows = client.query_typed(&self.sql.enqueue_one, &parameters).await;
        self.only_id(rows)
    }

    /// Plans the insert of one job on a connection that is its caller's own.
    pub(crate) async fn prepare_enqueue<C: GenericClient + Sync>(
        &self,
        client: &C,
    ) -> Result<Statement, DatabaseError> {
        client
            .prepare_typed(&self.sql.enqueue_one, &self.types_of_one())
            .await
            .map_err(|error| DatabaseError::statement(self.attempted("prepare to enqueue jobs"), error))
    }

    /// Inserts a job by what was planned on the client's connection.
    #[allow(clippy::disallowed_methods, reason = "the caller has prepared it on a connection of its own")]
    pub(crate) async fn enqueue_prepared<C: GenericClient + Sync>(
        &self,
        client: &C,
        statement: &Statement,
        job: &NewJob,
    ) -> Result<Vec<i64>, EnqueueError> {
        self.check_kind(job)?;
        let (at, delay) = times(job.when);
        let rows = client.query(statement, &one(job, &at, &delay)).await;
        Ok(self.only_id(rows)?)
    }

    fn types_of_one(&self) -> [Type; 6] {
        let params = match self.kind {
            ParamsKind::Json => Type::TEXT,
            ParamsKind::Binary => Type::BYTEA,
        };
        [params, Type::TIMESTAMPTZ, Type::FLOAT8, Type::INT4, Type::INT4, Type::TEXT]
    }

    fn only_id(&self, rows: Result<Vec<Row>, tokio_postgres::Error>) -> Result<Vec<i64>, DatabaseError> {
        let rows = rows.map_err(|error| DatabaseError::statement(self.attempted("enqueue a job"), error))?;
        Ok(rows.iter().map(|row| row.get("id")).collect())
    }

    /// Says that rows are missing, of which nobody can tell whose they would have been.
    pub(crate) fn kept_out(&self, given: usize, inserted: usize) -> EnqueueError {
        EnqueueError::KeptOut { queue: self.name.to_string(), given, inserted }
    }

    /// Refuses JSON params for a binary queue, and the other way round.
    pub(crate) fn check_kind(&self, job: &NewJob) -> Result<(), EnqueueError> {
        if job.params.kind() == self.kind {
            return Ok(());
        }
        let (expected, constructor) = match self.kind {
            ParamsKind::Json => ("JSON", "new"),
            ParamsKind::Binary => ("binary", "binary"),
        };
        Err(EnqueueError::Kind { queue: self.name.to_string(), expected, constructor })
    }

    /// Has failed jobs run again; the ids of those that were failed.
    pub(crate) async fn requeue<C: GenericClient + Sync>(
        &self,
        client: &C,
        ids: &[i64],
    ) -> Result<Vec<i64>, DatabaseError> {
        let rows = client
            .query_typed(&self.sql.requeue, &[(&ids, Type::INT8_ARRAY)])
            .await
            .map_err(|error| DatabaseError::statement(self.attempted("requeue failed jobs"), error))?;
        Ok(rows.iter().map(|row| row.get("id")).collect())
    }
}

/// The parameters of the insert of one job.
fn one<'a>(job: &'a NewJob, at: &'a Option<DateTime<Utc>>, delay: &'a Option<f64>) -> [&'a (dyn ToSql + Sync); 6] {
    let params: &(dyn ToSql + Sync) = match &job.params {
        RawParams::Json(text) => text,
        RawParams::Binary(bytes) => bytes,
    };
    [params, at, delay, &job.max_attempts, &job.priority, &job.notify]
}

/// When a job is to run: at a time, or so many seconds from now.
fn times(when: When) -> (Option<DateTime<Utc>>, Option<f64>) {
    match when {
        When::At(at) => (Some(at), None),
        When::In(delay) => (None, Some(delay.as_secs_f64())),
        When::Now => (None, None),
    }
}

/// How many of these jobs, of which there is one at least, go into the next statement.
fn chunk(jobs: &[NewJob]) -> usize {
    let mut bytes = 0;
    let fits = |job: &&NewJob| {
        bytes += job.params.len();
        bytes <= CHUNK.1
    };
    jobs.iter().take(CHUNK.0).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_holds_so_many_jobs_or_so_many_bytes_and_one_job_of_any_size() {
        let job = |bytes: usize| NewJob::of_type("Big", &serde_json::json!({ "x": "x".repeat(bytes) })).unwrap();

        assert_eq!(chunk(&vec![job(10); CHUNK.0 + 1]), CHUNK.0);
        assert_eq!(chunk(&vec![job(CHUNK.1 / 4); 5]), 3);
        assert_eq!(chunk(&[job(CHUNK.1 * 2), job(1)]), 1);
    }
}
