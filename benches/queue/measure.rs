//! One run of one child, and what it cost.

use std::time::SystemTime;

use crate::{
    bench::Bench,
    child::{Child, Duty, Task},
    failure::Failure,
    field::Field,
    rounds::Sample,
    usage,
};

pub(crate) const RATE: &str = "jobs/s";
pub(crate) const COMMITS: &str = "commits/job";
pub(crate) const WAL: &str = "WAL bytes/job";
pub(crate) const CLIENT_CPU: &str = "client CPU s/1,000 jobs";
pub(crate) const SERVER_CPU: &str = "server CPU s/1,000 jobs";
/// What a child has done in all, past what was wanted too.
pub(crate) const DONE: &str = "jobs done";
/// How long the first job was waited for.
pub(crate) const FIRST: &str = "s to the first job";
pub(crate) const MEMORY: &str = "peak RSS MB";

/// A task on one of a field's tables.
pub(crate) fn task(field: &Field<'_>, table: &str, wanted: u64, duty: Duty) -> Task {
    Task { url: field.url.clone(), table: table.to_owned(), wanted, duty }
}

/// Runs a child until it has done what is wanted. Nobody else may be connected to the field: what its numbers
/// move by is the child's.
pub(crate) async fn alone(bench: &Bench, field: &Field<'_>, task: &Task) -> Result<Sample, Failure> {
    let before = Numbers::read(field).await?;
    let mut child = Child::start(task).await?;
    child.go().await?;
    let report = child.until(task.wanted, &bench.progress).await?;
    let memory = usage::memory(child.pid);
    let last = child.end().await?;
    let after = Numbers::read(field).await?;
    // A worker goes on past what is wanted, where there is more; its cost is of all that it did.
    let (wanted, all) = (task.wanted as f64, last.done as f64);
    let mut sample = Sample::from([
        (RATE, wanted / report.seconds),
        (COMMITS, (after.commits - before.commits) / all),
        (WAL, (after.wal - before.wal) / all),
    ]);
    if let Some(cpu) = report.cpu {
        sample.insert(CLIENT_CPU, cpu * 1000.0 / wanted);
    }
    if let Some((before, after)) = before.cpu.zip(after.cpu) {
        sample.insert(SERVER_CPU, (after - before) * 1000.0 / all);
    }
    if let Some((_, peak)) = memory {
        sample.insert(MEMORY, peak);
    }
    Ok(sample)
}

/// Only the rate of a child, where others are connected too.
pub(crate) async fn rate(bench: &Bench, task: &Task) -> Result<Sample, Failure> {
    let mut child = Child::start(task).await?;
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    child.go().await?;
    let report = child.until(task.wanted, &bench.progress).await?;
    let last = child.end().await?;
    Ok(Sample::from([
        (RATE, task.wanted as f64 / report.seconds),
        (DONE, last.done as f64),
        (FIRST, report.from - begun.as_secs_f64()),
    ]))
}

struct Numbers {
    commits: f64,
    wal: f64,
    cpu: Option<f64>,
}

impl Numbers {
    async fn read(field: &Field<'_>) -> Result<Self, Failure> {
        field.quiet().await?;
        Ok(Self {
            commits: field.statistic("xact_commit").await?,
            wal: field.wal().await?,
            cpu: field.server.postmaster().and_then(usage::server_cpu),
        })
    }
}
