use chrono::{DateTime, Utc};
use postgres_types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient, Row, Statement};

use super::Store;
use crate::{
    database::Plans,
    error::{DatabaseError, EnqueueError},
    events::Happened,
    job::{NewJob, ParamsKind, RawParams, When},
};

/// So many jobs, with params of so many bytes together, go into one statement: enough for its round trip and its
/// commit to cost nothing, few enough to bound its memory.
const CHUNK: (usize, usize) = (50_000, 16 << 20);

/// The inserts of one job, of one with nothing but its params, and of many, as a connection of somebody's own has planned them.
#[derive(Clone)]
pub(crate) struct Inserts {
    one: Statement,
    plain: Statement,
    many: Statement,
}

/// How an insert is planned.
#[derive(Clone, Copy)]
pub(crate) enum Planned<'a> {
    /// Each time, whatever the connection.
    Anew,
    /// On the caller's connection.
    Before(&'a Inserts),
    /// On one of the library's.
    Kept(&'a Plans),
}

impl Planned<'_> {
    #[allow(clippy::disallowed_methods, reason = "whoever has prepared it has the connection for its own")]
    async fn query<C: GenericClient + Sync>(
        self,
        client: &C,
        sql: &str,
        choose: impl FnOnce(&Inserts) -> &Statement,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self {
            Self::Anew => client.query_typed(sql, parameters).await,
            Self::Kept(plans) => plans.query(client.client(), sql, parameters).await,
            Self::Before(inserts) => {
                let values: Vec<_> = parameters.iter().map(|(value, _)| *value).collect();
                client.query(choose(inserts), &values).await
            }
        }
    }
}

impl Store {
    /// Inserts the jobs in the client's transaction, or in one a chunk where it has none; their ids in order.
    pub(crate) async fn enqueue<C: GenericClient + Sync>(
        &self,
        client: &C,
        planned: Planned<'_>,
        jobs: &[NewJob],
    ) -> Result<Vec<i64>, EnqueueError> {
        jobs.iter().try_for_each(|job| self.check_kind(job))?;
        let mut ids = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(chunk(rest));
            rest = later;
            let inserted = self.enqueue_all(client, planned, chunk).await?;
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
        planned: Planned<'_>,
        jobs: &[NewJob],
    ) -> Result<Vec<i64>, DatabaseError> {
        Ok(self.enqueued(self.insert(client, planned, jobs).await?))
    }

    async fn insert<C: GenericClient + Sync>(
        &self,
        client: &C,
        planned: Planned<'_>,
        jobs: &[NewJob],
    ) -> Result<Vec<i64>, DatabaseError> {
        if let [job] = jobs {
            return self.insert_one(client, planned, job).await;
        }
        let columns = Columns::new(jobs, self.kind);
        let rows = planned.query(client, &self.sql.enqueue, |inserts| &inserts.many, &columns.parameters()).await;
        self.ids(rows, &format!("enqueue {} jobs", jobs.len()))
    }

    /// Inserts jobs of several callers, in a transaction of their own: all, or none if one of them is refused or kept out.
    pub(crate) async fn enqueue_together(
        &self,
        client: &Client,
        plans: &Plans,
        jobs: &[NewJob],
    ) -> Result<Vec<i64>, DatabaseError> {
        let columns = Columns::new(jobs, self.kind);
        let rows = plans.query(client, &self.sql.enqueue_together, &columns.parameters()).await;
        Ok(self.enqueued(self.ids(rows, &format!("enqueue {} jobs together", jobs.len()))?))
    }

    fn enqueued(&self, ids: Vec<i64>) -> Vec<i64> {
        ids.iter().for_each(|id| self.tell(*id, None, 0, &Happened::Enqueued));
        ids
    }

    async fn insert_one<C: GenericClient + Sync>(
        &self,
        client: &C,
        planned: Planned<'_>,
        job: &NewJob,
    ) -> Result<Vec<i64>, DatabaseError> {
        let (at, delay) = times(job.when);
        let params: &(dyn ToSql + Sync) = match &job.params {
            RawParams::Json(text) => text,
            RawParams::Binary(bytes) => bytes,
        };
        let values: [_; 6] = [params, &at, &delay, &job.max_attempts, &job.priority, &job.notify];
        let parameters = values.into_iter().zip(self.types_of_one());
        let rows = if job.is_plain() {
            let parameters: Vec<_> = parameters.take(1).collect();
            planned.query(client, &self.sql.enqueue_plain, |inserts| &inserts.plain, &parameters).await
        } else {
            let parameters: Vec<_> = parameters.collect();
            planned.query(client, &self.sql.enqueue_one, |inserts| &inserts.one, &parameters).await
        };
        self.ids(rows, "enqueue a job")
    }

    /// Plans the inserts on a connection that is its caller's own.
    pub(crate) async fn prepare_enqueue<C: GenericClient + Sync>(&self, client: &C) -> Result<Inserts, DatabaseError> {
        let (of_one, of_many) = (self.types_of_one(), types_of_many(self.kind));
        let one = client.prepare_typed(&self.sql.enqueue_one, &of_one);
        let plain = client.prepare_typed(&self.sql.enqueue_plain, &of_one[..1]);
        let many = client.prepare_typed(&self.sql.enqueue, &of_many);
        let planned = futures_util::future::try_join3(one, plain, many).await;
        let (one, plain, many) =
            planned.map_err(|error| DatabaseError::statement(self.attempted("prepare to enqueue jobs"), error))?;
        Ok(Inserts { one, plain, many })
    }

    fn types_of_one(&self) -> [Type; 6] {
        let params = match self.kind {
            ParamsKind::Json => Type::TEXT,
            ParamsKind::Binary => Type::BYTEA,
        };
        [params, Type::TIMESTAMPTZ, Type::FLOAT8, Type::INT4, Type::INT4, Type::TEXT]
    }

    fn ids(&self, rows: Result<Vec<Row>, tokio_postgres::Error>, what: &str) -> Result<Vec<i64>, DatabaseError> {
        let rows = rows.map_err(|error| DatabaseError::statement(self.attempted(what), error))?;
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

/// Jobs as a statement of many takes them: an array for each column.
struct Columns<'a> {
    kind: ParamsKind,
    json: Vec<&'a str>,
    binary: Vec<&'a [u8]>,
    at: Vec<Option<DateTime<Utc>>>,
    delays: Vec<Option<f64>>,
    max_attempts: Vec<Option<i32>>,
    priorities: Vec<Option<i32>>,
    notify: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    /// The jobs' params are all of the one kind.
    fn new(jobs: &'a [NewJob], kind: ParamsKind) -> Self {
        let (mut json, mut binary) = (Vec::new(), Vec::new());
        for job in jobs {
            match &job.params {
                RawParams::Json(text) => json.push(text.as_str()),
                RawParams::Binary(bytes) => binary.push(bytes.as_slice()),
            }
        }
        let (at, delays) = jobs.iter().map(|job| times(job.when)).unzip();
        Self {
            kind,
            json,
            binary,
            at,
            delays,
            max_attempts: jobs.iter().map(|job| job.max_attempts).collect(),
            priorities: jobs.iter().map(|job| job.priority).collect(),
            notify: jobs.iter().map(|job| job.notify.as_deref()).collect(),
        }
    }

    fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let params: &(dyn ToSql + Sync) = match self.kind {
            ParamsKind::Json => &self.json,
            ParamsKind::Binary => &self.binary,
        };
        let values = [params, &self.at, &self.delays, &self.max_attempts, &self.priorities, &self.notify];
        values.into_iter().zip(types_of_many(self.kind)).collect()
    }
}

fn types_of_many(kind: ParamsKind) -> [Type; 6] {
    let params = match kind {
        ParamsKind::Json => Type::TEXT_ARRAY,
        ParamsKind::Binary => Type::BYTEA_ARRAY,
    };
    let (times, delays) = (Type::TIMESTAMPTZ_ARRAY, Type::FLOAT8_ARRAY);
    [params, times, delays, Type::INT4_ARRAY, Type::INT4_ARRAY, Type::TEXT_ARRAY]
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
