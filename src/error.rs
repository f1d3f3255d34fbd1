//! What can go wrong, one enum a boundary.

use std::{fmt, sync::Arc, time::Duration};

use crate::{job::ParamsError, name::NameError};

/// An operation on the database that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// No connection could be had in time. The source, where there is one, is the last failure to connect.
    #[error("no database connection for {attempted} within {waited:?}{}",
        if source.is_none() { ": all of the pool's are in use, raise pool_size or hold them for less long" } else { "" })]
    Pool {
        /// What the connection was wanted for.
        attempted: String,
        /// How long it was waited for.
        waited: Duration,
        /// Why connecting failed last.
        #[source]
        source: Option<Arc<tokio_postgres::Error>>,
    },
    /// The server refused the statement, or the connection broke.
    #[error("the database could not {attempted}")]
    Statement {
        /// What was attempted, on which queue and job.
        attempted: String,
        /// What the server or the connection said.
        #[source]
        source: Arc<tokio_postgres::Error>,
    },
    /// The statement did not answer in time; its connection was given up.
    #[error("the database did not {attempted} within {waited:?}")]
    Silent {
        /// What was attempted.
        attempted: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl DatabaseError {
    pub(crate) fn statement(attempted: impl Into<String>, source: tokio_postgres::Error) -> Self {
        DatabaseError::Statement { attempted: attempted.into(), source: Arc::new(source) }
    }

    /// The server's code, where the server answered.
    pub fn code(&self) -> Option<&tokio_postgres::error::SqlState> {
        match self {
            DatabaseError::Statement { source, .. } => source.code(),
            _ => None,
        }
    }

    /// Whether the same statement may well succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            DatabaseError::Pool { .. } | DatabaseError::Silent { .. } => true,
            DatabaseError::Statement { source, .. } => match source.code() {
                // Connection, resources, operator intervention and transaction conflicts by their class
                // (https://www.postgresql.org/docs/current/errcodes-appendix.html), and a standby that
                // cannot write until it is promoted.
                Some(code) => {
                    ["08", "53", "57", "58", "40", "55"].contains(&&code.code()[..2]) || code.code() == "25006"
                }
                None => true,
            },
        }
    }

    /// Whether it is unknown if the statement took effect.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            DatabaseError::Pool { .. } => false,
            DatabaseError::Silent { .. } => true,
            DatabaseError::Statement { source, .. } => source.code().is_none() || source.is_closed(),
        }
    }
}

/// Why a job could not be enqueued or requeued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// The database refused the row or could not be reached.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The params could not be written.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// JSON params for a binary queue, or the other way round.
    #[error("queue {queue} keeps {expected} params: make the job with NewJob::{constructor}")]
    Kind {
        /// The queue.
        queue: String,
        /// What it keeps.
        expected: &'static str,
        /// The constructor that makes such params.
        constructor: &'static str,
    },
    /// A trigger of the application's own kept rows out of the table.
    #[error("only {inserted} of {given} jobs were inserted into queue {queue}: a trigger on it keeps rows out")]
    KeptOut {
        /// The queue.
        queue: String,
        /// How many jobs were given.
        given: usize,
        /// How many rows there are.
        inserted: usize,
    },
    /// The library's threads have ended; nothing was enqueued.
    #[error("queue {queue} takes no jobs any more: its database handle has been dropped")]
    Ended {
        /// The queue.
        queue: String,
    },
}

/// Why the schema could not be migrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A statement failed; the whole migration was rolled back.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A newer version of this library has been here.
    #[error(
        "{target} is at migration {found} and this version of the library knows {known}: upgrade the application first, or migrate down with the newer version"
    )]
    Newer {
        /// The queue, or the schema's shared objects.
        target: String,
        /// The version found.
        found: i32,
        /// The newest version known.
        known: i32,
    },
    /// There is no such migration.
    #[error("there is no migration {asked}: this version of the library knows 0 to {known}")]
    Unknown {
        /// The version asked for.
        asked: i32,
        /// The newest version known.
        known: i32,
    },
    /// The table exists and was not made by a migration.
    #[error("{0} exists and is no queue: name another table, or move that one away")]
    Foreign(String),
}

/// Everything that is wrong with a configuration, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(crate) problems: Vec<String>,
}

impl ConfigError {
    /// Each problem, with what to do about it.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the job queue cannot start:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for ConfigError {}

impl From<NameError> for ConfigError {
    fn from(error: NameError) -> Self {
        Self { problems: vec![error.to_string()] }
    }
}

/// Why a queue did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Something must be changed first.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database could not be asked.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The system gave no thread for an arbiter.
    #[error("could not start an arbiter's thread")]
    Arbiter(#[source] std::io::Error),
}

/// Why a completion did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompletionError {
    /// The job is no longer this handler's: its hold lapsed, or it was taken, requeued, cancelled or deleted.
    #[error(
        "job {id} of queue {queue} is no longer held by this attempt (lease {lease}): nothing of its completion was kept"
    )]
    Lost {
        /// The queue.
        queue: String,
        /// The job.
        id: i64,
        /// The lease that was held.
        lease: i64,
    },
    /// This process could not tell the database for `dead_after` that it lives, so the job may be another's by now.
    #[error(
        "job {id} of queue {queue} was not completed, since this process could not tell the database for {dead_after:?} that it lives, and others may perform the job by now: nothing of its completion was kept"
    )]
    Unheard {
        /// The queue.
        queue: String,
        /// The job.
        id: i64,
        /// How long the process was not heard of.
        dead_after: std::time::Duration,
    },
    /// An earlier statement of the completion failed and its error was dropped; the server rolled back.
    #[error(
        "the completion of job {id} of queue {queue} was rolled back: one of its statements had failed. Return that error, or wrap the statement in a savepoint"
    )]
    Aborted {
        /// The queue.
        queue: String,
        /// The job.
        id: i64,
    },
    /// The handler ended the transaction itself, by SQL, and it did not commit.
    #[error(
        "the completion of job {id} of queue {queue} was ended by a ROLLBACK of the handler's own: leave the end to commit()"
    )]
    Ended {
        /// The queue.
        queue: String,
        /// The job.
        id: i64,
    },
    /// The statement given to [`complete_with`](crate::Context::complete_with) cannot be used so.
    #[error("job {id} of queue {queue} cannot be completed with this statement: {problem}")]
    Statement {
        /// The queue.
        queue: String,
        /// The job.
        id: i64,
        /// What is wrong with it, and what to do instead.
        problem: String,
    },
    /// No job of the batch was left in it when it was to be completed.
    #[error("every job of this batch of queue {queue} has failed or is completed: there is nothing left to complete")]
    NothingLeft {
        /// The queue.
        queue: String,
    },
    /// The database could not be reached, or refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
