//! How an attempt that did not complete is handed in, by its performer or on its behalf.

use std::{sync::atomic::Ordering, time::Duration};

use super::{backoff::LONGEST, caught::caught, hold::Hold, shared::Shared};
use crate::{
    events::{Happened, Reason},
    job::State,
    store::{Lease, Settlement, Verdict},
    text,
};

pub(crate) fn timed_out(hold: &Hold) -> String {
    format!("the handler outran its execution timeout of {:?}", hold.timeout)
}

/// A backoff that panics means no wait.
pub(crate) fn retry(hold: &Hold, error: Vec<String>) -> Verdict {
    let after = caught(|| hold.backoff.after(hold.attempt)).unwrap_or_default();
    Verdict::Retry { after, error }
}

pub(crate) fn bounded(after: Duration) -> Duration {
    after.min(LONGEST)
}

/// An attempt that did not complete, for those who hear of it.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) hold: &'a Hold,
    pub(crate) kind: Option<&'a str>,
    pub(crate) took: Duration,
    pub(crate) reason: Reason,
}

/// Hands a verdict in, and tells, counts and logs what came of it.
pub(crate) async fn settle(shared: &Shared, ended: Ended<'_>, verdict: Verdict, job: &str) {
    let Ended { hold, kind, took, reason } = ended;
    let error = match &verdict {
        Verdict::Retry { error, .. } | Verdict::Fail { error } => error.clone(),
        Verdict::Snooze { .. } | Verdict::Return => Vec::new(),
    };
    let happened = match hand_in(shared, hold.lease, verdict, job).await {
        Some(Settlement::Settled(State::Scheduled)) => Happened::Snoozed,
        Some(Settlement::Settled(State::Available)) => Happened::Returned,
        Some(Settlement::Settled(state)) => Happened::Failed { took, reason, error, state },
        Some(Settlement::Lost | Settlement::Gone | Settlement::Completed) => Happened::Lost,
        // Nobody knows yet.
        Some(Settlement::Busy) | None => return,
    };
    shared.store.tell(hold.lease.id, kind, hold.attempt, &happened);
}

/// None if the database could not be asked.
async fn hand_in(shared: &Shared, lease: Lease, verdict: Verdict, job: &str) -> Option<Settlement> {
    let tally = &shared.tally;
    let why = match &verdict {
        Verdict::Retry { error, .. } | Verdict::Fail { error } => error.join(": "),
        Verdict::Snooze { after } => format!("snoozed for {after:?}"),
        Verdict::Return => "given back".to_owned(),
    };
    let settled = shared.desk.settle(lease, verdict).await;
    match &settled {
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
            let cause = text::line(error);
            log::warn!("{job} failed and waits for its hold to lapse, since {cause}: {why}");
        }
    }
    settled.ok()
}
