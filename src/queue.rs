//! A queue as its users hold it.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext, Context, Recipient};
use tokio_postgres::GenericClient;

use crate::{
    actors::EnqueueActor,
    database::Database,
    error::{ConfigError, DatabaseError, EnqueueError, MigrateError, StartError},
    events::{Events, JobEvent},
    handler::Handlers,
    job::{NewJob, ParamsKind},
    lock::lock,
    migrate::{self, MigrationSql},
    name::QueueName,
    prepared::PreparedEnqueue,
    running::{Queues, Running},
    settings::{Keep, Settings},
    store::{Planned, Store},
};

/// A queue: enqueues jobs, migrates its table, starts workers. Cheap to clone, and the same in every thread.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use actix_job_queue::{Database, Queue};
///
/// let database = Database::connect("postgres://localhost/app").await?;
/// let jobs = Queue::builder(&database, "jobs").max_demand(50).build()?;
/// jobs.migrate().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Queue {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    always_notify: bool,
    /// What the environment said that cannot be read; told at start, with all that is wrong.
    pub(crate) problems: Vec<String>,
    enqueuer: Arc<Mutex<Option<Addr<EnqueueActor>>>>,
}

impl Queue {
    /// A queue in `table`, with the defaults until told otherwise.
    pub fn builder(database: &Database, table: impl Into<String>) -> QueueBuilder {
        QueueBuilder {
            database: database.clone(),
            schema: "public".to_owned(),
            table: table.into(),
            kind: ParamsKind::Json,
            always_notify: false,
            settings: Settings::default(),
            recipients: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The queue's schema and table, and the channels of its notifications.
    pub fn name(&self) -> &QueueName {
        &self.store.name
    }

    /// Enqueues a job through any tokio-postgres client or transaction: it exists if and only if that
    /// transaction commits. The job's id.
    ///
    /// # Errors
    /// The database refuses the row, or the params are of the other kind than the queue's.
    pub async fn enqueue<C: GenericClient + Sync>(&self, client: &C, job: NewJob) -> Result<i64, EnqueueError> {
        let ids = self.enqueue_many(client, std::slice::from_ref(&job)).await?;
        ids.first().copied().ok_or_else(|| self.store.kept_out(1, 0))
    }

    /// Plans [`Queue::enqueue`] and [`Queue::enqueue_many`] once on a connection that enqueues often, which saves the
    /// server a third of its work.
    ///
    /// The connection must be a session of its own: not behind a pooler in transaction mode.
    ///
    /// # Errors
    /// The database refuses, or there is no such table.
    pub async fn prepare<C: GenericClient + Sync>(&self, client: &C) -> Result<PreparedEnqueue, DatabaseError> {
        Ok(PreparedEnqueue::new(self.store.clone(), self.store.prepare_enqueue(client).await?))
    }

    /// Enqueues many jobs in a few statements, whatever their number; their ids in order.
    ///
    /// Through a client without a transaction, each 50,000 are one, or as many as have 16 MB of params.
    ///
    /// # Errors
    /// As [`Queue::enqueue`]; none of the statement that failed exists.
    pub async fn enqueue_many<C: GenericClient + Sync>(
        &self,
        client: &C,
        jobs: &[NewJob],
    ) -> Result<Vec<i64>, EnqueueError> {
        self.store.enqueue(client, Planned::Anew, jobs).await
    }

    /// Where to send [`Enqueue`](crate::Enqueue) messages: the door for callers without a transaction.
    ///
    /// The actor lives on an arbiter of the library's own. Outside an actix `System` there is none, and the
    /// address answers that its mailbox is closed.
    pub fn addr(&self) -> Addr<EnqueueActor> {
        let mut enqueuer = lock(&self.enqueuer);
        if let Some(addr) = enqueuer.as_ref().filter(|addr| addr.connected()) {
            return addr.clone();
        }
        let actor = EnqueueActor::new(self.store.clone(), &self.store.database.io());
        let Ok(control) = self.store.database.control_arbiter() else {
            // The context is dropped here, and the mailbox closed.
            return Context::<EnqueueActor>::new().address();
        };
        let addr = EnqueueActor::start_in_arbiter(&control, move |_| actor);
        *enqueuer = Some(addr.clone());
        addr
    }

    /// The statement by which any program enqueues in a transaction of its own, with any driver.
    ///
    /// `$1` is the params (`jsonb`, or `bytea` in a binary queue). Every other column may be named too:
    /// `schedule`, `priority`, `max_attempts`, `notify`.
    pub fn enqueue_sql(&self) -> String {
        format!("INSERT INTO {} (params) VALUES ($1) RETURNING id", self.store.name.quoted_table())
    }

    /// Has failed jobs run again, with all their attempts; the ids of those that were failed.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn requeue<C: GenericClient + Sync>(&self, client: &C, ids: &[i64]) -> Result<Vec<i64>, DatabaseError> {
        self.store.requeue(client, ids).await
    }

    /// Creates what the queue needs in the database, or brings it up to date; the schema too, if there is
    /// none. Safe from many processes at once, and done already the second time.
    ///
    /// # Errors
    /// The database refuses, or a newer version of this library has been there. Nothing is half done.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        migrate::migrate(&self.store, migrate::QUEUE_VERSION, self.always_notify).await
    }

    /// Brings the queue's table to a migration, 0 being none: that takes it away **with its jobs**, and what
    /// the queues of its schema shared with the last of them.
    ///
    /// # Errors
    /// As [`Queue::migrate`], and if there is no such migration.
    pub async fn migrate_to(&self, version: i32) -> Result<(), MigrateError> {
        migrate::migrate(&self.store, version, self.always_notify).await
    }

    /// The newest migration of a queue's table that this version knows.
    pub fn newest_migration() -> i32 {
        migrate::QUEUE_VERSION
    }

    /// The migrations as SQL, for those who migrate with a tool of their own.
    pub fn migration_sql(&self) -> MigrationSql {
        MigrationSql::new(&self.store.name, self.store.kind, self.always_notify)
    }

    /// Starts workers for this queue in this process. For several queues, see [`Queues`].
    ///
    /// # Errors
    /// [`StartError::Config`] lists everything that is wrong at once.
    pub async fn start(&self, handlers: Handlers) -> Result<Running, StartError> {
        Queues::new().add(self, handlers).start().await
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.store.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Sets up a [`Queue`]. Settings that cannot work are told when the queue is started, all at once.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct QueueBuilder {
    database: Database,
    schema: String,
    table: String,
    kind: ParamsKind,
    always_notify: bool,
    settings: Settings,
    recipients: Vec<Recipient<JobEvent>>,
    problems: Vec<String>,
}

impl QueueBuilder {
    /// The table's schema, `public` unless given.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Keeps params as `bytea`, MessagePack of any serde type, instead of `jsonb`.
    pub fn binary(mut self) -> Self {
        self.kind = ParamsKind::Binary;
        self
    }

    /// Has every insert notify, whether a producer waits or not: for those who distrust the conditional
    /// notification, or listen to the channel themselves. Commits of many callers then queue up on PostgreSQL's
    /// notification lock.
    ///
    /// It is a property of the table: what the last [`Queue::migrate`] was built with stands for everybody.
    pub fn always_notify(mut self) -> Self {
        self.always_notify = true;
        self
    }

    /// How many jobs this process runs at a time, over all its arbiters; 100 unless given.
    pub fn max_demand(mut self, jobs: usize) -> Self {
        self.settings.max_demand = jobs;
        self
    }

    /// How many threads the workers are spread over; the number of cores unless given.
    pub fn arbiters(mut self, threads: usize) -> Self {
        self.settings.arbiters = threads;
        self
    }

    /// The poller's longest sleep, 60 s unless given.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// How long a claimed job may wait for its worker, 60 s unless given.
    pub fn reservation_timeout(mut self, timeout: Duration) -> Self {
        self.settings.reservation_timeout = timeout;
        self
    }

    /// How long a first attempt may take, 300 s unless given; later ones so many times as long as their
    /// number.
    pub fn execution_timeout(mut self, timeout: Duration) -> Self {
        self.settings.execution_timeout = timeout;
        self
    }

    /// How long to wait after the first failed attempt, 30 s unless given; after later ones so many times
    /// as long as their number.
    pub fn retry_timeout(mut self, timeout: Duration) -> Self {
        self.settings.retry_timeout = timeout;
        self
    }

    /// After how long a silence this process counts as dead, 10 s unless given.
    pub fn dead_after(mut self, silence: Duration) -> Self {
        self.settings.dead_after = silence;
        self
    }

    /// For how long this process claims jobs ahead of its workers at the pace it has right now, 20 ms unless
    /// given; zero claims for free workers only. It hides the claim from workers that end jobs quickly; a more
    /// urgent job, or one that another process could start, may wait so much longer. Where claims take longer than
    /// a quarter of it, for many processes share a database or that is slow, the time grows to four times what one takes: ten
    /// times what is given here at most, and no more than a second.
    pub fn claim_ahead(mut self, time: Duration) -> Self {
        self.settings.claim_ahead = time;
        self
    }

    /// Has a claim start the jobs that it brings, instead of reserving them for a start of their own: one change of the
    /// row and half of the statements less, for queues that run very many short jobs.
    ///
    /// The price: a job that waits for its worker counts as started, so a process that dies then costs it an attempt;
    /// where the answer to a claim is lost, its jobs come back when this process next claims, or with its death; and no
    /// handler's own execution timeout can be longer than the queue's, whose time runs from the claim on.
    pub fn start_on_claim(mut self) -> Self {
        self.settings.start_on_claim = true;
        self
    }

    /// How long running handlers may go on after a shutdown began, 30 s unless given.
    pub fn shutdown_timeout(mut self, grace: Duration) -> Self {
        self.settings.shutdown_timeout = grace;
        self
    }

    /// The level of the line for a finished job, `info` unless given.
    pub fn log_level(mut self, level: log::Level) -> Self {
        self.settings.log_level = level;
        self
    }

    /// Keeps completed jobs for a while, written in the transaction that completes each of them, so that they can be
    /// looked at. Unless given, a completed job is gone, and costs nothing more.
    ///
    /// It is for the completions of this process: give it to all that work on the queue.
    pub fn keep_completed(mut self, keep: Keep) -> Self {
        self.settings.keep = Some(keep);
        self
    }

    /// Has an actor hear of all that happens to jobs in this process, for what nobody thought of. It may be given more
    /// than once, each time for another actor.
    ///
    /// Nobody waits for it: an event that finds its mailbox full is lost, and the next one says how many were, so give
    /// it a large one by `ctx.set_mailbox_capacity`.
    pub fn on_event(mut self, recipient: Recipient<JobEvent>) -> Self {
        self.recipients.push(recipient);
        self
    }

    /// Takes what the environment says: `<prefix>_MAX_DEMAND`, `_ARBITERS`, `_POLL_INTERVAL`,
    /// `_RESERVATION_TIMEOUT`, `_EXECUTION_TIMEOUT`, `_RETRY_TIMEOUT`, `_DEAD_AFTER`, `_SHUTDOWN_TIMEOUT`,
    /// `_CLAIM_AHEAD` (such as `500ms`, `30s`, `5m`, `1h`) and `_LOG_LEVEL`.
    pub fn from_env(mut self, prefix: &str) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect();
        self.problems.extend(self.settings.read_environment(prefix, &variables));
        self
    }

    /// The queue.
    ///
    /// # Errors
    /// The schema's or the table's name is none that PostgreSQL can hold.
    pub fn build(self) -> Result<Queue, ConfigError> {
        let name = QueueName::new(self.schema, self.table)?;
        let store = Store::new(self.database, name, self.kind).telling(Events::new(self.recipients));
        Ok(Queue {
            store: if self.settings.keep.is_some() { store.keeping() } else { store },
            settings: self.settings,
            always_notify: self.always_notify,
            problems: self.problems,
            enqueuer: Arc::default(),
        })
    }
}
