//! Attempts at jobs, from their start to their settlement: one job's, or those of a batch.

mod batch;
mod single;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use tokio_util::sync::CancellationToken;

use crate::{
    events::{Happened, Reason},
    handler::{Completed, JobError, Rules, Wish},
    job::{Began, Reserved},
    run::{
        backoff::Backoff,
        caught::{caught, panic_text, watched},
        hold::{Cancelled, Held, Hold},
        node::Life,
        settle::{Ended, bounded, retry, settle, timed_out},
        shared::Shared,
    },
    store::{Lease, Started, Verdict},
    text,
};

pub(crate) use {batch::perform_batch, single::perform};

/// One attempt that has started and is not settled yet.
struct Attempt {
    held: Held,
    kind: String,
    max_attempts: i32,
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
async fn start(shared: &Shared, rules: Option<&dyn Rules>, job: &Reserved, sent: Instant) -> Option<Attempt> {
    let timeout = rules.and_then(|rules| caught(|| rules.execution_timeout()).ok().flatten());
    let timeout = timeout.unwrap_or(shared.settings.execution_timeout);
    let backoff = rules.and_then(|rules| caught(|| rules.backoff()).ok().flatten());
    let backoff = backoff.unwrap_or_else(|| Backoff::linear(shared.settings.retry_timeout));
    let reserved = Lease { id: job.id, lease: job.lease };
    if let Some(Began { sent, life, waited }) = job.began.clone() {
        // The claim knew no more than the queue's own timeout.
        let timeout = timeout.min(shared.settings.execution_timeout);
        let lease = Lease { lease: reserved.lease + 1, ..reserved };
        return hold(shared, Started { lease, attempt: job.attempt + 1, waited }, timeout, backoff, sent, life, job);
    }
    let life = shared.node.life();
    let started = match shared.desk.start(reserved, timeout).await {
        Ok(Some(started)) => started,
        Ok(None) => {
            log::debug!("job {} is reserved no longer and was not performed", job.id);
            return None;
        }
        Err(error) => {
            log::warn!("{}", text::line(&error));
            return None;
        }
    };
    hold(shared, started, timeout, backoff, sent, life, job)
}

/// Takes a job into this process's care; none if it is there already, or if others may have it by now.
fn hold(
    shared: &Shared,
    started: Started,
    timeout: Duration,
    backoff: Backoff,
    sent: Instant,
    life: Life,
    job: &Reserved,
) -> Option<Attempt> {
    if !life.goes_on() {
        log::debug!("job {} was started by a process that counts as dead by now, and was not performed", job.id);
        return None;
    }
    let held = shared.holds.take(Hold::new(started.lease, started.attempt, timeout, backoff, sent, life))?;
    shared.journal.started(job.kind.as_deref().unwrap_or_default(), started.waited);
    let happened = Happened::Started { waited: started.waited };
    shared.store.tell(started.lease.id, job.kind.as_deref(), started.attempt, &happened);
    Some(Attempt { held, kind: job.kind.clone().unwrap_or_default(), max_attempts: job.max_attempts, sent })
}

/// Runs a handler until it returns, panics, its time is over, or all that it performs was taken away. Whatever
/// the reason, `token` fires and the handler may answer before it is dropped.
async fn run(
    holds: &[Arc<Hold>],
    token: &CancellationToken,
    work: impl Future<Output = Result<Completed, JobError>>,
) -> Ending {
    let mut work = Box::pin(AssertUnwindSafe(work).catch_unwind());
    let timed_out = async {
        match holds.iter().map(|hold| hold.deadline).min() {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    let returned = {
        let mut work = watched(&mut work);
        tokio::select! {
            // The handler comes first, so that it can still answer to a token that wakes both.
            biased;
            returned = &mut work => Some(returned),
            _ = join_all(holds.iter().map(|hold| hold.token.cancelled())) => {
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
        log::warn!("a handler panicked while it was dropped: {}", panic_text(panic));
    }
    match returned {
        Some(Ok(result)) => Ending::Returned(result),
        Some(Err(panic)) => Ending::Panicked(panic_text(panic)),
        None => Ending::Cancelled,
    }
}

/// Has the table say how an attempt ended, and counts and logs it.
async fn conclude(shared: &Shared, attempt: Attempt, ending: &Ending) {
    let Attempt { held, kind, max_attempts, sent } = attempt;
    let (hold, took) = (&held.hold, sent.elapsed());
    hold.over();
    let job = format!("{}[{}] {kind} attempt {}/{max_attempts}", shared.store.name, hold.lease.id, hold.attempt);
    let reason = hold.reason();
    let tell = |happened| shared.store.tell(hold.lease.id, Some(&kind), hold.attempt, happened);
    match ending {
        Ending::Returned(Ok(completed)) if completed.is_of(hold.lease) => {
            shared.tally.completed.fetch_add(1, Ordering::Relaxed);
            shared.journal.completed(&kind, took);
            tell(&Happened::Committed { took });
            log::log!(shared.settings.log_level, "{job} completed in {took:?}");
        }
        _ if hold.is_committed() => {
            shared.tally.completed.fetch_add(1, Ordering::Relaxed);
            shared.journal.completed(&kind, took);
            tell(&Happened::Committed { took });
            let text = ending.text();
            log::warn!("{job} failed after its completion had committed, so it is completed: {text}");
        }
        Ending::Cancelled | Ending::Returned(Ok(_)) if reason == Some(Cancelled::Lost) => {
            log::warn!("{job} was lost to a rescue, a requeue or a delete, and its handler was stopped");
            tell(&Happened::Lost);
        }
        Ending::Cancelled | Ending::Returned(Ok(_)) if reason == Some(Cancelled::Unheard) => {
            log::warn!("{job} was given up, since this process counts as dead, and its handler was stopped");
            tell(&Happened::Lost);
        }
        ending => {
            let verdict = verdict(hold, ending);
            if let Verdict::Retry { error, .. } | Verdict::Fail { error } = &verdict {
                shared.journal.failed(&kind, took, hold.lease.id, &error.join(": "));
            }
            let ended = Ended { hold, kind: Some(&kind), took, reason: ending.reason() };
            settle(shared, ended, verdict, &job).await;
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

    fn text(&self) -> String {
        match self {
            Ending::Returned(Ok(_)) => "it returned another job's proof".to_owned(),
            Ending::Returned(Err(error)) => error.to_string(),
            Ending::Panicked(text) => format!("panic: {text}"),
            Ending::Cancelled => "it was stopped".to_owned(),
        }
    }
}
