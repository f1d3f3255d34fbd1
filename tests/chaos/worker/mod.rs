//! This program once more, as a worker process.

mod handlers;
pub(crate) mod poison;

use std::{
    io::{Read, Write, stdin, stdout},
    time::Duration,
};

use actix_job_queue::{DatabaseOptions, Listen, Queue};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

pub(crate) use handlers::{Entry, HOG, IDLE};

/// The argument that makes a worker of this program; its task is the next.
pub(crate) const ROLE: &str = "worker-of-the-chaos";

/// What a worker says once it works, with the time by its clock, and with its report when it has ended in order.
pub(crate) const READY: &str = "ready at ";
pub(crate) const ENDED: &str = "ended: ";
/// What it says when a stubborn handler begins, and when its completion was refused.
pub(crate) const STUBBORN: &str = "stubborn ";
pub(crate) const REFUSED: &str = "refused ";

/// The queue that everything here works on.
pub(crate) const TABLE: &str = "jobs";

/// What a worker is to do. A worker of another release reads it too, so every field has a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Task {
    pub(crate) url: String,
    /// Where to listen, unless at the same address.
    pub(crate) listen: Option<String>,
    pub(crate) max_demand: usize,
    pub(crate) pool_size: u32,
    pub(crate) dead_after_ms: u64,
    pub(crate) execution_timeout_ms: u64,
    pub(crate) shutdown_timeout_ms: u64,
    pub(crate) retry_timeout_ms: u64,
    pub(crate) poll_interval_ms: u64,
    pub(crate) reservation_timeout_ms: u64,
}

impl Default for Task {
    fn default() -> Self {
        Self {
            url: String::new(),
            listen: None,
            max_demand: 60,
            pool_size: 8,
            dead_after_ms: 2_000,
            execution_timeout_ms: 300_000,
            shutdown_timeout_ms: 30_000,
            retry_timeout_ms: 500,
            poll_interval_ms: 60_000,
            reservation_timeout_ms: 60_000,
        }
    }
}

impl Task {
    /// The most connections that a process with these settings may have: those for completions, three to claim
    /// and start with, one for heartbeats and one that listens.
    pub(crate) fn most_connections(&self) -> u32 {
        self.pool_size + 5
    }
}

/// Runs this process as a worker.
pub(crate) fn serve() -> Result<(), Failure> {
    env_logger::Builder::new().parse_filters("info,actix_job_queue=debug").format_timestamp_millis().init();
    let task = std::env::args().nth(2).ok_or("a worker is given its task as an argument")?;
    let task: Task = serde_json::from_str(&task).map_err(Failure::because("read a worker's task"))?;
    std::thread::spawn(|| {
        // Its end means that the parent is gone, and then nothing here is of use any more.
        let _ = stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    actix_rt::System::new().block_on(work(&task))
}

async fn work(task: &Task) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate()).map_err(Failure::because("listen for the signal to end"))?;
    let mut options = DatabaseOptions::new().pool_size(task.pool_size);
    if let Some(url) = &task.listen {
        options = options.listen(Listen::At(url.clone()));
    }
    let database = options.connect(&task.url).await.map_err(Failure::because("connect the worker"))?;
    let queue = Queue::builder(&database, TABLE)
        .max_demand(task.max_demand)
        .arbiters(2)
        .dead_after(Duration::from_millis(task.dead_after_ms))
        .execution_timeout(Duration::from_millis(task.execution_timeout_ms))
        .shutdown_timeout(Duration::from_millis(task.shutdown_timeout_ms))
        .retry_timeout(Duration::from_millis(task.retry_timeout_ms))
        .poll_interval(Duration::from_millis(task.poll_interval_ms))
        .reservation_timeout(Duration::from_millis(task.reservation_timeout_ms))
        .log_level(log::Level::Trace)
        .build()
        .map_err(Failure::because("build the queue"))?;
    let running = queue.start(handlers::all()).await.map_err(Failure::because("start the worker"))?;
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    say(&format!("{READY}{}", clock.as_secs()));
    // It ends with the process, which has other ends.
    terminated.recv().await;
    let report = running.shutdown().await;
    say(&format!("{ENDED}{report}"));
    Ok(())
}

/// Tells the parent what happens.
pub(crate) fn say(line: &str) {
    let mut out = stdout().lock();
    // A parent that is gone hears nothing, and takes this process with it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
