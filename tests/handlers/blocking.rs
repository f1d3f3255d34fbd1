//! Handlers that block their thread.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context as TaskContext, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use actix_job_queue::{Backoff, CompletionError, Context, Handlers, Job, NewJob, Tuned};
use serde_json::Value;

use crate::bench::{Bench, Done, Note, Probe, bare, eventually, hear, note, take_note, with, write};

/// Blocks whoever waits for it until the test lets go, which it does at the latest when it ends.
#[derive(Clone)]
struct Wall(Arc<Mutex<mpsc::Receiver<()>>>);

impl Wall {
    fn new() -> (mpsc::Sender<()>, Self) {
        let (fell, wall) = mpsc::channel();
        (fell, Self(Arc::new(Mutex::new(wall))))
    }

    /// Holds up the thread, as a handler must not.
    fn run_into(&self) {
        // Both a word and a test that is gone end the wait.
        let _ = self.0.lock().unwrap().recv();
    }
}

type Walled = (Probe<String>, Wall);

/// Blocks its thread, and then tries to complete its job.
async fn block((probe, wall): Walled, job: Job<Value>, mut ctx: Context) -> Done {
    probe.say("blocks".to_owned());
    wall.run_into();
    let begun = ctx.begin().await;
    let completion = match begun {
        Ok(completion) => completion,
        Err(error) => {
            let lost = matches!(error, CompletionError::Lost { .. });
            probe.say(if lost { "lost".to_owned() } else { error.to_string() });
            return Err(error.into());
        }
    };
    write(&completion, job.id, "after the wall").await?;
    let completed = completion.commit().await?;
    probe.say("completed".to_owned());
    Ok(completed)
}

/// Each arbiter has one place: all other jobs are the other's.
#[actix::test]
async fn a_handler_that_blocks_holds_up_no_other_arbiter() {
    let bench = Bench::with(|queue| queue.max_demand(2).dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let (fell, wall) = Wall::new();
    let hang = async |_: Job<Value>, _: Context| -> Done { std::future::pending().await };
    let handlers = Handlers::new()
        .on("Block", with((probe, wall), block))
        .on("Note", take_note)
        .on("Complete", async |_: Job<Value>, ctx: Context| Ok(ctx.complete().await?))
        .on("Hang", Tuned::new(hang).execution_timeout(Duration::from_millis(100)));
    let running = bench.start(handlers).await;
    let blocked = bench.enqueue(bare("Block")).await;
    assert_eq!(hear(&mut heard).await, "blocks");

    let mut done = bench.jobs.enqueue_many(&bench.client, &vec![note("meanwhile"); 10]).await.unwrap();
    done.push(bench.enqueue(bare("Complete")).await);
    let hung = bench.enqueue(bare("Hang")).await;
    for id in done {
        bench.completes(id).await;
    }
    bench.becomes(hung, "RETRY").await;
    assert!(bench.error(hung).await.contains("outran its execution timeout"));
    bench.hurry(hung).await;
    eventually("a second time-out", async || bench.holds(hung, "state = 'RETRY' AND attempt = 2").await.then_some(()))
        .await;

    assert_eq!(bench.state(blocked).await.as_deref(), Some("IN_PROGRESS"), "the wall stands");
    fell.send(()).unwrap();
    assert_eq!(hear(&mut heard).await, "completed");
    bench.completes(blocked).await;
    running.shutdown().await;
}

/// Opens its completion and waits within it, in which another handler's wall stops it.
async fn wait_within(probe: Probe<String>, job: Job<Value>, mut ctx: Context) -> Done {
    let completion = ctx.begin().await?;
    write(&completion, job.id, "within").await?;
    probe.say("within".to_owned());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let committed = completion.commit().await;
    probe.say(if committed.is_ok() { "committed" } else { "refused" }.to_owned());
    Ok(committed?)
}

/// Nobody can drop its completion, whose transaction has the row locked.
#[actix::test]
async fn a_completion_that_is_open_on_a_blocked_thread_is_undone_when_its_job_is_overdue() {
    let bench = Bench::with(|queue| queue.arbiters(1).max_demand(2).dead_after(Duration::from_secs(2))).await;
    let (probe, mut heard) = Probe::new();
    let (fell, wall) = Wall::new();
    let patient = with(probe.clone(), wait_within);
    let handlers = Handlers::new()
        .on("Block", with((probe, wall), block))
        .on("Wait", Tuned::new(patient).execution_timeout(Duration::from_secs(1)));
    let running = bench.start(handlers).await;
    let waits = bench.enqueue(bare("Wait")).await;
    assert_eq!(hear(&mut heard).await, "within");
    bench.enqueue(bare("Block")).await;
    assert_eq!(hear(&mut heard).await, "blocks");

    bench.becomes(waits, "RETRY").await;

    assert!(bench.error(waits).await.contains("blocks the thread"));
    assert_eq!(bench.notes().await, [""; 0], "what it had written is undone");
    fell.send(()).unwrap();
    // It may have been stopped before it could try.
    let first = hear(&mut heard).await;
    let last = if first == "refused" { hear(&mut heard).await } else { first };
    assert_eq!(last, "completed", "the other is not to suffer by it");
    running.shutdown().await;
    assert_eq!(bench.state(waits).await.as_deref(), Some("RETRY"));
}

/// The blocked arbiter has places left and is given jobs that it cannot start. Their reservations lapse, and
/// the other arbiter runs them.
#[actix::test]
async fn jobs_that_were_given_to_a_blocked_arbiter_run_on_another() {
    let bench = Bench::with(|queue| queue.max_demand(6).reservation_timeout(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let (fell, wall) = Wall::new();
    let handlers = Handlers::new().on("Block", with((probe, wall), block)).on("Note", take_note);
    let running = bench.start(handlers).await;
    let blocked = bench.enqueue(bare("Block")).await;
    assert_eq!(hear(&mut heard).await, "blocks");

    let ids = bench.jobs.enqueue_many(&bench.client, &vec![note("meanwhile"); 10]).await.unwrap();
    for id in ids {
        bench.completes(id).await;
    }

    assert_eq!(bench.notes().await, ["meanwhile"; 10]);
    assert_eq!(bench.state(blocked).await.as_deref(), Some("IN_PROGRESS"), "the wall stands");
    fell.send(()).unwrap();
    assert_eq!(hear(&mut heard).await, "completed");
    bench.completes(blocked).await;
    running.shutdown().await;
}

/// Its own arbiter cannot end it, so another thread does; it learns of that once it gets on.
#[actix::test]
async fn a_handler_that_blocks_beyond_its_time_is_retried_with_an_error_that_says_so() {
    let bench = Bench::with(|queue| queue.max_demand(2).dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let (fell, wall) = Wall::new();
    let blocks = Tuned::new(with((probe, wall), block))
        .execution_timeout(Duration::from_millis(200))
        .backoff(Backoff::linear(Duration::from_secs(777)));
    let running = bench.start(Handlers::new().on("Block", blocks).on("Note", take_note)).await;

    let id = bench.enqueue(bare("Block")).await;
    assert_eq!(hear(&mut heard).await, "blocks");

    bench.becomes(id, "RETRY").await;
    let error = bench.error(id).await;
    assert!(error.contains("execution timeout of 200ms") && error.contains("blocks"), "{error}");
    assert!(bench.holds(id, "attempt = 1 AND schedule - updated_at = interval '777 s'").await);
    fell.send(()).unwrap();
    let beyond = bench.enqueue(note("beyond")).await;
    bench.completes(beyond).await;
    assert_eq!(bench.notes().await, ["beyond"], "nothing of the late handler is kept");
    assert_eq!(bench.errors(id).await.len(), 1, "its end is told once");
    running.shutdown().await;
}

/// It is asked on behalf of a handler whose thread is blocked.
#[actix::test]
async fn a_backoff_that_blocks_holds_up_no_other_job() {
    let bench = Bench::with(|queue| queue.max_demand(2).dead_after(Duration::from_secs(1))).await;
    let (probe, mut heard) = Probe::new();
    let (fell, wall) = Wall::new();
    let (asked, mut asks) = Probe::new();
    let (decided, pondering) = Wall::new();
    let backoff = Backoff::from_fn(move |_| {
        asked.say("ponders");
        pondering.run_into();
        Duration::from_secs(777)
    });
    let blocks = Tuned::new(with((probe, wall), block)).execution_timeout(Duration::from_millis(200)).backoff(backoff);
    let running = bench.start(Handlers::new().on("Block", blocks).on("Note", take_note)).await;
    let id = bench.enqueue(bare("Block")).await;
    assert_eq!(hear(&mut heard).await, "blocks");
    assert_eq!(hear(&mut asks).await, "ponders");

    for n in 0..5 {
        let meanwhile = bench.enqueue(note(&n.to_string())).await;
        bench.completes(meanwhile).await;
    }
    assert_eq!(bench.state(id).await.as_deref(), Some("IN_PROGRESS"));
    decided.send(()).unwrap();

    bench.becomes(id, "RETRY").await;
    assert!(bench.holds(id, "schedule - updated_at = interval '777 s'").await);
    fell.send(()).unwrap();
    running.shutdown().await;
}

/// A spin is no better than a sleep: the processor is busy and the arbiter as well.
#[actix::test]
async fn a_handler_that_spins_holds_up_no_other_arbiter() {
    let bench = Bench::with(|queue| queue.max_demand(2)).await;
    let (probe, mut heard) = Probe::new();
    let stop = Arc::new(AtomicBool::new(false));
    let spin = async |(probe, stop): (Probe<()>, Arc<AtomicBool>), _: Job<Note>, ctx: Context| {
        probe.say(());
        while !stop.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        Ok(ctx.complete().await?)
    };
    let handlers = Handlers::new().on("Spin", with((probe, Arc::clone(&stop)), spin)).on("Note", take_note);
    let running = bench.start(handlers).await;
    let spinning = bench.enqueue(NewJob::of_type("Spin", &Note { text: String::new() }).unwrap()).await;
    hear(&mut heard).await;

    let ids = bench.jobs.enqueue_many(&bench.client, &vec![note("meanwhile"); 5]).await.unwrap();
    for id in ids {
        bench.completes(id).await;
    }

    assert_eq!(bench.state(spinning).await.as_deref(), Some("IN_PROGRESS"));
    stop.store(true, Ordering::Relaxed);
    bench.completes(spinning).await;
    running.shutdown().await;
}

/// Lets a parked thread go on.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits as code does that is not asynchronous: the thread does nothing else until then.
fn wait_for<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// One arbiter for all of them, so that the removals of those that went before are told to it meanwhile.
#[actix::test]
async fn a_handler_may_wait_for_its_completion_without_letting_go_of_its_thread() {
    let bench = Bench::with(|queue| queue.arbiters(1)).await;
    let handlers = Handlers::new()
        .on("Park", async |_: Job<Value>, ctx: Context| Ok(wait_for(ctx.complete())?))
        .on("Go", async |_: Job<Value>, ctx: Context| Ok(ctx.complete().await?));
    let mixed: Vec<_> = (0..40).map(|n| bare(if n % 4 == 3 { "Park" } else { "Go" })).collect();
    bench.jobs.enqueue_many(&bench.client, &mixed).await.unwrap();

    let running = bench.start(handlers).await;

    eventually("the end of all", async || (bench.count("true").await == 0).then_some(())).await;
    let report = running.shutdown().await;
    assert_eq!((report.failed, report.returned, report.left), (0, 0, 0), "{report}");
}
