use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use postgres_types::{ToSql, Type};
use tokio_postgres::IsolationLevel;
use tokio_util::sync::CancellationToken;

use super::{Completed, Completion};
use crate::{
    database::{Connection, Lane},
    error::{CompletionError, DatabaseError},
    metrics,
    run::{
        backoff::reconnect_delay,
        desk::PATIENCE,
        hold::{Cancelled, Hold, complete_by},
        shared::Shared,
    },
    store::{Lease, Settlement, Store, Write},
};

/// Where a handler's completions are opened, one at a time.
#[derive(Debug)]
pub(super) struct Opener {
    pub(super) shared: Arc<Shared>,
    /// The connection of the completion that is open, the last that is there; it lives here so that a
    /// transaction can borrow it. Those before it lay idle through a restart of the server, and showed it at
    /// their first statement.
    connections: [Option<Connection>; 3],
}

/// A handler's way back to its queue: it completes the job, and tells when the job is taken away.
#[derive(Debug)]
pub struct Context {
    opener: Opener,
    hold: Arc<Hold>,
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, hold: Arc<Hold>) -> Self {
        Self { opener: Opener::new(shared), hold }
    }

    /// Opens the completion: a transaction in which the job is already removed.
    ///
    /// No connection and no transaction is held before this, so do what is slow first. A completion that
    /// is dropped without a commit is rolled back, job and all, and another can be opened.
    ///
    /// # Errors
    /// [`CompletionError::Lost`] if the job is no longer this attempt's; the database's error otherwise.
    pub async fn begin(&mut self) -> Result<Completion<'_>, CompletionError> {
        self.begin_with(IsolationLevel::ReadCommitted).await
    }

    /// The same with an isolation level of the handler's choice.
    ///
    /// # Errors
    /// As [`Context::begin`].
    pub async fn begin_with(&mut self, isolation: IsolationLevel) -> Result<Completion<'_>, CompletionError> {
        self.opener.open(vec![Arc::clone(&self.hold)], isolation).await
    }

    /// Completes the job by one statement of its own, both in one transaction and one round trip: the fastest
    /// way to write something.
    ///
    /// The statement is an `INSERT`, `UPDATE`, `DELETE` or `MERGE`; its parameters are given with their types.
    /// Whether it touched any row is not looked at, nor does it see what the removal did: for anything more,
    /// [`Context::begin`].
    ///
    /// ```no_run
    /// # use actix_job_queue::{Completed, Context, Job, JobError};
    /// # use tokio_postgres::types::Type;
    /// # #[derive(serde::Deserialize)] struct Count { page: i64 }
    /// async fn count(job: Job<Count>, ctx: Context) -> Result<Completed, JobError> {
    ///     let page = job.params.page;
    ///     let sql = "UPDATE pages SET visits = visits + 1 WHERE id = $1";
    ///     Ok(ctx.complete_with(sql, &[(&page, Type::INT8)]).await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`CompletionError::Lost`] if the job is no longer this attempt's, [`CompletionError::Statement`] if the
    /// statement or a parameter is none that can be used so; the database's error otherwise. Then nothing was
    /// written.
    pub async fn complete_with(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Completed, CompletionError> {
        complete_with(&self.opener.shared.store, vec![Arc::clone(&self.hold)], sql, parameters).await
    }

    /// Completes a job that has nothing to write. Such removals share statements with others'.
    ///
    /// Do what takes long before it: the next job is started for this one's slot meanwhile, and goes back, its attempt
    /// uncounted, if this handler does not end within a second.
    ///
    /// # Errors
    /// [`CompletionError::Lost`] if the job is no longer this attempt's; the database's error otherwise.
    pub async fn complete(&self) -> Result<Completed, CompletionError> {
        let hold = std::slice::from_ref(&self.hold);
        complete_by(hold, || remove(&self.opener.shared, &self.hold)).await?;
        Ok(Completed::of(hold))
    }

    /// Which attempt this is, the first being 1.
    pub fn attempt(&self) -> i32 {
        self.hold.attempt
    }

    /// How long this attempt may take, from its start.
    pub fn execution_timeout(&self) -> Duration {
        self.hold.timeout
    }

    /// Fires when the job is taken away: lost, timed out, or given back because the grace of a shutdown is
    /// over. The handler's future is dropped right after; clones in tasks and threads of its own tell them
    /// to stop.
    pub fn cancellation(&self) -> CancellationToken {
        self.hold.token.clone()
    }

    /// Why the job was taken away, once it was.
    pub fn cancelled(&self) -> Option<Cancelled> {
        self.hold.reason()
    }

    /// Fires when a shutdown begins. The handler may go on for the shutdown's grace, or end early, for
    /// instance by a snooze.
    pub fn shutting_down(&self) -> CancellationToken {
        self.opener.shared.draining.clone()
    }
}

impl Opener {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, connections: Default::default() }
    }

    /// Opens a transaction in which all these jobs are removed.
    pub(super) async fn open(
        &mut self,
        holds: Vec<Arc<Hold>>,
        isolation: IsolationLevel,
    ) -> Result<Completion<'_>, CompletionError> {
        let store = &self.shared.store;
        let Some((hold, others)) = holds.split_first() else {
            return Err(CompletionError::NothingLeft { queue: store.name.to_string() });
        };
        holds.iter().try_for_each(|hold| vouch(store, hold))?;
        let attempted = format!("complete job {}{} of queue {}", hold.lease.id, beside(others.len()), store.name);
        // The connection before may still be busy with a rollback; it waits for that in the pool.
        self.connections = Default::default();
        let last = self.connections.len();
        for (tries, place) in (1..).zip(&mut self.connections) {
            let connection = place.insert(store.database.get(Lane::Work, &attempted).await?);
            connection.be_looked_after().await;
            // The first that is overdue has the others' completion fail too: they cannot do without it.
            if let Some(first) = holds.iter().min_by_key(|hold| hold.deadline) {
                connection.close_on(first.cut().clone());
            }
            let plans = connection.plans();
            let transaction = match connection.build_transaction().isolation_level(isolation).start().await {
                Ok(transaction) => transaction,
                Err(_) if tries < last => continue,
                Err(error) => return Err(DatabaseError::statement(attempted, error).into()),
            };
            let begun = if others.is_empty() {
                store.begin_completion(&transaction, &plans, hold.lease).await?.ok_or_else(|| vec![hold.lease])
            } else {
                let leases: Vec<_> = holds.iter().map(|hold| hold.lease).collect();
                store.begin_batch(&transaction, &plans, &leases).await?
            };
            match begun {
                Ok(opened) => {
                    let hold = Arc::clone(hold);
                    return Ok(Completion::new(transaction, opened, store.clone(), holds, hold));
                }
                Err(leases) => {
                    let gone: Vec<_> = holds.iter().filter(|hold| leases.contains(&hold.lease)).collect();
                    gone.iter().for_each(|hold| hold.cancel(Cancelled::Lost));
                    return Err(lost(store, gone.first().copied().unwrap_or(hold).lease));
                }
            }
        }
        Err(lost(store, hold.lease))
    }
}

/// Removes a job by a statement that it shares with others.
pub(super) async fn remove(shared: &Shared, hold: &Hold) -> Result<(), CompletionError> {
    let store = &shared.store;
    vouch(store, hold)?;
    let sent = Instant::now();
    let settlement = shared.desk.complete(hold).await?;
    metrics::removed(&store.label, sent.elapsed());
    match settlement {
        Settlement::Completed => Ok(()),
        Settlement::Busy => Err(DatabaseError::Silent {
            attempted: format!("remove job {}, whose row somebody keeps locked,", hold.lease.id),
            waited: PATIENCE,
        }
        .into()),
        Settlement::Gone | Settlement::Lost | Settlement::Settled(_) => {
            hold.cancel(Cancelled::Lost);
            Err(lost(store, hold.lease))
        }
    }
}

/// Refuses the completion of a job that others may perform by now, since this process was silent for too long.
pub(super) fn vouch(store: &Store, hold: &Hold) -> Result<(), CompletionError> {
    if hold.life.goes_on() {
        return Ok(());
    }
    hold.cancel(Cancelled::Unheard);
    Err(CompletionError::Unheard {
        queue: store.name.to_string(),
        id: hold.lease.id,
        dead_after: hold.life.dead_after(),
    })
}

fn lost(store: &Store, job: Lease) -> CompletionError {
    CompletionError::Lost { queue: store.name.to_string(), id: job.id, lease: job.lease }
}

/// For the text of an error.
fn beside(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" and {others} others") }
}

/// Completes the jobs by a statement of their handler's.
pub(super) async fn complete_with(
    store: &Store,
    holds: Vec<Arc<Hold>>,
    sql: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Completed, CompletionError> {
    let Some(first) = holds.first() else {
        return Err(CompletionError::NothingLeft { queue: store.name.to_string() });
    };
    holds.iter().try_for_each(|hold| vouch(store, hold))?;
    let write = Write::new(sql, parameters).map_err(|problem| CompletionError::Statement {
        queue: store.name.to_string(),
        id: first.lease.id,
        problem,
    })?;
    let removed = async || {
        // On the threads of the connections: one change of threads, and an end whatever becomes of the handler.
        match store.database.io().spawn(remove_with(store.clone(), holds.clone(), write)).await {
            Ok(Ok(Removal::Done)) => Ok(()),
            Ok(Ok(Removal::Refused { missing })) => {
                let gone = holds.iter().filter(|hold| missing.contains(&hold.lease));
                gone.for_each(|hold| hold.cancel(Cancelled::Lost));
                Err(lost(store, missing.first().copied().unwrap_or(first.lease)))
            }
            Ok(Err(error)) => Err(error.into()),
            // Without an answer the runtime has ended under it, and the process with it.
            Err(_) => {
                holds.iter().for_each(|hold| hold.cancel(Cancelled::Lost));
                Err(lost(store, first.lease))
            }
        }
    };
    complete_by(&holds, removed).await?;
    Ok(Completed::of(&holds))
}

/// What came of a removal with its write.
enum Removal {
    Done,
    /// Nothing was done, for these jobs were lost.
    Refused {
        missing: Vec<Lease>,
    },
}

/// Sends the removal with its write until the database has answered. Sent twice, it takes effect once: the leases
/// fence the second. Where the answer to one was lost, jobs whose rows are gone went by it; one of them is witness
/// enough, for all are removed or none.
async fn remove_with(store: Store, holds: Vec<Arc<Hold>>, write: Write) -> Result<Removal, DatabaseError> {
    let jobs: Vec<_> = holds.iter().map(|hold| hold.lease).collect();
    let deadline = holds.iter().map(|hold| hold.deadline).min();
    let goes_on = || deadline.is_none_or(|end| Instant::now() < end) && holds.iter().all(|hold| hold.life.goes_on());
    let mut failures = 0;
    let mut ambiguous = false;
    loop {
        let answer = match store.complete_with(&jobs, &write).await {
            Ok(false) if ambiguous => store.exists(jobs[0].id).await.map(|there| !there),
            answer => answer,
        };
        match answer {
            Ok(true) => return Ok(Removal::Done),
            Ok(false) if jobs.len() == 1 => return Ok(Removal::Refused { missing: jobs }),
            Ok(false) => return Ok(Removal::Refused { missing: store.missing(&jobs).await }),
            Err(error) if error.is_passing() && (ambiguous || error.is_ambiguous()) && goes_on() => {
                ambiguous = true;
                tokio::time::sleep(reconnect_delay(failures)).await;
                failures += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
