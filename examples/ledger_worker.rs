//! A worker process for the tests of faults: it can be killed, stopped and woken like any other.
//!
//! `ledger_worker <database url>` works on the queue `jobs`, set up by `LEDGER_MAX_DEMAND`,
//! `LEDGER_DEAD_AFTER` and the like. Params are `{"n": 1, "work_ms": 10}`; the effect of a job is its row in
//! the table `ledger`, whose key is `n`. It ends in order when its standard input ends.

use std::{
    error::Error,
    io::{Read, Write},
    time::Duration,
};

use actix_job_queue::{Completed, Context, Database, Handlers, Job, JobError, Queue, tokio_postgres::types::Type};

#[derive(serde::Deserialize)]
struct Entry {
    n: i64,
    #[serde(default)]
    work_ms: u64,
}

/// Works in a task of its own, which goes on when the job is taken away: the most stubborn of handlers, it
/// tries to complete what it has long lost.
async fn stubborn(job: Job<Entry>, context: Context) -> Result<Completed, JobError> {
    actix::spawn(work(job, context)).await?
}

async fn work(job: Job<Entry>, mut context: Context) -> Result<Completed, JobError> {
    let (id, attempt, n) = (job.id, job.attempt, job.params.n);
    say(&format!("running {n} attempt {attempt}"));
    tokio::time::sleep(Duration::from_millis(job.params.work_ms)).await;
    match record(id, n, &mut context).await {
        Ok(completed) => Ok(completed),
        Err(error) => {
            say(&format!("refused {n} attempt {attempt}: {error}"));
            Err(error)
        }
    }
}

async fn record(id: i64, n: i64, context: &mut Context) -> Result<Completed, JobError> {
    let pid = i32::try_from(std::process::id())?;
    let completion = context.begin().await?;
    completion
        .execute_typed(
            "INSERT INTO ledger (job_id, n, pid) VALUES ($1, $2, $3)",
            &[(&id, Type::INT8), (&n, Type::INT8), (&pid, Type::INT4)],
        )
        .await?;
    Ok(completion.commit().await?)
}

/// Tells the test what happens; nobody may listen any more.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let url = std::env::args().nth(1).ok_or("give the database's url")?;
    let database = Database::connect(&url).await?;
    let jobs = Queue::builder(&database, "jobs").from_env("LEDGER").build()?;
    let running = jobs.start(Handlers::new().any(stubborn)).await?;
    say("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    let report = running.shutdown().await;
    say(&format!("shut down: {report}"));
    Ok(())
}
