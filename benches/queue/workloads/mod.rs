//! What is measured, a file each.

mod batch;
mod bulk;
mod drain;
mod enqueue;
mod flat;
mod held;
mod idle;
mod latency;
mod memory;
mod processes;
mod tx;
mod wal;

use futures_util::future::LocalBoxFuture;

use crate::{bench::Bench, failure::Failure, field::Field, figure::Figure};

type Outcome = Result<Vec<Figure>, Failure>;

/// A workload: its name on the command line, what it measures, and how.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: for<'a> fn(&'a Bench, &'a Field<'a>) -> LocalBoxFuture<'a, Outcome>,
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "drain",
        about: "jobs that do nothing, performed until the queue is empty",
        run: |bench, field| Box::pin(drain::run(bench, field)),
    },
    Workload {
        name: "tx",
        about: "jobs that each write a row in a completion of their own",
        run: |bench, field| Box::pin(tx::run(bench, field)),
    },
    Workload {
        name: "batch",
        about: "jobs that write their rows together, up to a hundred in one completion",
        run: |bench, field| Box::pin(batch::run(bench, field)),
    },
    Workload {
        name: "enqueue",
        about: "one job a commit, beside a busy worker; an idle worker for information",
        run: |bench, field| Box::pin(enqueue::run(bench, field)),
    },
    Workload {
        name: "enqueue-flush",
        about: "the same by 20 callers with commit_delay=1000 and commit_siblings=0",
        run: |bench, field| Box::pin(enqueue::run_with_delay(bench, field)),
    },
    Workload {
        name: "bulk",
        about: "many jobs a call, beside COPY into the same table",
        run: |bench, field| Box::pin(bulk::run(bench, field)),
    },
    Workload {
        name: "latency",
        about: "from before the insert to the handler's first line, idle queue",
        run: |bench, field| Box::pin(latency::run(bench, field)),
    },
    Workload {
        name: "latency-load",
        about: "the same at half of the drain rate",
        run: |bench, field| Box::pin(latency::run_under_load(bench, field)),
    },
    Workload {
        name: "latency-minutes",
        about: "the same for two minutes, with all that comes by in that time",
        run: |bench, field| Box::pin(latency::run_for_minutes(bench, field)),
    },
    Workload {
        name: "wal",
        about: "WAL a job, and the table's size after many jobs went through, beside the same three steps bare",
        run: |bench, field| Box::pin(wal::run(bench, field)),
    },
    Workload {
        name: "memory",
        about: "a worker process with nothing to do, with many jobs waiting, and with 1,000 jobs running",
        run: |bench, field| Box::pin(memory::run(bench, field)),
    },
    Workload {
        name: "flat",
        about: "the drain rate with more and more jobs waiting, beside that with few",
        run: |bench, field| Box::pin(flat::run(bench, field)),
    },
    Workload {
        name: "flat-failed",
        about: "the drain rate beside many failed jobs",
        run: |bench, field| Box::pin(flat::run_beside(bench, field, flat::FAILED)),
    },
    Workload {
        name: "flat-scheduled",
        about: "the drain rate beside many jobs of next year",
        run: |bench, field| Box::pin(flat::run_beside(bench, field, flat::SCHEDULED)),
    },
    Workload {
        name: "flat-dead",
        about: "the drain rate behind many deleted rows that no vacuum has taken away",
        run: |bench, field| Box::pin(flat::run_beside(bench, field, flat::DEAD)),
    },
    Workload {
        name: "flat-horizon",
        about: "the last tenth of many jobs beside the first, while one transaction stays open, and without",
        run: |bench, field| Box::pin(held::run_horizon(bench, field)),
    },
    Workload {
        name: "flat-readers",
        about: "the drain rate with four readers that hold snapshots, beside that without",
        run: |bench, field| Box::pin(held::run_readers(bench, field)),
    },
    Workload {
        name: "processes",
        about: "1 to 8 worker processes on one queue, beside one",
        run: |bench, field| Box::pin(processes::run(bench, field)),
    },
    Workload {
        name: "many-queues",
        about: "many idle queues in one process, beside three",
        run: |bench, field| Box::pin(idle::run_many(bench, field)),
    },
    Workload {
        name: "idle",
        about: "a process with one idle queue",
        run: |bench, field| Box::pin(idle::run_one(bench, field)),
    },
];
