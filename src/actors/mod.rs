//! The actors: state and messages. What they decide stands in `run`, what they ask the database in `store`.

#[cfg(test)]
mod crash;
mod enqueuer;
mod members;
mod poller;
mod producer;
mod supervisor;
mod threads;
mod worker;

#[cfg(test)]
pub(crate) use {
    crash::{Crash, Present, Who},
    producer::Look,
};

pub use enqueuer::{Enqueue, EnqueueActor};

pub(crate) use {
    members::Halt,
    supervisor::{Drain, SupervisorActor},
    threads::Threads,
};
