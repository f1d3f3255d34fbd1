//! One attempt at one job, from its start to its settlement.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    backoff::Backoff,
    hold::{Cancelled, Hold},
    shared::Shared,
};
use crate::{
    handler::{Completed, Context, Dispatch, JobError, Performer, Surroundings, Wish},
    job::{Reserved, State},
    store::{Lease, Settlement, Verdict},
    text,
};

/// How a handler's future ended.
enum Ending {
    Returned(Result<Completed, JobError>),
    Panicked(String),
    Cancelled(Cancelled),
}

/// Performs a reserved job. Whatever happens on the way, it comes back.
pub(crate) async fn perform(shared: Arc<Shared>, dispatch: Rc<Dispatch>, job: Reserved) {
    let found = dispatch.find(job.kind.as_deref());
    let performer = found.as_ref().ok();
    let timeout = performer.and_then(|found| own(|| found.execution_timeout()).flatten());
    let timeout = timeout.unwrap_or(shared.settings.execution_timeout);
    let backoff = performer.and_then(|found| own(|| found.backoff()).flatten());
    let backoff = backoff.unwrap_or_else(|| Backoff::linear(shared.settings.retry_timeout));

    if shared.draining.is_cancelled() {
        // The shutdown gives back what is reserved.
        return;
    }
    let sent = Instant::now();
    let reserved = Lease { id: job.id, lease: job.lease };
    let started = match shared.desk.start(reserved, timeout).await {
        Ok(Some(started)) => started,
        Ok(None) => return log::debug!("job {} is reserved no longer and was not performed", job.id),
        Err(error) => return log::warn!("{}", text::line(&error)),
    };
    let hold = Hold::new(started.lease, started.attempt, timeout, backoff, sent);
    let Some(held) = shared.holds.take(hold) else {
        return;
    };
    let hold = Arc::clone(&held.hold);
    let (kind, max_attempts) = (job.kind.clone().unwrap_or_default(), job.max_attempts);
    let ending = match found {
        Ok(performer) => run(&shared, performer, Reserved { attempt: started.attempt, ..job }, &hold).await,
        Err(unknown) => Ending::Returned(Err(unknown)),
    };
    hold.over();
    conclude(&shared, &hold, ending, &kind, max_attempts, sent.elapsed()).await;
    held.settle();
}

/// What the user's own function says; one that panics over it has said nothing.
fn own<T>(ask: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(ask)).map_err(panic_text).ok()
}

/// Runs the handler until it returns, panics, or its job is taken away.
async fn run(shared: &Arc<Shared>, performer: Rc<dyn Performer>, job: Reserved, hold: &Arc<Hold>) -> Ending {
    let surroundings =
        Surroundings { store: shared.store.clone(), desk: shared.desk.clone(), draining: shared.draining.clone() };
    let context = Context::new(surroundings, Arc::clone(hold));
    let deadline = tokio::time::Instant::from_std(hold.deadline);
    let mut work: LocalBoxFuture<'_, _> =
        Box::pin(AssertUnwindSafe(async move { performer.perform(job, context).await }).catch_unwind());
    let ending = tokio::select! {
        // The handler comes first, so that it can still answer to the token that wakes both.
        biased;
        returned = &mut work => ended(returned),
        () = hold.token.cancelled() => Ending::Cancelled(hold.reason().unwrap_or(Cancelled::Lost)),
        () = tokio::time::sleep_until(deadline) => {
            hold.cancel(Cancelled::TimedOut);
            match (&mut work).now_or_never() {
                Some(returned) => ended(returned),
                None => Ending::Cancelled(Cancelled::TimedOut),
            }
        }
    };
    // What the handler holds may panic when it is let go; the job's ending stands all the same.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(work))) {
        log::warn!("a handler panicked while it was dropped: {}", panic_text(panic));
    }
    ending
}

fn ended(returned: Result<Result<Completed, JobError>, Box<dyn Any + Send>>) -> Ending {
    match returned {
        Ok(result) => Ending::Returned(result),
        Err(panic) => Ending::Panicked(panic_text(panic)),
    }
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "of a value that is no text".to_owned(),
    };
    // A payload that panics when dropped would take the worker with it, and so might what it panics with:
    // that is left undropped.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
        log::warn!("a panic's payload panicked");
    }
    text::keepable(&text)
}

/// Has the table say how the attempt ended, and counts and logs it.
async fn conclude(shared: &Shared, hold: &Hold, ending: Ending, kind: &str, max_attempts: i32, took: Duration) {
    let (queue, id, attempt) = (&shared.store.name, hold.lease.id, hold.attempt);
    let job = format!("{queue}[{id}] {kind} attempt {attempt}/{max_attempts}");
    let done = hold.is_committed();
    let verdict = match ending {
        Ending::Returned(Ok(completed)) if completed.is_of(hold.lease) => {
            shared.tally.completed.fetch_add(1, Ordering::Relaxed);
            return log::log!(shared.settings.log_level, "{job} completed in {took:?}");
        }
        _ if done => {
            shared.tally.completed.fetch_add(1, Ordering::Relaxed);
            return log::warn!(
                "{job} failed after its completion had committed, so it is completed: {}",
                ending.text()
            );
        }
        Ending::Returned(Ok(_)) => {
            retry(hold, vec!["the handler returned the proof of another job's completion".to_owned()])
        }
        Ending::Returned(Err(error)) => {
            let (chain, wish) = error.into_parts();
            match wish {
                Wish::Retry => retry(hold, chain),
                Wish::RetryIn(after) => Verdict::Retry { after: bounded(after), error: chain },
                Wish::GiveUp => Verdict::Fail { error: chain },
                Wish::Snooze(after) => Verdict::Snooze { after: bounded(after) },
            }
        }
        Ending::Panicked(text) => retry(hold, vec![format!("the handler panicked: {text}")]),
        Ending::Cancelled(Cancelled::TimedOut) => retry(hold, vec![timed_out(hold)]),
        Ending::Cancelled(Cancelled::ShutDown) => Verdict::Return,
        Ending::Cancelled(Cancelled::Lost) => {
            return log::warn!("{job} was lost to a rescue, a requeue or a delete, and its handler was stopped");
        }
    };
    settle(shared, hold.lease, verdict, &job).await;
}

pub(crate) fn timed_out(hold: &Hold) -> String {
    format!("the handler outran its execution timeout of {:?}", hold.timeout)
}

/// A backoff that panics means no wait.
pub(crate) fn retry(hold: &Hold, error: Vec<String>) -> Verdict {
    let after = own(|| hold.backoff.after(hold.attempt)).unwrap_or_default();
    Verdict::Retry { after, error }
}

fn bounded(after: Duration) -> Duration {
    after.min(super::backoff::LONGEST)
}

/// Hands a verdict in, and counts and logs what came of it.
pub(crate) async fn settle(shared: &Shared, lease: Lease, verdict: Verdict, job: &str) {
    let tally = &shared.tally;
    let why = match &verdict {
        Verdict::Retry { error, .. } | Verdict::Fail { error } => error.join(": "),
        Verdict::Snooze { after } => format!("snoozed for {after:?}"),
        Verdict::Return => "given back".to_owned(),
    };
    match shared.desk.settle(lease, verdict).await {
        Ok(Settlement::Settled(State::Scheduled)) => {
            log::debug!("{job} {why}");
        }
        Ok(Settlement::Settled(State::Available)) => {
            tally.returned.fetch_add(1, Ordering::Relaxed);
            log::info!("{job} {why}");
        }
        Ok(Settlement::Settled(state)) => {
            tally.failed.fetch_add(1, Ordering::Relaxed);
            log::warn!("{job} failed and is {state}: {why}");
        }
        Ok(Settlement::Lost | Settlement::Gone | Settlement::Completed) => {
            log::warn!("{job} was lost to a rescue, a requeue or a delete before it failed: {why}");
        }
        Ok(Settlement::Busy) => {
            tally.unsettled.fetch_add(1, Ordering::Relaxed);
            log::warn!("{job} failed, and its row stays locked by another transaction until its hold lapses: {why}");
        }
        Err(error) => {
            tally.unsettled.fetch_add(1, Ordering::Relaxed);
            let cause = text::line(&error);
            log::warn!("{job} failed and waits for its hold to lapse, since {cause}: {why}");
        }
    }
}

impl Ending {
    fn text(&self) -> String {
        match self {
            Ending::Returned(Ok(_)) => "it returned another job's proof".to_owned(),
            Ending::Returned(Err(error)) => error.to_string(),
            Ending::Panicked(text) => format!("panic: {text}"),
            Ending::Cancelled(why) => format!("{why:?}"),
        }
    }
}
