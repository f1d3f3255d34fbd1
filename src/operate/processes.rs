//! Which processes work on a queue, and what each of them runs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use postgres_types::Type;
use serde::Serialize;

use super::{OperateError, Operator};
use crate::job::State;

/// More held jobs are not told.
const MOST: i64 = 10_000;

/// A process that has started workers for a queue of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Process {
    /// Its number, new at every start, and one for each queue.
    pub node: i64,
    /// Its host, its number there and its program; none if it has been taken off the list.
    pub name: Option<String>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When its silence counts as death. A process that holds no job is not heard from, and that does not matter.
    pub dead_at: Option<DateTime<Utc>>,
    /// Whether it was heard from in time.
    pub heard: bool,
    /// The jobs of the queue that it holds, the first to lapse first.
    pub jobs: Vec<HeldJob>,
}

/// A job in a process's hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeldJob {
    /// The row's key.
    pub id: i64,
    /// RESERVED or IN_PROGRESS.
    pub state: State,
    /// Its type; none in a binary queue.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Which attempt it is.
    pub attempt: i32,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When the hold ends.
    pub expires: DateTime<Utc>,
}

impl Operator {
    /// The processes that the queues of the schema know of, with the jobs of this queue that they hold; those that hold some
    /// first.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn processes(&self) -> Result<Vec<Process>, OperateError> {
        let sql = self.fill(include_str!("../../sql/operate/nodes.sql"), |_| None);
        let nodes = self.ask("look which processes there are", &sql, &[]).await?;
        let sql = self.fill(include_str!("../../sql/operate/held.sql"), |_| None);
        let held = self.ask("look what processes hold", &sql, &[(&MOST, Type::INT8)]).await?;
        let mut processes: BTreeMap<i64, Process> = BTreeMap::new();
        for row in &nodes {
            let node = row.get("node");
            let process = Process {
                node,
                name: row.get("name"),
                started_at: row.get("started_at"),
                dead_at: row.get("dead_at"),
                heard: row.get("heard"),
                jobs: Vec::new(),
            };
            processes.insert(node, process);
        }
        for row in &held {
            let node = row.get::<_, Option<i64>>("node").unwrap_or(0);
            let gone = || Process { node, name: None, started_at: None, dead_at: None, heard: false, jobs: Vec::new() };
            let Ok(state) = row.get::<_, &str>("state").parse() else { continue };
            processes.entry(node).or_insert_with(gone).jobs.push(HeldJob {
                id: row.get("id"),
                state,
                kind: row.get("kind"),
                attempt: row.get("attempt"),
                since: row.get("since"),
                expires: row.get("expires"),
            });
        }
        let mut processes: Vec<_> = processes.into_values().collect();
        processes.sort_by_key(|process| (std::cmp::Reverse(process.jobs.len()), process.node));
        Ok(processes)
    }
}
