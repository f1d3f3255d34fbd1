//! Natural batching: whatever gathers while the last statement is under way goes into the next.

use std::time::Duration;

use tokio::{runtime::Handle, sync::mpsc, time::Instant};

use super::reply::{Alarm, Reply, reply};

/// Requests that share statements. A lone one waits for nothing, unless it may linger; a thousand at once share a commit.
#[derive(Debug)]
pub(crate) struct Batcher<T, R> {
    requests: mpsc::UnboundedSender<(T, Reply<R>)>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone() }
    }
}

/// A batch that waits for company does so for as long at most, and looks so often whether more come and whether it may go on
/// waiting.
const LINGERS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(1));

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Has `run` answer the requests, up to `most` at a time and one batch after the other, in their order.
    pub(crate) fn start<F, Fut>(io: &Handle, most: usize, run: F) -> Self
    where
        F: FnMut(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        Self::lingering(io, most, |_| false, run)
    }

    /// The same, but a batch waits a moment for others as long as all that it has gathered may.
    pub(crate) fn lingering<F, Fut>(
        io: &Handle,
        most: usize,
        may_linger: impl Fn(&T) -> bool + Send + 'static,
        mut run: F,
    ) -> Self
    where
        F: FnMut(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        let (requests, mut inbox) = mpsc::unbounded_channel::<(T, Reply<R>)>();
        let alarm = Alarm::new(io);
        io.spawn(async move {
            let mut gathered = Vec::new();
            while inbox.recv_many(&mut gathered, most).await > 0 {
                let until = Instant::now() + LINGERS.0;
                while gathered.len() < most
                    && gathered.iter().all(|(request, _)| may_linger(request))
                    && Instant::now() < until
                {
                    // To be woken for each that comes would cost more than it saves.
                    tokio::time::sleep(LINGERS.1).await;
                    let before = gathered.len();
                    while gathered.len() < most
                        && let Ok(request) = inbox.try_recv()
                    {
                        gathered.push(request);
                    }
                    if gathered.len() == before {
                        // Who came alone would wait for nobody.
                        break;
                    }
                }
                let (batch, waiting): (Vec<_>, Vec<_>) = gathered.drain(..).unzip();
                let answers = run(batch).await.into_iter().zip(waiting);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn what_gathers_during_a_batch_shares_the_next_and_keeps_its_order() {
        let gate = Arc::new(Semaphore::new(0));
        let batcher = Batcher::start(&Handle::current(), 100, {
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
        Batcher::lingering(&Handle::current(), 3, may_linger, |batch: Vec<u32>| async move {
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
}
