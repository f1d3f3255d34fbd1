//! What is counted and measured, for any exporter of the `metrics` facade; nothing at all without the feature.
//!
//! Each has the label `queue`. A type that is not among the first hundred of its queue is `(others)`, so that no
//! row can make the exporter's memory grow.

#[cfg(feature = "metrics")]
pub(crate) use counting::*;
#[cfg(not(feature = "metrics"))]
pub(crate) use silent::*;

#[cfg(feature = "metrics")]
mod counting {
    use std::{
        collections::HashMap,
        sync::{Mutex, Once, OnceLock},
        time::Duration,
    };

    use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

    use crate::{events::Happened, lock::lock};

    const MOST_TYPES: usize = 100;

    /// Says what each is, to the exporter that is installed by now.
    pub(crate) fn describe() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            for (name, about) in [
                (
                    "job_queue_enqueued_total",
                    "Jobs inserted by this process, in transactions that may have rolled back",
                ),
                ("job_queue_started_total", "Attempts begun"),
                ("job_queue_completed_total", "Jobs completed"),
                ("job_queue_failed_total", "Attempts failed, by reason and by the state that the job is in then"),
                (
                    "job_queue_returned_total",
                    "Jobs given back unfinished, by a shutdown mostly, or put off by their handler",
                ),
                ("job_queue_refused_total", "Attempts that had lost their job, and whose writes were refused"),
                (
                    "job_queue_rescued_total",
                    "Jobs taken back from dead processes and lapsed holds, by what became of them",
                ),
                ("job_queue_notifications_total", "Times that a notification woke the producer"),
                ("job_queue_reconnects_total", "Times that the database could be reached again"),
            ] {
                describe_counter!(name, about);
            }
            for (name, about) in [
                ("job_queue_waiting_seconds", "How long jobs had waited when they were started"),
                ("job_queue_running_seconds", "How long attempts took"),
                ("job_queue_claim_seconds", "How long the claim statement took"),
                ("job_queue_completion_seconds", "How long simple completions waited for their removal"),
            ] {
                describe_histogram!(name, Unit::Seconds, about);
            }
            describe_gauge!("job_queue_jobs", "Jobs by state; an estimate where there are very many");
            describe_gauge!(
                "job_queue_oldest_waiting_seconds",
                Unit::Seconds,
                "How late the job is that is due longest"
            );
            describe_gauge!("job_queue_processes", "Processes that hold jobs of the queue");
        });
    }

    pub(crate) fn happened(queue: &str, kind: Option<&str>, happened: &Happened) {
        if let Happened::Enqueued = happened {
            return counter!("job_queue_enqueued_total", "queue" => queue.to_owned()).increment(1);
        }
        let labels = [("queue", queue.to_owned()), ("type", bounded(queue, kind.unwrap_or_default()))];
        match happened {
            Happened::Enqueued => {}
            Happened::Started { waited } => {
                counter!("job_queue_started_total", &labels).increment(1);
                if let Some(waited) = waited {
                    histogram!("job_queue_waiting_seconds", &labels).record(waited.as_secs_f64());
                }
            }
            Happened::Committed { took } => {
                counter!("job_queue_completed_total", &labels).increment(1);
                histogram!("job_queue_running_seconds", &labels).record(took.as_secs_f64());
            }
            Happened::Failed { took, reason, state, .. } => {
                histogram!("job_queue_running_seconds", &labels).record(took.as_secs_f64());
                let [queue, kind] = labels;
                let labels = [queue, kind, ("reason", reason.to_string()), ("state", state.to_string())];
                counter!("job_queue_failed_total", &labels).increment(1);
            }
            Happened::Snoozed | Happened::Returned => counter!("job_queue_returned_total", &labels).increment(1),
            Happened::Lost => counter!("job_queue_refused_total", &labels).increment(1),
        }
    }

    pub(crate) fn rescued(queue: &str, available: u64, failed: u64) {
        for (outcome, jobs) in [("available", available), ("failed", failed)] {
            counter!("job_queue_rescued_total", "queue" => queue.to_owned(), "outcome" => outcome).increment(jobs);
        }
    }

    pub(crate) fn notified(queue: &str) {
        counter!("job_queue_notifications_total", "queue" => queue.to_owned()).increment(1);
    }

    pub(crate) fn reconnected(queue: &str) {
        counter!("job_queue_reconnects_total", "queue" => queue.to_owned()).increment(1);
    }

    pub(crate) fn claimed(queue: &str, took: Duration) {
        histogram!("job_queue_claim_seconds", "queue" => queue.to_owned()).record(took.as_secs_f64());
    }

    pub(crate) fn removed(queue: &str, took: Duration) {
        histogram!("job_queue_completion_seconds", "queue" => queue.to_owned()).record(took.as_secs_f64());
    }

    /// What a scrape reads from the database.
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub(crate) fn depth(queue: &str, states: &[(String, i64)], oldest: Duration, processes: i64) {
        for (state, jobs) in states {
            gauge!("job_queue_jobs", "queue" => queue.to_owned(), "state" => state.clone()).set(*jobs as f64);
        }
        gauge!("job_queue_oldest_waiting_seconds", "queue" => queue.to_owned()).set(oldest.as_secs_f64());
        gauge!("job_queue_processes", "queue" => queue.to_owned()).set(processes as f64);
    }

    fn bounded(queue: &str, kind: &str) -> String {
        static TYPES: OnceLock<Mutex<HashMap<String, Vec<String>>>> = OnceLock::new();
        let mut types = lock(TYPES.get_or_init(Mutex::default));
        let known = types.entry(queue.to_owned()).or_default();
        if known.iter().any(|known| known == kind) {
            return kind.to_owned();
        }
        if known.len() >= MOST_TYPES {
            return "(others)".to_owned();
        }
        known.push(kind.to_owned());
        kind.to_owned()
    }
}

#[cfg(not(feature = "metrics"))]
mod silent {
    use std::time::Duration;

    use crate::events::Happened;

    pub(crate) fn describe() {}

    pub(crate) fn happened(_: &str, _: Option<&str>, _: &Happened) {}

    pub(crate) fn rescued(_: &str, _: u64, _: u64) {}

    pub(crate) fn notified(_: &str) {}

    pub(crate) fn reconnected(_: &str) {}

    pub(crate) fn claimed(_: &str, _: Duration) {}

    pub(crate) fn removed(_: &str, _: Duration) {}
}
