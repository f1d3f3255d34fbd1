//! An answer that is there at once, while whoever waits for it is woken together with others of its thread.
//!
//! Woken one by one, a thread that sleeps would run one task, sleep again, and be woken for the next.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread::{self, ThreadId},
    time::Duration,
};

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::runtime::Handle;

/// An arbiter is given so long to wake those that wait on its thread. It may have ended, or be blocked, by one of them even:
/// a handler may wait for its completion without letting go of its thread.
const PATIENCE: Duration = Duration::from_millis(5);

/// Owes somebody an answer. Dropped without one, it lets them know.
#[derive(Debug)]
pub(super) struct Reply<R>(Arc<Mutex<State<R>>>);

/// The answer, or none if it will not come.
#[derive(Debug)]
pub(super) struct Answer<R>(Arc<Mutex<State<R>>>);

#[derive(Debug)]
enum State<R> {
    Open(Option<Waiting>),
    Given(R),
    Over,
}

/// A task that waits, and the thread on which it does if that is an arbiter's.
#[derive(Debug)]
pub(super) struct Waiting {
    waker: Waker,
    home: Option<(ThreadId, ArbiterHandle)>,
}

/// A question's two ends.
pub(super) fn reply<R>() -> (Reply<R>, Answer<R>) {
    let state = Arc::new(Mutex::new(State::Open(None)));
    (Reply(Arc::clone(&state)), Answer(state))
}

impl<R> Reply<R> {
    /// From now on the answer is found by whoever looks; who is to be woken for it.
    pub(super) fn give(self, answer: R) -> Option<Waiting> {
        match mem::replace(&mut *lock(&self.0), State::Given(answer)) {
            State::Open(waiting) => waiting,
            State::Given(_) | State::Over => None,
        }
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if let State::Open(waiting) = &mut *state {
            let waiting = waiting.take();
            *state = State::Over;
            drop(state);
            if let Some(Waiting { waker, .. }) = waiting {
                waker.wake();
            }
        }
    }
}

impl<R> Future for Answer<R> {
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0);
        match mem::replace(&mut *state, State::Over) {
            State::Given(answer) => Poll::Ready(Some(answer)),
            State::Over => Poll::Ready(None),
            State::Open(waiting) => {
                let known = waiting.filter(|waiting| waiting.waker.will_wake(cx.waker()));
                *state = State::Open(Some(known.unwrap_or_else(|| Waiting::here(cx.waker()))));
                Poll::Pending
            }
        }
    }
}

impl Waiting {
    fn here(waker: &Waker) -> Self {
        let home = Arbiter::try_current().map(|arbiter| (thread::current().id(), arbiter));
        Self { waker: waker.clone(), home }
    }
}

/// Wakes tasks, those of an arbiter all at once and from its own thread, where that is not busy for too long.
#[derive(Debug)]
pub(super) struct Alarm {
    io: Handle,
    watched: Arc<Mutex<Watched>>,
}

/// Whom their arbiters are to wake, those of one call each.
type Asleep = Arc<Mutex<Vec<Waker>>>;

#[derive(Debug, Default)]
struct Watched {
    /// Somebody looks after them.
    is_watched: bool,
    recent: Vec<Asleep>,
    /// Those that an arbiter has had [`PATIENCE`] for, and more.
    overdue: Vec<Asleep>,
}

impl Alarm {
    pub(super) fn new(io: &Handle) -> Self {
        Self { io: io.clone(), watched: Arc::default() }
    }

    pub(super) fn wake(&self, waiting: impl IntoIterator<Item = Waiting>) {
        let mut homes: Vec<(ThreadId, ArbiterHandle, Vec<Waker>)> = Vec::new();
        for Waiting { waker, home } in waiting {
            match home {
                None => waker.wake(),
                Some((thread, arbiter)) => match homes.iter_mut().find(|(known, ..)| *known == thread) {
                    Some((.., wakers)) => wakers.push(waker),
                    None => homes.push((thread, arbiter, vec![waker])),
                },
            }
        }
        for (_, arbiter, wakers) in homes {
            if wakers.len() == 1 {
                wakers.into_iter().for_each(Waker::wake);
                continue;
            }
            let asleep = Asleep::new(Mutex::new(wakers));
            self.watch(Arc::clone(&asleep));
            // One that has ended wakes nobody.
            arbiter.spawn_fn(move || wake_all(&asleep));
        }
    }

    fn watch(&self, asleep: Asleep) {
        let mut watched = lock(&self.watched);
        watched.recent.push(asleep);
        if !mem::replace(&mut watched.is_watched, true) {
            let watched = Arc::clone(&self.watched);
            // One look for many calls: a timer for each would cost what is saved here.
            self.io.spawn(async move {
                loop {
                    tokio::time::sleep(PATIENCE).await;
                    let Some(overdue) = lock(&watched).pass() else { return };
                    overdue.iter().for_each(|asleep| wake_all(asleep));
                }
            });
        }
    }
}

impl Watched {
    /// Those whose time is over; none once there is nobody left to look after.
    fn pass(&mut self) -> Option<Vec<Asleep>> {
        self.is_watched = !(self.recent.is_empty() && self.overdue.is_empty());
        let recent = mem::take(&mut self.recent);
        self.is_watched.then(|| mem::replace(&mut self.overdue, recent))
    }
}

fn wake_all(asleep: &Mutex<Vec<Waker>>) {
    let wakers = mem::take(&mut *lock(asleep));
    wakers.into_iter().for_each(Waker::wake);
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        task::Wake,
    };

    use futures_util::FutureExt;

    use super::*;

    /// Counts how often it wakes somebody.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn an_answer_is_there_before_anybody_is_woken_for_it() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let (reply, answer) = reply();
        let mut answer = pin!(answer);
        assert_eq!(answer.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);

        let waiting = reply.give(1);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        assert_eq!(answer.now_or_never(), Some(Some(1)));

        Alarm::new(&Handle::current()).wake(waiting);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn whoever_is_owed_an_answer_learns_that_it_will_not_come() {
        let (reply, answer) = reply::<()>();
        let waits = tokio::spawn(answer);
        tokio::task::yield_now().await;

        drop(reply);

        assert_eq!(waits.await.unwrap(), None);
    }

    #[actix::test]
    async fn an_arbiter_wakes_its_own_and_if_it_is_blocked_or_gone_they_are_woken_all_the_same() {
        #[derive(Debug, PartialEq)]
        enum Thread {
            Free,
            Blocked,
            Gone,
        }
        for thread in [Thread::Free, Thread::Blocked, Thread::Gone] {
            let arbiter = Arbiter::new();
            let (asked, asks) = mpsc::channel();
            let (free, blocked) = mpsc::channel::<()>();
            let wakes = Arc::new(Wakes::default());
            let waker = Waker::from(Arc::clone(&wakes));
            let is_blocked = thread == Thread::Blocked;
            arbiter.spawn_fn(move || {
                let ends = (0..3).map(|_| {
                    let (reply, answer) = reply();
                    let mut answer = Box::pin(answer);
                    assert!(answer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    (reply, answer)
                });
                asked.send(ends.collect::<Vec<_>>()).unwrap();
                if is_blocked {
                    blocked.recv().unwrap();
                }
            });
            let ends = asks.recv().unwrap();
            if thread == Thread::Gone {
                arbiter.stop();
                arbiter.join().unwrap();
            }

            Alarm::new(&Handle::current()).wake(ends.into_iter().filter_map(|(reply, _)| reply.give(())));

            while wakes.0.load(Ordering::Relaxed) < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(free);
        }
    }
}
