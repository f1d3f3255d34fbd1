//! Starts, simple completions and settlements of many jobs, sharing statements.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::{
    backoff::reconnect_delay,
    batch::{Batcher, Company},
    hold::Hold,
    node::{Life, Node},
};
use crate::{
    error::DatabaseError,
    logs,
    store::{Lease, Settlement, Started, Store, Verdict},
    text::Cause,
};

/// One statement handles so many jobs at most.
const MOST: usize = 1_000;

/// A database that is away this long has the holds lapse; what gives up here is found by a rescue.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How soon a row that somebody has locked is tried again, at first and at most.
const BUSY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// Where workers hand in what they start and end.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    turns: Batcher<Ask, Told>,
    settlements: Batcher<(Lease, Verdict), Result<Answer, DatabaseError>>,
}

/// What many jobs do in one commit.
#[derive(Debug)]
enum Ask {
    Start(Lease, Duration),
    Remove(Lease, Life),
}

#[derive(Debug)]
enum Told {
    Started(Result<Option<Started>, DatabaseError>),
    Removed(Result<Answer, DatabaseError>),
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    outcome: Settlement,
    /// The same was asked before, and no answer came.
    unanswered: bool,
}

impl From<Settlement> for Answer {
    fn from(outcome: Settlement) -> Self {
        Self { outcome, unanswered: false }
    }
}

impl Desk {
    pub(crate) fn open(store: &Store, node: &Arc<Node>, reservation_timeout: Duration, io: &Handle) -> Self {
        // Where so many wait for a connection, those that are started would too, so they may as well share a commit.
        let database = store.database.clone();
        let may_linger = move |ask: &Ask| matches!(ask, Ask::Start(..)) && database.is_short();
        let turns = Batcher::start(io, MOST, Company::Lingering(Box::new(may_linger)), {
            let (store, node) = (store.clone(), Arc::clone(node));
            move |asks| {
                let (store, node) = (store.clone(), Arc::clone(&node));
                async move { turn(&store, &node, asks, reservation_timeout.min(PATIENCE)).await }
            }
        });
        let settlements = Batcher::start(io, MOST, Company::Unawaited, {
            let store = store.clone();
            move |jobs: Vec<(Lease, Verdict)>| {
                let store = store.clone();
                async move {
                    let ask = |jobs: Vec<(Lease, Verdict)>| -> BoxFuture<'_, _> {
                        let store = &store;
                        Box::pin(async move { store.settle(&jobs).await })
                    };
                    persist(&store.label, jobs, false, |_| Ok(()), ask).await
                }
            }
        });
        Self { turns, settlements }
    }

    /// Starts a reserved job; none if it must not be performed: others have it, or may have it soon, since this process
    /// counts as dead.
    pub(crate) async fn start(&self, job: Lease, timeout: Duration) -> Result<Option<Started>, DatabaseError> {
        match self.turns.submit(Ask::Start(job, timeout)).await {
            Some(Told::Started(outcome)) => outcome,
            Some(Told::Removed(_)) | None => Ok(None),
        }
    }

    /// Removes a job that is done, and hands its slot over: what is started for it comes in the same commit or later.
    pub(crate) async fn complete(&self, hold: &Hold) -> Result<Settlement, DatabaseError> {
        let remove = || {
            let removed = self.turns.submit(Ask::Remove(hold.lease, hold.life.clone()));
            hold.hand_over();
            async {
                match removed.await {
                    Some(Told::Removed(outcome)) => Some(outcome),
                    Some(Told::Started(_)) | None => None,
                }
            }
        };
        until_free(remove).await
    }

    /// Settles an attempt that did not complete.
    pub(crate) async fn settle(&self, job: Lease, verdict: Verdict) -> Result<Settlement, DatabaseError> {
        until_free(|| self.settlements.submit((job, verdict.clone()))).await
    }
}

/// Does what was asked for in one statement; if that fails, each kind by itself, until the database is back.
async fn turn(store: &Store, node: &Node, asks: Vec<Ask>, patience: Duration) -> Vec<Told> {
    let now = Instant::now();
    // A process that counts as dead starts nothing, and removes nothing that it started before.
    let may = |ask: &Ask| match ask {
        Ask::Start(..) => node.is_alive(now),
        Ask::Remove(_, life) => life.goes_on(),
    };
    let asks: Vec<_> = asks.into_iter().map(|ask| (may(&ask), ask)).collect();
    let (mut done, mut wanted) = (Vec::new(), Vec::new());
    for (_, ask) in asks.iter().filter(|(may, _)| *may) {
        match ask {
            Ask::Start(job, timeout) => wanted.push((*job, *timeout)),
            Ask::Remove(job, life) => done.push((*job, life.clone())),
        }
    }
    let leases: Vec<_> = done.iter().map(|(job, _)| *job).collect();
    let (removals, starts) = match store.turn(&leases, &wanted, node.number()).await {
        Ok(turned) => {
            let removals = turned.removals.into_iter().map(|outcome| Ok(outcome.into())).collect();
            (removals, among(&wanted, &turned.started))
        }
        Err(error) => {
            let ambiguous = error.is_ambiguous();
            report(&store.label, &error, 0);
            let may = |(_, life): &(Lease, Life)| if life.goes_on() { Ok(()) } else { Err(unheard(node)) };
            let remove = |jobs: Vec<(Lease, Life)>| -> BoxFuture<'_, _> {
                let jobs: Vec<_> = jobs.into_iter().map(|(job, _)| job).collect();
                Box::pin(async move { store.complete(&jobs).await })
            };
            let removals = persist(&store.label, done, ambiguous, may, remove);
            futures_util::join!(removals, start(store, node, &wanted, ambiguous, patience))
        }
    };
    let (mut removals, mut starts) = (removals.into_iter(), starts.into_iter());
    let told = |(may, ask): (bool, Ask)| match ask {
        Ask::Start(..) if !may => Told::Started(Ok(None)),
        Ask::Remove(..) if !may => Told::Removed(Err(unheard(node))),
        Ask::Start(..) => Told::Started(starts.next().unwrap_or(Ok(None))),
        Ask::Remove(..) => Told::Removed(removals.next().unwrap_or(Ok(Settlement::Lost.into()))),
    };
    asks.into_iter().map(told).collect()
}

fn unheard(node: &Node) -> DatabaseError {
    let attempted = format!("say that process {} lives", node.number());
    DatabaseError::Silent { attempted, waited: node.dead_after }
}

/// Those that were started among those that were wanted, in their order.
fn among(wanted: &[(Lease, Duration)], started: &[Started]) -> Vec<Result<Option<Started>, DatabaseError>> {
    let by_lease: HashMap<_, _> = started.iter().map(|started| (started.lease, *started)).collect();
    let start = |job: &Lease| by_lease.get(&Lease { lease: job.lease.saturating_add(1), ..*job }).copied();
    wanted.iter().map(|(job, _)| Ok(start(job))).collect()
}

/// Asks again while the row is locked, for the handler's own transaction may be on its way to an end. Where an answer
/// was lost, a job whose row is gone went by that removal, which may have been what kept the row locked; one that is
/// there still was lost.
async fn until_free<F, Fut>(mut submit: F) -> Result<Settlement, DatabaseError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<Result<Answer, DatabaseError>>>,
{
    let (mut pause, begun) = (BUSY.0, Instant::now());
    let mut one_unanswered = false;
    loop {
        let Answer { outcome, unanswered } = submit().await.unwrap_or(Ok(Settlement::Lost.into()))?;
        one_unanswered |= unanswered;
        match outcome {
            Settlement::Busy if begun.elapsed() < PATIENCE => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BUSY.1);
            }
            Settlement::Gone if one_unanswered => return Ok(Settlement::Completed),
            outcome => return Ok(outcome),
        }
    }
}

/// Starts jobs; what a start whose answer was lost has started counts. That one may go on at the server, so it is
/// looked for behind one more start, which waits for it or forestalls it. Ends when others may have the jobs.
async fn start(
    store: &Store,
    node: &Node,
    wanted: &[(Lease, Duration)],
    mut ambiguous: bool,
    patience: Duration,
) -> Vec<Result<Option<Started>, DatabaseError>> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let begun = Instant::now();
    let mut failures = 0;
    let leases: Vec<_> = wanted.iter().map(|(lease, _)| *lease).collect();
    let mut found = Vec::new();
    loop {
        if !node.is_alive(Instant::now()) {
            return among(wanted, &found);
        }
        let mut answer = store.start(wanted, node).await;
        if let Ok(started) = &mut answer {
            found.append(started);
            if ambiguous {
                answer = store.started(&leases, node).await;
            }
        }
        match answer {
            Ok(started) => {
                found.extend(started);
                return among(wanted, &found);
            }
            // One that may have been started does not lapse with its reservation.
            Err(error) if error.is_passing() && (ambiguous || begun.elapsed() < patience) => {
                ambiguous |= error.is_ambiguous();
                report(&store.label, &error, failures);
                tokio::time::sleep(reconnect_delay(failures)).await;
                failures += 1;
            }
            Err(error) => {
                let known = among(wanted, &found).into_iter();
                return known.map(|start| if let Ok(None) = start { Err(error.clone()) } else { start }).collect();
            }
        }
    }
}

/// Asks until the database answers. A statement that fails for good is asked once a job, so that none fails for
/// another's sake.
async fn persist<'a, T: Clone>(
    queue: &str,
    jobs: Vec<T>,
    mut ambiguous: bool,
    may: impl Fn(&T) -> Result<(), DatabaseError>,
    ask: impl Fn(Vec<T>) -> BoxFuture<'a, Result<Vec<Settlement>, DatabaseError>>,
) -> Vec<Result<Answer, DatabaseError>> {
    if jobs.is_empty() {
        return Vec::new();
    }
    let begun = Instant::now();
    let mut failures = 0;
    loop {
        if jobs.iter().any(|job| may(job).is_err()) {
            return one_by_one(jobs, ambiguous, may, ask).await;
        }
        match ask(jobs.clone()).await {
            Ok(outcomes) => {
                return outcomes.into_iter().map(|outcome| Ok(Answer { outcome, unanswered: ambiguous })).collect();
            }
            Err(error) if error.is_passing() && begun.elapsed() < PATIENCE => {
                ambiguous |= error.is_ambiguous();
                report(queue, &error, failures);
                tokio::time::sleep(reconnect_delay(failures)).await;
                failures += 1;
            }
            Err(error) if jobs.len() == 1 => return vec![Err(error)],
            Err(_) => return one_by_one(jobs, ambiguous, may, ask).await,
        }
    }
}

async fn one_by_one<'a, T>(
    jobs: Vec<T>,
    unanswered: bool,
    may: impl Fn(&T) -> Result<(), DatabaseError>,
    ask: impl Fn(Vec<T>) -> BoxFuture<'a, Result<Vec<Settlement>, DatabaseError>>,
) -> Vec<Result<Answer, DatabaseError>> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        let alone = match may(&job) {
            Ok(()) => ask(vec![job]).await,
            Err(refused) => Err(refused),
        };
        let outcome = |outcomes: Vec<_>| outcomes.first().copied().unwrap_or(Settlement::Lost);
        outcomes.push(alone.map(|outcomes| Answer { outcome: outcome(outcomes), unanswered }));
    }
    outcomes
}

/// The first failure is news; those that follow are the same.
fn report(queue: &str, error: &DatabaseError, failures: u32) {
    let level = if failures == 0 { log::Level::Warn } else { log::Level::Debug };
    let cause = Cause(error);
    log::log!(
        target: logs::DATABASE, level, queue, error:% = cause;
        "{cause}; trying again until the database is back"
    );
}
