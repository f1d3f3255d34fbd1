//! Keeping this process's holds alive, and ending those that their own arbiter cannot end.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    caught::caught,
    hold::{Cancelled, Hold},
    node::BEATS,
    settle::{Ended, retry, settle, timed_out},
    shared::Shared,
};
use crate::{
    error::DatabaseError,
    events::Reason,
    store::{Lease, Verdict},
};

/// An arbiter that is free sees to its own time-outs sooner than this.
const OVERDUE: Duration = Duration::from_millis(500);

/// One heartbeat with all that hangs on it.
pub(crate) async fn look_after(shared: &Arc<Shared>) {
    // A life that is over is not to look alive again: others have its jobs by now.
    if !shared.node.is_over() {
        let asked = shared.holds.leases();
        match beat(shared, &asked).await {
            Ok((sent, kept)) => {
                shared.back();
                shared.heard(|node| node.beaten(sent));
                shared.holds.lose(&asked, &kept);
            }
            Err(error) => shared.away(&error),
        }
    }
    for hold in shared.holds.overdue(OVERDUE) {
        hold.cancel(Cancelled::TimedOut);
        // A completion that is open on a blocked thread would keep the row locked for as long.
        hold.cut().cancel();
        end(shared, hold, Reason::TimedOut, |hold| {
            let outran = timed_out(hold);
            format!("{outran} and could not be stopped: it, or another handler on its arbiter, blocks the thread")
        });
    }
    for hold in shared.holds.abandoned() {
        end(shared, hold, Reason::Worker, |_| "the worker that performed it died".to_owned());
    }
}

/// A beat that is not answered until the next is due is sent once more over another connection, for the
/// network may be back and the old connection half-open. Returns when the one that was answered was sent.
async fn beat(shared: &Shared, asked: &[Lease]) -> Result<(Instant, HashSet<Lease>), DatabaseError> {
    let mut tries = 0;
    loop {
        let sent = Instant::now();
        tries += 1;
        // Not beyond the end of this life: what arrived then would have it look alive, and its jobs not be rescued.
        let left = Some(shared.node.left(sent)).filter(|left| !left.is_zero());
        let patience = (shared.settings.dead_after / BEATS).min(left.unwrap_or(Duration::MAX));
        match shared.store.beat_within(patience, &shared.node, asked).await {
            Err(DatabaseError::Silent { .. }) if tries < BEATS && !shared.node.is_over() => {}
            answer => return answer.map(|kept| (sent, kept)),
        }
    }
}

/// Settles an attempt on behalf of its performer. Beside the heartbeats: a handler that blocks may hold
/// a lock on the row for long.
fn end(shared: &Arc<Shared>, hold: Arc<Hold>, reason: Reason, why: fn(&Hold) -> String) {
    if hold.is_committed() || !hold.end_once() {
        return;
    }
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let took = hold.timeout.saturating_sub(hold.deadline.saturating_duration_since(Instant::now()));
        let ended = Ended { hold: &hold, took, reason, instead: None };
        let verdict = verdict(&hold, why).await;
        if hold.is_committed() {
            return;
        }
        settle(&shared, ended, verdict).await;
    });
}

/// Its backoff is the user's own code, which may block, and here it would block the statements.
async fn verdict(hold: &Arc<Hold>, why: fn(&Hold) -> String) -> Verdict {
    if !hold.has_begun() {
        return Verdict::Return;
    }
    let asks = Arc::clone(hold);
    // Where the system has no thread to give, tokio panics; then nobody is asked.
    let asked = caught(|| tokio::task::spawn_blocking(move || retry(&asks, vec![why(&asks)])));
    let verdict = match asked {
        Ok(asked) => asked.await.ok(),
        Err(_) => None,
    };
    verdict.unwrap_or_else(|| Verdict::Retry { after: Duration::ZERO, error: vec![why(hold)] })
}
