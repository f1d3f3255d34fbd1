//! Jobs of a batch that fail, by themselves or with it.

use actix_job_queue::{BatchContext, CompletionError, Handlers, Happened, Job, JobError};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{batched, full, heard_so_far, one_worker, take_all};
use crate::bench::{Bench, Done, HOUR, Note, Probe, bare, ear, hear, note, write};

/// Takes the notes, and fails with its completion open as one of them says.
pub(super) async fn poisoned(probe: Probe<usize>, jobs: Vec<Job<Note>>, mut ctx: BatchContext) -> Done {
    probe.say(jobs.len());
    let poison = jobs.iter().find_map(|job| job.params.text.strip_prefix("poison: ").map(str::to_owned));
    let completion = ctx.begin().await?;
    for job in &jobs {
        write(&completion, job.id, &job.params.text).await?;
    }
    match poison.as_deref() {
        Some("error") => Err("poisoned".into()),
        Some("panic") => panic!("poisoned"),
        Some("statement") => Ok(completion.query_typed_one("SELECT 1/0", &[]).await.map(|_| unreachable!())?),
        Some("forgotten statement") => {
            // The error that is swallowed here is the point.
            let _ = completion.query_typed_one("SELECT 1/0", &[]).await;
            Ok(completion.commit().await?)
        }
        Some("rollback") => {
            completion.batch_execute("ROLLBACK").await?;
            Ok(completion.commit().await?)
        }
        _ => Ok(completion.commit().await?),
    }
}

#[actix::test]
async fn a_job_that_fails_a_batch_fails_alone_and_the_others_are_completed_once() {
    let bench = Bench::with(one_worker).await;
    let (probe, mut heard) = Probe::new();
    let running = bench.start(Handlers::new().batch("Note", full(4), batched(probe, poisoned))).await;

    for (way, kept) in [
        ("error", "poisoned"),
        ("panic", "the handler panicked: poisoned"),
        ("statement", "division by zero"),
        ("forgotten statement", "one of its statements had failed"),
        ("rollback", "was ended by a ROLLBACK"),
    ] {
        let ids = bench.enqueue_notes(&["a", "b", &format!("poison: {way}"), "c"]).await;

        bench.becomes(ids[2], "RETRY").await;
        for id in [ids[0], ids[1], ids[3]] {
            bench.completes(id).await;
        }
        let error = bench.error(ids[2]).await;
        assert!(error.contains(kept), "{way}: {error}");
        assert!(bench.holds(ids[2], "attempt = 1").await, "it has failed once, although it ran twice");
        assert_eq!(bench.notes().await, ["a", "b", "c"], "{way}");
        assert_eq!(heard_so_far(&mut heard), [4, 1, 1, 1, 1], "{way}");
        bench.sql("TRUNCATE jobs, notes").await;
    }
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned), (0, 0), "{report}");
}

#[actix::test]
async fn each_job_of_a_batch_has_its_own_verdict() {
    let (recipient, mut events) = ear();
    let bench = Bench::with(|queue| one_worker(queue).on_event(recipient)).await;
    let mut ends = bench.listen().await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<(usize, bool)>, jobs: Vec<Job<Note>>, mut ctx: BatchContext| {
        for job in &jobs {
            match job.params.text.as_str() {
                "retry" => ctx.fail(job.id, "no luck"),
                "later" => ctx.fail(job.id, JobError::new("mailbox full").retry_in(HOUR)),
                "never" => ctx.fail(job.id, JobError::new("no such address").give_up()),
                "not yet" => ctx.fail(job.id, JobError::snooze(HOUR)),
                _ => true,
            };
        }
        let again = ctx.fail(jobs[0].id, "a second time");
        probe.say((jobs.len(), again || ctx.fail(-1, "nobody's")));
        take_all(&jobs, &mut ctx).await
    };
    let running = bench.start(Handlers::new().batch("Note", full(6), batched(probe, handler))).await;

    let jobs = ["retry", "later", "never", "not yet", "done", "done too"].map(|text| note(text).notify(text));
    let ids = bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();

    for (id, state) in [(ids[0], "RETRY"), (ids[1], "RETRY"), (ids[2], "FAILED"), (ids[3], "SCHEDULED")] {
        bench.becomes(id, state).await;
    }
    assert_eq!(bench.error(ids[0]).await, "no luck");
    assert!(bench.holds(ids[0], "schedule - updated_at = interval '30 s' AND attempt = 1").await);
    assert!(bench.holds(ids[1], "schedule - updated_at = interval '1 hour' AND attempt = 1").await);
    assert!(bench.holds(ids[3], "schedule - updated_at = interval '1 hour' AND attempt = 0").await);
    assert_eq!(bench.state(ids[4]).await, None);
    assert_eq!(bench.notes().await, ["done", "done too"]);
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(hear(&mut ends).await);
    }
    told.sort();
    let expected = [
        ("jobs.completed", "done"),
        ("jobs.completed", "done too"),
        ("jobs.failed", "never"),
        ("jobs.retry", "later"),
        ("jobs.retry", "retry"),
    ];
    assert_eq!(told, expected.map(|(channel, payload)| (channel.to_owned(), payload.to_owned())));
    assert_eq!(hear(&mut heard).await, (6, false), "what is not in the batch cannot fail");
    // What the table tells already, the process has yet to count.
    let mut counted = 0;
    while counted < ids.len() {
        counted +=
            usize::from(!matches!(hear(&mut events).await.happened, Happened::Enqueued | Happened::Started { .. }));
    }
    let report = running.shutdown().await;
    assert_eq!((report.completed, report.failed, report.left), (0, 0, 0), "nothing is left to do: {report}");
    assert!(heard.try_recv().is_err(), "the handler ran once");
}

#[actix::test]
async fn a_batch_of_which_no_job_is_left_has_nothing_to_complete() {
    let bench = Bench::with(one_worker).await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<String>, jobs: Vec<Job<Note>>, mut ctx: BatchContext| {
        for job in &jobs {
            ctx.fail(job.id, "no luck");
        }
        let refused = ctx.complete().await.unwrap_err();
        assert!(matches!(refused, CompletionError::NothingLeft { .. }), "{refused:?}");
        let refused = ctx.begin().await.unwrap_err();
        assert!(matches!(refused, CompletionError::NothingLeft { .. }), "{refused:?}");
        probe.say(refused.to_string());
        Err(refused.into())
    };
    let running = bench.start(Handlers::new().batch("Note", full(2), batched(probe, handler))).await;

    let ids = bench.enqueue_notes(&["a", "b"]).await;

    for id in ids {
        bench.becomes(id, "RETRY").await;
        assert_eq!(bench.error(id).await, "no luck");
    }
    assert!(hear(&mut heard).await.contains("there is nothing left to complete"));
    assert!(heard.try_recv().is_err(), "the handler ran once");
    running.shutdown().await;
}

/// Params that panic when they are read, if they say so.
#[derive(Debug)]
struct Touchy;

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(params: D) -> Result<Self, D::Error> {
        match Value::deserialize(params)?["text"].as_str() {
            Some("mine") => panic!("a mine in the params"),
            Some(_) => Ok(Touchy),
            None => Err(serde::de::Error::custom("no text")),
        }
    }
}

#[actix::test]
async fn params_that_cannot_be_read_fail_their_job_alone() {
    let bench = Bench::with(one_worker).await;
    let (probe, mut heard) = Probe::new();
    let handler = async |probe: Probe<Vec<i64>>, jobs: Vec<Job<Touchy>>, ctx: BatchContext| {
        probe.say(jobs.iter().map(|job| job.id).collect());
        Ok(ctx.complete().await?)
    };
    let running = bench.start(Handlers::new().batch("Note", full(4), batched(probe, handler))).await;

    let jobs = [note("a"), bare("Note"), note("mine"), note("b")];
    let ids = bench.jobs.enqueue_many(&bench.client, &jobs).await.unwrap();

    for (id, kept) in [(ids[1], "no text"), (ids[2], "panicked: a mine in the params")] {
        bench.becomes(id, "RETRY").await;
        let error = bench.error(id).await;
        assert!(error.contains(kept), "{error}");
    }
    bench.completes(ids[0]).await;
    bench.completes(ids[3]).await;
    assert_eq!(hear(&mut heard).await, [ids[0], ids[3]]);
    bench.sql("DELETE FROM jobs").await;
    let ids = bench.jobs.enqueue_many(&bench.client, &vec![bare("Note"); 4]).await.unwrap();
    for id in ids {
        bench.becomes(id, "RETRY").await;
        assert!(bench.error(id).await.contains("no text"));
    }
    running.shutdown().await;
    assert!(heard.try_recv().is_err(), "the handler is not called for nothing");
}
