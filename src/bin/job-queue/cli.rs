use clap::{Args, Parser, Subcommand};
use log::LevelFilter;

use crate::{bulk, health, jobs, migrate, pause, stats, transfer};

/// Looks after job queues in PostgreSQL: what is stuck, since when and why, and how to run it again.
#[derive(Debug, Parser)]
#[command(name = "job-queue", version, max_term_width = 110, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Which queue, and how to answer.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Where the database is, without a password: give that in PGPASSWORD or DATABASE_URL. Without this option,
    /// DATABASE_URL, or PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE and PGSSLROOTCERT are used.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The queue's schema.
    #[arg(long, global = true, env = "JOB_QUEUE_SCHEMA", default_value = "public")]
    pub(crate) schema: String,
    /// The queue's table. May be left out where the schema has one queue only.
    #[arg(long, short, global = true, env = "JOB_QUEUE")]
    pub(crate) queue: Option<String>,
    /// Hides what stands under this key in params, at any depth and whatever its case, wherever params are shown; may be
    /// given several times, and adds to JOB_QUEUE_REDACT, keys with commas between. Errors are shown as they are, but
    /// for where and why params did not fit their handler. With serve, neither params nor errors can be searched then.
    /// export refuses, for what it writes must be whole to be imported.
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) redact: Vec<String>,
    /// Answers in JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Creates what a queue needs in the database, or brings it up to date.
    Migrate(migrate::Args),
    /// Lists the queues of the database.
    Queues,
    /// Tells how many jobs there are in each state and of each type, and since when they wait.
    Stats(stats::Args),
    /// Lists jobs.
    List(jobs::ListArgs),
    /// Lists completed jobs, where the queue keeps them for a while.
    Completed(jobs::CompletedArgs),
    /// Shows all that is known of one job: its params, its failed attempts, who holds it, and why it does not run.
    Show(jobs::ShowArgs),
    /// Enqueues a job.
    Enqueue(jobs::EnqueueArgs),
    /// Has failed jobs run again, with all their attempts.
    Retry(bulk::Args),
    /// Has jobs run now that wait for their time.
    RunNow(bulk::Args),
    /// Stops jobs, running ones too, and keeps them as failed.
    Cancel(bulk::CancelArgs),
    /// Deletes jobs in any state, running ones too.
    Delete(bulk::Args),
    /// Lists the processes that work on the queue, and what each of them runs, since when.
    Processes,
    /// Looks at all that the queue needs, and says what to do about what is not as it should be.
    Doctor,
    /// Tells by its exit code whether the queue is well: for probes and alarms.
    Health(health::HealthArgs),
    /// Has no process claim jobs of a queue or of a type.
    Pause(pause::PauseArgs),
    /// Has them claimed again.
    Resume(pause::ResumeArgs),
    /// Writes jobs as lines of JSON, without touching them.
    Export(transfer::ExportArgs),
    /// Puts jobs into the queue that export has written.
    Import(transfer::ImportArgs),
    /// Writes the completions of a shell: job-queue completions bash > /etc/bash_completion.d/job-queue
    Completions {
        /// Of which shell.
        shell: clap_complete::Shell,
    },
    /// Deletes failed jobs.
    Purge(bulk::Args),
    /// Serves the dashboard and the JSON API of the database's queues.
    #[cfg(feature = "web")]
    Serve(crate::serve::Args),
}

impl Verb {
    /// The log's lines that are written where nobody asks for others. What ends by itself says in its answer what it did.
    pub(crate) fn level(&self) -> LevelFilter {
        match self {
            #[cfg(feature = "web")]
            Verb::Serve(_) => LevelFilter::Info,
            _ => LevelFilter::Warn,
        }
    }
}

const AFTER: &str = "\
Examples, at three at night:
  job-queue stats                              what is there, and since when it waits
  job-queue list --state failed                what failed last, and what it said
  job-queue list --state failed --error smtp --type SendEmail
  job-queue list --params '$.to == \"ada@example.com\"'
  job-queue show 42                            all about one job, and why it does not run
  job-queue retry --error smtp                 run those again that failed for this reason

Log:
  Warnings go to standard error, and with serve what happens otherwise. RUST_LOG asks for more or for less:
  RUST_LOG=actix_job_queue::database=debug job-queue doctor. No params stand there, at any level.

Exit codes:
  0  done
  1  the database could not be reached, or refused
  2  the command cannot be used so
  3  there is no such job or queue
  4  nobody agreed: give --yes where there is no terminal to ask at
  5  some of the jobs were left, since their completions are under way
  6  something is not as it should be: migrations are pending, or a check found a fault";
