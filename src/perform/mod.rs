//! Attempts at jobs, from their start to their settlement: one job's, or those of a batch.

mod batch;
mod single;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    slice::from_ref,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, join_all},
};
use log::Level;
use tokio_util::sync::CancellationToken;

use crate::{
    events::{Happened, Reason},
    handler::{BatchPerformer, Completed, JobError, Performer, Rules, Wish},
    job::{Began, Reserved},
    logs::{Attempted, about},
    run::{
        backoff::Backoff,
        caught::{caught, panic_text, watched},
        crew::Work,
        hold::{Cancelled, Held, Hold},
        settle::{Ended, bounded, retry, settle, timed_out},
        shared::Shared,
        slots::{Place, Slot},
    },
    store::{Lease, Started, Verdict},
    text::{Cause, OneLine},
};

/// What a worker has done: a job by its handler, or several together. Whatever happens on the way, each comes back.
#[allow(clippy::large_enum_variant, reason = "nearly all are of the large one")]
pub(crate) enum Task {
    One(Arc<Shared>, Result<Rc<dyn Performer>, JobError>, Reserved, Place),
    Batch(Arc<Shared>, Rc<dyn BatchPerformer>, Vec<(Reserved, Place)>),
}

impl Work for Task {
    async fn perform(self) {
        match self {
            Task::One(shared, found, job, place) => single::perform(shared, found, job, place).await,
            // Apart, for the tasks that perform one job would have to have the room for it.
            Task::Batch(shared, performer, jobs) => Box::pin(batch::perform(shared, performer, jobs)).await,
        }
    }
}

/// One attempt that has started and is not settled yet.
struct Attempt {
    held: Held,
    sent: Instant,
}

/// How a handler's future ended.
enum Ending {
    Returned(Result<Completed, JobError>),
    Panicked(String),
    /// What was performed was taken away; each hold says why.
    Cancelled,
}

/// Starts a reserved job; none if it must not be performed. Its time is counted from `sent`.
async fn start(
    shared: &Shared,
    rules: Option<&dyn Rules>,
    job: &Reserved,
    slot: Arc<Slot>,
    sent: Instant,
) -> Option<Attempt> {
    let timeout = rules.and_then(|rules| caught(|| rules.execution_timeout()).ok().flatten());
    let timeout = timeout.unwrap_or(shared.settings.execution_timeout);
    let backoff = rules.and_then(|rules| caught(|| rules.backoff()).ok().flatten());
    let backoff = backoff.unwrap_or_else(|| Backoff::linear(shared.settings.retry_timeout));
    let reserved = Lease { id: job.id, lease: job.lease };
    if let Some(Began { sent, life, waited }) = job.began.clone() {
        // The claim knew no more than the queue's own timeout.
        let timeout = timeout.min(shared.settings.execution_timeout);
        let lease = Lease { lease: reserved.lease + 1, ..reserved };
        let started = Started { lease, attempt: job.attempt + 1, waited };
        // It hands no slot over: the next claim would start a job before this one is removed.
        let hold = Hold::new(lease, started.attempt, timeout, backoff, sent, life);
        return keep(shared, started, hold, job).map(|held| Attempt { held, sent });
    }
    let life = shared.node.life();
    let started = match shared.desk.start(reserved, timeout).await {
        Ok(Some(started)) => started,
        Ok(None) => {
            about!(Level::Debug, to_come(shared, job); "is this process's no longer and was not performed");
            return None;
        }
        Err(error) => {
            let cause = Cause(&error);
            about!(
                Level::Warn, to_come(shared, job), error = cause;
                "could not be started and waits for its reservation to lapse: {cause}"
            );
            return None;
        }
    };
    let hold = Hold::new(started.lease, started.attempt, timeout, backoff, sent, life).within(slot);
    keep(shared, started, hold, job).map(|held| Attempt { held, sent })
}

/// Takes a job into this process's care; none if it is there already, or if others may have it by now.
fn keep(shared: &Shared, started: Started, hold: Hold, job: &Reserved) -> Option<Held> {
    if !hold.life.goes_on() {
        let unheard = "was started by a process that counts as dead by now, and was not performed";
        about!(Level::Debug, to_come(shared, job); "{unheard}");
        return None;
    }
    let held = shared.holds.take(hold.at(job.kind.clone(), job.max_attempts))?;
    about!(Level::Debug, held.hold.attempted(&shared.store.label); "started");
    about!(Level::Trace, held.hold.attempted(&shared.store.label); "is given the params {}", job.params);
    shared.journal.started(job.kind.as_deref().unwrap_or_default(), started.waited);
    let happened = Happened::Started { waited: started.waited };
    shared.store.tell(started.lease.id, job.kind.as_deref(), started.attempt, &happened);
    Some(held)
}

/// An attempt that has not begun, as the log names it.
fn to_come<'a>(shared: &'a Shared, job: &'a Reserved) -> Attempted<'a> {
    Attempted {
        queue: &shared.store.label,
        job: job.id,
        kind: job.kind.as_deref(),
        attempt: job.attempt.saturating_add(1),
        max_attempts: job.max_attempts,
        node: shared.node.number(),
    }
}

/// Gives a job back whose handler may not begin, unless it was taken away meanwhile.
async fn go_back(shared: &Shared, attempt: Attempt, place: Place) {
    let waits = "did not begin, for a handler before it has not ended since its completion";
    about!(Level::Debug, attempt.held.hold.attempted(&shared.store.label); "{waits}");
    conclude(shared, attempt, &Ending::Cancelled).await;
    place.clear().await;
}

/// Runs a handler until it returns, panics, its time is over, or all that it performs was taken away. Whatever
/// the reason, `token` fires and the handler may answer before it is dropped.
async fn run(
    queue: &str,
    holds: &[Arc<Hold>],
    token: &CancellationToken,
    work: LocalBoxFuture<'_, Result<Completed, JobError>>,
) -> Ending {
    let mut work = AssertUnwindSafe(work).catch_unwind();
    let timed_out = async {
        match holds.iter().map(|hold| hold.deadline).min() {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    let taken = async {
        match holds {
            // Nearly always it is one, and nothing need be made room for.
            [hold] => hold.token.cancelled().await,
            holds => drop(join_all(holds.iter().map(|hold| hold.token.cancelled())).await),
        }
    };
    let returned = {
        let mut work = watched(&mut work);
        tokio::select! {
            // The handler comes first, so that it can still answer to a token that wakes both.
            biased;
            returned = &mut work => Some(returned),
            () = taken => {
                token.cancel();
                (&mut work).now_or_never()
            }
            () = timed_out => {
                holds.iter().for_each(|hold| hold.cancel(Cancelled::TimedOut));
                token.cancel();
                (&mut work).now_or_never()
            }
        }
    };
    // What the handler holds may panic when it is let go; the ending stands all the same.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(work))) {
        let text = panic_text(panic);
        let text = OneLine(from_ref(&text));
        for hold in holds {
            about!(Level::Warn, hold.attempted(queue), error = text; "has a handler that panicked while it was dropped: {text}");
        }
    }
    match returned {
        Some(Ok(result)) => Ending::Returned(result),
        Some(Err(panic)) => Ending::Panicked(panic_text(panic)),
        None => Ending::Cancelled,
    }
}

/// Has the table say how an attempt ended, and counts and logs it.
async fn conclude(shared: &Shared, attempt: Attempt, ending: &Ending) {
    let Attempt { held, sent } = attempt;
    let (hold, took) = (&held.hold, sent.elapsed());
    hold.over();
    let (job, kind) = (hold.attempted(&shared.store.label), hold.kind.as_deref());
    let reason = hold.reason();
    let tell = |happened| shared.store.tell(hold.lease.id, kind, hold.attempt, happened);
    match ending {
        Ending::Returned(Ok(completed)) if completed.is_of(hold.lease) => {
            shared.tally.completed.fetch_add(1, Ordering::Relaxed);
            shared.journal.completed(kind.unwrap_or_default(), took);
            tell(&Happened::Committed { took });
            about!(shared.settings.log_level, job; "completed in {took:?}");
        }
        _ if hold.is_committed() => {
            shared.tally.completed.fetch_add(1, Ordering::Relaxed);
            shared.journal.completed(kind.unwrap_or_default(), took);
            tell(&Happened::Committed { took });
            about!(
                Level::Warn, job, error = ending;
                "failed after its completion had committed, so it is completed: {ending}"
            );
        }
        Ending::Cancelled | Ending::Returned(Ok(_)) if reason == Some(Cancelled::Lost) => {
            about!(Level::Warn, job; "was lost to a rescue, a requeue or a delete, and its handler was stopped");
            tell(&Happened::Lost);
        }
        Ending::Cancelled | Ending::Returned(Ok(_)) if reason == Some(Cancelled::Unheard) => {
            about!(Level::Warn, job; "was given up, since this process counts as dead, and its handler was stopped");
            tell(&Happened::Lost);
        }
        ending => {
            let verdict = verdict(hold, ending);
            if let Verdict::Retry { error, .. } | Verdict::Fail { error } = &verdict {
                // What many are to see together quotes the params of none.
                let error = ending.instead().map_or_else(|| error.join(": "), str::to_owned);
                shared.journal.failed(kind.unwrap_or_default(), took, hold.lease.id, &error);
            }
            let ended = Ended { hold, took, reason: ending.reason(), instead: ending.instead() };
            // Apart, for what every job's future has room for is paid by those that complete too.
            Box::pin(settle(shared, ended, verdict)).await;
        }
    }
    held.settle();
}

/// What is to become of a job whose attempt did not complete.
fn verdict(hold: &Hold, ending: &Ending) -> Verdict {
    match ending {
        Ending::Returned(Ok(_)) => {
            retry(hold, vec!["the handler returned the proof of another job's completion".to_owned()])
        }
        Ending::Returned(Err(error)) => {
            let (chain, wish) = error.clone().into_parts();
            match wish {
                Wish::Retry => retry(hold, chain),
                Wish::RetryIn(after) => Verdict::Retry { after: bounded(after), error: chain },
                Wish::GiveUp => Verdict::Fail { error: chain },
                Wish::Snooze(after) => Verdict::Snooze { after: bounded(after) },
            }
        }
        Ending::Panicked(text) => retry(hold, vec![format!("the handler panicked: {text}")]),
        Ending::Cancelled if hold.reason() == Some(Cancelled::TimedOut) => {
            let text = if Instant::now() < hold.deadline {
                "its batch outran the execution timeout of another job in it".to_owned()
            } else {
                timed_out(hold)
            };
            retry(hold, vec![text])
        }
        Ending::Cancelled => Verdict::Return,
    }
}

impl Ending {
    /// The kind of an end that is a failure.
    fn reason(&self) -> Reason {
        match self {
            Ending::Returned(_) => Reason::Error,
            Ending::Panicked(..) => Reason::Panic,
            Ending::Cancelled => Reason::TimedOut,
        }
    }

    /// Whether the job may be performed again within its attempt: the handler has ended by itself and neither
    /// completed it nor lost it.
    fn leaves(&self, hold: &Hold) -> bool {
        let proven = matches!(self, Ending::Returned(Ok(completed)) if completed.is_of(hold.lease));
        !proven && !hold.is_committed() && hold.reason().is_none()
    }

    /// What the log and the journal say instead of the error, where that quotes params.
    fn instead(&self) -> Option<&'static str> {
        match self {
            Ending::Returned(Err(error)) => error.instead(),
            _ => None,
        }
    }
}

/// As the log has it.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Returned(Ok(_)) => f.write_str("it returned another job's proof"),
            Ending::Returned(Err(error)) => error.in_log(f),
            Ending::Panicked(text) => write!(f, "panic: {}", OneLine(from_ref(text))),
            Ending::Cancelled => f.write_str("it was stopped"),
        }
    }
}
