//! Enqueueing that a connection has planned once.

use std::fmt;

use tokio_postgres::GenericClient;

use crate::{
    error::EnqueueError,
    job::NewJob,
    store::{Inserts, Planned, Store},
};

/// [`Queue::enqueue`](crate::Queue::enqueue) and [`Queue::enqueue_many`](crate::Queue::enqueue_many) with plans that
/// their connection keeps; made by [`Queue::prepare`](crate::Queue::prepare). Cheap to clone.
#[derive(Clone)]
pub struct PreparedEnqueue {
    store: Store,
    inserts: Inserts,
}

impl PreparedEnqueue {
    pub(crate) fn new(store: Store, inserts: Inserts) -> Self {
        Self { store, inserts }
    }

    /// Enqueues a job through the connection that it was prepared on, or a transaction on that: it exists if and
    /// only if that transaction commits. The job's id.
    ///
    /// # Errors
    /// As [`Queue::enqueue`](crate::Queue::enqueue), and on any other connection.
    pub async fn enqueue<C: GenericClient + Sync>(&self, client: &C, job: NewJob) -> Result<i64, EnqueueError> {
        let ids = self.enqueue_many(client, std::slice::from_ref(&job)).await?;
        ids.first().copied().ok_or_else(|| self.store.kept_out(1, 0))
    }

    /// Enqueues many jobs in the same way; their ids in order.
    ///
    /// # Errors
    /// As [`Queue::enqueue_many`](crate::Queue::enqueue_many), and on any other connection.
    pub async fn enqueue_many<C: GenericClient + Sync>(
        &self,
        client: &C,
        jobs: &[NewJob],
    ) -> Result<Vec<i64>, EnqueueError> {
        self.store.enqueue(client, Planned::Before(&self.inserts), jobs).await
    }
}

impl fmt::Debug for PreparedEnqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedEnqueue").field("queue", &self.store.name).finish_non_exhaustive()
    }
}
