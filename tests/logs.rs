//! What the library logs: under which target, at which level, with which key-values, and what it never does.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, Once},
    time::{Duration, Instant},
};

use actix_job_queue::{
    Completed, Context, DatabaseOptions, Enqueue, Handlers, Job, JobError, NewJob, Queue, QueueBuilder, Tuned,
    logs::{ACTORS, DATABASE, JOB, QUEUE, WEB},
    tokio_postgres::{Client, types::Type},
};
use log::{Level, LevelFilter, Log, Metadata, Record, kv};
use serde::Deserialize;
use serde_json::{Value, json};
use support::{
    TestDb,
    cluster::{Cluster, Options},
};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// One line of the library's, as a logger gets it.
#[derive(Debug, Clone)]
struct Line {
    level: Level,
    target: String,
    text: String,
    values: BTreeMap<String, String>,
}

impl Line {
    fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The whole, as the most talkative of loggers writes it.
    fn whole(&self) -> String {
        format!("{} {} {} {:?}", self.level, self.target, self.text, self.values)
    }
}

/// The process's logger, for whose sake these tests are a program of their own.
struct Ear(Mutex<Vec<Line>>);

static EAR: Ear = Ear(Mutex::new(Vec::new()));

impl Ear {
    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.0.lock().unwrap()
    }
}

impl Log for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if !record.module_path().is_some_and(|path| path.starts_with("actix_job_queue")) {
            return;
        }
        let mut values = Values(BTreeMap::new());
        record.key_values().visit(&mut values).unwrap();
        self.lines().push(Line {
            level: record.level(),
            target: record.target().to_owned(),
            text: record.args().to_string(),
            values: values.0,
        });
    }

    fn flush(&self) {}
}

struct Values(BTreeMap<String, String>);

impl<'a> kv::VisitSource<'a> for Values {
    fn visit_pair(&mut self, key: kv::Key<'a>, value: kv::Value<'a>) -> Result<(), kv::Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}

/// A queue of a name that no other test has, so that its lines can be told from theirs.
struct Bench {
    client: Client,
    queue: Queue,
    name: &'static str,
}

impl Bench {
    async fn new(name: &'static str) -> Self {
        Self::with(name, |queue| queue).await
    }

    async fn with(name: &'static str, set: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Self {
        listen();
        let db = TestDb::new().await;
        let client = db.client().await;
        let queue = queue(&db.url(), name, set).await;
        queue.migrate().await.unwrap();
        Self { client, queue, name }
    }

    async fn enqueue(&self, job: NewJob) -> i64 {
        self.queue.enqueue(&self.client, job).await.unwrap()
    }

    /// The first line of this queue that has such a text.
    async fn line(&self, text: &str) -> Line {
        line(text, |line| line.value("queue") == Some(self.name)).await
    }

    /// The line of a job's attempt that has such a text.
    async fn line_of(&self, job: i64, text: &str) -> Line {
        let job = job.to_string();
        line(text, |line| line.value("queue") == Some(self.name) && line.value("job") == Some(&job)).await
    }

    fn lines(&self) -> Vec<Line> {
        EAR.lines().iter().filter(|line| line.value("queue") == Some(self.name)).cloned().collect()
    }

    async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&EAR).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
}

/// Nothing is found by a poll, and nothing runs twice.
async fn queue(url: &str, name: &str, set: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Queue {
    let database = DatabaseOptions::new().connection_timeout(Duration::from_secs(1)).connect(url).await.unwrap();
    let queue = Queue::builder(&database, name).max_demand(4).arbiters(1).retry_timeout(HOUR).poll_interval(HOUR);
    set(queue).build().unwrap()
}

async fn line(text: &str, is_it: impl Fn(&Line) -> bool) -> Line {
    let begun = Instant::now();
    loop {
        let found = EAR.lines().iter().find(|line| line.text.contains(text) && is_it(line)).cloned();
        if let Some(found) = found {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "no such line came: {text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Does as its params say.
async fn as_told(job: Job<Value>, ctx: Context) -> Result<Completed, JobError> {
    match job.params["do"].as_str() {
        Some("fail") => Err("smtp is away".into()),
        Some("give up") => Err(JobError::new("no such address").give_up()),
        Some("panic") => panic!("index out of bounds"),
        Some("hang") => std::future::pending().await,
        Some("snooze") => Err(JobError::snooze(HOUR)),
        _ => Ok(ctx.complete().await?),
    }
}

fn told(what: &str) -> NewJob {
    of("Told", what)
}

fn of(kind: &str, what: &str) -> NewJob {
    NewJob::of_type(kind, &json!({ "do": what })).unwrap()
}

fn handlers() -> Handlers {
    let hurried = Tuned::new(as_told).execution_timeout(Duration::from_millis(100));
    Handlers::new().on("Told", as_told).on("Hurried", hurried)
}

async fn node(bench: &Bench) -> String {
    bench.line("runs here").await.value("node").unwrap().to_owned()
}

#[actix::test]
async fn a_completed_job_is_a_line_of_the_level_that_was_set_with_all_that_names_it() {
    let bench = Bench::with("completes", |queue| queue.log_level(Level::Debug)).await;
    let running = bench.queue.start(handlers()).await.unwrap();

    let id = bench.enqueue(told("complete")).await;

    let line = bench.line_of(id, "completed in").await;
    assert_eq!((line.level, &*line.target), (Level::Debug, JOB));
    assert!(line.text.starts_with(&format!("completes[{id}] Told attempt 1/5 completed in ")), "{line:?}");
    let (id, node) = (id.to_string(), node(&bench).await);
    for (key, value) in [("queue", "completes"), ("job", &id), ("type", "Told"), ("attempt", "1"), ("node", &node)] {
        assert_eq!(line.value(key), Some(value), "{line:?}");
    }
    assert_eq!(line.value("error"), None);
    running.shutdown().await;
}

#[actix::test]
async fn a_failure_is_a_warning_of_its_job_and_no_error_of_the_library() {
    let bench = Bench::new("fails").await;
    let running = bench.queue.start(handlers()).await.unwrap();
    let node = node(&bench).await;

    for (kind, what, state, error) in [
        ("Told", "fail", "RETRY", "smtp is away"),
        ("Told", "give up", "FAILED", "no such address"),
        ("Told", "panic", "RETRY", "the handler panicked: index out of bounds (at tests/logs.rs:"),
        ("Hurried", "hang", "RETRY", "the handler outran its execution timeout of 100ms"),
        ("Nope", "", "RETRY", "no handler here for params of type \"Nope\""),
    ] {
        let id = bench.enqueue(of(kind, what)).await;

        let line = bench.line_of(id, "failed").await;
        assert_eq!((line.level, &*line.target), (Level::Warn, JOB));
        let text = format!("fails[{id}] {kind} attempt 1/5 failed and is {state}: {error}");
        assert!(line.text.starts_with(&text), "{line:?}");
        let id = id.to_string();
        for (key, value) in [("job", &*id), ("type", kind), ("attempt", "1"), ("node", &node)] {
            assert_eq!(line.value(key), Some(value), "{line:?}");
        }
        assert!(line.value("error").unwrap().starts_with(error), "{line:?}");
    }
    running.shutdown().await;
    assert!(bench.lines().iter().all(|line| line.level >= Level::Warn), "{:?}", bench.lines());
}

#[actix::test]
async fn what_is_put_off_and_what_is_given_back_is_no_warning() {
    let bench = Bench::with("returns", |queue| queue.shutdown_timeout(Duration::ZERO)).await;
    let running = bench.queue.start(handlers()).await.unwrap();
    let snoozed = bench.enqueue(told("snooze")).await;
    let hanging = bench.enqueue(told("hang")).await;

    let line = bench.line_of(snoozed, "snoozed for 3600s").await;
    assert_eq!((line.level, &*line.target), (Level::Debug, JOB));
    bench.line_of(hanging, "started").await;
    let report = running.shutdown().await;

    let line = bench.line_of(hanging, "given back").await;
    assert_eq!((line.level, &*line.target), (Level::Info, JOB));
    assert_eq!(report.returned, 1);
}

#[actix::test]
async fn a_queue_says_when_it_starts_whom_it_rescues_and_when_it_ends() {
    let bench = Bench::new("lives").await;
    let dead = bench.enqueue(told("complete")).await;
    bench
        .sql("UPDATE lives SET state = 'IN_PROGRESS', attempt = 1, lease = 1, node = 4711, expires = now() + interval '1 day'")
        .await;

    let running = bench.queue.start(handlers()).await.unwrap();
    let line = bench.line("runs here as process").await;
    assert_eq!((line.level, &*line.target), (Level::Info, QUEUE));
    let rescued = bench.line("jobs of dead processes or lapsed holds are available again").await;
    assert_eq!((rescued.level, &*rescued.target), (Level::Warn, QUEUE));
    assert_eq!((rescued.value("rescued"), rescued.value("node")), (Some("1"), line.value("node")));
    let line = bench.line_of(dead, "completed in").await;
    assert_eq!((line.level, line.value("attempt")), (Level::Info, Some("2")));

    let jobs = running.shutdown().await;
    let end = EAR.lines().iter().any(|line| {
        line.text == format!("shut down: {jobs}")
            && (line.level, &*line.target) == (Level::Info, QUEUE)
            && line.value("completed") == Some(&jobs.completed.to_string())
    });
    assert!(end, "no line tells of the shutdown");
}

#[actix::test]
async fn a_database_that_goes_away_is_told_once_and_so_is_its_return() {
    listen();
    let mut cluster = Cluster::start(Options::default()).unwrap();
    let url = cluster.url("postgres");
    let jobs = queue(&url, "away", |queue| queue.dead_after(HOUR)).await;
    jobs.migrate().await.unwrap();
    let running = jobs.start(handlers()).await.unwrap();
    jobs.addr().send(Enqueue(told("complete"))).await.unwrap().unwrap();
    let of_queue = |line: &Line| line.value("queue") == Some("away");
    line("completed in", of_queue).await;

    cluster.stop("INT").unwrap();

    let deaf = line("cannot listen for notifications, polling until it is possible again: ", |_| true).await;
    assert_eq!((deaf.level, &*deaf.target), (Level::Warn, DATABASE));
    assert!(deaf.text.ends_with(deaf.value("error").unwrap()), "{deaf:?}");
    let away = line("trying again until the database is back", of_queue).await;
    assert_eq!((away.level, &*away.target), (Level::Warn, DATABASE));
    assert!(away.text.contains("of queue away") && away.value("node").is_some(), "{away:?}");
    assert!(away.text.contains(away.value("error").unwrap()), "{away:?}");
    // Tried again, and told to nobody but those who listen closely.
    line("trying again until the database is back", |line| of_queue(line) && line.level == Level::Debug).await;
    let begun = Instant::now();
    while cluster.start_again().is_err() {
        assert!(begun.elapsed() < PATIENCE, "the server does not start again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let back = line("the database is back", |line| of_queue(line) && line.level == Level::Info).await;
    assert_eq!((&*back.target, &*back.text), (DATABASE, "queue away: the database is back"));
    let heard = line("listening again for notifications", |_| true).await;
    assert_eq!((heard.level, &*heard.target), (Level::Info, DATABASE));
    running.shutdown().await;
    let told: Vec<_> = EAR.lines().iter().filter(|line| of_queue(line) && line.target == DATABASE).cloned().collect();
    let told: Vec<_> = told.iter().map(|line| line.level).filter(|level| *level <= Level::Info).collect();
    assert!(told.chunks(2).all(|pair| pair == [Level::Warn, Level::Info]), "each failure is told anew: {told:?}");
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "what cannot be read is not looked at")]
struct Card {
    number: u64,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "what cannot be read is not looked at")]
struct Purse {
    cards: BTreeMap<String, Card>,
}

/// A secret where each kind of failure could let it out: in the values that do not fit their type, in the names of
/// fields, in a row that PostgreSQL quotes for a statement of the handler's or of the library's own.
#[actix::test]
async fn a_secret_in_the_params_stands_in_no_line_above_trace() {
    const SECRET: &str = "4111-hunter2";
    let bench = Bench::new("secret").await;
    bench
        .sql(
            "CREATE TABLE cards (card text CHECK (length(card) < 3));
             ALTER TABLE secret ADD CHECK (state <> 'RETRY' OR params ->> 'type' <> 'Kept')",
        )
        .await;
    let refused = async |job: Job<Value>, mut ctx: Context| -> Result<Completed, JobError> {
        let done = ctx.begin().await?;
        let card = job.params["number"].as_str().unwrap();
        done.execute_typed("INSERT INTO cards VALUES ($1)", &[(&card, Type::TEXT)]).await?;
        Ok(done.commit().await?)
    };
    let handlers = handlers()
        .on("Card", async |_: Job<Card>, ctx: Context| Ok(ctx.complete().await?))
        .on("Purse", async |_: Job<Purse>, ctx: Context| Ok(ctx.complete().await?))
        .on("Refused", refused)
        .on("Kept", async |_: Job<Value>, _: Context| Err::<Completed, _>("not today".into()));
    let running = bench.queue.start(handlers).await.unwrap();

    let mut ends = Vec::new();
    for (kind, what, end) in [
        ("Told", "complete", "completed in"),
        ("Told", "fail", "failed and is RETRY: smtp is away"),
        ("Told", "panic", "failed and is RETRY: the handler panicked"),
        ("Hurried", "hang", "failed and is RETRY: the handler outran"),
        ("Told", "snooze", "snoozed"),
        ("Nope", "", "failed and is RETRY: no handler here"),
        ("Card", "", "failed and is RETRY: params do not fit the handler's type"),
        (
            "Refused",
            "",
            "failed and is RETRY: db error: ERROR: new row for relation \"cards\" violates check constraint",
        ),
        ("Kept", "", "failed and waits for its hold to lapse, since"),
    ] {
        let params = json!({ "do": what, "number": SECRET });
        ends.push((bench.enqueue(NewJob::of_type(kind, &params).unwrap()).await, end));
    }
    let misfit = NewJob::of_type("Purse", &json!({ "cards": { SECRET: { "number": "none" } } })).unwrap();
    ends.push((bench.enqueue(misfit).await, "failed and is RETRY: params do not fit the handler's type"));
    for (id, end) in &ends {
        bench.line_of(*id, end).await;
    }
    running.shutdown().await;

    // It was there to be let out.
    let quoted = "SELECT count(*) FROM secret WHERE errors::text LIKE '%4111-hunter2%'";
    assert_eq!(bench.client.query_typed_one(quoted, &[]).await.unwrap().get::<_, i64>(0), 3);
    let traced = EAR.lines().iter().filter(|line| line.text.contains(SECRET)).count();
    assert_eq!(traced, ends.len(), "each job's params are traced once");
    for line in EAR.lines().iter().filter(|line| line.whole().contains(SECRET)) {
        assert_eq!((line.level, &*line.target), (Level::Trace, JOB), "{line:?}");
    }
}

/// A target that a line got from the module it stands in would change when the code moves.
#[test]
fn every_line_names_one_of_the_documented_targets() {
    let mut lines = 0;
    for (file, code) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        for level in ["log", "error", "warn", "info", "debug", "trace"] {
            for (at, call) in code.match_indices(&format!("log::{level}!(")) {
                let given = code[at + call.len()..].trim_start();
                let given =
                    given.strip_prefix("target:").map(|given| given.trim_start().trim_start_matches("$crate::"));
                let target = given.and_then(|given| given.strip_prefix("logs::")).unwrap_or_default();
                let named = target.split(',').next().unwrap_or_default();
                assert!(
                    ["JOB", "QUEUE", "DATABASE", "ACTORS", "WEB"].contains(&named),
                    "{file}: {call}{}",
                    code[at + call.len()..].chars().take(80).collect::<String>()
                );
                lines += 1;
            }
        }
    }
    assert!(lines > 30, "only {lines} lines were found");

    let readme = include_str!("../README.md");
    let guide = include_str!("../docs/when-things-go-wrong.md");
    for target in [JOB, QUEUE, DATABASE, ACTORS, WEB] {
        assert!(readme.contains(target) && guide.contains(target), "{target} is documented nowhere");
    }
}

fn sources(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.extension().and_then(|ending| ending.to_str()) {
            _ if path.is_dir() => sources(&path),
            Some("rs") => vec![(path.display().to_string(), fs::read_to_string(&path).unwrap())],
            _ => Vec::new(),
        })
        .collect()
}
