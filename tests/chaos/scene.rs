//! A server, workers, their load, and the course that every scenario takes: measure, fault, recover, compare.

use std::{
    fs,
    time::{Duration, Instant},
};

use actix_job_queue::{Database, Queue};
use tokio_postgres::Client;

use crate::{
    audit::{self, Audit},
    cluster::{self, Cluster},
    failure::Failure,
    load::{self, Load, Planned},
    outcome::{Change, Outcome},
    process::{Process, Start},
    recovery::{self, Pace},
    server::{WORKERS, connect, number, workers_url},
    stage::Stage,
    usage,
    worker::{TABLE, Task},
};

/// Jobs a second that two workers do with ease, also where the machine has other things to do.
pub(crate) const RATE: f64 = 120.0;

/// Beyond its grace period a process may take so long. Where a handler blocks its thread it takes more than half of it:
/// five seconds for handlers that were told to stop, and one for the threads.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// So long a machine may have other things to do before the first fault.
const TOO_BUSY: Duration = Duration::from_secs(30);

/// What a scenario is played on.
pub(crate) struct Setup {
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// Whether what is committed survives a crash of the server.
    pub(crate) durable: bool,
    /// The megabytes of a file system of the server's own.
    pub(crate) disk: Option<u32>,
    pub(crate) workers: usize,
    pub(crate) rate: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { settings: Vec::new(), durable: false, disk: None, workers: 2, rate: RATE }
    }
}

pub(crate) struct Scene<'a> {
    pub(crate) stage: &'a Stage<'a>,
    pub(crate) cluster: Cluster,
    /// The way past every proxy, as superuser.
    pub(crate) url: String,
    pub(crate) queue: Queue,
    pub(crate) workers: Vec<Process>,
    /// What a new worker is told, unless the scenario tells it something else.
    pub(crate) task: Task,
    pub(crate) start: Start,
    /// So many megabytes more than half as much again may a worker's memory have grown.
    pub(crate) room: f64,
    load: Option<Load>,
    rate: f64,
    started: usize,
    before: Option<Before>,
    misses: Vec<String>,
    slow: Vec<String>,
}

struct Before {
    pace: Pace,
    connections: f64,
    memory: f64,
}

impl<'a> Scene<'a> {
    /// A server with workers that have been measured under load: what most scenarios begin with.
    pub(crate) async fn begin(stage: &'a Stage<'a>, setup: Setup) -> Result<Self, Failure> {
        let workers = setup.workers;
        let mut scene = Self::prepare(stage, setup).await?;
        for _ in 0..workers {
            scene.hire().await?;
        }
        scene.warm_up().await?;
        Ok(scene)
    }

    /// A server with the queue and the books, and nobody at work.
    pub(crate) async fn prepare(stage: &'a Stage<'a>, setup: Setup) -> Result<Self, Failure> {
        stage.progress.step("starts a server");
        let settings = setup.settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options =
            cluster::Options { settings, durable: setup.durable, disk: setup.disk, ..cluster::Options::default() };
        let cluster = tokio::task::block_in_place(|| Cluster::start(options))?;
        let url = cluster.url("postgres");
        let database = Database::connect(&url).await.map_err(Failure::because("connect the load"))?;
        let queue = Queue::builder(&database, TABLE).build().map_err(Failure::because("build the queue"))?;
        queue.migrate().await.map_err(Failure::because("make the queue"))?;
        connect(&url).await?.batch_execute(audit::BOOKS).await?;
        Ok(Self {
            stage,
            task: Task { url: workers_url(&url), ..Task::default() },
            start: Start::default(),
            room: 24.0,
            cluster,
            url,
            queue,
            workers: Vec::new(),
            load: None,
            rate: setup.rate,
            started: 0,
            before: None,
            misses: Vec::new(),
            slow: Vec::new(),
        })
    }

    /// One more worker.
    pub(crate) async fn hire(&mut self) -> Result<(), Failure> {
        self.hire_with(&self.task.clone(), &self.start.clone()).await
    }

    /// One more worker, of a kind of its own.
    pub(crate) async fn hire_with(&mut self, task: &Task, start: &Start) -> Result<(), Failure> {
        self.stage.progress.step("starts a worker");
        self.started += 1;
        let log = self.stage.logs.join(format!("worker-{}.log", self.started));
        let process = Process::start(task, start, &log).await?;
        self.workers.push(process);
        Ok(())
    }

    /// Starts another worker for each that has ended, as whoever looks after processes does; says how many.
    pub(crate) async fn replace_dead(&mut self) -> Result<usize, Failure> {
        let before = self.workers.len();
        self.workers.retain_mut(Process::runs);
        let dead = before - self.workers.len();
        for _ in 0..dead {
            self.hire().await?;
        }
        Ok(dead)
    }

    /// Enqueues jobs of the scenario's own.
    pub(crate) async fn enqueue(&self, jobs: &[Planned]) -> Result<(), Failure> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        load::enqueue(&transaction, &self.queue, jobs).await?;
        Ok(transaction.commit().await?)
    }

    /// Starts the load and measures the queue before anything happens to it.
    pub(crate) async fn warm_up(&mut self) -> Result<(), Failure> {
        self.stage.progress.step("works under its load");
        self.load = Some(Load::start(self.url.clone(), self.queue.clone(), self.rate));
        let client = self.client().await?;
        // The first plans, connections and long jobs are no measure.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let begun = Instant::now();
        let pace = loop {
            let pace = recovery::pace(&client, self.stage.length()).await?;
            if pace.rate >= 0.8 * self.rate {
                break pace;
            }
            if begun.elapsed() > TOO_BUSY {
                return Err(format!(
                    "nothing was done to it yet, and of {:.0} jobs a second it did {:.0}: the machine is too busy",
                    self.rate, pace.rate
                )
                .into());
            }
        };
        let (connections, memory) = (self.connections(&client).await?, self.memory());
        self.before = Some(Before { pace, connections, memory });
        Ok(())
    }

    /// What is done to it now, for whoever watches.
    pub(crate) fn fault(&self, what: &str) {
        self.stage.progress.step(what);
    }

    /// Another rate of load from now on.
    pub(crate) fn offer(&self, rate: f64) {
        if let Some(load) = &self.load {
            load.set(rate);
        }
    }

    /// A connection of the scenario's own.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        connect(&self.url).await
    }

    /// What should not have been.
    pub(crate) fn miss(&mut self, what: impl Into<String>) {
        self.misses.push(what.into());
    }

    /// Waits until a condition is true in the database; a miss if it does not become so.
    pub(crate) async fn until(&mut self, what: &str, condition: &str, patience: Duration) -> Result<bool, Failure> {
        let begun = Instant::now();
        let client = self.client().await?;
        let sql = format!("SELECT CASE WHEN {condition} THEN 1::bigint ELSE 0 END");
        while number(&client, &sql).await? == 0 {
            if begun.elapsed() > patience {
                self.miss(format!("it did not come to pass within {patience:?}: {what}"));
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(true)
    }

    async fn connections(&self, client: &Client) -> Result<f64, Failure> {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{WORKERS}'");
        Ok(number(client, &sql).await? as f64)
    }

    fn most_connections(&self) -> f64 {
        self.workers.len() as f64 * f64::from(self.task.most_connections())
    }

    /// Those that were given up are closed in a while.
    async fn connections_left(&self, client: &Client) -> Result<f64, Failure> {
        let begun = Instant::now();
        loop {
            let connections = self.connections(client).await?;
            if connections <= self.most_connections() || begun.elapsed() > Duration::from_secs(20) {
                return Ok(connections);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The mean of the workers.
    fn memory(&self) -> f64 {
        let all: Vec<_> = self.workers.iter().filter_map(|worker| usage::memory(worker.pid())).collect();
        all.iter().map(|(now, _)| now).sum::<f64>() / all.len().max(1) as f64
    }

    /// The fault ended at `ended`: waits until the queue is back, has it run empty, and compares the books.
    pub(crate) async fn conclude(mut self, ended: Instant) -> Result<Outcome, Failure> {
        let Before { pace, connections, memory } = self.before.take().ok_or("a scenario measures before its fault")?;
        self.stage.progress.step("comes back");
        let recovered = recovery::back(&self.url, pace, ended).await;
        match recovered {
            None => self.miss("it was not back a minute after the fault"),
            Some(time) if time > recovery::LIMIT => {
                self.slow.push(format!("it was back {time:.1?} after the fault only"))
            }
            Some(_) => {}
        }
        self.stage.progress.step("works on under its load");
        tokio::time::sleep(self.stage.length()).await;
        let client = self.client().await?;
        let seconds = self.stage.length().as_secs_f64();
        let after = recovery::per_second(&client, "completed", seconds).await?;
        let offered = recovery::per_second(&client, "enqueued", seconds).await?;
        if after < 0.95 * offered.min(pace.rate) {
            self.slow.push(format!("of {offered:.0} jobs a second it did {after:.0}, {:.0} before", pace.rate));
        }
        self.stage.progress.step("runs empty");
        let answered = match self.load.take() {
            Some(load) => load.stop().await?,
            None => Vec::new(),
        };
        recovery::empty(&self.url).await?;
        let client = self.client().await?;
        let connections = Change { before: connections, after: self.connections_left(&client).await? };
        let memory = Change { before: memory, after: self.memory() };
        self.judge(&client, connections, memory).await?;
        let audit = Audit::look(&client, &answered).await?;
        self.misses.extend(audit.misses());
        if !self.misses.is_empty() || !self.slow.is_empty() {
            self.keep(&client).await?;
        }
        self.dismiss().await?;
        Ok(Outcome {
            jobs: audit.jobs,
            lost: audit.lost,
            doubled: audit.doubled,
            stuck: audit.stuck,
            rate: Some(Change { before: pace.rate, after }),
            recovered,
            connections: Some(connections),
            memory: Some(memory),
            misses: self.misses,
            slow: self.slow,
            not_run: None,
        })
    }

    async fn judge(&mut self, client: &Client, connections: Change, memory: Change) -> Result<(), Failure> {
        if connections.after > self.most_connections() {
            let (after, most) = (connections.after, self.most_connections());
            self.miss(format!("the workers hold {after} connections, of {most} at most"));
        }
        let open = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{WORKERS}' \
             AND state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '1 second'"
        );
        let open = number(client, &open).await?;
        if open > 0 {
            self.miss(format!("{open} connections were left within a transaction"));
        }
        if memory.after > memory.before * 1.5 + self.room {
            self.miss(format!("a worker's memory grew from {:.0} to {:.0} MB", memory.before, memory.after));
        }
        Ok(())
    }

    /// Writes what may explain a miss beside the workers' logs.
    async fn keep(&self, client: &Client) -> Result<(), Failure> {
        let write = |name: &str, text: String| {
            fs::write(self.stage.logs.join(name), text).map_err(Failure::because("keep what was seen"))
        };
        write("server.log", self.cluster.log_tail(5_000))?;
        write("database.txt", audit::remains(client).await?)?;
        write("misses.txt", [&self.misses[..], &self.slow[..]].concat().join("\n"))
    }

    /// Ends the workers in order; there is nothing left for them to do.
    async fn dismiss(&mut self) -> Result<(), Failure> {
        let patience = Duration::from_millis(self.task.shutdown_timeout_ms) + LAST_WORDS;
        for worker in std::mem::take(&mut self.workers) {
            let pid = worker.pid();
            match worker.terminate(patience).await {
                Ok(report) if report.contains(" 0 left") => {}
                Ok(report) => self.miss(format!("worker {pid} ended, with work left: {report}")),
                Err(failure) => self.miss(failure.to_string()),
            }
        }
        Ok(())
    }
}
