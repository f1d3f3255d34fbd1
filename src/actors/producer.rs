use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture, SpawnHandle,
    StreamHandler, WrapFuture, prelude::SendError,
};
use tokio::{sync::oneshot, time::Instant};
use tokio_stream::wrappers::WatchStream;

use super::{
    members::{Halt, Lifeline, MAILBOX, Members},
    poller::{Looked, Revived},
    worker::{Perform, WorkerActor},
};
use crate::{
    database::{Horizon, Signal, Subscription},
    error::DatabaseError,
    job::Reserved,
    logs, metrics,
    run::{
        ahead::Ahead,
        backoff::reconnect_delay,
        care,
        demand::{Demands, WorkerId},
        progress::Progress,
        rush::Rush,
        shared::Shared,
        waiting::{Answered, Next, Waiting},
    },
    settings::Settings,
    store::{Claim, Onward, Take},
};

/// Holds the demand of the workers and the stream of notifications, and claims jobs for the one when told
/// by the other.
pub(crate) struct ProducerActor {
    epoch: u64,
    shared: Arc<Shared>,
    members: Members,
    demands: Demands<Addr<WorkerActor>>,
    ahead: Ahead,
    /// A look at what has been claimed ahead for too long is due.
    watching: bool,
    subscription: Option<Subscription>,
    waiting: Waiting,
    rush: Rush,
    progress: Progress,
    /// A claim from the beginning is planned.
    beginning: bool,
    /// A look whether something is paused still is planned.
    resuming: bool,
    /// A look at a queue that was found empty is planned.
    looking: bool,
    /// The next try to have inserts announce themselves.
    retry: Option<SpawnHandle>,
    /// A claim is under way; cleared by [`ProducerActor::claimed`], on failure too.
    claiming: bool,
    /// Something happened that the claim under way may not have seen.
    again: bool,
    /// The last claim left a job because somebody changed it meanwhile.
    moved: bool,
    /// In a rush: the next look is planned, and nothing that is announced or ends before it brings it forward.
    pausing: bool,
    /// The answer to a claim was lost: there may be jobs held that nobody here knows of.
    unsure: bool,
    /// The database could not be reached so many times in a row.
    failures: u32,
    drained: Vec<oneshot::Sender<()>>,
    _lifeline: Lifeline,
}

/// A worker has room for so many jobs more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Demand {
    pub(crate) worker: WorkerId,
    /// The producer that it was told to ask; another's demand was counted there.
    pub(crate) epoch: u64,
    pub(crate) jobs: usize,
    /// How many of them are room that a job has just left.
    pub(crate) ended: usize,
    pub(crate) performer: Addr<WorkerActor>,
}

/// A worker is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Forget(pub(crate) WorkerId);

/// There may be jobs to claim.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Look;

/// The shutdown has begun, and no claim begins any more; answers once none is under way.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopClaiming;

impl ProducerActor {
    pub(crate) fn new(
        epoch: u64,
        shared: Arc<Shared>,
        members: Members,
        subscription: Option<Subscription>,
        lifeline: Lifeline,
    ) -> Self {
        let Settings { claim_ahead, max_demand, .. } = shared.settings;
        let (Take::Reserve(hold) | Take::Start(hold)) = shared.settings.take();
        let ahead = Ahead::new(claim_ahead, hold, max_demand, Instant::now());
        Self {
            epoch,
            shared,
            members,
            demands: Demands::new(),
            ahead,
            watching: false,
            subscription,
            waiting: Waiting::default(),
            rush: Rush::default(),
            progress: Progress::default(),
            beginning: false,
            resuming: false,
            looking: false,
            retry: None,
            claiming: false,
            again: false,
            moved: false,
            pausing: false,
            unsure: false,
            failures: 0,
            drained: Vec::new(),
            _lifeline: lifeline,
        }
    }

    /// Gives what is claimed to those who have room for it, and claims more unless a claim is under way already.
    fn claim(&mut self, ctx: &mut Context<Self>) {
        self.give(ctx);
        let wanted = self.ahead.shortfall(self.demands.total(), Instant::now());
        if self.is_draining() || wanted == 0 {
            return;
        }
        if self.claiming {
            self.again = true;
            return;
        }
        self.claiming = true;
        self.again = false;
        let began = Instant::now();
        self.rush.claims(began);
        self.waiting.stir();
        let shared = Arc::clone(&self.shared);
        let onward = self.progress.next(began);
        // It brings nothing, so the next one follows at once.
        let wanted = if onward.as_ref().is_some_and(Onward::is_blind) { 0 } else { wanted };
        let poller = self.members.poller();
        let unsure = self.unsure.then(|| self.ahead.ids());
        let claim = async move {
            let (store, take, node) = (&shared.store, shared.settings.take(), &shared.node);
            if shared.revive().await?
                && let Some(poller) = poller
                && poller.try_send(Revived).is_err()
            {
                log::debug!(target: logs::ACTORS, queue = &*store.label; "the poller is being replaced");
            }
            if let Some(kept) = unsure {
                // Whatever is known of them too is performed by one of those that come to hold it, or by nobody.
                shared.give_back(None, kept).await?;
            }
            let sent = std::time::Instant::now();
            let claim = match onward {
                Some(onward) => store.claim_onward(wanted, take, node, &onward).await?,
                None => store.claim(wanted, take, node).await?,
            };
            metrics::claimed(&store.label, sent.elapsed());
            if !claim.jobs.is_empty() {
                shared.heard(|node| node.claimed(sent));
                if shared.node.left(std::time::Instant::now()).is_zero() {
                    // It took so long that what it says of this process is past already.
                    care::look_after(&shared).await;
                }
            }
            Ok(claim)
        };
        ctx.spawn(claim.into_actor(self).map(move |claim, act, ctx| {
            if let Ok(claim) = &claim {
                act.again |= act.progress.claimed(wanted, claim, began, Instant::now());
            }
            act.claimed(wanted, claim, began.elapsed(), ctx);
        }));
    }

    fn claimed(&mut self, wanted: usize, claim: Result<Claim, DatabaseError>, took: Duration, ctx: &mut Context<Self>) {
        self.claiming = false;
        let Claim { jobs, due_in, sight, paused, moved, .. } = match claim {
            Ok(claim) => claim,
            Err(error) => {
                self.shared.away(&error);
                self.unsure |= error.is_ambiguous();
                ctx.run_later(reconnect_delay(self.failures), Self::claim);
                self.failures = self.failures.saturating_add(1);
                return self.report_drained();
            }
        };
        self.failures = 0;
        self.unsure = false;
        self.shared.back();
        let (found, full) = (jobs.len(), jobs.len() >= wanted);
        self.shared.tally.claimed.fetch_add(u64::try_from(found).unwrap_or(u64::MAX), Ordering::Relaxed);
        // What moves again and again is kept from being claimed by something else, a trigger for one.
        let moved_just_now = moved && !self.moved;
        if wanted > 0 {
            self.moved = moved;
        }
        self.ahead.put(jobs, full, took, Instant::now());
        self.give(ctx);
        self.report_drained();
        if let Some(poller) = self.members.poller()
            && poller.try_send(Looked { due_in }).is_err()
        {
            log::debug!(target: logs::ACTORS, queue = &*self.shared.store.label; "the poller is being replaced");
        }
        if self.demands.total() == 0 || full && found >= BACKLOG {
            // Nobody needs to announce anything while all are busy, or while there is more than enough.
            self.stop_waiting();
        }
        if self.is_draining() {
            return;
        }
        if full {
            self.claim(ctx);
        } else if self.demands.total() > 0
            && let Some(pause) = self.rush.after_short_claim(found, took, Instant::now())
        {
            // Where all are busy, those that become free look at once.
            self.look_after(pause, ctx);
        } else if self.again || moved_just_now {
            self.claim(ctx);
        } else if self.demands.total() > 0 {
            if sight.is_some() {
                self.plan_beginning(ctx);
            }
            if !paused.is_empty() {
                self.plan_resuming(took, ctx);
            }
            if moved {
                self.plan_look(ctx);
            }
            self.wait(ctx);
        }
    }

    /// Lets inserts be silent, and looks by itself for what has come meanwhile.
    fn look_after(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        self.stop_waiting();
        if std::mem::replace(&mut self.pausing, true) {
            return;
        }
        ctx.run_later(pause, |act, ctx| {
            act.pausing = false;
            act.ahead.refresh();
            act.claim(ctx);
        });
    }

    /// Has what nobody can be told of be found, if no other claim comes soon.
    fn plan_beginning(&mut self, ctx: &mut Context<Self>) {
        if !self.beginning
            && let Some(delay) = self.progress.beginning_in(Instant::now())
        {
            self.beginning = true;
            ctx.run_later(delay, |act, ctx| {
                act.beginning = false;
                act.claim(ctx);
            });
        }
    }

    /// Looks again for what is paused, as often as a pause's end may be late, but not most of the time.
    fn plan_resuming(&mut self, took: Duration, ctx: &mut Context<Self>) {
        if !self.resuming {
            self.resuming = true;
            ctx.run_later(took.saturating_mul(9).max(RESUMED), |act, ctx| {
                act.resuming = false;
                act.claim(ctx);
            });
        }
    }

    /// Nobody has announced anything since the last claim found nothing more. What it did not bring because somebody had
    /// it locked, or changes it again and again, is announced by nobody.
    fn plan_look(&mut self, ctx: &mut Context<Self>) {
        if !self.looking {
            self.looking = true;
            ctx.run_later(LATER_LOOK, |act, ctx| {
                act.looking = false;
                act.claim(ctx);
            });
        }
    }

    /// Hands what is claimed to workers that asked, to each all at once: a message may find its thread asleep, and to
    /// wake it costs more than to tell it of another job.
    fn give(&mut self, ctx: &mut Context<Self>) {
        if self.is_draining() {
            // The shutdown gives back what is here, and counts it.
            return;
        }
        let mut given: BTreeMap<WorkerId, Vec<Reserved>> = BTreeMap::new();
        while !self.ahead.is_empty()
            && let Some(worker) = self.demands.take()
            && let Some(job) = self.ahead.take()
        {
            given.entry(worker).or_default().push(job);
        }
        let mut refused = Vec::new();
        for (worker, jobs) in given {
            let sent = match self.demands.way(worker) {
                Some(performer) => performer.try_send(Perform(jobs)),
                None => Err(SendError::Closed(Perform(jobs))),
            };
            if let Err(SendError::Full(Perform(jobs)) | SendError::Closed(Perform(jobs))) = sent {
                self.demands.forget(worker);
                refused.extend(jobs);
            }
        }
        if !refused.is_empty() {
            self.ahead.put_back(refused, Instant::now());
            // To the workers that are left, of which there is one less each time.
            return self.give(ctx);
        }
        if !self.ahead.is_empty() && !self.watching {
            self.watching = true;
            ctx.run_later(self.ahead.patience(), Self::watch);
        }
    }

    /// Gives back what the workers have become too slow for.
    fn watch(&mut self, ctx: &mut Context<Self>) {
        self.watching = false;
        if self.is_draining() {
            return;
        }
        let overdue = self.ahead.overdue(Instant::now());
        if !overdue.is_empty() {
            self.give_back(Some(overdue), ctx);
        }
        self.give(ctx);
    }

    /// Makes claimed jobs available to others, all of this process's that nobody performs if none are named.
    fn give_back(&self, ids: Option<Vec<i64>>, ctx: &mut Context<Self>) {
        self.try_to_give_back(ids, 0, ctx);
    }

    fn try_to_give_back(&self, ids: Option<Vec<i64>>, failures: u32, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let kept = self.ahead.ids();
        let give_back = async move {
            let given = shared.give_back(ids.as_deref(), kept).await;
            given.map_err(|error| {
                shared.away(&error);
                ids
            })
        };
        ctx.spawn(give_back.into_actor(self).map(move |given, _, ctx| {
            if let Err(ids) = given {
                // What they are held by lapses by itself, but late.
                ctx.run_later(reconnect_delay(failures), move |act, ctx| {
                    // A shutdown gives back whatever is held.
                    if !act.is_draining() {
                        act.try_to_give_back(ids, failures.saturating_add(1), ctx);
                    }
                });
            }
        }));
    }

    fn stop_waiting(&mut self) {
        if self.waiting.stop()
            && let Some(subscription) = &self.subscription
        {
            subscription.unwait();
        }
    }

    /// All jobs there were are claimed: has inserts announce themselves, or looks whether they do.
    fn wait(&mut self, ctx: &mut Context<Self>) {
        let Some(subscription) = &self.subscription else {
            return;
        };
        match self.waiting.after_short_claim() {
            Next::Rest => {}
            Next::Announce { question } => {
                let wait = subscription.wait();
                ctx.spawn(wait.into_actor(self).map(move |horizon, act, ctx| act.answered(question, horizon, ctx)));
            }
            Next::LookAgain { question, mark, after } => {
                ctx.run_later(after, move |act, ctx| {
                    if let Some(subscription) = &act.subscription {
                        let look = subscription.horizon(mark).into_actor(act);
                        ctx.spawn(look.map(move |horizon, act, ctx| act.answered(question, horizon, ctx)));
                    }
                });
            }
        }
    }

    fn answered(&mut self, question: u64, horizon: Option<Horizon>, ctx: &mut Context<Self>) {
        match self.waiting.answered(question, horizon) {
            Answered::Claim => self.claim(ctx),
            Answered::Later(after) => self.plan_retry(after, ctx),
            Answered::Stale => {}
        }
    }

    /// Claims again after this time, and goes on from there to try once more.
    fn plan_retry(&mut self, after: Duration, ctx: &mut Context<Self>) {
        let retry = ctx.run_later(after, Self::claim);
        if let Some(earlier) = self.retry.replace(retry) {
            // Where somebody keeps the key, every other claim that asks for it would plan one more.
            ctx.cancel_future(earlier);
        }
    }

    /// From the instant on at which the shutdown begins, before this actor is told of it: what ends by then makes no room.
    fn is_draining(&self) -> bool {
        self.shared.draining.is_cancelled()
    }

    fn report_drained(&mut self) {
        for waits in self.drained.drain(..) {
            // Whoever asked may have given up.
            let _ = waits.send(());
        }
    }
}

/// A claim that brings so many jobs and leaves some has more to follow, which is worth more than to wait anew after it.
const BACKLOG: usize = 32;

/// How late the end of a pause is noticed where no notification tells it.
const RESUMED: Duration = Duration::from_millis(900);

/// How soon a queue that was found empty is looked at for the sake of new room alone.
const LATER_LOOK: Duration = Duration::from_millis(100);

impl Actor for ProducerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(subscription) = &self.subscription {
            ctx.add_stream(WatchStream::new(subscription.signal()));
        }
        if self.epoch > 1 && !self.is_draining() {
            // What the producer before this one had claimed and given to nobody. What a worker has not started
            // yet it drops unperformed.
            self.give_back(None, ctx);
        }
    }
}

impl StreamHandler<Signal> for ProducerActor {
    fn handle(&mut self, signal: Signal, ctx: &mut Self::Context) {
        metrics::notified(&self.shared.store.label);
        self.waiting.listening_on(signal.connection);
        self.waiting.stir();
        self.ahead.refresh();
        self.rush.announced();
        if !self.pausing {
            self.claim(ctx);
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {
        let (queue, node) = (&*self.shared.store.label, self.shared.node.number());
        log::warn!(target: logs::DATABASE, queue, node; "queue {queue} hears no notifications any more and polls");
    }
}

impl Handler<Demand> for ProducerActor {
    type Result = ();

    fn handle(&mut self, demand: Demand, ctx: &mut Self::Context) {
        if demand.epoch == self.epoch {
            self.ahead.ended(demand.ended);
            self.demands.add(demand.worker, demand.jobs, demand.performer);
            if self.pausing {
                self.give(ctx);
            } else if self.waiting.is_at_rest() {
                self.plan_look(ctx);
            } else {
                self.claim(ctx);
            }
        }
    }
}

impl Handler<Forget> for ProducerActor {
    type Result = ();

    fn handle(&mut self, Forget(worker): Forget, ctx: &mut Self::Context) {
        self.demands.forget(worker);
        if !self.is_draining() {
            // What it had in its hands and did not perform yet is held by nobody, and lapses late. Of another worker's
            // it may take what is about to be started, which is then claimed anew.
            self.give_back(None, ctx);
        }
    }
}

impl Handler<Look> for ProducerActor {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.waiting.stir();
        self.ahead.refresh();
        self.claim(ctx);
    }
}

impl Handler<StopClaiming> for ProducerActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopClaiming, _: &mut Self::Context) -> Self::Result {
        self.stop_waiting();
        if !self.claiming {
            return Box::pin(async {});
        }
        let (waits, drained) = oneshot::channel();
        self.drained.push(waits);
        Box::pin(async move {
            // A producer that died claims nothing either.
            let _ = drained.await;
        })
    }
}

impl Handler<Halt> for ProducerActor {
    type Result = ();

    #[allow(clippy::disallowed_methods, reason = "the jobs are dealt with, so nothing in flight is lost")]
    fn handle(&mut self, _: Halt, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
