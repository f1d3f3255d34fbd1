//! Natural batching: whatever gathers while the last statement is under way goes into the next.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::{runtime::Handle, sync::mpsc, time::Instant};

use super::reply::{Alarm, Reply, reply};

/// Requests that share statements. A lone one waits for nobody, unless company is waited for; a thousand at once share a
/// commit.
#[derive(Debug)]
pub(crate) struct Batcher<T, R> {
    requests: mpsc::UnboundedSender<(T, Reply<R>)>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone() }
    }
}

/// Whom a batch waits for before it goes.
pub(crate) enum Company<T> {
    /// Nobody.
    Unawaited,
    /// Others, as long as all that it has gathered may linger.
    Lingering(Box<dyn FnMut(&T) -> bool + Send>),
    /// Those whom the last batch has answered, for as long as this takes. Each comes back in a moment if it asks one thing
    /// after the other. Else they would meet the half of them that had to wait, and find themselves in two halves that
    /// take turns for good, with twice as many commits.
    Returning(Box<dyn FnMut() -> BoxFuture<'static, ()> + Send>),
}

/// A batch that waits for company does so for as long at most; one that lingers looks so often whether more come and
/// whether it may go on.
const LINGERS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(1));

/// Where nobody came back for long, so many batches do not wait: they are of those who ask for one thing each.
const IDLE: u32 = 16;

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Has `run` answer the requests, up to `most` at a time and one batch after the other, in their order.
    pub(crate) fn start<F, Fut>(io: &Handle, most: usize, mut company: Company<T>, mut run: F) -> Self
    where
        F: FnMut(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        let (requests, inbox) = mpsc::unbounded_channel();
        let alarm = Alarm::new(io);
        io.spawn(async move {
            let mut next = Gathering { inbox, most, gathered: Vec::new() };
            let (mut last, mut idle) = (None::<Last>, 0);
            while next.begin().await {
                match &mut company {
                    Company::Unawaited => {}
                    Company::Lingering(may_linger) => next.linger(may_linger).await,
                    Company::Returning(_) if idle > 0 => idle -= 1,
                    Company::Returning(meanwhile) => {
                        if let Some(last) = &last
                            && next.wait_in_vain(last, meanwhile).await
                        {
                            idle = IDLE;
                        }
                    }
                }
                let (batch, waiting): (Vec<_>, Vec<_>) = next.gathered.drain(..).unzip();
                let (size, began) = (batch.len(), Instant::now());
                let answers = run(batch).await.into_iter().zip(waiting);
                let ended = Instant::now();
                last = Some(Last { size, took: ended - began, ended });
                alarm.wake(answers.filter_map(|(answer, reply)| reply.give(answer)));
            }
        });
        Self { requests }
    }

    /// Adds a request to the next batch and waits for its answer; none if the runtime is ending.
    pub(crate) fn submit(&self, request: T) -> impl Future<Output = Option<R>> + Send + use<T, R> {
        let (reply, answer) = reply();
        // Where the batches have ended, the reply is dropped here, and says so.
        let _ = self.requests.send((request, reply));
        answer
    }
}

/// What goes into the next batch.
struct Gathering<T, R> {
    inbox: mpsc::UnboundedReceiver<(T, Reply<R>)>,
    most: usize,
    gathered: Vec<(T, Reply<R>)>,
}

impl<T, R> Gathering<T, R> {
    /// Waits for one, and takes those that are there already; false once there will be none.
    async fn begin(&mut self) -> bool {
        self.inbox.recv_many(&mut self.gathered, self.most).await > 0
    }

    /// Takes those that have come meanwhile; how many.
    fn take(&mut self) -> usize {
        let before = self.gathered.len();
        while !self.is_full()
            && let Ok(request) = self.inbox.try_recv()
        {
            self.gathered.push(request);
        }
        self.gathered.len() - before
    }

    fn is_full(&self) -> bool {
        self.gathered.len() >= self.most
    }

    async fn linger(&mut self, may_linger: &mut (dyn FnMut(&T) -> bool + Send)) {
        let until = Instant::now() + LINGERS.0;
        while !self.is_full() && self.gathered.iter().all(|(request, _)| may_linger(request)) && Instant::now() < until
        {
            // To be woken for each that comes would cost more than it saves.
            tokio::time::sleep(LINGERS.1).await;
            if self.take() == 0 {
                // Who came alone would wait for nobody.
                break;
            }
        }
    }

    /// Waits for those whom the last batch has answered, if they are worth it; whether for long and for nobody.
    async fn wait_in_vain(
        &mut self,
        last: &Last,
        meanwhile: &mut (dyn FnMut() -> BoxFuture<'static, ()> + Send),
    ) -> bool {
        let begun = Instant::now();
        if self.is_full() || !last.is_worth_waiting_for(self.gathered.len(), begun) {
            return false;
        }
        // Over or given up, whoever came is here.
        let _ = tokio::time::timeout(LINGERS.0, meanwhile()).await;
        self.take() == 0 && begun.elapsed() > last.took / 2
    }
}

/// The batch before.
#[derive(Debug)]
struct Last {
    size: usize,
    took: Duration,
    ended: Instant,
}

impl Last {
    /// Whether those whom it has answered are to be waited for, where so many are there: it has only just ended, and it is
    /// not one after the other that a lone one asks for.
    fn is_worth_waiting_for(&self, gathered: usize, now: Instant) -> bool {
        self.size + gathered > 2 && now - self.ended < self.took / 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn what_gathers_during_a_batch_shares_the_next_and_keeps_its_order() {
        let gate = Arc::new(Semaphore::new(0));
        let batcher = Batcher::start(&Handle::current(), 100, Company::Unawaited, {
            let gate = Arc::clone(&gate);
            move |batch: Vec<u32>| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.unwrap().forget();
                    let size = batch.len();
                    batch.into_iter().map(|request| (request, size)).collect()
                }
            }
        });
        let first = batcher.submit(0);
        tokio::task::yield_now().await;
        let rest: Vec<_> = (1..=5).map(|request| batcher.submit(request)).collect();
        gate.add_permits(2);

        assert_eq!(first.await, Some((0, 1)));
        let answers = futures_util::future::join_all(rest).await;
        assert_eq!(answers, (1..=5).map(|request| Some((request, 5))).collect::<Vec<_>>());
    }

    /// Counts how often it is asked whether a request may linger, which each may but 0.
    fn lingering(looks: &Arc<AtomicUsize>) -> Batcher<u32, usize> {
        let looks = Arc::clone(looks);
        let may_linger = move |request: &u32| {
            looks.fetch_add(1, Ordering::Relaxed);
            *request > 0
        };
        Batcher::start(&Handle::current(), 3, Company::Lingering(Box::new(may_linger)), |batch: Vec<u32>| async move {
            let size = batch.len();
            batch.into_iter().map(|_| size).collect()
        })
    }

    /// Hands in the first, and the others once it is seen to.
    async fn first_and_others(batcher: &Batcher<u32, usize>, first: u32, others: &[u32]) -> Vec<usize> {
        let first = batcher.submit(first);
        tokio::task::yield_now().await;
        let others: Vec<_> = others.iter().map(|request| batcher.submit(*request)).collect();
        let answers = std::iter::once(first).chain(others);
        futures_util::future::join_all(answers).await.into_iter().flatten().collect()
    }

    #[tokio::test]
    async fn a_batch_that_may_linger_takes_along_what_comes_and_goes_once_it_is_full_or_has_lingered() {
        let looks = Arc::<AtomicUsize>::default();
        let batcher = lingering(&looks);

        assert_eq!(first_and_others(&batcher, 1, &[1, 1, 1]).await, [3, 3, 3, 1]);
    }

    #[tokio::test]
    async fn a_batch_lingers_no_more_once_somebody_came_who_may_not() {
        let looks = Arc::<AtomicUsize>::default();
        let batcher = lingering(&looks);
        assert_eq!(first_and_others(&batcher, 0, &[1]).await, [1, 1]);

        looks.store(0, Ordering::Relaxed);
        assert_eq!(first_and_others(&batcher, 1, &[0]).await, [2, 2]);
        assert_eq!(looks.load(Ordering::Relaxed), 3, "of the first, and of both once the other has come");
    }

    #[test]
    fn those_whom_a_batch_has_answered_are_waited_for_unless_they_are_one_or_it_is_long_ago() {
        let ended = Instant::now();
        let took = Duration::from_millis(8);
        let last = |size| Last { size, took, ended };
        assert!(last(10).is_worth_waiting_for(1, ended), "one of them is back already");
        assert!(last(1).is_worth_waiting_for(19, ended), "nineteen that had to wait for it");
        assert!(!last(1).is_worth_waiting_for(1, ended), "a lone one that is back would wait for nobody");
        assert!(!last(10).is_worth_waiting_for(1, ended + took / 8), "they do not ask one thing after the other");
    }

    #[tokio::test]
    async fn where_nobody_comes_back_for_long_nobody_is_waited_for() {
        let waits = Arc::<AtomicUsize>::default();
        let company = Company::Returning(Box::new({
            let waits = Arc::clone(&waits);
            move || -> BoxFuture<'static, ()> {
                waits.fetch_add(1, Ordering::Relaxed);
                Box::pin(std::future::pending())
            }
        }));
        let batcher = Batcher::start(&Handle::current(), 3, company, |batch: Vec<()>| async move {
            tokio::time::sleep(Duration::from_millis(15)).await;
            batch
        });
        let asked: Vec<_> = (0..10).map(|_| batcher.submit(())).collect();

        assert_eq!(futures_util::future::join_all(asked).await, [Some(()); 10]);
        assert!(waits.load(Ordering::Relaxed) <= 1, "the last batch has room; those before it were full");
        let (mut asked, mut first) = (Vec::new(), batcher.submit(()));
        for _ in 0..3 {
            tokio::task::yield_now().await;
            asked.extend([batcher.submit(()), batcher.submit(())]);
            first.await;
            first = batcher.submit(());
        }
        futures_util::future::join_all(asked).await;
        first.await;
        assert!(waits.load(Ordering::Relaxed) <= 1, "it was in vain");
    }

    #[tokio::test]
    async fn two_halves_that_take_turns_find_together() {
        let back = Arc::<Mutex<Vec<_>>>::default();
        let itself = Arc::<OnceLock<Batcher<(), usize>>>::default();
        let company = Company::Returning(Box::new({
            let (back, itself) = (Arc::clone(&back), Arc::clone(&itself));
            move || -> BoxFuture<'static, ()> {
                back.lock().unwrap().extend((0..5).map(|_| itself.get().unwrap().submit(())));
                Box::pin(async {})
            }
        }));
        let batcher = Batcher::start(&Handle::current(), 100, company, |batch: Vec<()>| async move {
            // Long beside what may pass on a busy machine until the next one begins.
            tokio::time::sleep(Duration::from_millis(600)).await;
            vec![batch.len(); batch.len()]
        });
        itself.set(batcher.clone()).unwrap();
        let first: Vec<_> = (0..5).map(|_| batcher.submit(())).collect();
        tokio::task::yield_now().await;
        let second: Vec<_> = (0..5).map(|_| batcher.submit(())).collect();

        assert_eq!(futures_util::future::join_all(first).await, [Some(5); 5]);
        assert_eq!(futures_util::future::join_all(second).await, [Some(10); 5]);
        let back = std::mem::take(&mut *back.lock().unwrap());
        assert_eq!(futures_util::future::join_all(back).await, [Some(10); 5]);
    }
}
