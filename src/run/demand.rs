//! How much work the workers have asked for and not been given: the only bound on claims.

use std::collections::BTreeMap;

/// One incarnation of a worker; a replacement has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// The unmet demand of each worker, and the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Demands<W> {
    workers: BTreeMap<WorkerId, (usize, W)>,
}

impl<W> Demands<W> {
    pub(crate) fn new() -> Self {
        Self { workers: BTreeMap::new() }
    }

    /// A worker asks for so many jobs more.
    pub(crate) fn add(&mut self, worker: WorkerId, jobs: usize, way: W) {
        let entry = self.workers.entry(worker).or_insert((0, way));
        entry.0 += jobs;
    }

    /// A worker is gone, and its demand with it.
    pub(crate) fn forget(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
    }

    /// All that is asked for.
    pub(crate) fn total(&self) -> usize {
        self.workers.values().map(|(jobs, _)| jobs).sum()
    }

    /// Takes one from the worker that asks for most, so that the load spreads.
    pub(crate) fn take(&mut self) -> Option<WorkerId> {
        let (worker, (jobs, _)) =
            self.workers.iter_mut().filter(|(_, (jobs, _))| *jobs > 0).max_by_key(|(_, (jobs, _))| *jobs)?;
        *jobs -= 1;
        Some(*worker)
    }

    /// The way to a worker that has asked.
    pub(crate) fn way(&self, worker: WorkerId) -> Option<&W> {
        self.workers.get(&worker).map(|(_, way)| way)
    }
}

/// What each of `workers` may run at a time so that all together run `max_demand`; none gets nothing while
/// another has two.
pub(crate) fn shares(max_demand: usize, workers: usize) -> impl Iterator<Item = usize> {
    let workers = workers.max(1).min(max_demand.max(1));
    (0..workers).map(move |worker| max_demand / workers + usize::from(worker < max_demand % workers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_was_demanded() {
        let mut demands = Demands::new();
        demands.add(WorkerId(1), 2, ());
        demands.add(WorkerId(2), 1, ());

        let given: Vec<_> = std::iter::from_fn(|| demands.take()).collect();

        assert_eq!(given.len(), 3);
        assert_eq!(demands.total(), 0);
    }

    #[test]
    fn a_dead_worker_takes_its_demand_with_it() {
        let mut demands = Demands::new();
        demands.add(WorkerId(1), 50, ());
        demands.add(WorkerId(2), 1, ());

        demands.forget(WorkerId(1));

        assert_eq!(demands.total(), 1);
        assert_eq!(demands.take(), Some(WorkerId(2)));
        assert_eq!(demands.take(), None);
    }

    #[test]
    fn work_goes_to_the_worker_that_asks_for_most() {
        let mut demands = Demands::new();
        demands.add(WorkerId(1), 1, ());
        demands.add(WorkerId(2), 3, ());

        assert_eq!(demands.take(), Some(WorkerId(2)));
    }

    #[test]
    fn the_shares_add_up_to_max_demand_and_nobody_gets_none() {
        for (max_demand, workers) in [(100, 2), (7, 3), (1, 8), (3, 3)] {
            let shares: Vec<_> = shares(max_demand, workers).collect();
            assert_eq!(shares.iter().sum::<usize>(), max_demand);
            assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        }
    }
}
