use std::{sync::Arc, time::Duration};

use tokio_postgres::IsolationLevel;
use tokio_util::sync::CancellationToken;

use super::{Completed, Completion};
use crate::{
    database::{Connection, Lane},
    error::{CompletionError, DatabaseError},
    run::{
        desk::{Desk, PATIENCE},
        hold::{Cancelled, Hold, complete_by},
        shared::Shared,
    },
    store::{Lease, Settlement, Store},
};

/// What a handler's context is made of, the same for all jobs of a queue.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) store: Store,
    pub(crate) desk: Desk,
    pub(crate) draining: CancellationToken,
}

/// Where a handler's completions are opened, one at a time.
#[derive(Debug)]
pub(super) struct Opener {
    pub(super) surroundings: Surroundings,
    /// The connection of the completion that is open; it lives here so that a transaction can borrow it.
    connection: Option<Connection>,
}

/// A handler's way back to its queue: it completes the job, and tells when the job is taken away.
#[derive(Debug)]
pub struct Context {
    opener: Opener,
    hold: Arc<Hold>,
}

/// A connection that lay idle through a restart of the server shows it at its first statement.
const BEGIN_TRIES: u32 = 3;

impl Context {
    pub(crate) fn new(surroundings: Surroundings, hold: Arc<Hold>) -> Self {
        Self { opener: Opener::new(surroundings), hold }
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

    /// Completes a job that has nothing to write. Such removals share statements with others'.
    ///
    /// # Errors
    /// [`CompletionError::Lost`] if the job is no longer this attempt's; the database's error otherwise.
    pub async fn complete(&self) -> Result<Completed, CompletionError> {
        let hold = std::slice::from_ref(&self.hold);
        complete_by(hold, self.opener.surroundings.remove(&self.hold)).await?;
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
        self.opener.surroundings.draining.clone()
    }
}

impl Surroundings {
    pub(crate) fn of(shared: &Shared) -> Self {
        Self { store: shared.store.clone(), desk: shared.desk.clone(), draining: shared.draining.clone() }
    }

    /// Removes a job by a statement that it shares with others.
    pub(super) async fn remove(&self, hold: &Hold) -> Result<(), CompletionError> {
        match self.desk.complete(hold.lease).await? {
            Settlement::Completed => Ok(()),
            Settlement::Busy => Err(DatabaseError::Silent {
                attempted: format!("remove job {}, whose row somebody keeps locked,", hold.lease.id),
                waited: PATIENCE,
            }
            .into()),
            Settlement::Gone | Settlement::Lost | Settlement::Settled(_) => {
                hold.cancel(Cancelled::Lost);
                Err(self.lost(hold.lease))
            }
        }
    }

    fn lost(&self, job: Lease) -> CompletionError {
        CompletionError::Lost { queue: self.store.name.to_string(), id: job.id, lease: job.lease }
    }
}

impl Opener {
    pub(super) fn new(surroundings: Surroundings) -> Self {
        Self { surroundings, connection: None }
    }

    /// Opens a transaction in which all these jobs are removed.
    pub(super) async fn open(
        &mut self,
        holds: Vec<Arc<Hold>>,
        isolation: IsolationLevel,
    ) -> Result<Completion<'_>, CompletionError> {
        let Surroundings { store, .. } = &self.surroundings;
        let Some((hold, others)) = holds.split_first() else {
            return Err(CompletionError::NothingLeft { queue: store.name.to_string() });
        };
        let attempted = format!("complete job {}{} of queue {}", hold.lease.id, beside(others.len()), store.name);
        // The connection before may still be busy with a rollback; it waits for that in the pool.
        self.connection = None;
        let mut tries = 1;
        loop {
            let connection = store.database.get(Lane::Work, &attempted).await?;
            // A borrow that is returned from inside the loop would last through all of it, so the look
            // whether the connection is alive comes first.
            let alive = connection.simple_query("").await;
            match alive {
                Ok(_) => {
                    self.connection = Some(connection);
                    break;
                }
                Err(_) if tries < BEGIN_TRIES => tries += 1,
                Err(error) => return Err(DatabaseError::statement(attempted, error).into()),
            }
        }
        let Some(connection) = self.connection.as_mut() else {
            return Err(self.surroundings.lost(hold.lease));
        };
        let transaction = connection
            .build_transaction()
            .isolation_level(isolation)
            .start()
            .await
            .map_err(|error| DatabaseError::statement(attempted, error))?;
        let begun = if others.is_empty() {
            store.begin_completion(&transaction, hold.lease).await?.ok_or_else(|| vec![hold.lease])
        } else {
            let leases: Vec<_> = holds.iter().map(|hold| hold.lease).collect();
            store.begin_batch(&transaction, &leases).await?
        };
        match begun {
            Ok(opened) => {
                let hold = Arc::clone(hold);
                Ok(Completion::new(transaction, opened, store.clone(), holds, hold))
            }
            Err(lost) => {
                let lost: Vec<_> = holds.iter().filter(|hold| lost.contains(&hold.lease)).collect();
                lost.iter().for_each(|hold| hold.cancel(Cancelled::Lost));
                Err(self.surroundings.lost(lost.first().copied().unwrap_or(hold).lease))
            }
        }
    }
}

/// For the text of an error.
fn beside(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" and {others} others") }
}
