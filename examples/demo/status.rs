//! What the page, the JSON and the tour read from the database.

use std::collections::BTreeMap;

use actix_job_queue::{State, tokio_postgres::types::Type};
use serde::Serialize;

use crate::{Failure, setup::Pool};

/// How things stand, counted at one instant.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Status {
    pub(crate) users: i64,
    pub(crate) mails: i64,
    /// Jobs in each state, in the order of a job's life.
    pub(crate) jobs: Vec<(&'static str, i64)>,
}

/// One sign-up and what became of its mail.
#[derive(Debug, Serialize)]
pub(crate) struct SignUp {
    pub(crate) user: i64,
    pub(crate) email: String,
    pub(crate) at: String,
    /// The job's state, while there is a job.
    pub(crate) job: Option<String>,
    /// The last attempt's error, while there is a job.
    pub(crate) error: Option<String>,
    /// When the mail was counted, and at which attempt.
    pub(crate) mailed: Option<(String, i32)>,
}

impl Status {
    /// Counts.
    pub(crate) async fn read(pool: &Pool, schema: &str) -> Result<Self, Failure> {
        let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
        let sql = format!(
            "SELECT (SELECT count(*) FROM {schema}.users),
                    (SELECT count(*) FROM {schema}.mails),
                    (SELECT jsonb_object_agg(state, jobs)::text
                       FROM (SELECT state, count(*) AS jobs FROM {schema}.jobs GROUP BY state) AS counted)"
        );
        let row = connection.query_typed_one(&sql, &[]).await.map_err(Failure::because("count jobs"))?;
        let counted = row.get::<_, Option<String>>(2).unwrap_or_else(|| "{}".to_owned());
        let counted: BTreeMap<String, i64> =
            serde_json::from_str(&counted).map_err(Failure::because("read the jobs' states"))?;
        let jobs = State::ALL.map(|state| (state.as_str(), counted.get(state.as_str()).copied().unwrap_or(0)));
        Ok(Self { users: row.get(0), mails: row.get(1), jobs: jobs.into() })
    }

    /// Jobs in any state.
    pub(crate) fn left(&self) -> i64 {
        self.jobs.iter().map(|(_, jobs)| jobs).sum()
    }
}

/// The latest sign-ups, newest first.
pub(crate) async fn latest(pool: &Pool, schema: &str, how_many: i64) -> Result<Vec<SignUp>, Failure> {
    let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
    let sql = format!(
        "SELECT users.id, users.email, to_char(users.signed_up_at, 'HH24:MI:SS'), jobs.state,
                jobs.errors -> -1 -> 'error' ->> 0, to_char(mails.sent_at, 'HH24:MI:SS'), mails.attempt
           FROM (SELECT id, email, signed_up_at FROM {schema}.users ORDER BY id DESC LIMIT $1) AS users
           LEFT JOIN {schema}.jobs AS jobs ON (jobs.params ->> 'user')::bigint = users.id
           LEFT JOIN {schema}.mails AS mails ON mails.user_id = users.id
          ORDER BY users.id DESC"
    );
    let rows =
        connection.query_typed(&sql, &[(&how_many, Type::INT8)]).await.map_err(Failure::because("read sign-ups"))?;
    let sign_ups = rows.iter().map(|row| SignUp {
        user: row.get(0),
        email: row.get(1),
        at: row.get(2),
        job: row.get(3),
        error: row.get(4),
        mailed: row.get::<_, Option<String>>(5).zip(row.get(6)),
    });
    Ok(sign_ups.collect())
}
