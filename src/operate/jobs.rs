//! Jobs as an operator sees them: a page of them, or one with all that is known of it.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use postgres_types::{ToSql, Type};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tokio_postgres::{Row, error::SqlState};

use super::{
    Cursor, Filter, OperateError, Operator,
    filter::Place,
    pace::{self, Pace},
    walk::Walk,
    why::why,
};
use crate::{
    error::DatabaseError,
    job::{ParamsKind, RawParams, State},
};

/// A page that is not full after this long says how far it came.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longer params are no part of a page; `show` has them.
const SHORT: i32 = 16 * 1024;

/// So many jobs in front of one are counted.
pub(super) const BEFORE: i64 = 10_000;

/// A job's row.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct JobRow {
    /// The row's key.
    pub id: i64,
    /// Where it stands.
    pub state: State,
    /// The `type` of its params, if they have one.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// How often it was started.
    pub attempt: i32,
    /// After how many attempts it is given up.
    pub max_attempts: i32,
    /// Lower runs first.
    pub priority: i32,
    /// The earliest time to run.
    pub schedule: DateTime<Utc>,
    /// When its hold ends, if it is held.
    pub expires: Option<DateTime<Utc>>,
    /// When it was enqueued.
    pub inserted_at: DateTime<Utc>,
    /// When it came to be in its state: since when it runs, or when it failed.
    pub updated_at: DateTime<Utc>,
    /// The fence.
    pub lease: i64,
    /// The number of the process that holds it.
    pub node: Option<i64>,
    /// That process's name, while it is known.
    pub process: Option<String>,
    /// What is announced on completion, retry and failure.
    pub notify: Option<String>,
    /// Its params as JSON; none in a page if they are long, or if they are no JSON.
    pub params: Option<Box<RawValue>>,
    /// How many bytes the params take in the table.
    pub params_bytes: i32,
    /// Its failed attempts, the last one only in a page.
    pub errors: Vec<Failure>,
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// When it ended.
    pub at: Option<DateTime<Utc>>,
    /// Which attempt it was.
    pub attempt: Option<i64>,
    /// What was said, and its causes.
    pub error: Vec<String>,
    /// For how long it ran.
    pub seconds: Option<f64>,
    /// The number of the process.
    pub node: Option<i64>,
    /// The process's name.
    pub process: Option<String>,
}

/// Some of the jobs that a filter means.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Page {
    /// In the order of the walk: what fails last comes first, what runs first comes first.
    pub jobs: Vec<JobRow>,
    /// Where the next page begins; none if there is no more.
    pub next: Option<Cursor>,
    /// How many jobs were looked through. A page that is not full has a next one if time was up, even where it has no
    /// jobs at all.
    pub searched: i64,
}

/// The ids of jobs that a filter means.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Found {
    /// As in a page.
    pub ids: Vec<i64>,
    /// Where to go on; none if these were the last.
    pub next: Option<Cursor>,
    /// How many jobs were looked through.
    pub searched: i64,
}

/// All that is known of a job.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Details {
    /// Its row, with all errors that are kept.
    #[serde(flatten)]
    pub row: JobRow,
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// Why it does not run right now, and when it will.
    pub why: String,
}

/// One statement's part of a walk.
struct Stretch {
    rows: Vec<Row>,
    next: Option<Cursor>,
    searched: i64,
}

impl Operator {
    /// A page of the jobs that the filter means, from a place on. It takes a second at most: where few jobs of many
    /// are meant, a page may have found less than it was asked for and name the place to go on from.
    ///
    /// # Errors
    /// The filter cannot be used here, or the database could not be asked.
    pub async fn list(&self, filter: &Filter, from: Option<&Cursor>, limit: usize) -> Result<Page, OperateError> {
        let stretch = self.walk(filter, from, &self.columns(false), limit, i64::MAX).await?;
        let jobs = stretch.rows.iter().map(|row| self.job(row)).collect::<Result<_, _>>()?;
        Ok(Page { jobs, next: stretch.next, searched: stretch.searched })
    }

    /// The ids of jobs that the filter means, from a place on: as many as are among the next 20,000, or among those that can
    /// be looked through in a second.
    ///
    /// # Errors
    /// As [`Operator::list`].
    pub async fn find(&self, filter: &Filter, from: Option<&Cursor>) -> Result<Found, OperateError> {
        let stretch = self.walk(filter, from, "job.id", usize::MAX, pace::MOST).await?;
        let ids = stretch.rows.iter().map(|row| row.get("at_id")).collect();
        Ok(Found { ids, next: stretch.next, searched: stretch.searched })
    }

    /// All that is known of a job; none if there is no such row: it is completed, deleted, or never was.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn show(&self, id: i64) -> Result<Option<Details>, OperateError> {
        let sql = self
            .fill(include_str!("../../sql/operate/show.sql"), |hole| (hole == "columns").then(|| self.columns(true)));
        let rows = self.ask(&format!("look at job {id}"), &sql, &[(&id, Type::INT8), (&BEFORE, Type::INT8)]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let job = self.job(row)?;
        let why = why(&job, row);
        Ok(Some(Details { row: job, now: row.get("now"), why }))
    }

    fn columns(&self, whole: bool) -> String {
        self.fill(include_str!("../../sql/operate/columns.sql"), |hole| match hole {
            "params_limit" => Some(if whole { i32::MAX } else { SHORT }.to_string()),
            "errors" if whole => Some("job.errors".to_owned()),
            "errors" => {
                Some("CASE WHEN job.errors -> -1 IS NOT NULL THEN jsonb_build_array(job.errors -> -1) END".into())
            }
            _ => None,
        })
    }

    /// Looks for jobs that the filter means, statement by statement: until it has so many, has looked through so many, or
    /// the time is over.
    async fn walk(
        &self,
        filter: &Filter,
        from: Option<&Cursor>,
        columns: &str,
        wanted: usize,
        most: i64,
    ) -> Result<Stretch, OperateError> {
        self.check(filter)?;
        let (begun, mut pace) = (Instant::now(), Pace::of(filter));
        let mut walked = Stretch { rows: Vec::new(), next: from.copied(), searched: 0 };
        while walked.rows.len() < wanted && walked.searched < most {
            let sent = Instant::now();
            let window = pace.window().min(most - walked.searched);
            let limit = wanted - walked.rows.len();
            let stretch = self.stretch(filter, walked.next.as_ref(), columns, window, limit).await?;
            walked.rows.extend(stretch.rows);
            walked.searched += stretch.searched;
            walked.next = stretch.next;
            if walked.next.is_none() || begun.elapsed() >= PATIENCE {
                break;
            }
            pace = pace.after(sent.elapsed());
        }
        Ok(walked)
    }

    /// Looks through so many jobs at most for those that the filter means.
    async fn stretch(
        &self,
        filter: &Filter,
        from: Option<&Cursor>,
        columns: &str,
        window: i64,
        limit: usize,
    ) -> Result<Stretch, OperateError> {
        let walks = Walk::of(filter);
        let walk = match from {
            Some(cursor) if walks.contains(&cursor.walk) => cursor.walk,
            Some(cursor) => {
                return Err(OperateError::Filter(format!("the place {cursor} belongs to another filter")));
            }
            None => walks[0],
        };
        let path = match self.store.kind {
            ParamsKind::Json => include_str!("../../sql/operate/path.sql"),
            ParamsKind::Binary => "false",
        };
        let matches = self.fill(include_str!("../../sql/operate/matches.sql"), |hole| {
            (hole == "path").then(|| path.trim().to_owned())
        });
        let sql = self.fill(include_str!("../../sql/operate/list.sql"), |hole| match hole {
            "columns" => Some(columns.to_owned()),
            "matches" => Some(matches.trim().to_owned()),
            "time" => Some(walk.time().to_owned()),
            "walk" => Some(walk.condition(filter.ids.is_some()).to_owned()),
            "order" => Some(walk.order().to_owned()),
            _ => None,
        });
        let last = from.and_then(|cursor| cursor.last);
        let limit = i64::try_from(limit).unwrap_or(window).clamp(1, window);
        let states: Option<Vec<_>> =
            (!filter.states.is_empty()).then(|| filter.states.iter().map(|state| state.as_str()).collect());
        let (older, younger) =
            (filter.older.map(|age| age.as_secs_f64()), filter.younger.map(|age| age.as_secs_f64().min(1e11)));
        let parameters: [(&(dyn ToSql + Sync), Type); 13] = [
            (&window, Type::INT8),
            (&limit, Type::INT8),
            (&last.map(|last| last.priority), Type::INT4),
            (&last.map(|last| last.time), Type::TIMESTAMPTZ),
            (&last.map(|last| last.id), Type::INT8),
            (&states, Type::TEXT_ARRAY),
            (&filter.kind, Type::TEXT),
            (&filter.error_pattern(), Type::TEXT),
            (&filter.params, Type::TEXT),
            (&older.map(|age| age.min(1e11)), Type::FLOAT8),
            (&younger, Type::FLOAT8),
            (&filter.ids, Type::INT8_ARRAY),
            (&filter.node, Type::INT8),
        ];
        let mut rows = self.ask("list jobs", &sql, &parameters).await.map_err(|error| unusable(filter, error))?;
        // They come in the walk's order already; this says so.
        rows.sort_by_key(|row| row.get::<_, i64>("nth"));
        Ok(stretch(rows, (window, limit), walk, &walks))
    }

    pub(super) fn job(&self, row: &Row) -> Result<JobRow, OperateError> {
        let raw: Option<RawParams> = row.get("params");
        let binary_kind = raw.as_ref().and_then(RawParams::binary_kind);
        let state: &str = row.get("state");
        let errors: Option<Value> =
            row.get::<_, Option<&str>>("errors").and_then(|text| serde_json::from_str(text).ok());
        Ok(JobRow {
            id: row.get("id"),
            state: state.parse().map_err(|error| OperateError::Filter(format!("{error}")))?,
            kind: row.get::<_, Option<String>>("kind").or(binary_kind),
            attempt: row.get("attempt"),
            max_attempts: row.get("max_attempts"),
            priority: row.get("priority"),
            schedule: row.get("schedule"),
            expires: row.get("expires"),
            inserted_at: row.get("inserted_at"),
            updated_at: row.get("updated_at"),
            lease: row.get("lease"),
            node: row.get("node"),
            process: row.get("process"),
            notify: row.get("notify"),
            params: raw.and_then(as_json),
            params_bytes: row.get("params_bytes"),
            errors: errors.as_ref().map(failures).unwrap_or_default(),
        })
    }
}

/// What was found, and where to go on.
fn stretch(mut rows: Vec<Row>, (window, limit): (i64, i64), walk: Walk, walks: &[Walk]) -> Stretch {
    let nth = |row: &Row| row.get::<_, i64>("nth");
    let place = |row: &Row| Place { priority: row.get("at_priority"), time: row.get("at_time"), id: row.get("at_id") };
    let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit;
    let last = rows.last().filter(|row| full || nth(row) == window);
    let here = last.map(|row| Cursor { walk, last: Some(place(row)) });
    let after = || {
        let position = walks.iter().position(|other| *other == walk).unwrap_or(walks.len());
        walks.get(position + 1).map(|walk| Cursor { walk: *walk, last: None })
    };
    let searched = rows.last().map_or(0, nth);
    let next = here.or_else(after);
    rows.retain(|row| row.get("matches"));
    Stretch { rows, next, searched }
}

/// An error in what was asked for is the asker's.
fn unusable(filter: &Filter, error: DatabaseError) -> OperateError {
    match (&filter.params, error.code()) {
        (Some(path), Some(code)) if *code == SqlState::SYNTAX_ERROR || code.code().starts_with("22") => {
            let said = match &error {
                DatabaseError::Statement { source, .. } => source.as_db_error().map(|said| said.message().to_owned()),
                _ => None,
            };
            let said = said.unwrap_or_default();
            OperateError::Filter(format!(
                "{path:?} is no JSON path ({said}): write for instance $.to, $.size > 10 or $.items[*] ? (@.sku == \"A\")"
            ))
        }
        _ => error.into(),
    }
}

/// As JSON, however they are kept; none if they cannot be told in it.
pub(super) fn as_json(params: RawParams) -> Option<Box<RawValue>> {
    match params {
        RawParams::Json(text) => RawValue::from_string(text).ok(),
        binary => binary.read::<Value>().ok().and_then(|value| serde_json::value::to_raw_value(&value).ok()),
    }
}

/// The column is the library's own, but anybody may write to it: what is missing is missing.
pub(super) fn failures(errors: &Value) -> Vec<Failure> {
    let texts = |error: &Value| match error {
        Value::Array(chain) => chain.iter().map(text).collect(),
        Value::Null => Vec::new(),
        other => vec![text(other)],
    };
    let failure = |kept: &Value| Failure {
        at: kept["at"].as_str().and_then(|at| at.parse().ok()),
        attempt: kept["attempt"].as_i64(),
        error: texts(&kept["error"]),
        seconds: kept["seconds"].as_f64(),
        node: kept["node"].as_i64(),
        process: kept["process"].as_str().map(str::to_owned),
    };
    errors.as_array().map(|kept| kept.iter().map(failure).collect()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Failure {
    /// The whole chain in one line.
    pub fn line(&self) -> String {
        self.error.join(": ")
    }
}
