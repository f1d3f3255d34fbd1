use std::{io, sync::Mutex, time::Duration};

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

use crate::{database::Io, lock::lock, logs};

/// The arbiters that workers are spread over, shared by all queues that were started together.
pub(crate) struct Threads {
    io: Io,
    arbiters: Mutex<Vec<Arbiter>>,
}

impl Threads {
    pub(crate) fn start(io: Io, count: usize) -> io::Result<Self> {
        let arbiters = (0..count).map(|_| io.arbiter()).collect::<io::Result<_>>()?;
        Ok(Self { io, arbiters: Mutex::new(arbiters) })
    }

    /// The arbiter of this number, started anew if it has ended.
    pub(crate) fn get(&self, number: usize) -> io::Result<ArbiterHandle> {
        let mut arbiters = lock(&self.arbiters);
        let number = number % arbiters.len().max(1);
        match arbiters.get_mut(number) {
            Some(arbiter) if arbiter.alive() => Ok(arbiter.handle()),
            Some(ended) => {
                *ended = self.io.arbiter()?;
                Ok(ended.handle())
            }
            None => Err(io::Error::other("there are no arbiters")),
        }
    }

    /// Ends the arbiters; how many did not end in time because a handler blocks their thread.
    pub(crate) async fn stop(&self, patience: Duration) -> usize {
        let arbiters = std::mem::take(&mut *lock(&self.arbiters));
        for arbiter in &arbiters {
            // One that has ended already needs no telling.
            let _ = arbiter.stop();
        }
        let ends: Vec<_> = arbiters.into_iter().map(join).collect();
        let deadline = tokio::time::Instant::now() + patience;
        let mut stuck = 0;
        for ended in ends {
            stuck += usize::from(tokio::time::timeout_at(deadline, ended).await.is_err());
        }
        stuck
    }
}

/// Waits for an arbiter's end on a thread of its own: the runtime's end waits for its own threads, and the
/// arbiter may be the last to hold the runtime.
fn join(arbiter: Arbiter) -> oneshot::Receiver<()> {
    let (tell, ended) = oneshot::channel();
    let waiting = std::thread::Builder::new().name("actix-job-queue-join".to_owned()).spawn(move || {
        if arbiter.join().is_err() {
            log::debug!(target: logs::ACTORS, "an arbiter ended by a panic");
        }
        // Whoever waited may have lost patience.
        let _ = tell.send(());
    });
    if let Err(error) = waiting {
        log::warn!(target: logs::ACTORS, error:%; "no thread to wait for an arbiter's end: {error}");
    }
    ended
}
