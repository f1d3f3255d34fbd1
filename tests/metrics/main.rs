//! What a queue tells those who watch it: events of its jobs, and metrics for an exporter.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Duration};

use actix::{Actor, Context as ActorContext, Handler, Recipient};
use actix_job_queue::{
    Completed, Context, Database, Handlers, Happened, Job, JobError, JobEvent, NewJob, Queue, Reason, State,
    operate::Operator,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use support::TestDb;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[path = "../support/mod.rs"]
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
mod support;

struct Ear(UnboundedSender<JobEvent>, usize);

impl Actor for Ear {
    type Context = ActorContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.1);
    }
}

impl Handler<JobEvent> for Ear {
    type Result = ();

    fn handle(&mut self, event: JobEvent, _: &mut Self::Context) {
        // The test may be over.
        let _ = self.0.send(event);
    }
}

fn ear() -> (Recipient<JobEvent>, UnboundedReceiver<JobEvent>) {
    let (tell, heard) = unbounded_channel();
    (Ear(tell, 1_000).start().recipient(), heard)
}

async fn next(heard: &mut UnboundedReceiver<JobEvent>) -> JobEvent {
    tokio::time::timeout(Duration::from_secs(30), heard.recv()).await.expect("an event").expect("the ear lives")
}

async fn work(job: Job<Value>, ctx: Context) -> Result<Completed, JobError> {
    match job.attempt {
        1 => Err("not yet".into()),
        2 => panic!("still not"),
        _ => Ok(ctx.complete().await?),
    }
}

async fn queue(db: &TestDb, table: &str, recipient: Recipient<JobEvent>) -> Queue {
    let database = Database::connect(&db.url()).await.unwrap();
    let jobs = Queue::builder(&database, table).retry_timeout(Duration::ZERO).on_event(recipient).build().unwrap();
    jobs.migrate().await.unwrap();
    jobs
}

#[actix::test]
async fn an_actor_hears_of_each_step_of_a_jobs_life_in_its_order() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let (recipient, mut heard) = ear();
    let jobs = queue(&db, "jobs", recipient).await;
    let running = jobs.start(Handlers::new().on("Mail", work)).await.unwrap();

    let id = jobs.enqueue(&client, NewJob::of_type("Mail", &json!({})).unwrap()).await.unwrap();

    let mut events = Vec::new();
    while !matches!(events.last(), Some(JobEvent { happened: Happened::Committed { .. }, .. })) {
        events.push(next(&mut heard).await);
    }
    assert!(events.iter().all(|event| event.id == id && event.queue == "jobs" && event.missed == 0), "{events:?}");
    let told: Vec<_> = events.iter().map(|event| (event.attempt, &event.happened)).collect();
    let [enqueued, first, failed, second, panicked, third, completed] = told[..] else { panic!("{told:?}") };
    assert_eq!(enqueued, (0, &Happened::Enqueued));
    for (attempt, started) in [(1, first), (2, second), (3, third)] {
        assert!(matches!(started, (told, Happened::Started { waited: Some(_) }) if told == attempt), "{started:?}");
    }
    for (attempt, reason, text, end) in
        [(1, Reason::Error, "not yet", failed), (2, Reason::Panic, "the handler panicked: still not", panicked)]
    {
        let (told, Happened::Failed { reason: why, error, state: State::Retry, .. }) = end else { panic!("{end:?}") };
        assert_eq!((told, *why), (attempt, reason));
        assert!(error[0].starts_with(text), "{error:?}");
    }
    assert!(matches!(completed, (3, Happened::Committed { .. })));
    running.shutdown().await;
}

#[actix::test]
async fn a_recipient_that_does_not_keep_up_is_told_how_many_events_it_missed() {
    let db = TestDb::new().await;
    let client = db.client().await;
    let (tell, mut heard) = unbounded_channel();
    let jobs = queue(&db, "jobs", Ear(tell, 1).start().recipient()).await;
    let job = NewJob::of_type("Mail", &json!({})).unwrap();

    // This thread is the recipient's own, so it hears of none of them before the end of each call.
    let ids = jobs.enqueue_many(&client, &vec![job.clone(); 100]).await.unwrap();
    let first: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
    assert_eq!(first.len(), 0);
    let mut told = vec![next(&mut heard).await];
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await {
        told.push(event);
    }
    jobs.enqueue(&client, job).await.unwrap();
    let last = next(&mut heard).await;

    let missed = u64::try_from(ids.len() - told.len()).unwrap();
    assert!(missed > 0, "all were heard");
    assert_eq!(last.missed, missed);
}

const BOARD: &str = include_str!("../../docs/grafana.json");

/// All names that begin like the library's, without what a histogram's parts are called.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("job_queue_"))
        .map(|word| ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word))
        .collect()
}

/// The exporter is the process's own, so the queue has a name that no other test's has.
#[actix::test]
async fn an_exporter_shows_what_happened_and_the_board_asks_for_nothing_else() {
    let exporter: PrometheusHandle = PrometheusBuilder::new().install_recorder().unwrap();
    let db = TestDb::new().await;
    let client = db.client().await;
    let (recipient, mut heard) = ear();
    let jobs = queue(&db, "mails", recipient).await;
    // Somebody who died, with a job in progress.
    client
        .batch_execute(
            "INSERT INTO mails (params) VALUES ('{\"type\": \"Mail\"}');
             UPDATE mails SET state = 'IN_PROGRESS', attempt = 2, lease = 2, node = 999, expires = now() + interval '1 h'",
        )
        .await
        .unwrap();
    let running = jobs.start(Handlers::new().on("Mail", work)).await.unwrap();
    jobs.enqueue(&client, NewJob::of_type("Mail", &json!({})).unwrap()).await.unwrap();
    jobs.enqueue(&client, NewJob::of_type("Unknown", &json!({})).unwrap().max_attempts(1)).await.unwrap();
    let (mut completed, mut failed) = (0, 0);
    while (completed, failed) != (2, 1) {
        match next(&mut heard).await.happened {
            Happened::Committed { .. } => completed += 1,
            Happened::Failed { state: State::Failed, .. } => failed += 1,
            _ => {}
        }
    }
    running.shutdown().await;
    Operator::of(&jobs).publish_gauges().await.unwrap();

    let shown = exporter.render();

    for line in [
        "job_queue_enqueued_total{queue=\"mails\"} 2",
        "job_queue_completed_total{queue=\"mails\",type=\"Mail\"} 2",
        "job_queue_failed_total{queue=\"mails\",type=\"Mail\",reason=\"error\",state=\"RETRY\"} 1",
        "job_queue_failed_total{queue=\"mails\",type=\"Mail\",reason=\"panic\",state=\"RETRY\"} 1",
        "job_queue_failed_total{queue=\"mails\",type=\"Unknown\",reason=\"error\",state=\"FAILED\"} 1",
        "job_queue_rescued_total{queue=\"mails\",outcome=\"available\"} 1",
        "job_queue_running_seconds_count{queue=\"mails\",type=\"Mail\"} 4",
        "job_queue_jobs{queue=\"mails\",state=\"FAILED\"} 1",
        "job_queue_processes{queue=\"mails\"} 0",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    let board: Value = serde_json::from_str(BOARD).unwrap();
    let expressions: String = board["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| {
            panel["targets"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|target| format!("{} ", target["expr"].as_str().unwrap()))
        })
        .collect();
    let (asked, there) = (names(&expressions), names(&shown));
    let sometimes =
        BTreeSet::from(["job_queue_returned_total", "job_queue_refused_total", "job_queue_reconnects_total"]);
    let unknown: Vec<_> = asked.iter().filter(|name| !there.contains(*name) && !sometimes.contains(*name)).collect();
    assert!(unknown.is_empty(), "the board asks for {unknown:?}");
    let unasked: Vec<_> = there.difference(&asked).collect();
    assert!(unasked.is_empty(), "the board does not show {unasked:?}");
}
