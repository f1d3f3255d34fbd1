//! Queues that run in this process, and their end.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actix::{Actor, Addr};

use crate::{
    actors::{Drain, Halt, SupervisorActor, Threads},
    error::{ConfigError, DatabaseError, StartError},
    handler::Handlers,
    logs, metrics,
    queue::Queue,
    run::{
        caught::watch_places,
        desk::Desk,
        hold::{Cancelled, Holds},
        journal,
        node::Node,
        shared::Shared,
        whereabouts,
    },
    store::{Settlement, Verdict},
    text::Cause,
};

/// Queues to start together: they share threads and connections, and end under one deadline.
///
/// ```no_run
/// # use actix_job_queue::{Handlers, Queue, Queues};
/// # async fn example(mails: Queue, reports: Queue, mail: Handlers, report: Handlers)
/// # -> Result<(), actix_job_queue::StartError> {
/// let running = Queues::new().add(&mails, mail).add(&reports, report).start().await?;
/// # running.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
#[must_use = "queues run once they are started"]
pub struct Queues(Vec<(Queue, Handlers)>);

impl Queues {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn add(mut self, queue: &Queue, handlers: Handlers) -> Self {
        self.0.push((queue.clone(), handlers));
        self
    }

    /// Starts workers for all of them. Call it inside an actix `System`.
    ///
    /// # Errors
    /// [`StartError::Config`] lists everything that is wrong, in all queues; then none is started.
    pub async fn start(self) -> Result<Running, StartError> {
        let tables = self.inspect().await?;
        let threads = self.0.iter().map(|(queue, _)| queue.settings.arbiters).max().unwrap_or(1);
        let Some((first, _)) = self.0.first() else {
            return Err(ConfigError {
                problems: vec!["there is no queue to start: add one with Queues::add".to_owned()],
            }
            .into());
        };
        metrics::describe();
        let control = first.store.database.control_arbiter().map_err(StartError::Arbiter)?;
        let io = first.store.database.handlers().map_err(StartError::Arbiter)?;
        watch_places();
        let name = whereabouts::name();
        let mut nodes = Vec::with_capacity(self.0.len());
        for (queue, _) in &self.0 {
            let id = queue.store.register_node(&name).await?;
            nodes.push(Arc::new(Node::new(id, name.clone(), queue.settings.dead_after)));
        }
        let threads = Arc::new(Threads::start(io, threads).map_err(StartError::Arbiter)?);
        // Nothing fails from here on, so that all queues start or none does.
        let mut running = Vec::with_capacity(self.0.len());
        for (((queue, handlers), table), node) in self.0.into_iter().zip(tables).zip(nodes) {
            let Queue { store, settings, .. } = queue;
            let desk = Desk::open(&store, &node, settings.reservation_timeout, &store.database.io());
            let shared = Arc::new(Shared::new(store, settings, node, Holds::default(), desk));
            let supervisor = SupervisorActor::start_in_arbiter(&control, {
                let (shared, handlers, threads, control) =
                    (Arc::clone(&shared), Arc::new(handlers), Arc::clone(&threads), control.clone());
                move |_| SupervisorActor::new(shared, handlers, threads, control, table)
            });
            shared.store.database.io().spawn(journal::keep(Arc::clone(&shared)));
            let (queue, node) = (&*shared.store.label, shared.node.number());
            log::info!(target: logs::QUEUE, queue, node; "queue {queue} runs here as process {node}");
            running.push(RunningQueue { shared, supervisor });
        }
        Ok(Running { queues: running, threads })
    }

    /// Collects all that is wrong, and the tables' oids if nothing is.
    async fn inspect(&self) -> Result<Vec<u32>, StartError> {
        let mut problems = Vec::new();
        let mut tables = Vec::new();
        for (queue, handlers) in &self.0 {
            let name = &queue.store.name;
            let mut told = queue.problems.clone();
            told.extend(queue.settings.problems());
            told.extend(handlers.problems(queue.settings.longest_unstarted()));
            let (size, arbiters) = (queue.store.database.pool_size(), queue.settings.arbiters);
            if usize::try_from(size).unwrap_or(usize::MAX) < arbiters.max(1) {
                told.push(format!(
                    "pool_size is {size} and {arbiters} arbiters may complete jobs at the same time: raise pool_size to {} or lower arbiters",
                    arbiters.max(1)
                ));
            }
            let inspection = queue.store.inspect().await?;
            told.extend(inspection.problems);
            problems.extend(told.into_iter().map(|problem| format!("queue {name}: {problem}")));
            tables.extend(inspection.table);
        }
        if problems.is_empty() { Ok(tables) } else { Err(ConfigError { problems }.into()) }
    }
}

/// Queues that run in this process. Dropping it lets them run on; [`Running::shutdown`] ends them.
#[must_use = "keep it to shut the queues down in order"]
pub struct Running {
    queues: Vec<RunningQueue>,
    threads: Arc<Threads>,
}

struct RunningQueue {
    shared: Arc<Shared>,
    supervisor: Addr<SupervisorActor>,
}

/// What became of the jobs that were under way when a shutdown began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Jobs that were completed during the grace.
    pub completed: u64,
    /// Attempts that failed during the grace.
    pub failed: u64,
    /// Running jobs that were given back when the grace was over; the attempt does not count.
    pub returned: u64,
    /// Jobs that were claimed, not started, and given back.
    pub unreserved: u64,
    /// Jobs that could not be given back, for somebody else has their rows locked or the database is away; others
    /// rescue them once this process counts as dead.
    pub left: u64,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs completed, {} failed, {} given back running, {} given back unstarted, {} left to a rescue",
            self.completed, self.failed, self.returned, self.unreserved, self.left
        )
    }
}

/// Handlers that were told to stop get so long to do it and to have it written down.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often and how soon a row is tried again whose lock is about to be let go.
const LAST_TRIES: u32 = 10;
const LAST_PAUSE: Duration = Duration::from_millis(50);

impl Running {
    /// Ends all queues in order: stops claiming everywhere at once, lets running handlers finish within one
    /// grace period (the longest `shutdown_timeout`), gives back what was not started and what still runs,
    /// and leaves nothing to wait for a time-out.
    ///
    /// Enqueueing goes on working. Signals and the end of the `System` are the application's affair.
    pub async fn shutdown(self) -> ShutdownReport {
        let grace = self.queues.iter().map(|queue| queue.shared.settings.shutdown_timeout).max();
        let deadline = Instant::now() + grace.unwrap_or_default();
        let before: Vec<_> = self.queues.iter().map(RunningQueue::counts).collect();

        each(&self.queues, RunningQueue::stop_claiming).await;
        let unreserved: u64 = each(&self.queues, RunningQueue::unreserve).await.into_iter().sum();
        each(&self.queues, |queue| async move {
            // What is still under way then is dealt with below.
            let _ = tokio::time::timeout_at(deadline.into(), queue.shared.idle()).await;
        })
        .await;
        let left: u64 = each(&self.queues, RunningQueue::give_back).await.into_iter().sum();
        let late: u64 = each(&self.queues, RunningQueue::unreserve).await.into_iter().sum();
        each(&self.queues, RunningQueue::end).await;
        let stuck = self.threads.stop(Duration::from_secs(1)).await;
        if stuck > 0 {
            log::warn!(target: logs::QUEUE, arbiters = stuck; "{stuck} arbiters did not end: their handlers block the thread");
        }

        let mut report = ShutdownReport { unreserved: unreserved + late, left, ..ShutdownReport::default() };
        for (queue, before) in self.queues.iter().zip(before) {
            let [completed, failed, returned, unsettled] = queue.counts();
            report.completed += completed - before[0];
            report.failed += failed - before[1];
            report.returned += returned - before[2];
            report.left += unsettled - before[3];
        }
        let ShutdownReport { completed, failed, returned, unreserved, left } = report;
        log::info!(target: logs::QUEUE, completed, failed, returned, unreserved, left; "shut down: {report}");
        report
    }
}

#[cfg(test)]
impl Running {
    /// Who works on the first queue.
    pub(crate) async fn present(&self) -> crate::actors::Present {
        let asked = self.queues[0].supervisor.send(crate::actors::Who).await;
        asked.expect("the supervisor lives").expect("the actors are there")
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.queues.iter().map(|queue| &queue.shared.store.name)).finish()
    }
}

/// Does the same in all queues at once.
async fn each<'a, Fut: Future>(queues: &'a [RunningQueue], work: impl Fn(&'a RunningQueue) -> Fut) -> Vec<Fut::Output> {
    futures_util::future::join_all(queues.iter().map(work)).await
}

impl RunningQueue {
    /// Completed, failed, returned and unsettled attempts since the start.
    fn counts(&self) -> [u64; 4] {
        let tally = &self.shared.tally;
        [&tally.completed, &tally.failed, &tally.returned, &tally.unsettled]
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    async fn stop_claiming(&self) {
        if self.supervisor.send(Drain).await.is_err() {
            let queue = &*self.shared.store.label;
            log::error!(target: logs::ACTORS, queue; "queue {queue}: the supervisor was gone before the shutdown");
            self.shared.draining.cancel();
        }
    }

    /// Gives back what was claimed and not started.
    async fn unreserve(&self) -> u64 {
        match self.shared.give_back(None, Vec::new()).await {
            Ok(returned) => returned,
            Err(error) => {
                self.tell(&error, "what was claimed and not started is available once this process counts as dead");
                0
            }
        }
    }

    /// Takes the running jobs from their handlers; how many could not be given back.
    async fn give_back(&self) -> u64 {
        let shared = &self.shared;
        let held = shared.holds.cancel_all(Cancelled::ShutDown);
        if held.is_empty() && shared.active() == 0 {
            return 0;
        }
        if tokio::time::timeout(LAST_WORDS, shared.idle()).await.is_ok() {
            return 0;
        }
        // Their arbiters are blocked. The rows can be given back all the same, once no completion of theirs is open.
        held.iter().for_each(|hold| hold.cut().cancel());
        let mut stuck: Vec<_> = shared.holds.leases().into_iter().map(|lease| (lease, Verdict::Return)).collect();
        for _ in 0..LAST_TRIES {
            match shared.store.settle(&stuck).await {
                Ok(outcomes) => {
                    let busy = outcomes.iter().map(|outcome| *outcome == Settlement::Busy);
                    let before = stuck.len();
                    stuck = stuck.into_iter().zip(busy).filter_map(|(job, busy)| busy.then_some(job)).collect();
                    let returned = u64::try_from(before - stuck.len()).unwrap_or(u64::MAX);
                    shared.tally.returned.fetch_add(returned, Ordering::Relaxed);
                }
                Err(error) => {
                    self.tell(&error, "its running jobs are available once this process counts as dead");
                    break;
                }
            }
            if stuck.is_empty() {
                break;
            }
            // The server has yet to find out that a connection is closed.
            tokio::time::sleep(LAST_PAUSE).await;
        }
        u64::try_from(stuck.len()).unwrap_or(u64::MAX)
    }

    async fn end(&self) {
        journal::flush(&self.shared).await;
        if let Err(error) = self.shared.store.retire_node(self.shared.node.number()).await {
            let (queue, cause) = (&*self.shared.store.label, Cause(&error));
            log::debug!(target: logs::DATABASE, queue, error:% = cause; "{cause}");
        }
        if self.supervisor.send(Halt).await.is_err() {
            log::debug!(target: logs::ACTORS, queue = &*self.shared.store.label; "the supervisor is gone");
        }
    }

    /// The database did not do what a shutdown asks of it.
    fn tell(&self, error: &DatabaseError, so: &str) {
        let (queue, node, cause) = (&*self.shared.store.label, self.shared.node.number(), Cause(error));
        log::warn!(target: logs::QUEUE, queue, node, error:% = cause; "{cause}; {so}");
    }
}
