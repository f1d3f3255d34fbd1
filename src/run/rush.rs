//! When a producer looks by itself for a while, since announcements come faster than it can follow them.

use std::time::Duration;

/// Whether jobs come in such a rush that each claim is overtaken by the next announcement.
///
/// An announcement costs: its commit holds PostgreSQL's lock for notifications through its flush, so inserts that are
/// announced wait for each other, and each wakes a claim for the few jobs of one commit. A producer that would claim again
/// at once whatever it is told may as well let inserts be silent, and look a little later for all that came meanwhile.
/// It is on its own then, so it must look; once that brings next to nothing, it waits for announcements again.
#[derive(Debug, Default)]
pub(crate) struct Rush {
    /// Something was announced that the claim under way may not have seen.
    announced: bool,
    /// So many claims in a row were overtaken.
    overtaken: u32,
}

/// So many claims in a row make it a rush: more than a few inserts that happen to come close together.
const OVERTAKEN: u32 = 8;

/// Looks that bring fewer jobs than this are better announced.
const ENOUGH: usize = 2;

/// How soon to look again, at the soonest and at the latest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(3));

impl Rush {
    /// A claim begins.
    pub(crate) fn claims(&mut self) {
        self.announced = false;
    }

    pub(crate) fn announced(&mut self) {
        self.announced = true;
    }

    /// After a claim that took so long, brought so many jobs and found no more: after how long to look again without
    /// being told, or none to be told.
    pub(crate) fn after_short_claim(&mut self, jobs: usize, took: Duration) -> Option<Duration> {
        self.overtaken = match self.overtaken {
            OVERTAKEN if jobs >= ENOUGH => OVERTAKEN,
            ..OVERTAKEN if self.announced => self.overtaken + 1,
            _ => 0,
        };
        // Half of the time goes into claims, unless they are slow.
        (self.overtaken == OVERTAKEN).then(|| took.clamp(PAUSE.0, PAUSE.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(2);

    impl Rush {
        /// A claim that was overtaken, or not.
        fn claimed(&mut self, jobs: usize, overtaken: bool, took: Duration) -> Option<Duration> {
            self.claims();
            if overtaken {
                self.announced();
            }
            self.after_short_claim(jobs, took)
        }
    }

    fn rushing() -> Rush {
        let mut rush = Rush::default();
        (1..OVERTAKEN).for_each(|_| assert_eq!(rush.claimed(1, true, TOOK), None));
        assert_eq!(rush.claimed(1, true, TOOK), Some(TOOK));
        rush
    }

    #[test]
    fn claims_that_are_overtaken_again_and_again_are_a_rush_until_they_bring_next_to_nothing() {
        let mut rush = rushing();
        assert_eq!(rush.claimed(ENOUGH, false, TOOK), Some(TOOK), "nobody announces anything now");

        assert_eq!(rush.claimed(ENOUGH - 1, false, TOOK), None);
        assert_eq!(rush.claimed(100, true, TOOK), None, "it begins anew");
    }

    #[test]
    fn one_claim_that_nothing_overtakes_is_no_rush() {
        let mut rush = Rush::default();
        (1..OVERTAKEN).for_each(|_| assert_eq!(rush.claimed(5, true, TOOK), None));

        assert_eq!(rush.claimed(5, false, TOOK), None);
        assert_eq!(rush.claimed(5, true, TOOK), None);
    }

    #[test]
    fn no_job_waits_for_a_slow_claim_to_be_worth_it() {
        for (took, pause) in [(0, 1), (2, 2), (1_000, 3)] {
            let pause = Duration::from_millis(pause);
            assert_eq!(rushing().claimed(ENOUGH, false, Duration::from_millis(took)), Some(pause));
        }
    }
}
