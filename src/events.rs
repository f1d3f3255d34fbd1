//! What happens to jobs in this process, for whoever asked to hear of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::{Message, Recipient};

use crate::{job::State, logs};

/// Something that happened to a job in this process; see [`QueueBuilder::on_event`](crate::QueueBuilder::on_event).
///
/// What other processes do to jobs is not told, nor what SQL does.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct JobEvent {
    /// The queue, as `schema.table`, or the table alone in `public`.
    pub queue: String,
    /// The job.
    pub id: i64,
    /// The `type` of its params, where it is known.
    pub kind: Option<String>,
    /// Which attempt it was, the first being 1; 0 before the first.
    pub attempt: i32,
    /// What happened.
    pub happened: Happened,
    /// So many events before this one were lost to this recipient, since its mailbox was full.
    pub missed: u64,
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Happened {
    /// It was inserted, in a transaction that may still be rolled back.
    Enqueued,
    /// An attempt has begun.
    Started {
        /// How long it had waited since it could have been started, where that is known.
        waited: Option<Duration>,
    },
    /// Its completion has committed.
    Committed {
        /// How long the attempt took.
        took: Duration,
    },
    /// The attempt has failed.
    Failed {
        /// How long it took.
        took: Duration,
        /// The kind of its end.
        reason: Reason,
        /// The error and its causes.
        error: Vec<String>,
        /// [`State::Retry`], or [`State::Failed`] if it is not tried again.
        state: State,
    },
    /// The handler has put it off without an attempt.
    Snoozed,
    /// It was given back without an attempt: by a shutdown, or because a handler before it did not end after its
    /// completion.
    Returned,
    /// Somebody else has it, or nobody: what the handler wanted to write was refused.
    Lost,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The handler returned an error, or there was no handler.
    Error,
    /// The handler panicked.
    Panic,
    /// It outran its execution timeout.
    TimedOut,
    /// The worker that performed it died.
    Worker,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Error => "error",
            Reason::Panic => "panic",
            Reason::TimedOut => "timeout",
            Reason::Worker => "worker",
        })
    }
}

/// Who hears of a queue's jobs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events(Arc<Vec<Hearer>>);

#[derive(Debug)]
struct Hearer {
    recipient: Recipient<JobEvent>,
    missed: AtomicU64,
}

impl Events {
    pub(crate) fn new(recipients: Vec<Recipient<JobEvent>>) -> Self {
        let hearer = |recipient| Hearer { recipient, missed: AtomicU64::new(0) };
        Self(Arc::new(recipients.into_iter().map(hearer).collect()))
    }

    /// Tells everybody; nobody is waited for.
    pub(crate) fn tell(&self, queue: &str, id: i64, kind: Option<&str>, attempt: i32, happened: &Happened) {
        for Hearer { recipient, missed } in self.0.iter() {
            let lost = missed.swap(0, Ordering::AcqRel);
            let event = JobEvent {
                queue: queue.to_owned(),
                id,
                kind: kind.map(str::to_owned),
                attempt,
                happened: happened.clone(),
                missed: lost,
            };
            if recipient.try_send(event).is_err() {
                missed.fetch_add(lost + 1, Ordering::AcqRel);
                log::debug!(target: logs::ACTORS, queue, job = id, type = kind, attempt; "a recipient of events does not keep up, or is gone");
            }
        }
    }
}
