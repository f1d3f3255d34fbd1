//! How the actors of one queue find each other, although each may be replaced.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use actix::{Addr, Message};

use super::{poller::PollerActor, producer::ProducerActor, supervisor::SupervisorActor};
use crate::{lock::lock, logs, run::demand::WorkerId};

/// A mailbox that takes all: demand is the bound on work, and a message that does not fit would be lost.
pub(crate) const MAILBOX: usize = 1 << 20;

/// The present actors of a queue. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members(Arc<Mutex<Present>>);

#[derive(Debug, Default)]
struct Present {
    producer: Option<Addr<ProducerActor>>,
    poller: Option<Addr<PollerActor>>,
}

impl Members {
    pub(crate) fn producer(&self) -> Option<Addr<ProducerActor>> {
        self.lock().producer.clone()
    }

    pub(crate) fn poller(&self) -> Option<Addr<PollerActor>> {
        self.lock().poller.clone()
    }

    pub(crate) fn set_producer(&self, producer: Addr<ProducerActor>) {
        self.lock().producer = Some(producer);
    }

    pub(crate) fn set_poller(&self, poller: Addr<PollerActor>) {
        self.lock().poller = Some(poller);
    }

    /// Lets go of the addresses, which would keep their actors alive.
    pub(crate) fn clear(&self) {
        *self.lock() = Present::default();
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        lock(&self.0)
    }
}

/// Who died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    Producer,
    Poller,
    Worker(WorkerId),
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Producer => f.write_str("the producer"),
            Member::Poller => f.write_str("the poller"),
            Member::Worker(id) => write!(f, "worker {}", id.0),
        }
    }
}

/// An actor is gone, whether it stopped, panicked, or its arbiter ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Died(pub(crate) Member);

/// Ends an actor whose jobs are dealt with.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Halt;

/// Tells the supervisor when the actor that owns this is dropped.
///
/// actix restarts no actor that panicked, and calls nothing back; but it drops it.
#[derive(Debug)]
pub(crate) struct Lifeline {
    pub(crate) member: Member,
    pub(crate) supervisor: Addr<SupervisorActor>,
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        if self.supervisor.try_send(Died(self.member)).is_err() {
            // Without its supervisor the queue has ended.
            log::debug!(target: logs::ACTORS, "{} ended after its supervisor", self.member);
        }
    }
}
