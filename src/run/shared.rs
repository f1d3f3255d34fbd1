use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{desk::Desk, hold::Holds, journal::Journal, node::Node};
use crate::{settings::Settings, store::Store};

/// What all actors of a running queue share in this process.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) node: Arc<Node>,
    pub(crate) holds: Holds,
    pub(crate) desk: Desk,
    /// Fires when a shutdown begins: nothing is started any more.
    pub(crate) draining: CancellationToken,
    pub(crate) tally: Tally,
    pub(crate) journal: Journal,
    active: AtomicUsize,
    idle: Notify,
}

/// What has become of jobs in this process, counted from the start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) returned: AtomicU64,
    /// Attempts that could not be settled: their rows are held until a rescue.
    pub(crate) unsettled: AtomicU64,
    /// Says once that the database cannot be reached, and once that it can.
    away: AtomicBool,
}

impl Shared {
    pub(crate) fn new(store: Store, settings: Settings, node: Arc<Node>, holds: Holds, desk: Desk) -> Self {
        Self {
            store,
            settings,
            node,
            holds,
            desk,
            draining: CancellationToken::new(),
            tally: Tally::default(),
            journal: Journal::default(),
            active: AtomicUsize::new(0),
            idle: Notify::new(),
        }
    }

    /// Counts a job that is in a worker's hands until the guard is dropped.
    pub(crate) fn activity(self: &Arc<Self>) -> Activity {
        self.active.fetch_add(1, Ordering::AcqRel);
        Activity(Arc::clone(self))
    }

    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Waits until no job is in a worker's hands.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            // Registered before the look, so that an end in between is not missed.
            idle.as_mut().enable();
            if self.active() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// A job in a worker's hands.
#[derive(Debug)]
pub(crate) struct Activity(Arc<Shared>);

impl Drop for Activity {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Tally {
    /// Logs the first failure and the recovery, not each try.
    pub(crate) fn away(&self, error: &crate::error::DatabaseError) {
        if !self.away.swap(true, Ordering::AcqRel) {
            log::warn!("{}; trying again until the database is back", crate::text::line(error));
        }
    }

    pub(crate) fn back(&self) {
        if self.away.swap(false, Ordering::AcqRel) {
            log::info!("the database is back");
        }
    }
}
