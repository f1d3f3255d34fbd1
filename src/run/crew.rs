//! Tasks that do one piece of work after the other: to make a task for each costs a small job as much as its handler.

use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::task::JoinSet;

/// What a task is given to do.
pub(crate) trait Work: 'static {
    /// Does it to its end.
    fn perform(self) -> impl Future<Output = ()>;
}

/// As many tasks as there was work at a time. Dropped, it takes them along, and what they are at.
#[derive(Debug)]
pub(crate) struct Crew<W> {
    tasks: JoinSet<()>,
    idle: Rc<RefCell<Vec<Rc<Seat<W>>>>>,
}

/// Where a task without work is given some.
#[derive(Debug)]
struct Seat<W>(RefCell<(Option<W>, Option<Waker>)>);

impl<W: Work> Crew<W> {
    pub(crate) fn new() -> Self {
        Self { tasks: JoinSet::new(), idle: Rc::default() }
    }

    /// Has the work done by a task that has none, or by a new one.
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    pub(crate) fn give(&mut self, work: W) {
        // The last that became idle: its state is still near.
        let seat = self.idle.borrow_mut().pop();
        if let Some(seat) = seat {
            return seat.give(work);
        }
        // Of those that have panicked.
        while self.tasks.try_join_next().is_some() {}
        let idle = Rc::clone(&self.idle);
        self.tasks.spawn_local(async move {
            let seat = Rc::new(Seat(RefCell::new((Some(work), None))));
            loop {
                let work = poll_fn(|cx| seat.poll(cx)).await;
                work.perform().await;
                idle.borrow_mut().push(Rc::clone(&seat));
            }
        });
    }
}

impl<W> Seat<W> {
    fn give(&self, work: W) {
        let (place, waker) = &mut *self.0.borrow_mut();
        *place = Some(work);
        let waker = waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<W> {
        let (place, waker) = &mut *self.0.borrow_mut();
        if let Some(work) = place.take() {
            return Poll::Ready(work);
        }
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Semaphore;

    use super::*;

    /// Waits for a permit, and panics if it is told to.
    struct Piece {
        gate: Rc<Semaphore>,
        panics: bool,
        done: Rc<Cell<usize>>,
    }

    impl Work for Piece {
        async fn perform(self) {
            self.gate.acquire().await.unwrap().forget();
            assert!(!self.panics, "as it was told to");
            self.done.set(self.done.get() + 1);
        }
    }

    struct Site {
        crew: Crew<Piece>,
        gate: Rc<Semaphore>,
        done: Rc<Cell<usize>>,
    }

    impl Site {
        fn new() -> Self {
            Self { crew: Crew::new(), gate: Rc::new(Semaphore::new(0)), done: Rc::default() }
        }

        fn give(&mut self, panics: bool) {
            let (gate, done) = (Rc::clone(&self.gate), Rc::clone(&self.done));
            self.crew.give(Piece { gate, panics, done });
        }

        /// Lets so many pieces go on, and whatever can run run.
        async fn pass(&self, pieces: usize) {
            self.gate.add_permits(pieces);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[actix::test]
    async fn a_task_whose_work_is_done_does_the_next_and_no_more_are_made_than_work_at_a_time() {
        let mut site = Site::new();
        for round in 1..=10 {
            (0..3).for_each(|_| site.give(false));
            site.pass(3).await;
            assert_eq!(site.done.get(), round * 3);
        }
        assert_eq!(site.crew.tasks.len(), 3);
    }

    #[actix::test]
    async fn work_is_done_beside_work_that_does_not_end() {
        let mut site = Site::new();
        let never = Rc::new(Semaphore::new(0));
        site.crew.give(Piece { gate: Rc::clone(&never), panics: false, done: Rc::clone(&site.done) });
        for round in 1..=10 {
            site.give(false);
            site.pass(1).await;
            assert_eq!(site.done.get(), round);
        }
    }

    #[actix::test]
    async fn work_that_panics_takes_its_task_along_and_no_other() {
        let mut site = Site::new();
        site.give(true);
        site.give(false);
        site.pass(2).await;
        assert_eq!(site.done.get(), 1);

        (0..3).for_each(|_| site.give(false));
        site.pass(3).await;

        assert_eq!(site.done.get(), 4);
        assert_eq!(site.crew.tasks.len(), 3);
    }

    #[actix::test]
    async fn a_crew_that_is_dropped_lets_go_of_what_it_is_at() {
        let mut site = Site::new();
        (0..3).for_each(|_| site.give(false));
        site.pass(1).await;
        let done = Rc::clone(&site.done);

        drop(site);
        tokio::task::yield_now().await;

        assert_eq!(Rc::strong_count(&done), 1);
    }
}
