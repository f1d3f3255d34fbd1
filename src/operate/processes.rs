//! Which processes work on a queue, or on any, and what each of them runs.

use std::{cmp::Reverse, collections::BTreeMap};

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use postgres_types::Type;
use serde::{Serialize, Serializer};
use tokio_postgres::Row;

use super::{OperateError, Operator, queues};
use crate::{database::Database, job::State, name::QueueName, run::whereabouts::Whereabouts, text};

/// More held jobs of a queue are not told.
const MOST: i64 = 10_000;

/// Nor more of each, where all queues are looked at.
const MOST_OF_EACH: i64 = 1_000;

/// A process that has started workers for a queue of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Process {
    /// The schema that knows it.
    pub schema: String,
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// Its number, new at every start, and one for each queue.
    pub node: i64,
    /// Its host, its number there and its program; none if it has been taken off the list.
    pub name: Option<String>,
    /// The host that its name tells.
    pub host: Option<String>,
    /// The number that it has there.
    pub pid: Option<u32>,
    /// The program that it runs.
    pub program: Option<String>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When its silence counts as death. A process that holds no job is not heard from, and that does not matter.
    pub dead_at: Option<DateTime<Utc>>,
    /// Whether it was heard from in time.
    pub heard: bool,
    /// Whether it counts as dead: it holds jobs and was not heard from in time, so that any other takes them back.
    pub dead: bool,
    /// The jobs that it holds, the first to lapse first.
    pub jobs: Vec<HeldJob>,
    /// Whether it may hold others: of a queue with very many held jobs, not all are told.
    pub more: bool,
}

/// A job in a process's hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeldJob {
    /// The queue that it is in.
    #[serde(serialize_with = "as_text")]
    pub queue: QueueName,
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

/// The processes of all queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Processes {
    /// Those that hold most come first.
    pub processes: Vec<Process>,
    /// The queues that could not be looked into.
    pub unread: Vec<Unread>,
}

/// A queue that could not be looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unread {
    /// Which.
    pub queue: String,
    /// Why not.
    pub why: String,
}

impl Operator {
    /// The processes that the queues of the schema know of, with the jobs of this queue that they hold; those that hold some
    /// first.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn processes(&self) -> Result<Vec<Process>, OperateError> {
        let (nodes, held) = futures_util::try_join!(self.nodes(), self.held(MOST))?;
        let mut known = Known::of(self.name().schema(), &nodes);
        known.hold(self.name(), &held, MOST);
        Ok(known.told())
    }

    async fn nodes(&self) -> Result<Vec<Row>, OperateError> {
        let sql = self.fill(include_str!("../../sql/operate/nodes.sql"), |_| None);
        Ok(self.ask("look which processes there are", &sql, &[]).await?)
    }

    async fn held(&self, most: i64) -> Result<Vec<Row>, OperateError> {
        let sql = self.fill(include_str!("../../sql/operate/held.sql"), |_| None);
        Ok(self.ask("look what processes hold", &sql, &[(&most, Type::INT8)]).await?)
    }
}

/// The processes that the queues of a database know of, with the jobs that they hold, up to 1,000 of each queue.
///
/// # Errors
/// The database could not be asked.
pub async fn processes(database: &Database) -> Result<Processes, OperateError> {
    let mut schemas: BTreeMap<String, Vec<Operator>> = BTreeMap::new();
    for known in queues(database).await? {
        let operator = Operator::of_known(database, &known)?;
        schemas.entry(known.schema).or_default().push(operator);
    }
    let (mut processes, mut unread) = (Vec::new(), Vec::new());
    for schema in join_all(schemas.iter().map(|(schema, queues)| of_schema(schema, queues))).await {
        processes.extend(schema.processes);
        unread.extend(schema.unread);
    }
    processes.sort_by_key(|process| Reverse(process.jobs.len()));
    Ok(Processes { processes, unread })
}

/// What the queues of one schema know.
async fn of_schema(schema: &str, queues: &[Operator]) -> Processes {
    let Some(first) = queues.first() else { return Processes { processes: Vec::new(), unread: Vec::new() } };
    let why_not =
        |queue: &Operator, error: &OperateError| Unread { queue: queue.name().to_string(), why: text::line(error) };
    let mut known = match first.nodes().await {
        Ok(nodes) => Known::of(schema, &nodes),
        // Whoever may not know the processes cannot tell who holds what.
        Err(error) => {
            let unread = queues.iter().map(|queue| why_not(queue, &error)).collect();
            return Processes { processes: Vec::new(), unread };
        }
    };
    let mut unread = Vec::new();
    for (queue, held) in join_all(queues.iter().map(async |queue| (queue, queue.held(MOST_OF_EACH).await))).await {
        match held {
            Ok(held) => known.hold(queue.name(), &held, MOST_OF_EACH),
            Err(error) => unread.push(why_not(queue, &error)),
        }
    }
    Processes { processes: known.told(), unread }
}

/// The processes of a schema by their numbers.
struct Known {
    schema: String,
    processes: BTreeMap<i64, Process>,
    more: bool,
}

impl Known {
    fn of(schema: &str, nodes: &[Row]) -> Self {
        let mut known = Self { schema: schema.to_owned(), processes: BTreeMap::new(), more: false };
        for row in nodes {
            let name: &str = row.get("name");
            let Whereabouts { host, pid, program } = Whereabouts::of(name);
            let process = Process {
                name: Some(name.to_owned()),
                host,
                pid,
                program,
                started_at: row.get("started_at"),
                dead_at: row.get("dead_at"),
                heard: row.get("heard"),
                ..known.unknown(row.get("node"), row.get("now"))
            };
            known.processes.insert(process.node, process);
        }
        known
    }

    /// One that is not on the list.
    fn unknown(&self, node: i64, now: DateTime<Utc>) -> Process {
        Process {
            schema: self.schema.clone(),
            now,
            node,
            name: None,
            host: None,
            pid: None,
            program: None,
            started_at: None,
            dead_at: None,
            heard: false,
            dead: false,
            jobs: Vec::new(),
            more: false,
        }
    }

    /// Gives each of them what it holds of a queue, of which so many jobs were looked at.
    fn hold(&mut self, queue: &QueueName, held: &[Row], most: i64) {
        self.more |= i64::try_from(held.len()).is_ok_and(|held| held >= most);
        for row in held {
            let node = row.get::<_, Option<i64>>("node").unwrap_or(0);
            let Ok(state) = row.get::<_, &str>("state").parse() else { continue };
            let unknown = self.unknown(node, row.get("now"));
            self.processes.entry(node).or_insert(unknown).jobs.push(HeldJob {
                queue: queue.clone(),
                id: row.get("id"),
                state,
                kind: row.get("kind"),
                attempt: row.get("attempt"),
                since: row.get("since"),
                expires: row.get("expires"),
            });
        }
    }

    /// Those that hold most first.
    fn told(self) -> Vec<Process> {
        let more = self.more;
        let judged = |process: Process| Process { dead: !process.heard && !process.jobs.is_empty(), more, ..process };
        let mut processes: Vec<_> = self.processes.into_values().map(judged).collect();
        processes.sort_by_key(|process| (Reverse(process.jobs.len()), process.node));
        processes
    }
}

fn as_text<S: Serializer>(queue: &QueueName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(queue)
}
