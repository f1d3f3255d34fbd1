//! Natural batching: whatever gathers while the last statement is under way goes into the next.

use std::thread::{self, ThreadId};

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

/// Requests that share statements. A lone one waits for nothing; a thousand at once share a commit.
#[derive(Debug)]
pub(crate) struct Batcher<T, R> {
    requests: mpsc::UnboundedSender<(T, Reply<R>)>,
}

/// Where an answer goes.
#[derive(Debug)]
struct Reply<R> {
    to: oneshot::Sender<R>,
    /// The thread that asked, if it is an arbiter's.
    home: Option<(ThreadId, ArbiterHandle)>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone() }
    }
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Has `run` answer the requests, up to `most` at a time and one batch after the other, in their order.
    pub(crate) fn start<F, Fut>(io: &Handle, most: usize, mut run: F) -> Self
    where
        F: FnMut(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        let (requests, mut inbox) = mpsc::unbounded_channel::<(T, Reply<R>)>();
        io.spawn(async move {
            let mut gathered = Vec::new();
            while inbox.recv_many(&mut gathered, most).await > 0 {
                let (batch, waiting): (Vec<_>, Vec<_>) = gathered.drain(..).unzip();
                answer(run(batch).await.into_iter().zip(waiting));
            }
        });
        Self { requests }
    }

    /// Adds a request to the next batch and waits for its answer; none if the runtime is ending.
    pub(crate) fn submit(&self, request: T) -> impl Future<Output = Option<R>> + Send + 'static {
        let (to, answered) = oneshot::channel();
        let home = Arbiter::try_current().map(|arbiter| (thread::current().id(), arbiter));
        let sent = self.requests.send((request, Reply { to, home }));
        async move {
            sent.ok()?;
            answered.await.ok()
        }
    }
}

/// Has each arbiter tell those that wait on its own thread. Told one by one from here, a thread that sleeps would be woken
/// by each, and sleep again before the next.
fn answer<R: Send + 'static>(answers: impl Iterator<Item = (R, Reply<R>)>) {
    // Whoever asked may have been cancelled since.
    let tell = |(answer, to): (R, oneshot::Sender<R>)| drop(to.send(answer));
    let mut homes: Vec<(ThreadId, ArbiterHandle, Vec<_>)> = Vec::new();
    for (answer, Reply { to, home }) in answers {
        match home {
            None => tell((answer, to)),
            Some((thread, arbiter)) => match homes.iter_mut().find(|(known, ..)| *known == thread) {
                Some((.., told)) => told.push((answer, to)),
                None => homes.push((thread, arbiter, vec![(answer, to)])),
            },
        }
    }
    for (_, arbiter, told) in homes {
        // Whoever waited on an arbiter that has ended waits no more.
        arbiter.spawn_fn(move || told.into_iter().for_each(tell));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
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

    #[actix::test]
    async fn an_arbiter_that_is_blocked_holds_up_no_answer_but_its_own() {
        let batcher = Batcher::start(&Handle::current(), 100, async |batch: Vec<u32>| batch);
        let (other, (asked, asks), (free, blocked)) =
            (Arbiter::new(), oneshot::channel(), std::sync::mpsc::channel::<()>());
        let (tell, told) = oneshot::channel();
        let theirs = batcher.clone();
        other.spawn_fn(move || {
            let answer = theirs.submit(1);
            actix_rt::spawn(async move { tell.send(answer.await).unwrap() });
            asked.send(()).unwrap();
            blocked.recv().unwrap();
        });
        asks.await.unwrap();

        assert_eq!(batcher.submit(2).await, Some(2));

        free.send(()).unwrap();
        assert_eq!(told.await.unwrap(), Some(1));
        other.stop();
    }
}
