//! Handlers that take down more than themselves.

use std::time::Duration;

use actix_job_queue::{Completed, Context, Handlers, Job, JobError};

use super::Entry;

type Done = Result<Completed, JobError>;

/// The kinds of poison, as jobs name them.
pub(crate) const PANIC: &str = "panic";
pub(crate) const ABORT: &str = "abort";
pub(crate) const OVERFLOW: &str = "overflow";
pub(crate) const BLOCK: &str = "block";
pub(crate) const EAT: &str = "eat";

pub(super) fn add(handlers: Handlers) -> Handlers {
    handlers.on(PANIC, panics).on(ABORT, aborts).on(OVERFLOW, overflows).on(BLOCK, blocks).on(EAT, eats)
}

async fn panics(job: Job<Entry>, _: Context) -> Done {
    panic!("poison {}", job.params.n)
}

async fn aborts(_: Job<Entry>, _: Context) -> Done {
    std::process::abort()
}

async fn overflows(job: Job<Entry>, _: Context) -> Done {
    Err(format!("{} steps down and back", descend(job.params.n)).into())
}

/// Deeper than any stack: each step keeps a page of its own.
#[allow(unconditional_recursion, reason = "that is the poison")]
fn descend(n: i64) -> i64 {
    let page = std::hint::black_box([n; 512]);
    descend(n + 1) + page[511]
}

async fn blocks(_: Job<Entry>, _: Context) -> Done {
    loop {
        #[allow(clippy::disallowed_methods, reason = "that is the poison")]
        std::thread::sleep(Duration::from_secs(1));
    }
}

async fn eats(_: Job<Entry>, _: Context) -> Done {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        // Written to, so that it is there and not only promised.
        eaten.push(vec![1; 16 << 20]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
