use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};
use tokio::time::Instant;

use super::{
    members::{Halt, Lifeline, MAILBOX, Members},
    producer::Look,
};
use crate::{
    error::DatabaseError,
    logs, metrics,
    run::{
        backoff::reconnect_delay,
        care,
        node::BEATS,
        reach::{Begun, Reach},
        shared::Shared,
        wake,
    },
    store::{Since, Swept},
};

/// Fires the messages by which jobs become due and holds lapse, and keeps this process's own holds alive.
pub(crate) struct PollerActor {
    shared: Arc<Shared>,
    members: Members,
    next: Option<(Instant, SpawnHandle)>,
    reach: Reach,
    /// A sweep is under way; cleared by [`PollerActor::swept`], on failure too.
    sweeping: bool,
    /// Another was due meanwhile: the one under way may not have seen why.
    again: bool,
    /// The next sweep is to look over everything.
    everything: bool,
    /// A heartbeat is under way; cleared when it ends.
    beating: bool,
    /// The database could not be reached so many times in a row.
    failures: u32,
    _lifeline: Lifeline,
}

/// Activates what is due, and takes back what nobody holds any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Sweep;

/// This process goes on under another number, and what it held under the last one is to be taken back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Revived;

/// Says that this process lives, and looks after the jobs that it holds.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Beat;

/// The producer has claimed: when the next job is due, as the claim saw it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Looked {
    pub(crate) due_in: Option<Duration>,
}

impl PollerActor {
    pub(crate) fn new(shared: Arc<Shared>, members: Members, lifeline: Lifeline) -> Self {
        let reach = Reach::new(shared.settings.poll_interval, shared.settings.dead_after);
        Self {
            shared,
            members,
            next: None,
            reach,
            sweeping: false,
            again: false,
            everything: false,
            beating: false,
            failures: 0,
            _lifeline: lifeline,
        }
    }

    /// Sweeps no later than this.
    fn sweep_within(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        let at = Instant::now() + delay;
        match self.next.take() {
            Some((planned, timer)) if planned <= at => self.next = Some((planned, timer)),
            earlier => {
                if let Some((_, timer)) = earlier {
                    ctx.cancel_future(timer);
                }
                let timer = ctx.notify_later(Sweep, delay);
                self.next = Some((at, timer));
            }
        }
    }

    fn begun(&self) -> Begun {
        Begun { at: Instant::now(), claimed: self.shared.tally.claimed.load(Ordering::Relaxed) }
    }

    /// The answer to a sweep from `since` on, or of everything.
    fn swept(
        &mut self,
        since: Option<Since>,
        begun: Begun,
        swept: Result<Swept, DatabaseError>,
        ctx: &mut Context<Self>,
    ) {
        self.sweeping = false;
        let swept = match swept {
            Ok(swept) => swept,
            Err(error) => {
                self.shared.away(&error);
                self.everything |= since.is_none();
                self.sweep_within(reconnect_delay(self.failures), ctx);
                self.failures = self.failures.saturating_add(1);
                return;
            }
        };
        self.failures = 0;
        self.shared.back();
        if swept.rescued + swept.failed > 0 {
            let Swept { rescued, failed, .. } = swept;
            let (queue, node) = (&*self.shared.store.label, self.shared.node.number());
            metrics::rescued(queue, rescued, failed);
            log::warn!(
                target: logs::QUEUE, queue, node, rescued, failed;
                "queue {queue}: {rescued} jobs of dead processes or lapsed holds are available again, {failed} are failed"
            );
        }
        if (swept.available || swept.activated + swept.rescued > 0)
            && let Some(producer) = self.members.producer()
            && producer.try_send(Look).is_err()
        {
            log::debug!(target: logs::ACTORS, queue = &*self.shared.store.label; "the producer is being replaced");
        }
        let mut pause = wake::after_sweep(&swept, self.shared.settings.poll_interval);
        if let Some(whole) = self.reach.swept(since, &swept, begun, Instant::now()) {
            pause = pause.min(whole.max(wake::SOONEST));
        }
        self.sweep_within(if self.again { pause.min(wake::SOONEST) } else { pause }, ctx);
    }
}

impl Actor for PollerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.notify(Sweep);
        ctx.run_interval(self.shared.settings.dead_after / BEATS, |_, ctx| ctx.notify(Beat));
    }
}

impl Handler<Sweep> for PollerActor {
    type Result = ();

    fn handle(&mut self, _: Sweep, ctx: &mut Self::Context) {
        // A plan that has fired must not pass for one that is still to come.
        if let Some((_, timer)) = self.next.take() {
            ctx.cancel_future(timer);
        }
        if self.sweeping {
            self.again = true;
            return;
        }
        self.sweeping = true;
        self.again = false;
        let shared = Arc::clone(&self.shared);
        let begun = self.begun();
        let everything = std::mem::take(&mut self.everything);
        let since = if everything { None } else { self.reach.next(begun) };
        let sweep = async move { shared.store.sweep_since(since).await };
        ctx.spawn(sweep.into_actor(self).map(move |swept, act, ctx| act.swept(since, begun, swept, ctx)));
    }
}

impl Handler<Revived> for PollerActor {
    type Result = ();

    fn handle(&mut self, _: Revived, ctx: &mut Self::Context) {
        // A claim of that number may have come through while its row was deleted, and then no row tells that it died.
        self.everything = true;
        ctx.notify(Sweep);
    }
}

impl Handler<Looked> for PollerActor {
    type Result = ();

    fn handle(&mut self, Looked { due_in }: Looked, ctx: &mut Self::Context) {
        if self.failures > 0 {
            // A sweep that fails where claims do not is not to follow each of them.
            return;
        }
        if let Some(due_in) = due_in {
            self.sweep_within(due_in, ctx);
        }
        self.sweep_within(wake::follow_up(self.shared.settings.dead_after), ctx);
        if !self.sweeping && self.reach.has_enough_to_pass(self.begun()) {
            self.sweep_within(Duration::ZERO, ctx);
        }
    }
}

impl Handler<Beat> for PollerActor {
    type Result = ();

    fn handle(&mut self, _: Beat, ctx: &mut Self::Context) {
        self.shared.take_pulse();
        // A job in a worker's hands that is not started yet is held too, and a start may be under way for long.
        if self.shared.holds.is_empty() && self.shared.active() == 0 {
            return;
        }
        let left = self.shared.node.left(std::time::Instant::now());
        if left <= self.shared.settings.dead_after / BEATS {
            // Nobody hears of this process, and its time is over before the next beat.
            ctx.run_later(left, |act, _| act.shared.take_pulse());
        }
        if self.beating {
            return;
        }
        self.beating = true;
        let shared = Arc::clone(&self.shared);
        let care = async move { care::look_after(&shared).await };
        ctx.spawn(care.into_actor(self).map(|(), act, _| act.beating = false));
    }
}

impl Handler<Halt> for PollerActor {
    type Result = ();

    #[allow(clippy::disallowed_methods, reason = "the jobs are dealt with, so nothing in flight is lost")]
    fn handle(&mut self, _: Halt, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
