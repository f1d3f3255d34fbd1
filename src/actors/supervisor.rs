use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use actix_rt::ArbiterHandle;

use super::{
    members::{Died, Halt, Lifeline, MAILBOX, Member, Members},
    poller::PollerActor,
    producer::{Forget, ProducerActor, StopClaiming},
    threads::Threads,
    worker::{Ask, WorkerActor},
};
use crate::{
    handler::Handlers,
    logs,
    run::{
        demand::{WorkerId, shares},
        shared::Shared,
    },
};

/// Starts the actors of one queue, and another where one has died.
pub(crate) struct SupervisorActor {
    shared: Arc<Shared>,
    handlers: Arc<Handlers>,
    threads: Arc<Threads>,
    control: ArbiterHandle,
    /// The table's oid, which keys the lock of those that wait for work.
    table: u32,
    members: Members,
    workers: HashMap<WorkerId, Seat>,
    last_worker: u64,
    epoch: u64,
    draining: bool,
}

/// A worker's place in the pool, which its replacement takes.
#[derive(Debug, Clone)]
struct Seat {
    arbiter: usize,
    slots: usize,
    worker: Addr<WorkerActor>,
    since: Instant,
}

/// Stops claiming; answers once no claim is under way.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// A worker's place is to be filled after a pause.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Seatless {
    arbiter: usize,
    slots: usize,
}

/// A system that is short of threads, or a handler that cannot be made, may get better, but not at once.
const RETRY_SEAT: Duration = Duration::from_secs(1);

impl SupervisorActor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        handlers: Arc<Handlers>,
        threads: Arc<Threads>,
        control: ArbiterHandle,
        table: u32,
    ) -> Self {
        Self {
            shared,
            handlers,
            threads,
            control,
            table,
            members: Members::default(),
            workers: HashMap::new(),
            last_worker: 0,
            epoch: 0,
            draining: false,
        }
    }

    #[cfg(test)]
    pub(super) fn present(&self) -> Option<super::Present> {
        Some(super::Present {
            producer: self.members.producer()?,
            poller: self.members.poller()?,
            workers: self.workers.values().map(|seat| seat.worker.clone()).collect(),
        })
    }

    fn lifeline(member: Member, ctx: &Context<Self>) -> Lifeline {
        Lifeline { member, supervisor: ctx.address() }
    }

    fn start_producer(&mut self, ctx: &mut Context<Self>) {
        self.epoch += 1;
        let (epoch, shared, members) = (self.epoch, Arc::clone(&self.shared), self.members.clone());
        let store = &self.shared.store;
        let subscription = store.database.subscribe(&store.name.channel(), lock_key(self.table), self.table);
        let lifeline = Self::lifeline(Member::Producer, ctx);
        let producer = ProducerActor::start_in_arbiter(&self.control, move |_| {
            ProducerActor::new(epoch, shared, members, subscription, lifeline)
        });
        self.members.set_producer(producer);
        for seat in self.workers.values() {
            self.ask(&seat.worker);
        }
    }

    fn start_poller(&mut self, ctx: &mut Context<Self>) {
        let (shared, members) = (Arc::clone(&self.shared), self.members.clone());
        let lifeline = Self::lifeline(Member::Poller, ctx);
        let poller = PollerActor::start_in_arbiter(&self.control, move |_| PollerActor::new(shared, members, lifeline));
        self.members.set_poller(poller);
    }

    fn start_worker(&mut self, arbiter: usize, slots: usize, ctx: &mut Context<Self>) {
        let thread = match self.threads.get(arbiter) {
            Ok(thread) => thread,
            Err(error) => {
                let (queue, node) = (&*self.shared.store.label, self.shared.node.number());
                log::error!(
                    target: logs::ACTORS, queue, node, error:%;
                    "queue {queue}: no thread for a worker, trying again: {error}"
                );
                ctx.notify_later(Seatless { arbiter, slots }, RETRY_SEAT);
                return;
            }
        };
        self.last_worker += 1;
        let id = WorkerId(self.last_worker);
        let (shared, handlers, members) = (Arc::clone(&self.shared), Arc::clone(&self.handlers), self.members.clone());
        let lifeline = Self::lifeline(Member::Worker(id), ctx);
        let worker = WorkerActor::start_in_arbiter(&thread, move |ctx| {
            WorkerActor::new(id, slots, ctx, shared, handlers.dispatch(), members, lifeline)
        });
        self.ask(&worker);
        self.workers.insert(id, Seat { arbiter, slots, worker, since: Instant::now() });
    }

    /// Has a worker tell the present producer of all the room it has.
    fn ask(&self, worker: &Addr<WorkerActor>) {
        if worker.try_send(Ask { epoch: self.epoch }).is_err() {
            // Its lifeline tells that it died, and its replacement is asked.
            log::debug!(target: logs::ACTORS, queue = &*self.shared.store.label; "a worker died before it was asked");
        }
    }
}

/// The key that the table's trigger tries; the constant is the one in its function.
fn lock_key(table: u32) -> i64 {
    4_716_510_246_293_143_552 + i64::from(table)
}

impl Actor for SupervisorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.start_poller(ctx);
        self.start_producer(ctx);
        let Shared { settings, .. } = &*self.shared;
        let slots: Vec<_> = shares(settings.max_demand, settings.arbiters).collect();
        for (arbiter, slots) in slots.into_iter().enumerate() {
            self.start_worker(arbiter, slots, ctx);
        }
    }
}

impl Handler<Died> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, Died(member): Died, ctx: &mut Self::Context) {
        if self.draining {
            return;
        }
        let (queue, node) = (&*self.shared.store.label, self.shared.node.number());
        log::error!(target: logs::ACTORS, queue, node; "queue {queue}: {member} died and is replaced");
        match member {
            Member::Producer => self.start_producer(ctx),
            Member::Poller => self.start_poller(ctx),
            Member::Worker(id) => {
                let told = self.members.producer().map(|producer| producer.try_send(Forget(id)));
                if !matches!(told, Some(Ok(()))) {
                    let worker = id.0;
                    log::debug!(
                        target: logs::ACTORS, queue, worker;
                        "the producer is being replaced and knows nothing of worker {worker}"
                    );
                }
                if let Some(Seat { arbiter, slots, since, .. }) = self.workers.remove(&id) {
                    if since.elapsed() < RETRY_SEAT {
                        ctx.notify_later(Seatless { arbiter, slots }, RETRY_SEAT);
                    } else {
                        self.start_worker(arbiter, slots, ctx);
                    }
                }
            }
        }
    }
}

impl Handler<Seatless> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, Seatless { arbiter, slots }: Seatless, ctx: &mut Self::Context) {
        if !self.draining {
            self.start_worker(arbiter, slots, ctx);
        }
    }
}

impl Handler<Drain> for SupervisorActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.shared.draining.cancel();
        let (producer, queue) = (self.members.producer(), Arc::clone(&self.shared.store.label));
        Box::pin(async move {
            if let Some(producer) = producer
                && producer.send(StopClaiming).await.is_err()
            {
                log::debug!(target: logs::ACTORS, queue = &*queue; "the producer died while it was to stop");
            }
        })
    }
}

impl Handler<Halt> for SupervisorActor {
    type Result = ();

    #[allow(clippy::disallowed_methods, reason = "the jobs are dealt with, so nothing in flight is lost")]
    fn handle(&mut self, _: Halt, ctx: &mut Self::Context) {
        self.draining = true;
        if let Some(producer) = self.members.producer()
            && producer.try_send(Halt).is_err()
        {
            log::debug!(target: logs::ACTORS, queue = &*self.shared.store.label; "the producer ended before the shutdown did");
        }
        if let Some(poller) = self.members.poller()
            && poller.try_send(Halt).is_err()
        {
            log::debug!(target: logs::ACTORS, queue = &*self.shared.store.label; "the poller ended before the shutdown did");
        }
        self.members.clear();
        self.workers.clear();
        ctx.stop();
    }
}
