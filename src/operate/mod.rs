//! For the operator: what stands in a queue and why, and how to run it again.
//!
//! The command line is built on this, and so may be whatever you build yourself. An [`Operator`] looks at one queue
//! through the connections that callers share; every question it asks is bounded, however many jobs there are, and
//! everything that it answers can be serialised.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use actix_job_queue::{Database, State, operate::{Action, Filter, Operator}};
//!
//! let database = Database::connect("postgres://localhost/app").await?;
//! let operator = Operator::open(&database, "public", "jobs").await?;
//! let failed = Filter { states: vec![State::Failed], error: Some("smtp".into()), ..Filter::default() };
//! let found = operator.find(&failed, None).await?;
//! let outcome = operator.act(&Action::Retry, &found.ids).await?;
//! println!("{} of {} jobs run again", outcome.done, found.ids.len());
//! # Ok(()) }
//! ```

mod actions;
mod activity;
mod doctor;
mod error;
mod filter;
#[cfg(feature = "metrics")]
mod gauges;
mod health;
mod history;
mod jobs;
mod overview;
mod pace;
mod pauses;
mod processes;
mod queues;
mod redact;
mod redact_keys;
mod span;
mod steps;
mod transfer;
mod walk;
mod why;

use postgres_types::{ToSql, Type};
use tokio_postgres::Row;

use crate::{
    database::{Database, Lane},
    error::DatabaseError,
    job::ParamsKind,
    name::QueueName,
    queue::Queue,
    store::{Store, fill_more},
};

pub use {
    actions::{Action, Outcome},
    activity::{Activity, Quantiles, Reason, TypeActivity},
    doctor::{Finding, Grade},
    error::OperateError,
    filter::{Cursor, Filter, NoCursor},
    health::{Health, Limits},
    history::{CompletedJob, CompletedPage},
    jobs::{Details, Failure, Found, JobRow, Page},
    overview::{Depth, Figure, Overview, TypeCount},
    pauses::Pause,
    processes::{HeldJob, Process, Processes, Unread, processes},
    queues::{KnownQueue, queues},
    redact::{Redact, Redaction},
    redact_keys::RedactKeys,
    span::{parse_span, seconds},
    steps::{Step, Throughput},
    transfer::PortableJob,
    why::span,
};

/// Looks at one queue, and acts on its jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Operator {
    store: Store,
}

impl Operator {
    /// Looks at a queue that this program has declared.
    pub fn of(queue: &Queue) -> Self {
        Self { store: queue.store.clone() }
    }

    /// Looks at a queue of another program, declared as its table is.
    ///
    /// # Errors
    /// There is no such queue, or the database could not be asked.
    pub async fn open(database: &Database, schema: &str, table: &str) -> Result<Self, OperateError> {
        let name = QueueName::new(schema, table)?;
        let found = queues::in_schema(database, schema).await?;
        let Some(known) = found.iter().find(|known| known.table == table) else {
            let others: Vec<_> = found.into_iter().map(|known| known.table).collect();
            return Err(OperateError::NoQueue { queue: name.to_string(), schema: schema.to_owned(), others });
        };
        Self::of_known(database, known)
    }

    /// Looks at a queue that [`queues`] has found.
    ///
    /// # Errors
    /// The name cannot be a queue's.
    pub fn of_known(database: &Database, known: &KnownQueue) -> Result<Self, OperateError> {
        let name = QueueName::new(&known.schema, &known.table)?;
        let kind = if known.binary { ParamsKind::Binary } else { ParamsKind::Json };
        Ok(Self { store: Store::new(database.clone(), name, kind) })
    }

    /// The queue's schema and table.
    pub fn name(&self) -> &QueueName {
        &self.store.name
    }

    /// Whether params are kept as MessagePack, so that neither types nor paths can be looked for.
    pub fn is_binary(&self) -> bool {
        self.store.kind == ParamsKind::Binary
    }

    /// Asks one of the statements in `sql/operate`, over a connection that callers share.
    async fn ask(
        &self,
        what: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.store.database.query(Lane::Work, &self.store.attempted(what), sql, parameters).await
    }

    fn fill(&self, template: &str, more: impl Fn(&str) -> Option<String>) -> String {
        fill_more(template, &self.store.name, self.store.kind, more)
    }
}
