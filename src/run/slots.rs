//! The slots in which a worker performs jobs, and how one is handed from a job to the next.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{hold::Hold, shared::Activity};
use crate::lock::lock;

/// A started job waits so long for the handler before it to end, and not for more than half of its own time; then it
/// goes back.
const PATIENCE: Duration = Duration::from_secs(1);

/// All slots of one worker.
pub(crate) struct Slots {
    /// As many as handlers may begin to run.
    free: Arc<Semaphore>,
    /// Permits for jobs that are to come: each was waited for by one that went back.
    kept: Mutex<Vec<OwnedSemaphorePermit>>,
    /// Slots that were vacated and not asked for since.
    vacated: AtomicUsize,
    tell: Box<dyn Fn() + Send + Sync>,
}

/// A job's slot. It is vacated when the job's removal is handed in, so that the next job can be started in the commit
/// that removes this one; but no handler runs in it before the one before has ended.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    is_vacated: AtomicBool,
}

/// A job that is in the worker's hands until this is dropped, and vacates its slot then at the latest.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its handler may run.
    entered: Option<OwnedSemaphorePermit>,
    slot: Arc<Slot>,
    _activity: Activity,
}

impl Slots {
    /// So many; `tell` is called once whenever some are vacated after [`Slots::take_vacated`].
    pub(crate) fn new(count: usize, tell: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count)),
            kept: Mutex::default(),
            vacated: AtomicUsize::new(0),
            tell: Box::new(tell),
        })
    }

    /// How many were vacated since the last time: for each, another job may be asked for.
    pub(crate) fn take_vacated(&self) -> usize {
        self.vacated.swap(0, Ordering::AcqRel)
    }

    /// The place of a job that was given for a vacant slot.
    pub(crate) fn occupy(self: &Arc<Self>, activity: Activity) -> Place {
        let slot = Arc::new(Slot { slots: Arc::clone(self), is_vacated: AtomicBool::new(false) });
        Place { entered: self.kept().pop(), slot, _activity: activity }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<OwnedSemaphorePermit>> {
        lock(&self.kept)
    }
}

impl Slot {
    /// Has the next job asked for.
    pub(crate) fn vacate(&self) {
        if !self.is_vacated.swap(true, Ordering::AcqRel) && self.slots.vacated.fetch_add(1, Ordering::AcqRel) == 0 {
            (self.slots.tell)();
        }
    }
}

impl Place {
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    /// Whether the job's handler may begin: once another has ended. Not if that takes too long, or the job is taken away
    /// meanwhile.
    pub(crate) async fn enter(&mut self, hold: &Hold) -> bool {
        let free = &self.slot.slots.free;
        if self.entered.is_none() {
            self.entered = Arc::clone(free).try_acquire_owned().ok();
        }
        if self.entered.is_none() {
            // Apart, for few have to wait, and all would have to have the room for it.
            let turn = Box::pin(async move {
                let patience = hold.deadline.saturating_duration_since(Instant::now()) / 2;
                tokio::select! {
                    // A thread that was blocked finds all of them ready.
                    biased;
                    entered = Arc::clone(free).acquire_owned() => entered.ok(),
                    () = hold.token.cancelled() => None,
                    () = tokio::time::sleep(patience.min(PATIENCE)) => None,
                }
            });
            self.entered = turn.await;
        }
        if self.entered.is_some() {
            hold.begin();
        }
        self.entered.is_some()
    }

    /// Keeps the slot of a job that went back until a handler can begin: another job would only go back too.
    pub(crate) async fn clear(self) {
        let slots = &self.slot.slots;
        // It is never closed.
        if let Ok(entered) = Arc::clone(&slots.free).acquire_owned().await {
            slots.kept().push(entered);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.slot.vacate();
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("free", &self.free.available_permits()).finish_non_exhaustive()
    }
}
