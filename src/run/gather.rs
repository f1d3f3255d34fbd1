//! Jobs that wait for others of their type, to be performed together.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How many jobs a batch has, and how long the first of them waits for the others.
///
/// ```
/// use std::time::Duration;
/// use actix_job_queue::Batching;
///
/// let batching = Batching::up_to(100).within(Duration::from_millis(20));
/// # let _ = batching;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "give it to Handlers::batch"]
pub struct Batching {
    pub(crate) most: usize,
    pub(crate) within: Duration,
}

/// Jobs that are enqueued together are claimed together, so little time is enough.
const SHORT: Duration = Duration::from_millis(10);

impl Batching {
    /// So many jobs at most, and 10 ms from the first to the last of them.
    ///
    /// A batch gathers in one worker, so it is never larger than the worker's share of `max_demand`:
    /// `max_demand` divided by `arbiters`.
    pub fn up_to(most: usize) -> Self {
        Self { most, within: SHORT }
    }

    /// How long the first job of a batch waits for others. A job waits no longer than this, however few come.
    pub fn within(self, time: Duration) -> Self {
        Self { within: time, ..self }
    }

    /// All that is wrong with it, each with what to do; a job is taken back from who keeps it for `longest`.
    pub(crate) fn problems(&self, kind: &str, longest: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        if self.most == 0 {
            problems.push(format!("a batch of the type {kind:?} has 0 jobs: set Batching::up_to to 1 or more"));
        }
        if self.within >= longest {
            problems.push(format!(
                "a job of the type {kind:?} would wait {:?} for its batch, and be taken back before that: set Batching::within to less than {longest:?}, the shorter of reservation_timeout and three quarters of dead_after",
                self.within
            ));
        }
        problems
    }
}

/// The jobs in one worker that wait, by their type; `W` is the way to perform them.
#[derive(Debug)]
pub(crate) struct Gathering<W, T> {
    /// How many jobs the worker may hold: if all of them wait here, no other can come.
    slots: usize,
    rounds: BTreeMap<String, Round<W, T>>,
}

#[derive(Debug)]
struct Round<W, T> {
    way: W,
    jobs: Vec<T>,
    due: Instant,
}

/// Jobs that are to be performed together now.
pub(crate) type Ready<W, T> = (W, Vec<T>);

impl<W, T> Gathering<W, T> {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, rounds: BTreeMap::new() }
    }

    /// Adds a job to those of its type; returns the batches that wait no longer for it.
    pub(crate) fn add(&mut self, kind: &str, batching: Batching, way: W, job: T, now: Instant) -> Vec<Ready<W, T>> {
        let round = self.rounds.entry(kind.to_owned()).or_insert_with(|| Round {
            way,
            jobs: Vec::new(),
            due: now + batching.within,
        });
        round.jobs.push(job);
        let full = round.jobs.len() >= batching.most;
        if self.rounds.values().map(|round| round.jobs.len()).sum::<usize>() >= self.slots {
            self.take(|_, _| true)
        } else if full {
            self.take(|of, _| of == kind)
        } else {
            Vec::new()
        }
    }

    /// The batches whose first job has waited for its time.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Ready<W, T>> {
        self.take(|_, round| round.due <= now)
    }

    /// When [`Gathering::due`] has something next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.rounds.values().map(|round| round.due).min()
    }

    /// Lets all jobs go unperformed.
    pub(crate) fn clear(&mut self) {
        self.rounds.clear();
    }

    fn take(&mut self, which: impl Fn(&str, &Round<W, T>) -> bool) -> Vec<Ready<W, T>> {
        let taken = self.rounds.iter().filter(|(kind, round)| which(kind, round));
        let kinds: Vec<_> = taken.map(|(kind, _)| kind.clone()).collect();
        kinds.iter().filter_map(|kind| self.rounds.remove(kind)).map(|round| (round.way, round.jobs)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_millis(20);

    /// Adds numbered jobs of one type; the batches that went off, and after how many jobs.
    fn add_all(gathering: &mut Gathering<(), u32>, kind: &str, most: usize, jobs: u32, now: Instant) -> Vec<Vec<u32>> {
        let batching = Batching::up_to(most).within(WITHIN);
        (1..=jobs)
            .flat_map(|job| gathering.add(kind, batching, (), job, now))
            .inspect(|((), jobs)| assert!(!jobs.is_empty()))
            .map(|((), jobs)| jobs)
            .collect()
    }

    #[test]
    fn a_batch_goes_off_as_soon_as_it_is_full() {
        let mut gathering = Gathering::new(100);

        let batches = add_all(&mut gathering, "Index", 3, 7, Instant::now());

        assert_eq!(batches, [[1, 2, 3], [4, 5, 6]]);
    }

    #[test]
    fn a_job_waits_for_its_time_and_no_longer() {
        let mut gathering = Gathering::new(100);
        let first = Instant::now();
        let later = first + WITHIN / 2;

        assert_eq!(gathering.next(), None);
        add_all(&mut gathering, "Index", 3, 1, first);
        add_all(&mut gathering, "Index", 3, 1, later);

        assert_eq!(gathering.next(), Some(first + WITHIN), "the first of a batch counts");
        assert_eq!(gathering.due(first + WITHIN - Duration::from_nanos(1)), []);
        assert_eq!(gathering.due(first + WITHIN), [((), vec![1, 1])]);
        assert_eq!(gathering.next(), None);
        add_all(&mut gathering, "Index", 3, 1, later);
        assert_eq!(gathering.next(), Some(later + WITHIN), "the next batch has its own time");
    }

    #[test]
    fn each_type_gathers_by_itself() {
        let mut gathering = Gathering::new(100);
        let now = Instant::now();

        assert_eq!(add_all(&mut gathering, "Index", 2, 1, now), [[0; 0]; 0]);
        assert_eq!(add_all(&mut gathering, "Mail", 2, 1, now), [[0; 0]; 0]);
        assert_eq!(add_all(&mut gathering, "Mail", 2, 1, now + WITHIN), [[1, 1]]);

        assert_eq!(gathering.due(now + WITHIN), [((), vec![1])]);
    }

    /// Whatever would fill the batches further needs a slot, and the waiting jobs have them all.
    #[test]
    fn nothing_waits_once_no_other_job_can_come() {
        let now = Instant::now();
        let mut gathering = Gathering::new(3);
        assert_eq!(add_all(&mut gathering, "Index", 100, 3, now), [[1, 2, 3]]);

        add_all(&mut gathering, "Index", 100, 2, now);
        assert_eq!(add_all(&mut gathering, "Mail", 100, 1, now), [vec![1, 2], vec![1]]);
        assert_eq!(gathering.next(), None);
    }

    #[test]
    fn a_batch_that_cannot_work_is_told_with_what_to_do() {
        let longest = Duration::from_secs(10);

        assert_eq!(Batching::up_to(1).problems("Index", longest), [""; 0]);
        let problems = Batching::up_to(0).within(longest).problems("Index", longest);

        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("up_to") && problems[1].contains("within"), "{problems:?}");
    }
}
