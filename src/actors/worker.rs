use std::{rc::Rc, sync::Arc, time::Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use super::{
    members::{Lifeline, MAILBOX, Members},
    producer::Demand,
};
use crate::{
    handler::{BatchPerformer, Dispatch, Found},
    job::Reserved,
    logs,
    perform::Task,
    run::{
        crew::Crew,
        demand::WorkerId,
        gather::{Gathering, Ready},
        shared::Shared,
        slots::{Place, Slots},
    },
};

/// Performs jobs on one arbiter, and asks for as many as it has room for.
pub(crate) struct WorkerActor {
    id: WorkerId,
    count: usize,
    slots: Arc<Slots>,
    busy: usize,
    /// Which producer was last told of all the room there is.
    epoch: u64,
    shared: Arc<Shared>,
    dispatch: Dispatch,
    members: Members,
    /// Jobs that wait to be performed together; each has its slot.
    gathering: Gathering<Rc<dyn BatchPerformer>, (Reserved, Place)>,
    /// When those that wait are looked at next.
    looks: Option<Instant>,
    /// Dropped with this actor, and the jobs under way with it.
    crew: Crew<Task>,
    _lifeline: Lifeline,
}

/// Jobs to perform, in their order; sent only for demand.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Perform(pub(crate) Vec<Reserved>);

/// A producer wants to know all the room there is.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ask {
    pub(crate) epoch: u64,
}

/// Jobs have left their slots.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Vacated;

impl WorkerActor {
    pub(crate) fn new(
        id: WorkerId,
        count: usize,
        ctx: &Context<Self>,
        shared: Arc<Shared>,
        dispatch: Dispatch,
        members: Members,
        lifeline: Lifeline,
    ) -> Self {
        let worker = ctx.address().downgrade();
        let vacated = move || {
            if worker.upgrade().is_none_or(|worker| worker.try_send(Vacated).is_err()) {
                // A dead worker's share of the demand is dealt with by its replacement.
                log::debug!(target: logs::ACTORS, "a job ended after its worker");
            }
        };
        Self {
            id,
            count,
            slots: Slots::new(count, vacated),
            busy: 0,
            epoch: 0,
            shared,
            dispatch,
            members,
            gathering: Gathering::new(count),
            looks: None,
            crew: Crew::new(),
            _lifeline: lifeline,
        }
    }

    fn demand(&self, jobs: usize, ended: usize, ctx: &Context<Self>) {
        let demand = Demand { worker: self.id, epoch: self.epoch, jobs, ended, performer: ctx.address() };
        let sent = self.members.producer().map(|producer| producer.try_send(demand));
        if !matches!(sent, Some(Ok(()))) {
            // The next producer asks for all the room there is.
            let (queue, worker) = (&*self.shared.store.label, self.id.0);
            log::debug!(target: logs::ACTORS, queue, worker; "worker {worker} has no producer to ask");
        }
    }

    /// How many jobs have left their slots since the last time.
    fn leave(&mut self) -> usize {
        let vacated = self.slots.take_vacated();
        self.busy -= vacated;
        vacated
    }

    fn perform(&mut self, job: Reserved, ctx: &mut Context<Self>) {
        self.busy += 1;
        let place = self.slots.occupy(self.shared.activity());
        let performer = match self.dispatch.find(job.kind.as_deref()) {
            Ok(Found::Batch(performer)) => return self.gather(performer, job, place, ctx),
            Ok(Found::One(performer)) => Ok(performer),
            Err(unknown) => Err(unknown),
        };
        self.crew.give(Task::One(Arc::clone(&self.shared), performer, job, place));
    }

    /// Has a job wait for others of its type.
    fn gather(&mut self, performer: Rc<dyn BatchPerformer>, job: Reserved, place: Place, ctx: &mut Context<Self>) {
        if self.shared.draining.is_cancelled() {
            // The shutdown gives back what is reserved.
            return;
        }
        if job.is_last_of_several() {
            return self.perform_together((performer, vec![(job, place)]));
        }
        let (kind, batching) = (job.kind.clone().unwrap_or_default(), performer.batching());
        let ready = self.gathering.add(&kind, batching, performer, (job, place), Instant::now());
        ready.into_iter().for_each(|batch| self.perform_together(batch));
        self.look_when_due(ctx);
    }

    fn look_when_due(&mut self, ctx: &mut Context<Self>) {
        let Some(due) = self.gathering.next().filter(|due| self.looks.is_none_or(|looks| *due < looks)) else {
            return;
        };
        self.looks = Some(due);
        ctx.run_later(due.saturating_duration_since(Instant::now()), |act, ctx| {
            act.looks = None;
            let ready = act.gathering.due(Instant::now());
            ready.into_iter().for_each(|batch| act.perform_together(batch));
            act.look_when_due(ctx);
        });
    }

    fn perform_together(&mut self, (performer, jobs): Ready<Rc<dyn BatchPerformer>, (Reserved, Place)>) {
        self.crew.give(Task::Batch(Arc::clone(&self.shared), performer, jobs));
    }
}

impl Actor for WorkerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        let draining = self.shared.draining.clone().cancelled_owned();
        ctx.spawn(draining.into_actor(self).map(|(), act, _| act.gathering.clear()));
    }
}

impl Handler<Perform> for WorkerActor {
    type Result = ();

    fn handle(&mut self, Perform(jobs): Perform, ctx: &mut Self::Context) {
        jobs.into_iter().for_each(|job| self.perform(job, ctx));
    }
}

impl Handler<Vacated> for WorkerActor {
    type Result = ();

    fn handle(&mut self, _: Vacated, ctx: &mut Self::Context) {
        // All that have left by now: those that were woken by one commit are one demand.
        let vacated = self.leave();
        if vacated > 0 {
            self.demand(vacated, vacated, ctx);
        }
    }
}

impl Handler<Ask> for WorkerActor {
    type Result = ();

    fn handle(&mut self, Ask { epoch }: Ask, ctx: &mut Self::Context) {
        self.epoch = epoch;
        // What was left since the last demand is among what is free.
        let vacated = self.leave();
        self.demand(self.count.saturating_sub(self.busy), vacated, ctx);
    }
}
