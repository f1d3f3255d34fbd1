use std::{sync::Arc, time::Duration};

use tokio_postgres::IsolationLevel;
use tokio_util::sync::CancellationToken;

use super::{Completed, Completion};
use crate::{
    database::{Connection, Lane},
    error::{CompletionError, DatabaseError},
    run::{
        desk::{Desk, PATIENCE},
        hold::{Cancelled, Hold},
    },
    store::{Settlement, Store},
};

/// What a handler's context is made of, the same for all jobs of a queue.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) store: Store,
    pub(crate) desk: Desk,
    pub(crate) draining: CancellationToken,
}

/// A handler's way back to its queue: it completes the job, and tells when the job is taken away.
#[derive(Debug)]
pub struct Context {
    surroundings: Surroundings,
    hold: Arc<Hold>,
    /// The connection of the completion that is open; it lives here so that a transaction can borrow it.
    connection: Option<Connection>,
}

/// A connection that lay idle through a restart of the server shows it at its first statement.
const BEGIN_TRIES: u32 = 3;

impl Context {
    pub(crate) fn new(surroundings: Surroundings, hold: Arc<Hold>) -> Self {
        Self { surroundings, hold, connection: None }
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
        let Surroundings { store, .. } = &self.surroundings;
        let attempted = format!("complete job {} of queue {}", self.hold.lease.id, store.name);
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
        let lost = self.lost();
        let Some(connection) = self.connection.as_mut() else {
            return Err(lost);
        };
        let transaction = connection
            .build_transaction()
            .isolation_level(isolation)
            .start()
            .await
            .map_err(|error| DatabaseError::statement(attempted, error))?;
        match store.begin_completion(&transaction, self.hold.lease).await? {
            Some(opened) => Ok(Completion::new(transaction, opened, store.clone(), Arc::clone(&self.hold))),
            None => {
                self.hold.cancel(Cancelled::Lost);
                Err(lost)
            }
        }
    }

    /// Completes a job that has nothing to write. Such removals share statements with others'.
    ///
    /// # Errors
    /// [`CompletionError::Lost`] if the job is no longer this attempt's; the database's error otherwise.
    pub async fn complete(&self) -> Result<Completed, CompletionError> {
        self.hold.complete_by(self.remove()).await?;
        Ok(Completed::of(self.hold.lease))
    }

    async fn remove(&self) -> Result<(), CompletionError> {
        match self.surroundings.desk.complete(self.hold.lease).await? {
            Settlement::Completed => Ok(()),
            Settlement::Busy => Err(DatabaseError::Silent {
                attempted: format!("remove job {}, whose row somebody keeps locked,", self.hold.lease.id),
                waited: PATIENCE,
            }
            .into()),
            Settlement::Gone | Settlement::Lost | Settlement::Settled(_) => {
                self.hold.cancel(Cancelled::Lost);
                Err(self.lost())
            }
        }
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
        self.surroundings.draining.clone()
    }

    fn lost(&self) -> CompletionError {
        CompletionError::Lost {
            queue: self.surroundings.store.name.to_string(),
            id: self.hold.lease.id,
            lease: self.hold.lease.lease,
        }
    }
}
