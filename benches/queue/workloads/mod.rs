//! What is measured, a file each.

mod batch;
mod bulk;
mod drain;
mod enqueue;
mod latency;
mod tx;

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
];
