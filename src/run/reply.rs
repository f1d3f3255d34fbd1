//! An answer that is there at once, while whoever waits for it is woken together with others of its thread.
//!
//! Woken one by one, a thread that sleeps would run one task, sleep again, and be woken for the next.

use std::{
    collections::HashMap,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread::{self, ThreadId},
    time::Duration,
};

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::runtime::Handle;

use super::caught::caught;
use crate::{lock::lock, logs};

/// An arbiter is given so long to wake those that wait on its thread. It may have ended, or be blocked, by one of them even:
/// a handler may wait for its completion without letting go of its thread. It is as long as a handler may compute between
/// two awaits, for tasks that are woken from elsewhere come after all that are busy there.
const PATIENCE: Duration = Duration::from_millis(25);

/// Owes somebody an answer. Dropped without one, it lets them know.
#[derive(Debug)]
pub(super) struct Reply<R>(Arc<Mutex<State<R>>>);

/// The answer, or none if it will not come.
#[derive(Debug)]
pub(super) struct Answer<R>(Arc<Mutex<State<R>>>);

#[derive(Debug)]
enum State<R> {
    Open(Option<Sleeper>),
    Given(R),
    Over,
}

/// A task that waits, and the thread on which it does if that is an arbiter's.
#[derive(Debug)]
#[must_use = "nobody else wakes it"]
pub(super) struct Sleeper {
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
    pub(super) fn give(self, answer: R) -> Option<Sleeper> {
        self.close(State::Given(answer))
    }

    /// Ends what is open, once.
    fn close(&self, end: State<R>) -> Option<Sleeper> {
        let mut state = lock(&self.0);
        match &mut *state {
            State::Open(sleeper) => {
                let sleeper = sleeper.take();
                *state = end;
                sleeper
            }
            State::Given(_) | State::Over => None,
        }
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        if let Some(sleeper) = self.close(State::Over) {
            wake(sleeper.waker);
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
            State::Open(sleeper) => {
                let known = sleeper.filter(|sleeper| sleeper.waker.will_wake(cx.waker()));
                *state = State::Open(Some(known.unwrap_or_else(|| Sleeper::here(cx.waker()))));
                Poll::Pending
            }
        }
    }
}

impl Sleeper {
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
    asleep: Vec<Asleep>,
}

impl Alarm {
    pub(super) fn new(io: &Handle) -> Self {
        Self { io: io.clone(), watched: Arc::default() }
    }

    pub(super) fn wake(&self, sleepers: impl IntoIterator<Item = Sleeper>) {
        let mut homes: HashMap<ThreadId, (ArbiterHandle, Vec<Waker>)> = HashMap::new();
        for Sleeper { waker, home } in sleepers {
            match home {
                None => wake(waker),
                Some((thread, arbiter)) => homes.entry(thread).or_insert_with(|| (arbiter, Vec::new())).1.push(waker),
            }
        }
        for (arbiter, wakers) in homes.into_values() {
            if wakers.len() == 1 {
                wakers.into_iter().for_each(wake);
                continue;
            }
            let asleep = Asleep::new(Mutex::new(wakers));
            self.watch(Arc::clone(&asleep));
            // One that has ended wakes nobody.
            arbiter.spawn_fn(move || wake_all(&asleep));
        }
    }

    /// Wakes them if nobody has for too long. One look is for many calls: a timer for each would cost what is saved here.
    fn watch(&self, asleep: Asleep) {
        let mut watched = lock(&self.watched);
        watched.asleep.push(asleep);
        if !mem::replace(&mut watched.is_watched, true) {
            let watched = Arc::clone(&self.watched);
            self.io.spawn(async move {
                loop {
                    let Some(asleep) = lock(&watched).next() else { return };
                    tokio::time::sleep(PATIENCE).await;
                    asleep.iter().for_each(|asleep| wake_all(asleep));
                }
            });
        }
    }
}

impl Watched {
    /// Those to look after next; none ends the watch.
    fn next(&mut self) -> Option<Vec<Asleep>> {
        self.is_watched = !self.asleep.is_empty();
        self.is_watched.then(|| mem::take(&mut self.asleep))
    }
}

fn wake_all(asleep: &Mutex<Vec<Waker>>) {
    let wakers = mem::take(&mut *lock(asleep));
    wakers.into_iter().for_each(wake);
}

/// A waker may be the user's own: one that panics must take nobody else's along.
fn wake(waker: Waker) {
    if let Err(panic) = caught(|| waker.wake()) {
        log::warn!(target: logs::ACTORS, "the waker of a task that waits for an answer panicked: {panic}");
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::mpsc, task::Wake};

    use futures_util::FutureExt;

    use super::*;

    /// Says on which thread it wakes somebody.
    struct Wakes(mpsc::Sender<ThreadId>);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    fn wakes() -> (Waker, mpsc::Receiver<ThreadId>) {
        let (woken, wakes) = mpsc::channel();
        (Arc::new(Wakes(woken)).into(), wakes)
    }

    /// A question that somebody waits for, by this waker.
    fn asked(waker: &Waker) -> (Reply<()>, Pin<Box<Answer<()>>>) {
        let (reply, answer) = reply();
        let mut answer = Box::pin(answer);
        assert!(answer.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        (reply, answer)
    }

    #[tokio::test]
    async fn an_answer_is_there_before_anybody_is_woken_for_it() {
        let (waker, wakes) = wakes();
        let (reply, answer) = reply();
        let mut answer = pin!(answer);
        assert_eq!(answer.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);

        let sleeper = reply.give(1);
        assert_eq!(wakes.try_iter().count(), 0);
        assert_eq!(answer.now_or_never(), Some(Some(1)));

        Alarm::new(&Handle::current()).wake(sleeper);
        assert_eq!(wakes.try_iter().count(), 1);
    }

    #[tokio::test]
    async fn whoever_is_owed_an_answer_learns_that_it_will_not_come() {
        let (reply, answer) = reply::<()>();
        let waits = tokio::spawn(answer);
        tokio::task::yield_now().await;

        drop(reply);

        assert_eq!(waits.await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_waker_that_panics_keeps_nobody_else_asleep() {
        let (gone, _) = wakes();
        let (waker, wakes) = wakes();
        let replies = [&gone, &waker].map(|waker| asked(waker).0);

        Alarm::new(&Handle::current()).wake(replies.into_iter().filter_map(|reply| reply.give(())));

        assert_eq!(wakes.try_iter().count(), 1);
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Is {
        Free,
        Blocked,
        Gone,
    }

    /// Three that wait on an arbiter are woken by an alarm; on which threads, and which is the arbiter's.
    fn woken_by(alarm: &Alarm, is: Is) -> (Vec<ThreadId>, ThreadId) {
        let arbiter = Arbiter::new();
        let (told, tells) = mpsc::channel();
        let (free, blocked) = mpsc::channel::<()>();
        let (waker, wakes) = wakes();
        arbiter.spawn_fn(move || {
            let asked: Vec<_> = (0..3).map(|_| asked(&waker)).collect();
            told.send((asked, thread::current().id())).unwrap();
            if is == Is::Blocked {
                // Both a word and a test that is gone end it.
                let _ = blocked.recv();
            }
        });
        let (asked, home) = tells.recv_timeout(Duration::from_secs(30)).unwrap();
        let end = |arbiter: Arbiter| {
            arbiter.stop();
            arbiter.join().unwrap();
        };
        let mut arbiter = Some(arbiter);
        if is == Is::Gone {
            arbiter.take().map(end);
        }

        alarm.wake(asked.into_iter().filter_map(|(reply, _)| reply.give(())));

        let woken = (0..3).map(|_| wakes.recv_timeout(Duration::from_secs(30)).unwrap()).collect();
        drop(free);
        arbiter.map(end);
        (woken, home)
    }

    #[actix::test]
    async fn an_arbiter_wakes_those_that_wait_on_its_thread() {
        // Nobody drives it, so nothing else wakes them.
        let asleep = tokio::runtime::Builder::new_current_thread().build().unwrap();

        let (woken, home) = woken_by(&Alarm::new(asleep.handle()), Is::Free);

        assert_eq!(woken, [home; 3]);
        asleep.shutdown_background();
    }

    #[actix::test]
    async fn those_that_wait_on_an_arbiter_which_is_blocked_or_gone_are_woken_all_the_same() {
        let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        for is in [Is::Blocked, Is::Gone] {
            let (woken, home) = woken_by(&Alarm::new(io.handle()), is);

            assert!(woken.iter().all(|thread| *thread != home));
        }
        io.shutdown_background();
    }
}
