//! How an attempt that did not complete is handed in, by its performer or on its behalf.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use log::Level;

use super::{backoff::LONGEST, caught::caught, hold::Hold, shared::Shared};
use crate::{
    events::{Happened, Reason},
    job::State,
    logs::about,
    store::{Settlement, Verdict},
    text::{Cause, OneLine},
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
    pub(crate) took: Duration,
    pub(crate) reason: Reason,
    /// What the log says instead of the error, where that quotes params.
    pub(crate) instead: Option<&'static str>,
}

/// Hands a verdict in, and tells, counts and logs what came of it.
pub(crate) async fn settle(shared: &Shared, ended: Ended<'_>, verdict: Verdict) {
    let Ended { hold, took, reason, instead } = ended;
    let (error, why) = match &verdict {
        Verdict::Retry { error, .. } | Verdict::Fail { error } => (error.clone(), None),
        Verdict::Snooze { after } => (Vec::new(), Some(Why::Snoozed(*after))),
        Verdict::Return => (Vec::new(), Some(Why::GivenBack)),
    };
    let why = why.or(instead.map(Why::Instead)).unwrap_or(Why::Error(&error));
    let happened = match hand_in(shared, hold, verdict, &why).await {
        Some(Settlement::Settled(State::Scheduled)) => Happened::Snoozed,
        Some(Settlement::Settled(State::Available)) => Happened::Returned,
        Some(Settlement::Settled(state)) => Happened::Failed { took, reason, error, state },
        Some(Settlement::Lost | Settlement::Gone | Settlement::Completed) => Happened::Lost,
        // Nobody knows yet.
        Some(Settlement::Busy) | None => return,
    };
    shared.store.tell(hold.lease.id, hold.kind.as_deref(), hold.attempt, &happened);
}

/// None if the database could not be asked.
async fn hand_in(shared: &Shared, hold: &Hold, verdict: Verdict, why: &Why<'_>) -> Option<Settlement> {
    let tally = &shared.tally;
    let job = hold.attempted(&shared.store.label);
    let settled = shared.desk.settle(hold.lease, verdict).await;
    match &settled {
        Ok(Settlement::Settled(State::Scheduled)) => {
            about!(Level::Debug, job; "{why}");
        }
        Ok(Settlement::Settled(State::Available)) => {
            tally.returned.fetch_add(1, Ordering::Relaxed);
            about!(Level::Info, job; "{why}");
        }
        Ok(Settlement::Settled(state)) => {
            tally.failed.fetch_add(1, Ordering::Relaxed);
            about!(Level::Warn, job, error = why; "failed and is {state}: {why}");
        }
        Ok(Settlement::Lost | Settlement::Gone | Settlement::Completed) => {
            about!(Level::Warn, job, error = why; "was lost to a rescue, a requeue or a delete before it failed: {why}");
        }
        Ok(Settlement::Busy) => {
            tally.unsettled.fetch_add(1, Ordering::Relaxed);
            let stays = "failed, and its row stays locked by another transaction until its hold lapses";
            about!(Level::Warn, job, error = why; "{stays}: {why}");
        }
        Err(error) => {
            tally.unsettled.fetch_add(1, Ordering::Relaxed);
            let cause = Cause(error);
            about!(Level::Warn, job, error = why; "failed and waits for its hold to lapse, since {cause}: {why}");
        }
    }
    settled.ok()
}

/// Why an attempt did not complete, as the log has it.
enum Why<'a> {
    Error(&'a [String]),
    Instead(&'static str),
    Snoozed(Duration),
    GivenBack,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Error(chain) => OneLine(chain).fmt(f),
            Why::Instead(text) => f.write_str(text),
            Why::Snoozed(after) => write!(f, "snoozed for {after:?}"),
            Why::GivenBack => f.write_str("given back"),
        }
    }
}
