//! The slots in which a worker performs jobs, and how one is handed from a job to the next.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shared::Activity;

/// A started job waits so long for the handler before it to end, then it goes back.
const PATIENCE: Duration = Duration::from_secs(1);

/// All slots of one worker.
pub(crate) struct Slots {
    /// As many as handlers may begin to run.
    free: Arc<Semaphore>,
    vacated: Box<dyn Fn() + Send + Sync>,
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
    slot: Arc<Slot>,
    _activity: Activity,
}

impl Slots {
    /// So many, for which another job may be asked whenever `vacated` is called.
    pub(crate) fn new(count: usize, vacated: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), vacated: Box::new(vacated) })
    }

    /// The place of a job that was given for a vacant slot.
    pub(crate) fn occupy(self: &Arc<Self>, activity: Activity) -> Place {
        Place {
            slot: Arc::new(Slot { slots: Arc::clone(self), is_vacated: AtomicBool::new(false) }),
            _activity: activity,
        }
    }
}

impl Slot {
    /// Has the next job asked for.
    pub(crate) fn vacate(&self) {
        if !self.is_vacated.swap(true, Ordering::AcqRel) {
            (self.slots.vacated)();
        }
    }
}

impl Place {
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    /// Lets so many jobs' handler begin once it is the turn of all of them; none if the handlers before do not end in
    /// time, or the jobs are `taken`.
    pub(crate) async fn enter(&self, jobs: usize, taken: impl Future) -> Option<OwnedSemaphorePermit> {
        let (free, jobs) = (&self.slot.slots.free, u32::try_from(jobs).unwrap_or(u32::MAX));
        if let Ok(entered) = Arc::clone(free).try_acquire_many_owned(jobs) {
            return Some(entered);
        }
        // Apart, for few have to wait, and all would have to have the room for it.
        let turn = Box::pin(async move {
            tokio::select! {
                entered = Arc::clone(free).acquire_many_owned(jobs) => entered.ok(),
                _ = taken => None,
                () = tokio::time::sleep(PATIENCE) => None,
            }
        });
        turn.await
    }

    /// Waits until a handler could begin: so long nobody is to be asked for another job that would only go back.
    pub(crate) async fn clear(&self) {
        // It is never closed; if it were, there would be nothing to wait for.
        let _ = self.slot.slots.free.acquire().await;
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
