use std::{rc::Rc, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use tokio::task::JoinSet;

use super::{
    members::{Lifeline, MAILBOX, Members},
    producer::Demand,
};
use crate::{
    handler::Dispatch,
    job::Reserved,
    run::{demand::WorkerId, perform::perform, shared::Shared},
};

/// Performs jobs on one arbiter, and asks for as many as it has room for.
pub(crate) struct WorkerActor {
    id: WorkerId,
    slots: usize,
    busy: usize,
    /// Which producer was last told of all the room there is.
    epoch: u64,
    shared: Arc<Shared>,
    dispatch: Rc<Dispatch>,
    members: Members,
    /// Dropped with this actor, and the jobs under way with it.
    jobs: JoinSet<()>,
    _lifeline: Lifeline,
}

/// A job to perform; sent only for demand.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Perform(pub(crate) Reserved);

/// A producer wants to know all the room there is.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ask {
    pub(crate) epoch: u64,
}

/// A job left its slot.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Vacated;

/// A job's place in the worker: reports that it is free again, on every way out.
struct Slot(Addr<WorkerActor>);

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.try_send(Vacated).is_err() {
            // A dead worker's share of the demand is dealt with by its replacement.
            log::debug!("a job ended after its worker");
        }
    }
}

impl WorkerActor {
    pub(crate) fn new(
        id: WorkerId,
        slots: usize,
        shared: Arc<Shared>,
        dispatch: Dispatch,
        members: Members,
        lifeline: Lifeline,
    ) -> Self {
        Self {
            id,
            slots,
            busy: 0,
            epoch: 0,
            shared,
            dispatch: Rc::new(dispatch),
            members,
            jobs: JoinSet::new(),
            _lifeline: lifeline,
        }
    }

    fn demand(&self, jobs: usize, ended: usize, ctx: &Context<Self>) {
        let demand = Demand { worker: self.id, epoch: self.epoch, jobs, ended, performer: ctx.address() };
        let sent = self.members.producer().map(|producer| producer.try_send(demand));
        if !matches!(sent, Some(Ok(()))) {
            // The next producer asks for all the room there is.
            log::debug!("worker {} has no producer to ask", self.id.0);
        }
    }
}

impl Actor for WorkerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Perform> for WorkerActor {
    type Result = ();

    fn handle(&mut self, Perform(job): Perform, ctx: &mut Self::Context) {
        self.busy += 1;
        let slot = Slot(ctx.address());
        let activity = self.shared.activity();
        let (shared, dispatch) = (Arc::clone(&self.shared), Rc::clone(&self.dispatch));
        self.jobs.spawn_local(async move {
            let (_slot, _activity) = (slot, activity);
            perform(shared, dispatch, job).await;
        });
    }
}

impl Handler<Vacated> for WorkerActor {
    type Result = ();

    fn handle(&mut self, _: Vacated, ctx: &mut Self::Context) {
        while self.jobs.try_join_next().is_some() {}
        self.busy -= 1;
        self.demand(1, 1, ctx);
    }
}

impl Handler<Ask> for WorkerActor {
    type Result = ();

    fn handle(&mut self, Ask { epoch }: Ask, ctx: &mut Self::Context) {
        self.epoch = epoch;
        self.demand(self.slots.saturating_sub(self.busy), 0, ctx);
    }
}
