//! The actors: state and messages. What they decide stands in `run`, what they ask the database in `store`.

mod enqueuer;
mod members;
mod poller;
mod producer;
mod supervisor;
mod threads;
mod worker;

pub use enqueuer::{Enqueue, EnqueueActor};

pub(crate) use {
    members::Halt,
    supervisor::{Drain, SupervisorActor},
    threads::Threads,
};
