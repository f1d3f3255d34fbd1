//! What this process has seen of each type of job since it was last written down: a few numbers a type, however many jobs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::shared::Shared;
use crate::{
    error::DatabaseError,
    lock::lock,
    logs,
    text::{self, Cause},
};

/// The buckets of a histogram end at a millisecond times the powers of the square root of two: the last at three hours and
/// a quarter, and it takes what took longer too.
pub(crate) const BUCKETS: usize = 48;

/// More types than this in so short a time are one to the journal, and so are more errors of a type.
const MOST: usize = 100;

/// Under which name those go.
const OTHERS: &str = "(others)";

/// What PostgreSQL's indexes can hold, with an error beside it.
const LONGEST: usize = 500;

/// What is seen is written down so much later, once for all of it.
const EVERY: Duration = Duration::from_secs(10);

/// What is written down grows old so slowly that it need not be looked at more often.
const ROLLED_UP: Duration = Duration::from_secs(15 * 60);

/// What is gathered; cheap to share, and of no cost while nothing happens.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    kinds: Mutex<HashMap<String, Seen>>,
    /// Tells that there is something to be written.
    filled: Notify,
}

/// What was seen of a type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) started: i64,
    pub(crate) completed: i64,
    pub(crate) failed: i64,
    /// Attempts by how long their jobs had waited when they began.
    pub(crate) waited: Histogram,
    /// Attempts by how long they took.
    pub(crate) ran: Histogram,
    /// How often it failed for each reason, and with which job last.
    pub(crate) errors: BTreeMap<String, (i64, i64)>,
}

/// Counts by bucket; the last one is not zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Histogram(pub(crate) Vec<i64>);

impl Journal {
    /// An attempt has begun.
    pub(crate) fn started(&self, kind: &str, waited: Option<Duration>) {
        self.note(kind, |seen| {
            seen.started += 1;
            if let Some(waited) = waited {
                seen.waited.count(waited);
            }
        });
    }

    /// An attempt has completed its job.
    pub(crate) fn completed(&self, kind: &str, ran: Duration) {
        self.note(kind, |seen| {
            seen.completed += 1;
            seen.ran.count(ran);
        });
    }

    /// An attempt has failed.
    pub(crate) fn failed(&self, kind: &str, ran: Duration, id: i64, error: &str) {
        let error = text::normalised(error);
        self.note(kind, |seen| {
            seen.failed += 1;
            seen.ran.count(ran);
            seen.fail(error, 1, id);
        });
    }

    fn note(&self, kind: &str, note: impl FnOnce(&mut Seen)) {
        let mut kinds = self.lock();
        let first = kinds.is_empty();
        enter(&mut kinds, kind, note);
        drop(kinds);
        if first {
            self.filled.notify_one();
        }
    }

    /// All that has gathered, by type.
    fn take(&self) -> BTreeMap<String, Seen> {
        // In their order, so that no two processes wait for each other's rows.
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    /// Puts back what could not be written.
    fn put_back(&self, gathered: BTreeMap<String, Seen>) {
        let mut kinds = self.lock();
        for (kind, seen) in gathered {
            enter(&mut kinds, &kind, |known| known.add(seen));
        }
        drop(kinds);
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        lock(&self.kinds)
    }
}

/// Notes something of a type, under the name that the journal has for it.
fn enter(kinds: &mut HashMap<String, Seen>, kind: &str, note: impl FnOnce(&mut Seen)) {
    // Nearly always it is there already, and nothing is copied.
    if let Some(seen) = kinds.get_mut(kind) {
        return note(seen);
    }
    let kind = text::cut(kind, LONGEST).replace('\0', "\u{FFFD}");
    let kind = if kinds.contains_key(&kind) || kinds.len() < MOST { kind } else { OTHERS.to_owned() };
    note(kinds.entry(kind).or_default());
}

impl Seen {
    fn fail(&mut self, error: String, times: i64, id: i64) {
        let known = self.errors.contains_key(&error) || self.errors.len() < MOST;
        let error = if known { error } else { OTHERS.to_owned() };
        let (failures, last) = self.errors.entry(error).or_default();
        *failures += times;
        *last = id;
    }

    fn add(&mut self, other: Seen) {
        self.started += other.started;
        self.completed += other.completed;
        self.failed += other.failed;
        self.waited.add(&other.waited);
        self.ran.add(&other.ran);
        for (error, (times, id)) in other.errors {
            self.fail(error, times, id);
        }
    }
}

impl Histogram {
    fn count(&mut self, time: Duration) {
        let bucket = bucket(time);
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0);
        }
        self.0[bucket] += 1;
    }

    pub(crate) fn add(&mut self, other: &Histogram) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(one, other)| *one += other);
    }

    /// The time that so large a share of the attempts did not exceed, as the end of its bucket.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let all: i64 = self.0.iter().sum();
        if all == 0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "a rank need not be exact")]
        let rank = share * all as f64;
        let mut below = 0;
        let bucket = self.0.iter().position(|count| {
            below += count;
            #[allow(clippy::cast_precision_loss, reason = "as above")]
            let reached = below as f64 >= rank;
            reached
        });
        bucket.map(|bucket| ENDS[bucket])
    }
}

/// Where the buckets end; each attempt asks for two of them.
static ENDS: LazyLock<[Duration; BUCKETS]> = LazyLock::new(|| {
    std::array::from_fn(|bucket| {
        let power = i32::try_from(bucket).unwrap_or(i32::MAX);
        Duration::from_secs_f64(0.001 * std::f64::consts::SQRT_2.powi(power))
    })
});

fn bucket(time: Duration) -> usize {
    ENDS[..BUCKETS - 1].partition_point(|end| *end < time)
}

/// Writes down what gathers, rolls it up as it grows old, and lets go of completed jobs that are kept, until a shutdown
/// begins; [`flush`] writes a last time.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let keep = shared.settings.keep;
    let mut rolled_up: Option<Instant> = None;
    loop {
        // Only where something was kept need anybody look whether it is old.
        let grows_old = async {
            match keep {
                Some(_) => tokio::time::sleep(shared.settings.poll_interval).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.journal.filled.notified() => {
                // Before anything is waited for, so that processes which live for seconds do it too.
                if rolled_up.is_none_or(|last| last.elapsed() >= ROLLED_UP) {
                    rolled_up = Some(Instant::now());
                    in_batches(&shared, || shared.store.roll_up()).await;
                }
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    () = shared.draining.cancelled() => return,
                }
            }
            () = grows_old => {}
            () = shared.draining.cancelled() => return,
        }
        flush(&shared).await;
        if let Some(keep) = &keep {
            in_batches(&shared, || shared.store.prune(keep)).await;
        }
    }
}

/// Again while there may be more of it.
async fn in_batches<F>(shared: &Shared, batch: impl Fn() -> F)
where
    F: Future<Output = Result<bool, DatabaseError>>,
{
    while !shared.draining.is_cancelled() {
        match batch().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tell(shared, &error),
        }
    }
}

/// Writes down what has gathered. The figures are for people: where an answer is lost on the way, they may tell twice of it.
pub(crate) async fn flush(shared: &Shared) {
    let gathered = shared.journal.take();
    if gathered.is_empty() {
        return;
    }
    if let Err(error) = shared.store.write_journal(&gathered).await {
        tell(shared, &error);
        shared.journal.put_back(gathered);
    }
}

/// What is for people's eyes only can wait.
fn tell(shared: &Shared, error: &DatabaseError) {
    let (queue, cause) = (&*shared.store.label, Cause(error));
    log::debug!(target: logs::DATABASE, queue, error:% = cause; "{cause}; trying again later");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_end_of_the_bucket_in_which_it_lies() {
        let mut times = Histogram::default();
        assert_eq!(times.quantile(0.5), None);
        (0..98).for_each(|_| times.count(Duration::from_micros(900)));
        times.count(Duration::from_millis(60));
        times.count(Duration::from_secs(1_000_000));

        assert_eq!(times.quantile(0.5), Some(Duration::from_millis(1)));
        let p99 = times.quantile(0.99).unwrap();
        assert!(p99 >= Duration::from_millis(60) && p99 < Duration::from_millis(85), "{p99:?}");
        assert!(times.quantile(1.0).unwrap() > Duration::from_secs(3 * 3_600));
        assert_eq!(times.0.len(), BUCKETS);
    }

    #[test]
    fn types_and_errors_without_end_take_bounded_room_and_none_is_lost() {
        let journal = Journal::default();
        for number in 0..500 {
            journal.started(&format!("type {number}"), None);
            journal.failed("one", Duration::ZERO, number, &"x".repeat(usize::try_from(number).unwrap() + 1));
        }
        let gathered = journal.take();
        assert_eq!(gathered.len(), MOST + 1);
        journal.put_back(gathered);

        let gathered = journal.take();

        assert!(gathered.len() <= MOST + 1);
        assert_eq!(gathered.values().map(|seen| seen.started).sum::<i64>(), 500);
        let failures = gathered.values().flat_map(|seen| seen.errors.values()).map(|(times, _)| times).sum::<i64>();
        assert_eq!(failures, 500);
    }
}
