//! A queue to run handlers on, and ways to look at what became of their jobs.

use std::{future::poll_fn, sync::Arc, time::Duration};

use actix::{Actor, Recipient};
use actix_job_queue::{
    Completed, Completion, Context, DatabaseOptions, Handlers, Job, JobError, JobEvent, NewJob, Queue, QueueBuilder,
    Running,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{
    Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::support::TestDb;

/// What every handler returns.
pub(crate) type Done = Result<Completed, JobError>;

/// The longest that any test waits for what must come about, generous for a machine that others use.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The params of most jobs here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) text: String,
}

/// A job of the type `Note`.
pub(crate) fn note(text: &str) -> NewJob {
    NewJob::new(&Note { text: text.to_owned() }).unwrap()
}

/// A job of this type, with nothing else in its params.
pub(crate) fn bare(kind: &str) -> NewJob {
    NewJob::of_type(kind, &serde_json::json!({})).unwrap()
}

/// A database with a queue `jobs`, and a table `notes` that keeps each text once a job.
pub(crate) struct Bench {
    pub(crate) db: TestDb,
    pub(crate) client: Client,
    pub(crate) jobs: Queue,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|queue| queue).await
    }

    pub(crate) async fn with(set: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Self {
        Self::on(DatabaseOptions::new(), set).await
    }

    /// The poll interval is an hour unless set: only notifications and known times wake the queue.
    pub(crate) async fn on(options: DatabaseOptions, set: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Self {
        let db = TestDb::new().await;
        let client = db.client().await;
        client.batch_execute("CREATE TABLE notes (job bigint, text text, PRIMARY KEY (job, text))").await.unwrap();
        let database = options.connect(&db.url()).await.unwrap();
        let queue =
            Queue::builder(&database, "jobs").arbiters(2).poll_interval(HOUR).shutdown_timeout(Duration::from_secs(1));
        let jobs = set(queue).build().unwrap();
        jobs.migrate().await.unwrap();
        Self { db, client, jobs }
    }

    pub(crate) async fn start(&self, handlers: Handlers) -> Running {
        self.jobs.start(handlers).await.unwrap()
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> i64 {
        self.jobs.enqueue(&self.client, job).await.unwrap()
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// One value that a query answers.
    pub(crate) async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.client.query_typed_one(sql, &[]).await.unwrap().get(0)
    }

    /// Whether an expression over the job's row is true.
    pub(crate) async fn holds(&self, id: i64, expression: &str) -> bool {
        self.ask(&format!("SELECT coalesce({expression}, false) FROM jobs WHERE id = {id}")).await
    }

    /// How many jobs an expression is true of.
    pub(crate) async fn count(&self, expression: &str) -> i64 {
        self.ask(&format!("SELECT count(*) FROM jobs WHERE {expression}")).await
    }

    /// The job's state; none once its row is gone.
    pub(crate) async fn state(&self, id: i64) -> Option<String> {
        let sql = format!("SELECT state FROM jobs WHERE id = {id}");
        self.client.query_typed_opt(&sql, &[]).await.unwrap().map(|row| row.get(0))
    }

    /// Waits until the job is in this state.
    pub(crate) async fn becomes(&self, id: i64, state: &str) {
        let what = format!("job {id} being {state}");
        eventually(&what, async || (self.state(id).await.as_deref() == Some(state)).then_some(())).await;
    }

    /// Waits until the job's row is gone.
    pub(crate) async fn completes(&self, id: i64) {
        eventually(&format!("the end of job {id}"), async || self.state(id).await.is_none().then_some(())).await;
    }

    /// The job's errors, each as its attempt and its chain.
    pub(crate) async fn errors(&self, id: i64) -> Vec<(i64, Vec<String>)> {
        let text: Option<String> = self.ask(&format!("SELECT errors::text FROM jobs WHERE id = {id}")).await;
        let errors: Vec<Value> = text.map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default();
        let texts =
            |chain: &Value| chain.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
        errors.iter().map(|error| (error["attempt"].as_i64().unwrap(), texts(&error["error"]))).collect()
    }

    /// The only error of a job, its chain in one line.
    pub(crate) async fn error(&self, id: i64) -> String {
        let errors = self.errors(id).await;
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].1.join(": ")
    }

    /// Has another process beside this one, whose number is 0 and which lives. Of a process that nobody knows, any sweep
    /// takes back what it holds.
    pub(crate) async fn rival(&self) {
        self.sql("INSERT INTO job_queue_nodes (node, name, dead_at) VALUES (0, 'rival', now() + interval '1 hour')")
            .await;
    }

    /// Makes a job due that waits for its time, and has the queue look.
    pub(crate) async fn hurry(&self, id: i64) {
        self.sql(&format!("UPDATE jobs SET schedule = now() WHERE id = {id}; NOTIFY jobs")).await;
    }

    /// All that handlers have written, in order.
    pub(crate) async fn notes(&self) -> Vec<String> {
        let rows = self.client.query_typed("SELECT text FROM notes ORDER BY text", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What is announced from now on when jobs end, as channel and payload.
    pub(crate) async fn listen(&self) -> UnboundedReceiver<(String, String)> {
        self.listen_to(&["jobs.completed", "jobs.retry", "jobs.failed"]).await
    }

    pub(crate) async fn listen_to(&self, channels: &[&str]) -> UnboundedReceiver<(String, String)> {
        let (client, mut connection) = tokio_postgres::connect(&self.db.url(), NoTls).await.unwrap();
        let (tell, heard) = unbounded_channel();
        actix_rt::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(message) = message
                    && tell.send((message.channel().to_owned(), message.payload().to_owned())).is_err()
                {
                    return;
                }
            }
        });
        for channel in channels {
            client.batch_execute(&format!("LISTEN \"{channel}\"")).await.unwrap();
        }
        // The connection lasts as long as its client.
        actix_rt::spawn(async move {
            let _client = client;
            std::future::pending::<()>().await;
        });
        heard
    }
}

/// Writes a text for a job; a second time would be refused.
pub(crate) async fn write(completion: &Completion<'_>, job: i64, text: &str) -> Result<(), tokio_postgres::Error> {
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 2] =
        [(&job, tokio_postgres::types::Type::INT8), (&text, tokio_postgres::types::Type::TEXT)];
    completion.execute_typed("INSERT INTO notes (job, text) VALUES ($1, $2)", &parameters).await.map(drop)
}

/// Waits until `look` finds what it looks for.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a handler says next.
pub(crate) async fn hear<T>(heard: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, heard.recv()).await.expect("a word from a handler").expect("a handler that lives")
}

/// A handler's way to tell its test something, and the test's way to hold it up.
pub(crate) struct Probe<T> {
    tell: UnboundedSender<T>,
    gate: Arc<Semaphore>,
}

impl<T> Clone for Probe<T> {
    fn clone(&self) -> Self {
        Self { tell: self.tell.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<T> Probe<T> {
    pub(crate) fn new() -> (Self, UnboundedReceiver<T>) {
        let (tell, heard) = unbounded_channel();
        (Self { tell, gate: Arc::new(Semaphore::new(0)) }, heard)
    }

    pub(crate) fn say(&self, word: T) {
        // A test that has ended listens no more.
        let _ = self.tell.send(word);
    }

    /// Waits for the test to open the gate.
    pub(crate) async fn pass(&self) {
        self.gate.acquire().await.expect("the gate is never closed").forget();
    }

    /// Lets so many pass.
    pub(crate) fn open(&self, handlers: usize) {
        self.gate.add_permits(handlers);
    }
}

/// A handler that is given a clone of `state` with each job.
pub(crate) fn with<S, P, Fut>(state: S, work: impl Fn(S, Job<P>, Context) -> Fut) -> impl Fn(Job<P>, Context) -> Fut
where
    S: Clone,
    Fut: Future<Output = Done>,
{
    move |job, ctx| work(state.clone(), job, ctx)
}

/// Hears of all that happens to jobs.
struct Ear(UnboundedSender<JobEvent>);

impl Actor for Ear {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1_000);
    }
}

impl actix::Handler<JobEvent> for Ear {
    type Result = ();

    fn handle(&mut self, event: JobEvent, _: &mut Self::Context) {
        // The test may be over.
        let _ = self.0.send(event);
    }
}

pub(crate) fn ear() -> (Recipient<JobEvent>, UnboundedReceiver<JobEvent>) {
    let (tell, heard) = unbounded_channel();
    (Ear(tell).start().recipient(), heard)
}

/// Writes the note and completes the job.
pub(crate) async fn take_note(job: Job<Note>, mut ctx: Context) -> Done {
    let completion = ctx.begin().await?;
    write(&completion, job.id, &job.params.text).await?;
    Ok(completion.commit().await?)
}
