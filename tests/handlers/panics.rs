//! Panics beside the handler's own.

use std::{
    panic::panic_any,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_job_queue::{Context, Handler, Handlers, Job, NewJob, Tuned};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::bench::{Bench, Done, Note, bare, hear, note, take_note, write};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bomb was dropped");
        }
    }
}

/// A panic's payload that panics with another of its kind when it is dropped, so many times.
struct Chain(u32);

impl Drop for Chain {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Chain(self.0 - 1));
        }
    }
}

/// Goes wrong as its note says.
struct Dangerous;

impl Handler<Note> for Dangerous {
    async fn perform(&self, job: Job<Note>, mut ctx: Context) -> Done {
        match job.params.text.as_str() {
            "payload" => panic_any(Bomb),
            "chain of payloads" => panic_any(Chain(3)),
            "dropped when it times out" => {
                let _bomb = Bomb;
                std::future::pending().await
            }
            "dropped on return" => {
                let _bomb = Bomb;
                Err("never told".into())
            }
            "dropped after the commit" => {
                let _bomb = Bomb;
                let completion = ctx.begin().await?;
                write(&completion, job.id, "kept").await?;
                Ok(completion.commit().await?)
            }
            _ => Ok(ctx.complete().await?),
        }
    }
}

/// A worker makes its handlers once; its replacement would make them again.
fn counted(made: &Arc<AtomicUsize>) -> Handlers {
    let made = Arc::clone(made);
    Handlers::new().on_each_arbiter("Note", move || {
        made.fetch_add(1, Ordering::SeqCst);
        Dangerous
    })
}

#[actix::test]
async fn no_panic_of_what_a_handler_leaves_behind_kills_its_worker() {
    let bench = Bench::with(|queue| queue.max_demand(1)).await;
    let made = Arc::new(AtomicUsize::new(0));
    let hurried = Tuned::new(Dangerous).execution_timeout(Duration::from_millis(200));
    let running = bench.start(counted(&made).on("Hurried", hurried)).await;

    for (text, kept) in [
        ("payload", "panicked"),
        ("chain of payloads", "panicked"),
        ("dropped when it times out", "outran its execution timeout"),
        ("dropped on return", "a bomb was dropped"),
    ] {
        let kind = if text.contains("times out") { "Hurried" } else { "Note" };
        let id = bench.enqueue(NewJob::of_type(kind, &json!({ "text": text })).unwrap()).await;
        bench.becomes(id, "RETRY").await;
        let error = bench.error(id).await;
        assert!(error.contains(kept), "{text}: {error}");
    }
    let fine = bench.enqueue(note("fine")).await;
    bench.completes(fine).await;

    assert_eq!(made.load(Ordering::SeqCst), 1, "the first worker lives");
    running.shutdown().await;
}

#[actix::test]
async fn a_panic_after_the_commit_does_not_undo_it() {
    let bench = Bench::with(|queue| queue.max_demand(1)).await;
    let mut ends = bench.listen().await;
    let made = Arc::new(AtomicUsize::new(0));
    let running = bench.start(counted(&made)).await;

    let id = bench.enqueue(note("dropped after the commit").notify("n")).await;

    assert_eq!(hear(&mut ends).await, ("jobs.completed".to_owned(), "n".to_owned()));
    assert_eq!(bench.state(id).await, None);
    assert_eq!(bench.notes().await, ["kept"]);
    let fine = bench.enqueue(note("fine")).await;
    bench.completes(fine).await;
    assert_eq!(made.load(Ordering::SeqCst), 1, "the first worker lives");
    assert!(ends.try_recv().is_err());
    running.shutdown().await;
}

/// Params that panic when they are read.
#[derive(Debug)]
struct Mine;

impl<'de> Deserialize<'de> for Mine {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("a mine in the params")
    }
}

#[actix::test]
async fn params_that_panic_when_they_are_read_fail_their_job_alone() {
    let bench = Bench::with(|queue| queue.max_demand(1)).await;
    let mine = async |_: Job<Mine>, ctx: Context| Ok(ctx.complete().await?);
    let running = bench.start(Handlers::new().on("Mine", mine).on("Note", take_note)).await;

    let id = bench.enqueue(bare("Mine")).await;

    bench.becomes(id, "RETRY").await;
    assert!(bench.error(id).await.contains("a mine in the params"));
    let fine = bench.enqueue(note("fine")).await;
    bench.completes(fine).await;
    running.shutdown().await;
}
