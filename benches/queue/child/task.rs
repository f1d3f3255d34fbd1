//! What a child is to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A child's work, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) url: String,
    pub(crate) table: String,
    /// After so many its clock stops.
    pub(crate) wanted: u64,
    pub(crate) duty: Duty,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Duty {
    /// The library's worker, as a newcomer starts it; another `max_demand` where one is given.
    Work { max_demand: Option<usize>, handler: Handler },
    /// The same with claims that start what they bring.
    Started { max_demand: Option<usize>, handler: Handler },
    /// The library's workers on so many queues, named by the table and a number.
    Queues { queues: u32 },
    /// The library's enqueueing, one job a commit.
    Enqueue { callers: u32, door: Door },
    /// The library's enqueueing, so many jobs a call.
    EnqueueMany { size: u64 },
    /// The library's enqueueing at a steady rate, each job with its time.
    Load { rate: f64, warm_up: u64 },
    /// A job at a time from its enqueueing to its handler, both in one process.
    Latency { pause_ms: u64, start_on_claim: bool },
    /// Bare: claims a hundred jobs and deletes them, in one commit.
    BareClaims { connections: u32 },
    /// Bare: deletes a hundred jobs in one statement, a commit each.
    BareDrain { connections: u32 },
    /// Bare: reserves, starts and deletes so many jobs in three commits.
    BareSteps { connections: u32, jobs: u32, handler: BareHandler },
    /// Bare: claims, deletes and writes a row, one job a transaction, in one flight or each when the one before is answered.
    BareTx { connections: u32, one_flight: bool },
    /// Bare: deletes a hundred jobs and writes their rows in one transaction.
    BareBatch { connections: u32 },
    /// Bare: claims a hundred jobs, writes their rows and deletes the jobs in one transaction.
    BareClaimedBatch { connections: u32 },
    /// Bare: inserts one row a commit.
    BareEnqueue { callers: u32 },
    /// Bare: COPY of so many rows a time.
    BareCopy { size: u64, binary: bool },
    /// Bare: a row at a time from its insert, by a notification, to its claim, or to its start after that.
    BareLatency { pause_ms: u64, steps: bool },
}

/// By which of the library's ways a caller enqueues a job in a transaction of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Door {
    /// By a call on a connection of its own.
    Call,
    /// The same, prepared on that connection.
    Prepared,
    /// By a message to the actor that all callers share.
    Actor,
}

/// What the bare loops do with jobs that are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BareHandler {
    /// Nothing.
    Complete,
    /// Insert their rows by the statement that deletes them.
    Batch,
    /// Tell how old they are.
    Age,
}

/// What the jobs of a worker do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Handler {
    /// Nothing.
    Complete,
    /// Insert a row in the completion.
    Transaction,
    /// Insert a row by the statement that completes.
    Statement,
    /// Insert the rows of many jobs in one completion.
    Batch,
    /// The same by the statement that completes.
    BatchStatement,
    /// Sleep for longer than any run lasts; they count when they begin.
    Sleep,
    /// Tell how old they are when they begin.
    Age,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Work { max_demand, handler } | Duty::Started { max_demand, handler } => {
                write!(f, "max_demand {}", max_demand.unwrap_or(DEFAULT_DEMAND))?;
                if let Duty::Started { .. } = self {
                    f.write_str(", start_on_claim")?;
                }
                match handler {
                    Handler::Transaction => f.write_str(", begin and commit"),
                    Handler::Statement => f.write_str(", complete_with"),
                    Handler::Batch => f.write_str(", batches, begin and commit"),
                    Handler::BatchStatement => f.write_str(", batches, complete_with"),
                    Handler::Complete | Handler::Sleep | Handler::Age => Ok(()),
                }
            }
            Duty::Queues { queues } => write!(f, "{queues} queues"),
            Duty::Enqueue { callers, door: Door::Call } => write!(f, "{callers} callers of enqueue"),
            Duty::Enqueue { callers, door: Door::Prepared } => write!(f, "{callers} callers of enqueue, prepared"),
            Duty::Enqueue { callers, door: Door::Actor } => write!(f, "{callers} senders of Enqueue"),
            Duty::EnqueueMany { size } => write!(f, "enqueue_many of {size}"),
            Duty::Load { rate, .. } => write!(f, "{rate:.0} jobs a second"),
            Duty::Latency { start_on_claim: false, .. } => f.write_str("one job at a time"),
            Duty::Latency { start_on_claim: true, .. } => f.write_str("one job at a time, start_on_claim"),
            Duty::BareClaims { connections } => {
                write!(f, "bare, {connections} connections, 100 claimed and deleted a commit")
            }
            Duty::BareDrain { connections } => write!(f, "bare, {connections} connections, 100 deleted a statement"),
            Duty::BareSteps { connections, jobs, handler } => {
                write!(f, "bare, {connections} connections, {jobs} in three commits")?;
                match handler {
                    BareHandler::Batch => f.write_str(", and written"),
                    BareHandler::Complete | BareHandler::Age => Ok(()),
                }
            }
            Duty::BareTx { connections, one_flight: true } => {
                write!(f, "bare, {connections} connections, one a commit")
            }
            Duty::BareTx { connections, one_flight: false } => {
                write!(f, "bare, {connections} connections, one a commit, in three flights")
            }
            Duty::BareBatch { connections } => {
                write!(f, "bare, {connections} connections, 100 deleted and written a commit")
            }
            Duty::BareClaimedBatch { connections } => {
                write!(f, "bare, {connections} connections, 100 claimed, written and deleted a commit")
            }
            Duty::BareEnqueue { callers } => write!(f, "bare, {callers} connections"),
            Duty::BareCopy { size, binary: true } => write!(f, "bare, binary COPY of {size}"),
            Duty::BareCopy { size, binary: false } => write!(f, "bare, text COPY of {size}"),
            Duty::BareLatency { steps: false, .. } => f.write_str("bare, one row at a time"),
            Duty::BareLatency { steps: true, .. } => f.write_str("bare, one row at a time, claimed and started"),
        }
    }
}

/// What the library runs at a time unless it is told otherwise.
const DEFAULT_DEMAND: usize = 100;
