use std::time::Duration;

use super::{OperateError, Operator};
use crate::metrics;

impl Operator {
    /// Sets the gauges of the `metrics` facade to what the queue is like right now: `job_queue_jobs` by state,
    /// `job_queue_oldest_waiting_seconds` and `job_queue_processes`. To be called for each scrape; it costs what
    /// [`Operator::overview`] costs.
    ///
    /// # Errors
    /// The database could not be asked; the gauges keep their values.
    pub async fn publish_gauges(&self) -> Result<(), OperateError> {
        let overview = self.overview().await?;
        let states: Vec<_> = overview.depth.iter().map(|depth| (depth.state.to_string(), depth.figure.jobs)).collect();
        let oldest = overview.waiting_since.map(|since| (overview.now - since).to_std().unwrap_or(Duration::ZERO));
        metrics::depth(&overview.queue, &states, oldest.unwrap_or_default(), overview.processes);
        Ok(())
    }
}
