//! Keeping this process's holds alive, and ending those that their own arbiter cannot end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    hold::{Cancelled, Hold},
    settle::{retry, settle, timed_out},
    shared::Shared,
};
use crate::{error::DatabaseError, store::Lease};

/// So many heartbeats in `dead_after`: three may be lost before the process counts as dead.
pub(crate) const BEATS: u32 = 4;

/// An arbiter that is free sees to its own time-outs sooner than this.
const OVERDUE: Duration = Duration::from_millis(500);

/// One heartbeat with all that hangs on it.
pub(crate) async fn look_after(shared: &Arc<Shared>) {
    let asked = shared.holds.leases();
    match beat(shared, &asked).await {
        Ok(kept) => {
            shared.tally.back();
            shared.holds.lose(&asked, &kept);
        }
        Err(error) => shared.tally.away(&error),
    }
    for hold in shared.holds.overdue(OVERDUE) {
        hold.cancel(Cancelled::TimedOut);
        end(shared, hold, |hold| {
            let outran = timed_out(hold);
            format!("{outran} and could not be stopped: it, or another handler on its arbiter, blocks the thread")
        });
    }
    for hold in shared.holds.abandoned() {
        end(shared, hold, |_| "the worker that performed it died".to_owned());
    }
}

/// A beat that is not answered until the next is due is sent once more over another connection, for the
/// network may be back and the old connection half-open. Once this process counts as dead, no haste helps.
async fn beat(shared: &Shared, asked: &[Lease]) -> Result<HashSet<Lease>, DatabaseError> {
    for _ in 1..BEATS {
        let patience = shared.settings.dead_after / BEATS;
        match shared.store.beat_within(patience, &shared.node, asked).await {
            Err(DatabaseError::Silent { .. }) => {}
            answer => return answer,
        }
    }
    shared.store.beat(&shared.node, asked).await
}

/// Settles an attempt on behalf of its performer. Beside the heartbeats: a handler that blocks may hold
/// a lock on the row for long.
fn end(shared: &Arc<Shared>, hold: Arc<Hold>, why: fn(&Hold) -> String) {
    if hold.is_committed() || !hold.end_once() {
        return;
    }
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let job = format!("{}[{}] attempt {}", shared.store.name, hold.lease.id, hold.attempt);
        settle(&shared, hold.lease, retry(&hold, vec![why(&hold)]), &job).await;
    });
}
