//! All that is said to the database about a queue; every statement stands in `sql/`.

mod claim;
mod completion;
mod inspect;
mod jobs;
mod journal;
mod settle;
mod statements;
mod sweep;
mod turn;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::sync::OnceCell;
use tokio_postgres::Row;

use crate::{
    database::Database,
    events::{Events, Happened},
    job::ParamsKind,
    metrics,
    name::QueueName,
};

#[cfg(test)]
pub(crate) use turn::{missed, started};
pub(crate) use {
    claim::{Claim, Onward, Place, Sight, Take, Unseen},
    completion::{CommitOutcome, Opened, Write},
    jobs::{Inserts, Planned},
    journal::{FINE, KEPT, QUARTER},
    settle::{Settlement, Verdict},
    statements::{Statements, fill, fill_more},
    sweep::{Since, Swept},
    turn::Started,
};

/// One queue's table. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) name: QueueName,
    pub(crate) kind: ParamsKind,
    pub(crate) sql: Arc<Statements>,
    /// The index that claims walk; none if it is not there any more.
    index: Arc<OnceCell<Option<String>>>,
    /// The last claim found that something is paused.
    paused: Arc<AtomicBool>,
    events: Events,
    /// The queue's name, as events and metrics bear it.
    pub(crate) label: Arc<str>,
    /// Completed jobs are kept.
    keeps: bool,
}

impl Store {
    pub(crate) fn new(database: Database, name: QueueName, kind: ParamsKind) -> Self {
        let sql = Arc::new(Statements::new(&name, kind, false));
        let label = name.to_string().into();
        Self {
            database,
            name,
            kind,
            sql,
            index: Arc::default(),
            paused: Arc::default(),
            events: Events::default(),
            label,
            keeps: false,
        }
    }

    /// The same, which keeps completed jobs.
    pub(crate) fn keeping(self) -> Self {
        let sql = Arc::new(Statements::new(&self.name, self.kind, true));
        Self { sql, keeps: true, ..self }
    }

    /// The same, whose jobs somebody wants to hear of.
    pub(crate) fn telling(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Tells and counts what happened to a job.
    pub(crate) fn tell(&self, id: i64, kind: Option<&str>, attempt: i32, happened: &Happened) {
        metrics::happened(&self.label, kind, happened);
        self.events.tell(&self.label, id, kind, attempt, happened);
    }

    /// What was attempted, for an error's text.
    pub(crate) fn attempted(&self, what: &str) -> String {
        format!("{what} of queue {}", self.name)
    }
}

/// One attempt at one job: what every statement that ends it must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) lease: i64,
}

impl Lease {
    /// As a row has it that names the job and the lease.
    fn of(row: &Row) -> Self {
        Self { id: row.get("id"), lease: row.get("lease") }
    }
}

/// As the statements take them.
pub(crate) fn unzip(jobs: impl Iterator<Item = Lease>) -> (Vec<i64>, Vec<i64>) {
    jobs.map(|job| (job.id, job.lease)).unzip()
}

/// As a row tells of many.
fn zip(ids: Vec<i64>, leases: Vec<i64>) -> impl Iterator<Item = Lease> {
    ids.into_iter().zip(leases).map(|(id, lease)| Lease { id, lease })
}

/// A time from the database, which may have passed already.
fn seconds(value: Option<f64>) -> Option<Duration> {
    value.map(|value| Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX))
}
