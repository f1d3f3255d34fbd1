//! For tests: actors that panic when told to, and where to find them.

use actix::{Addr, Handler, Message};

use super::{poller::PollerActor, producer::ProducerActor, supervisor::SupervisorActor, worker::WorkerActor};

/// Panics in the actor's own code.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Crash;

macro_rules! crash {
    ($($actor:ty),*) => {
        $(impl Handler<Crash> for $actor {
            type Result = ();

            fn handle(&mut self, _: Crash, _: &mut Self::Context) {
                panic!("told to");
            }
        })*
    };
}

crash!(ProducerActor, PollerActor, WorkerActor);

/// The present actors of a queue.
#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) producer: Addr<ProducerActor>,
    pub(crate) poller: Addr<PollerActor>,
    pub(crate) workers: Vec<Addr<WorkerActor>>,
}

/// Asks a supervisor who is there.
#[derive(Debug, Message)]
#[rtype(result = "Option<Present>")]
pub(crate) struct Who;

impl Handler<Who> for SupervisorActor {
    type Result = Option<Present>;

    fn handle(&mut self, _: Who, _: &mut Self::Context) -> Self::Result {
        self.present()
    }
}
