use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    desk::Desk,
    hold::{Cancelled, Holds},
    journal::Journal,
    node::Node,
};
use crate::{error::DatabaseError, logs, metrics, settings::Settings, store::Store, text::Cause};

/// How often and how soon rows are tried again that somebody has locked: claims of others mostly, which end soon. What
/// stays locked for longer is left to lapse.
const LOCKED: (u32, Duration) = (20, Duration::from_millis(50));

/// What all actors of a running queue share in this process.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) node: Arc<Node>,
    pub(crate) holds: Holds,
    pub(crate) desk: Desk,
    /// Fires when a shutdown begins: nothing is claimed or started any more.
    pub(crate) draining: CancellationToken,
    pub(crate) tally: Tally,
    pub(crate) journal: Journal,
    active: AtomicUsize,
    idle: Notify,
}

/// What has become of jobs in this process, counted from the start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) claimed: AtomicU64,
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

    /// Makes jobs that were claimed and will not be performed available to others, all of this process's if none are
    /// named, but for those in `kept`; how many.
    pub(crate) async fn give_back(&self, ids: Option<&[i64]>, kept: Vec<i64>) -> Result<u64, DatabaseError> {
        let (mut given, mut left) = (0, ids.map(<[i64]>::to_vec));
        for tries in 1.. {
            let performed = self.settings.start_on_claim.then(|| {
                let holds = self.holds.leases().into_iter().map(|lease| lease.id);
                kept.iter().copied().chain(holds).collect::<Vec<_>>()
            });
            let (returned, locked) = self.store.unreserve(&self.node, left.as_deref(), performed.as_deref()).await?;
            given += returned;
            if locked.is_empty() || tries == LOCKED.0 {
                break;
            }
            left = Some(locked);
            tokio::time::sleep(LOCKED.1).await;
        }
        Ok(given)
    }

    /// Ends this process's present life if it was silent for so long that others may count it as dead: takes the jobs
    /// from its handlers. What it has reserved and not started goes to others too.
    pub(crate) fn take_pulse(&self) {
        let holding = self.holds.hold_any_of_this_life();
        let Some(node) = self.node.ended(holding, Instant::now()) else {
            return;
        };
        let taken = self.holds.cancel_all(Cancelled::Unheard).len();
        let (queue, silent) = (&*self.store.label, self.node.dead_after);
        let what = match taken {
            0 => "what it has reserved".to_owned(),
            taken => format!("its {taken} jobs: their handlers are stopped, and their completions are refused"),
        };
        log::error!(
            target: logs::QUEUE, queue, node;
            "queue {queue}: process {node} could not tell the database for {silent:?} that it lives, so others may \
             perform {what}"
        );
    }

    /// The database has heard of this process, in time or not.
    pub(crate) fn heard(&self, tell: impl FnOnce(&Node)) {
        self.take_pulse();
        tell(&self.node);
    }

    /// Gives this process a new number if its last life is over, so that what it held then is rescued and what it
    /// takes from now on is not; whether it was.
    ///
    /// # Errors
    /// The database gave no number.
    pub(crate) async fn revive(&self) -> Result<bool, DatabaseError> {
        self.take_pulse();
        if !self.node.is_over() {
            return Ok(false);
        }
        let before = self.node.number();
        let number = self.store.register_node(&self.node.name).await?;
        // A heartbeat that was long under way may have arrived in the meantime; from now on it counts as dead.
        self.store.retire_node(before).await?;
        self.node.begin(number);
        let queue = &*self.store.label;
        log::info!(
            target: logs::QUEUE, queue, node = number;
            "queue {queue}: process {before} goes on as process {number}"
        );
        Ok(true)
    }

    /// The database did not do what it was to do, and is asked again: logs the first failure, not each try.
    pub(crate) fn away(&self, error: &DatabaseError) {
        let (queue, node, cause) = (&*self.store.label, self.node.number(), Cause(error));
        let level = if self.tally.away.swap(true, Ordering::AcqRel) { log::Level::Debug } else { log::Level::Warn };
        log::log!(
            target: logs::DATABASE, level, queue, node, error:% = cause;
            "{cause}; trying again until the database is back"
        );
    }

    /// The database has done it.
    pub(crate) fn back(&self) {
        if self.tally.away.swap(false, Ordering::AcqRel) {
            let (queue, node) = (&*self.store.label, self.node.number());
            metrics::reconnected(queue);
            log::info!(target: logs::DATABASE, queue, node; "queue {queue}: the database is back");
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
