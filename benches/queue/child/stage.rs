//! What a child's work and its parent's orders have in common.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::tally::Tally;

/// Where a task counts, and waits for its orders.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) tally: Arc<Tally>,
    ready: Arc<Notify>,
    begin: Arc<Notify>,
    end: CancellationToken,
}

impl Stage {
    pub(crate) fn new(wanted: u64) -> Self {
        Self {
            tally: Arc::new(Tally::new(wanted)),
            ready: Arc::default(),
            begin: Arc::default(),
            end: CancellationToken::new(),
        }
    }

    /// The task is prepared; waits for the word to begin.
    pub(crate) async fn ready(&self) {
        self.ready.notify_one();
        self.begin.notified().await;
    }

    /// Waits for the word to end.
    pub(crate) async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// Whether there is the word to end.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_cancelled()
    }

    pub(super) async fn prepared(&self) {
        self.ready.notified().await;
    }

    pub(super) fn begin(&self) {
        self.begin.notify_one();
    }

    pub(super) fn end(&self) {
        self.end.cancel();
    }
}
