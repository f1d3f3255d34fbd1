//! The jobs that this process performs right now, and how each of them can be taken away.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    backoff::{Backoff, LONGEST},
    node::Life,
    slots::Slot,
};
use crate::{lock::lock, logs::Attempted, store::Lease};

/// Why a job was taken from its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// Somebody else has it, or nobody: rescued, requeued, cancelled or deleted.
    Lost,
    /// It outran its execution timeout.
    TimedOut,
    /// The grace of a shutdown is over.
    ShutDown,
    /// This process could not tell the database for `dead_after` that it lives, so others may have its jobs by now.
    Unheard,
}

/// One attempt that is under way.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) lease: Lease,
    pub(crate) attempt: i32,
    /// The job's type and how often it is tried at most, for whoever hears of the attempt.
    pub(crate) kind: Option<String>,
    max_attempts: i32,
    /// When it has outrun its execution timeout; counted from before the start, so never later than the
    /// database's own time.
    pub(crate) deadline: Instant,
    pub(crate) timeout: Duration,
    /// What the handler or the queue says of the time before the next attempt, whoever settles this one.
    pub(crate) backoff: Backoff,
    pub(crate) token: CancellationToken,
    /// Closes the connection of its completion, for a handler that cannot be stopped.
    cut: OnceLock<CancellationToken>,
    /// The life of this process in which it was started.
    pub(crate) life: Life,
    /// What it hands over once its removal is on its way.
    slot: Option<Arc<Slot>>,
    reason: OnceLock<Cancelled>,
    begun: AtomicBool,
    committed: AtomicBool,
    over: AtomicBool,
    ended: AtomicBool,
    completing: AtomicBool,
}

impl Hold {
    pub(crate) fn new(
        lease: Lease,
        attempt: i32,
        timeout: Duration,
        backoff: Backoff,
        sent: Instant,
        life: Life,
    ) -> Self {
        let whole = timeout.saturating_mul(attempt.max(1).unsigned_abs()).min(LONGEST);
        Self {
            lease,
            attempt,
            kind: None,
            max_attempts: attempt,
            deadline: sent + whole,
            timeout: whole,
            backoff,
            token: CancellationToken::new(),
            cut: OnceLock::new(),
            life,
            slot: None,
            reason: OnceLock::new(),
            begun: AtomicBool::new(false),
            committed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            completing: AtomicBool::new(false),
        }
    }

    /// The same at a job of this type, which is tried so often at most.
    pub(crate) fn at(self, kind: Option<String>, max_attempts: i32) -> Self {
        Self { kind, max_attempts, ..self }
    }

    /// The same in a slot that it may hand over.
    pub(crate) fn within(self, slot: Arc<Slot>) -> Self {
        Self { slot: Some(slot), ..self }
    }

    /// The job's removal is on its way: another may be started for its slot meanwhile.
    pub(crate) fn hand_over(&self) {
        if let Some(slot) = &self.slot {
            slot.vacate();
        }
    }

    /// The attempt as the log names it.
    pub(crate) fn attempted<'a>(&'a self, queue: &'a str) -> Attempted<'a> {
        Attempted {
            queue,
            job: self.lease.id,
            kind: self.kind.as_deref(),
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            node: self.life.number(),
        }
    }

    /// Takes the job from its handler; the first reason stands.
    pub(crate) fn cancel(&self, why: Cancelled) {
        // A second reason is no news to the handler.
        let _ = self.reason.set(why);
        self.token.cancel();
    }

    /// Made when it is first asked for, since most completions need no connection of their own.
    pub(crate) fn cut(&self) -> &CancellationToken {
        self.cut.get_or_init(CancellationToken::new)
    }

    pub(crate) fn reason(&self) -> Option<Cancelled> {
        self.reason.get().copied()
    }

    /// The handler is about to run.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// Whether the handler ran, so that the attempt counts.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// The handler has ended, and its performer is about to settle the attempt: what outruns its time now is
    /// not the handler.
    pub(crate) fn over(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether this is the first to settle the attempt on its performer's behalf.
    pub(crate) fn end_once(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Acquire)
    }
}

/// Waits for the removal of these jobs that is on its way to the database. Its answer tells whether they were
/// lost: a heartbeat that misses their rows meanwhile tells nothing. Once it has succeeded, they are done, whatever
/// the handler does next.
///
/// The removal is begun here: given as a future, it would take its room twice, of every job.
pub(crate) async fn complete_by<T, E, Fut>(holds: &[Arc<Hold>], removal: impl FnOnce() -> Fut) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    holds.iter().for_each(|hold| hold.completing.store(true, Ordering::Release));
    let outcome = removal().await;
    if outcome.is_ok() {
        holds.iter().for_each(|hold| hold.committed.store(true, Ordering::Release));
    }
    // Only now: a heartbeat in between must find one or the other.
    holds.iter().for_each(|hold| hold.completing.store(false, Ordering::Release));
    outcome
}

/// All holds of a queue in this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holds(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    held: BTreeMap<Lease, Arc<Hold>>,
    /// Attempts whose performer vanished without settling them.
    abandoned: Vec<Arc<Hold>>,
}

/// Keeps a hold until its attempt is settled.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) hold: Arc<Hold>,
    holds: Holds,
    settled: bool,
}

impl Held {
    /// The attempt has come to its end, whatever it was.
    pub(crate) fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut inner = self.holds.lock();
        inner.held.remove(&self.hold.lease);
        if !self.settled {
            inner.abandoned.push(Arc::clone(&self.hold));
        }
    }
}

impl Holds {
    /// Holds a job that was just started; none if this process performs that very attempt already.
    pub(crate) fn take(&self, hold: Hold) -> Option<Held> {
        let hold = Arc::new(hold);
        match self.lock().held.entry(hold.lease) {
            std::collections::btree_map::Entry::Occupied(_) => None,
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(Arc::clone(&hold));
                Some(Held { hold, holds: self.clone(), settled: false })
            }
        }
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.lock().held.keys().copied().collect()
    }

    /// Takes away what was asked about and is no longer this process's.
    pub(crate) fn lose(&self, asked: &[Lease], kept: &HashSet<Lease>) {
        let inner = self.lock();
        let lost = asked.iter().filter(|lease| !kept.contains(lease)).filter_map(|lease| inner.held.get(lease));
        lost.filter(|hold| !hold.is_committed() && !hold.completing.load(Ordering::Acquire))
            .for_each(|hold| hold.cancel(Cancelled::Lost));
    }

    /// Attempts whose handlers have outrun their time by more than `grace`: their own arbiter did not see to it.
    pub(crate) fn overdue(&self, grace: Duration) -> Vec<Arc<Hold>> {
        let now = Instant::now();
        let late = |hold: &&Arc<Hold>| hold.deadline + grace < now && !hold.over.load(Ordering::Acquire);
        self.lock().held.values().filter(late).cloned().collect()
    }

    /// Attempts whose performer vanished since the last time.
    pub(crate) fn abandoned(&self) -> Vec<Arc<Hold>> {
        std::mem::take(&mut self.lock().abandoned)
    }

    /// Takes every job away, and returns what was held.
    pub(crate) fn cancel_all(&self, why: Cancelled) -> Vec<Arc<Hold>> {
        let held: Vec<_> = self.lock().held.values().cloned().collect();
        held.iter().for_each(|hold| hold.cancel(why));
        held
    }

    /// Whether anything is held that this process took under the number that it has now.
    pub(crate) fn hold_any_of_this_life(&self) -> bool {
        let inner = self.lock();
        inner.held.values().chain(&inner.abandoned).any(|hold| hold.life.is_current())
    }

    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.held.is_empty() && inner.abandoned.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::node::Node;

    fn life() -> Life {
        Arc::new(Node::new(1, "test".into(), Duration::from_secs(10))).life()
    }

    fn hold(id: i64) -> Hold {
        attempt(id, 1, Duration::from_secs(300), Instant::now())
    }

    fn attempt(id: i64, attempt: i32, timeout: Duration, sent: Instant) -> Hold {
        Hold::new(Lease { id, lease: 1 }, attempt, timeout, Backoff::linear(Duration::ZERO), sent, life())
    }

    #[test]
    fn one_attempt_is_performed_once() {
        let holds = Holds::default();
        let held = holds.take(hold(1)).unwrap();

        assert!(holds.take(hold(1)).is_none());

        held.settle();
        assert!(holds.is_empty());
    }

    #[test]
    fn an_attempt_whose_performer_vanished_is_found() {
        let holds = Holds::default();
        drop(holds.take(hold(1)));

        assert_eq!(holds.abandoned().iter().map(|hold| hold.lease.id).collect::<Vec<_>>(), [1]);
        assert!(holds.is_empty());
    }

    #[test]
    fn an_attempt_that_waits_for_its_settlement_does_not_outrun_its_time() {
        let holds = Holds::default();
        let begun = Instant::now() - Duration::from_millis(2);
        let held = holds.take(attempt(1, 1, Duration::from_millis(1), begun)).unwrap();
        assert_eq!(holds.overdue(Duration::ZERO).len(), 1);

        held.hold.over();

        assert!(holds.overdue(Duration::ZERO).is_empty());
    }

    #[test]
    fn only_what_was_asked_about_can_be_lost() {
        let holds = Holds::default();
        let (lost, kept, newer) =
            (holds.take(hold(1)).unwrap(), holds.take(hold(2)).unwrap(), holds.take(hold(3)).unwrap());

        let asked = [lost.hold.lease, kept.hold.lease];
        holds.lose(&asked, &HashSet::from([kept.hold.lease]));

        assert_eq!(lost.hold.reason(), Some(Cancelled::Lost));
        assert_eq!((kept.hold.reason(), newer.hold.reason()), (None, None));
    }

    #[test]
    fn the_time_of_an_attempt_grows_with_its_number_and_never_overflows() {
        let now = Instant::now();
        let third = attempt(1, 3, Duration::from_secs(300), now);
        assert_eq!(third.deadline, now + Duration::from_secs(900));

        let endless = attempt(1, i32::MAX, Duration::MAX, now);
        assert!(endless.deadline > now);
    }
}
