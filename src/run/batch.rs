//! Natural batching: whatever gathers while the last statement is under way goes into the next.

use tokio::{runtime::Handle, sync::mpsc};

use super::reply::{Alarm, Reply, reply};

/// Requests that share statements. A lone one waits for nothing; a thousand at once share a commit.
#[derive(Debug)]
pub(crate) struct Batcher<T, R> {
    requests: mpsc::UnboundedSender<(T, Reply<R>)>,
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
        let alarm = Alarm::new(io);
        io.spawn(async move {
            let mut gathered = Vec::new();
            while inbox.recv_many(&mut gathered, most).await > 0 {
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
}
