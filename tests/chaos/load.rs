//! The steady load, and the book of what was enqueued.

use std::time::{Duration, Instant};

use actix_job_queue::{NewJob, Queue};
use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::{Client, Transaction, types::Type};

use crate::{failure::Failure, server::connect, worker::Entry};

/// So often a transaction enqueues what is due.
const TICK: Duration = Duration::from_millis(20);

/// What takes longer has met a fault, and is tried no further.
const PATIENCE: Duration = Duration::from_secs(3);

/// From here on, numbers are those of the scenarios' own jobs.
const OWN: i64 = 1_000_000_000;

/// A job as the book has it.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) n: i64,
    pub(crate) kind: &'static str,
    pub(crate) work_ms: u64,
    pub(crate) max_attempts: i32,
    pub(crate) fate: Fate,
}

/// What is to become of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Failed,
}

impl Planned {
    /// The load's job of this number: the ways to complete in turn, short work, and now and then long work
    /// that does not let itself be cancelled.
    fn of_load(n: i64) -> Self {
        let (kind, work_ms) = match (n % 30, n % 3) {
            (7, _) => ("stubborn", 2_500),
            (_, 0) => ("with", n.unsigned_abs() % 20),
            (_, 1) => ("begin", n.unsigned_abs() % 20),
            _ => ("batch", 0),
        };
        Self { n, kind, work_ms, max_attempts: 20, fate: Fate::Done }
    }

    /// A job of the scenario's own.
    pub(crate) fn own(number: i64, kind: &'static str) -> Self {
        Self { n: OWN + number, kind, work_ms: 0, max_attempts: 20, fate: Fate::Done }
    }

    /// One that nothing can make complete.
    pub(crate) fn poison(number: i64, kind: &'static str, max_attempts: i32) -> Self {
        Self { max_attempts, fate: Fate::Failed, ..Self::own(number, kind) }
    }

    fn job(&self) -> Result<NewJob, Failure> {
        let entry = Entry { n: self.n, work_ms: self.work_ms };
        let job = NewJob::of_type(self.kind, &entry).map_err(Failure::because("write down a job"))?;
        Ok(job.max_attempts(self.max_attempts))
    }
}

/// Enqueues jobs and writes them in the book, in one transaction of the caller's.
pub(crate) async fn enqueue(transaction: &Transaction<'_>, queue: &Queue, jobs: &[Planned]) -> Result<(), Failure> {
    for fate in [Fate::Done, Fate::Failed] {
        let numbers: Vec<_> = jobs.iter().filter(|job| job.fate == fate).map(|job| job.n).collect();
        let fate = match fate {
            Fate::Done => "done",
            Fate::Failed => "failed",
        };
        let book = "INSERT INTO enqueued (n, fate) SELECT unnest($1::bigint[]), $2";
        transaction.execute_typed(book, &[(&numbers, Type::INT8_ARRAY), (&fate, Type::TEXT)]).await?;
    }
    let jobs = jobs.iter().map(Planned::job).collect::<Result<Vec<_>, _>>()?;
    queue.enqueue_many(transaction, &jobs).await.map_err(Failure::because("enqueue jobs"))?;
    Ok(())
}

pub(crate) struct Load {
    rate: watch::Sender<f64>,
    task: JoinHandle<Vec<i64>>,
}

impl Load {
    /// So many jobs a second from now on, whatever becomes of the server meanwhile.
    pub(crate) fn start(url: String, queue: Queue, rate: f64) -> Self {
        let (sender, rates) = watch::channel(rate);
        Self { rate: sender, task: tokio::spawn(offer(url, queue, rates)) }
    }

    pub(crate) fn set(&self, rate: f64) {
        self.rate.send_replace(rate);
    }

    /// Ends after the transaction that is under way; returns the numbers of all jobs whose commit was answered.
    pub(crate) async fn stop(self) -> Result<Vec<i64>, Failure> {
        drop(self.rate);
        self.task.await.map_err(Failure::because("stop the load"))
    }
}

async fn offer(url: String, queue: Queue, rates: watch::Receiver<f64>) -> Vec<i64> {
    let mut answered = Vec::new();
    let (mut client, mut next, mut due, mut last) = (None, 1, 0.0, Instant::now());
    while rates.has_changed().is_ok() {
        tokio::time::sleep(TICK).await;
        let rate = *rates.borrow();
        // What could not be offered while the server was away is not offered later.
        due = f64::min(due + rate * last.elapsed().as_secs_f64(), rate / 5.0 + 1.0);
        last = Instant::now();
        let jobs: Vec<_> = (0..due as i64).map(|more| Planned::of_load(next + more)).collect();
        let count = jobs.len() as i64;
        // A number is used once, whatever became of its transaction.
        next += count;
        due -= count as f64;
        let offering = offer_once(&mut client, &url, &queue, &jobs);
        match tokio::time::timeout(PATIENCE, offering).await {
            Ok(Ok(())) => answered.extend(jobs.iter().map(|job| job.n)),
            Ok(Err(_)) | Err(_) => client = None,
        }
    }
    answered
}

async fn offer_once(client: &mut Option<Client>, url: &str, queue: &Queue, jobs: &[Planned]) -> Result<(), Failure> {
    let client = match client {
        Some(client) => client,
        None => client.insert(connect(url).await?),
    };
    let transaction = client.transaction().await?;
    enqueue(&transaction, queue, jobs).await?;
    transaction.commit().await?;
    Ok(())
}
