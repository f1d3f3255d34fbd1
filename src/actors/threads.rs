use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::runtime::Runtime;

/// The arbiters that workers are spread over, shared by all queues that were started together.
pub(crate) struct Threads {
    runtime: Arc<Runtime>,
    arbiters: Mutex<Vec<Arbiter>>,
}

impl Threads {
    pub(crate) fn start(runtime: Arc<Runtime>, count: usize) -> io::Result<Self> {
        let arbiters = (0..count).map(|_| arbiter(&runtime)).collect::<io::Result<_>>()?;
        Ok(Self { runtime, arbiters: Mutex::new(arbiters) })
    }

    /// The arbiter of this number, started anew if it has ended.
    pub(crate) fn get(&self, number: usize) -> io::Result<ArbiterHandle> {
        let mut arbiters = self.arbiters.lock().unwrap_or_else(PoisonError::into_inner);
        let number = number % arbiters.len().max(1);
        match arbiters.get_mut(number) {
            Some(arbiter) if arbiter.alive() => Ok(arbiter.handle()),
            Some(ended) => {
                *ended = self::arbiter(&self.runtime)?;
                Ok(ended.handle())
            }
            None => Err(io::Error::other("there are no arbiters")),
        }
    }

    /// Ends the arbiters; how many did not end in time because a handler blocks their thread.
    pub(crate) async fn stop(&self, patience: Duration) -> usize {
        let arbiters = std::mem::take(&mut *self.arbiters.lock().unwrap_or_else(PoisonError::into_inner));
        for arbiter in &arbiters {
            // One that has ended already needs no telling.
            let _ = arbiter.stop();
        }
        let joining: Vec<_> =
            arbiters.into_iter().map(|arbiter| self.runtime.spawn_blocking(move || drop(arbiter.join()))).collect();
        let deadline = tokio::time::Instant::now() + patience;
        let mut stuck = 0;
        for join in joining {
            stuck += usize::from(tokio::time::timeout_at(deadline, join).await.is_err());
        }
        stuck
    }
}

/// An arbiter on the library's runtime; see [`Io`](crate::database) for why it has none of its own.
pub(crate) fn arbiter(runtime: &Arc<Runtime>) -> io::Result<Arbiter> {
    let runtime = Arc::clone(runtime);
    Arbiter::try_with_tokio_rt(move || Ok(runtime))
}
