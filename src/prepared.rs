//! Enqueueing that a connection has planned once.

use std::fmt;

use tokio_postgres::{GenericClient, Statement};

use crate::{error::EnqueueError, job::NewJob, store::Store};

/// [`Queue::enqueue`](crate::Queue::enqueue) with a plan that its connection keeps; made by
/// [`Queue::prepare`](crate::Queue::prepare). Cheap to clone.
#[derive(Clone)]
pub struct PreparedEnqueue {
    store: Store,
    statement: Statement,
}

impl PreparedEnqueue {
    pub(crate) fn new(store: Store, statement: Statement) -> Self {
        Self { store, statement }
    }

    /// Enqueues a job through the connection that it was prepared on, or a transaction on that: it exists if and
    /// only if that transaction commits. The job's id.
    ///
    /// # Errors
    /// As [`Queue::enqueue`](crate::Queue::enqueue), and on any other connection.
    pub async fn enqueue<C: GenericClient + Sync>(&self, client: &C, job: NewJob) -> Result<i64, EnqueueError> {
        let ids = self.store.enqueue_prepared(client, &self.statement, &job).await?;
        ids.first().copied().ok_or_else(|| self.store.kept_out(1, 0))
    }
}

impl fmt::Debug for PreparedEnqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedEnqueue").field("queue", &self.store.name).finish_non_exhaustive()
    }
}
