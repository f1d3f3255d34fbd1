//! Starts, simple completions and settlements of many jobs, sharing statements.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::{backoff::reconnect_delay, batch::Batcher, node::Node};
use crate::{
    error::DatabaseError,
    store::{Lease, Settlement, Started, Store, Verdict},
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
    settlements: Batcher<(Lease, Verdict), Result<Settlement, DatabaseError>>,
}

/// What many jobs do in one commit.
#[derive(Debug)]
enum Ask {
    Start(Lease, Duration),
    Remove(Lease),
}

#[derive(Debug)]
enum Told {
    Started(Result<Option<Started>, DatabaseError>),
    Removed(Result<Settlement, DatabaseError>),
}

impl Desk {
    pub(crate) fn open(store: &Store, node: &Arc<Node>, reservation_timeout: Duration, io: &Handle) -> Self {
        let turns = Batcher::start(io, MOST, {
            let (store, node) = (store.clone(), Arc::clone(node));
            move |asks| {
                let (store, node) = (store.clone(), Arc::clone(&node));
                async move { turn(&store, &node, asks, reservation_timeout.min(PATIENCE)).await }
            }
        });
        let settlements = Batcher::start(io, MOST, {
            let store = store.clone();
            move |jobs: Vec<(Lease, Verdict)>| {
                let store = store.clone();
                async move {
                    let ask = |jobs: Vec<(Lease, Verdict)>| -> BoxFuture<'_, _> {
                        let store = &store;
                        Box::pin(async move { store.settle(&jobs).await })
                    };
                    persist(jobs, false, ask).await
                }
            }
        });
        Self { turns, settlements }
    }

    /// Starts a reserved job; none if it must not be performed.
    pub(crate) async fn start(&self, job: Lease, timeout: Duration) -> Result<Option<Started>, DatabaseError> {
        match self.turns.submit(Ask::Start(job, timeout)).await {
            Some(Told::Started(outcome)) => outcome,
            Some(Told::Removed(_)) | None => Ok(None),
        }
    }

    /// Removes a job that is done.
    pub(crate) async fn complete(&self, job: Lease) -> Result<Settlement, DatabaseError> {
        let remove = || async {
            match self.turns.submit(Ask::Remove(job)).await {
                Some(Told::Removed(outcome)) => Some(outcome),
                Some(Told::Started(_)) | None => None,
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
    let (mut done, mut wanted) = (Vec::new(), Vec::new());
    for ask in &asks {
        match ask {
            Ask::Start(job, timeout) => wanted.push((*job, *timeout)),
            Ask::Remove(job) => done.push(*job),
        }
    }
    let (removals, starts) = match store.turn(&done, &wanted, node.id).await {
        Ok(turned) => (turned.removals.into_iter().map(Ok).collect(), among(&wanted, &turned.started)),
        Err(error) => {
            let ambiguous = error.is_ambiguous();
            report(&error, 0);
            let remove =
                |jobs: Vec<Lease>| -> BoxFuture<'_, _> { Box::pin(async move { store.complete(&jobs).await }) };
            futures_util::join!(persist(done, ambiguous, remove), start(store, node, &wanted, ambiguous, patience))
        }
    };
    let (mut removals, mut starts) = (removals.into_iter(), starts.into_iter());
    let told = |ask| match ask {
        Ask::Start(..) => Told::Started(starts.next().unwrap_or(Ok(None))),
        Ask::Remove(_) => Told::Removed(removals.next().unwrap_or(Ok(Settlement::Lost))),
    };
    asks.into_iter().map(told).collect()
}

/// Those that were started among those that were wanted, in their order.
fn among(wanted: &[(Lease, Duration)], started: &[Started]) -> Vec<Result<Option<Started>, DatabaseError>> {
    let by_lease: HashMap<_, _> = started.iter().map(|started| (started.lease, *started)).collect();
    let start = |job: &Lease| by_lease.get(&Lease { lease: job.lease.saturating_add(1), ..*job }).copied();
    wanted.iter().map(|(job, _)| Ok(start(job))).collect()
}

/// Asks again while the row is locked, for the handler's own transaction may be on its way to an end.
async fn until_free<F, Fut>(mut submit: F) -> Result<Settlement, DatabaseError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<Result<Settlement, DatabaseError>>>,
{
    let (mut pause, begun) = (BUSY.0, Instant::now());
    loop {
        match submit().await.unwrap_or(Ok(Settlement::Lost)) {
            Ok(Settlement::Busy) if begun.elapsed() < PATIENCE => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BUSY.1);
            }
            outcome => return outcome,
        }
    }
}

/// Starts jobs; what a start whose answer was lost has started counts.
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
    let mut found = Vec::new();
    loop {
        let attempt = async {
            if ambiguous {
                let leases: Vec<_> = wanted.iter().map(|(lease, _)| *lease).collect();
                found = store.started(&leases, node).await?;
            }
            store.start(wanted, node).await
        };
        match attempt.await {
            Ok(started) => {
                found.extend(started);
                return among(wanted, &found);
            }
            Err(error) if error.is_passing() && begun.elapsed() < patience => {
                ambiguous |= error.is_ambiguous();
                report(&error, failures);
                tokio::time::sleep(reconnect_delay(failures)).await;
                failures += 1;
            }
            Err(error) => return wanted.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

/// Asks until the database answers. Where an earlier answer was lost, a job whose row is gone went by that
/// removal; one that is there still was lost. A statement that fails for good is asked once a job, so that
/// none fails for another's sake.
async fn persist<'a, T: Clone>(
    jobs: Vec<T>,
    mut ambiguous: bool,
    ask: impl Fn(Vec<T>) -> BoxFuture<'a, Result<Vec<Settlement>, DatabaseError>>,
) -> Vec<Result<Settlement, DatabaseError>> {
    if jobs.is_empty() {
        return Vec::new();
    }
    let begun = Instant::now();
    let mut failures = 0;
    loop {
        match ask(jobs.clone()).await {
            Ok(outcomes) => {
                return outcomes
                    .into_iter()
                    .map(|outcome| {
                        Ok(if ambiguous && outcome == Settlement::Gone { Settlement::Completed } else { outcome })
                    })
                    .collect();
            }
            Err(error) if error.is_passing() && begun.elapsed() < PATIENCE => {
                ambiguous |= error.is_ambiguous();
                report(&error, failures);
                tokio::time::sleep(reconnect_delay(failures)).await;
                failures += 1;
            }
            Err(error) if jobs.len() == 1 => return vec![Err(error)],
            Err(_) => {
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in jobs {
                    let alone = ask(vec![job]).await;
                    outcomes.push(alone.map(|outcomes| outcomes.first().copied().unwrap_or(Settlement::Lost)));
                }
                return outcomes;
            }
        }
    }
}

/// The first failure is news; those that follow are the same.
fn report(error: &DatabaseError, failures: u32) {
    let cause = crate::text::line(error);
    if failures == 0 {
        log::warn!("{cause}; trying again until the database is back");
    } else {
        log::debug!("{cause}");
    }
}
