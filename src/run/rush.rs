//! When a producer looks by itself for a while, since announcements come faster than is worth a claim each.

use std::time::Duration;

use tokio::time::Instant;

/// Whether jobs come in such a rush that claims take more than half of the time, or are overtaken by the next announcement.
///
/// An announcement costs: its commit holds PostgreSQL's lock for notifications through its flush, so inserts that are
/// announced wait for each other, and each wakes a claim for the few jobs of one commit. A producer that would claim again
/// at once whatever it is told may as well let inserts be silent, and look a little later for all that came meanwhile.
/// It is on its own then, so it must look; once that brings next to nothing for a while, it waits for announcements again.
#[derive(Debug, Default)]
pub(crate) struct Rush {
    /// When the last claim ended that found all there was, and how long it took.
    last: Option<(Instant, Duration)>,
    /// The claim under way began sooner after the last than that took.
    soon: bool,
    /// Something was announced that the claim under way may not have seen.
    announced: bool,
    /// So many claims in a row were overtaken, or came soon and brought something.
    row: u32,
    /// In a rush: so many looks in a row brought next to nothing.
    scarce: u32,
}

/// So many claims in a row make it a rush: more than a few inserts that happen to come close together.
const RUSH: u32 = 8;

/// Looks that bring fewer jobs than this are better announced.
const ENOUGH: usize = 2;

/// So many such looks in a row end a rush. One alone says little: those who insert may all have waited for a core meanwhile,
/// and what comes next would be announced again until it is known for a rush.
const SCARCE: u32 = 4;

/// How soon to look again, at the soonest and at the latest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(3));

impl Rush {
    /// A claim begins.
    pub(crate) fn claims(&mut self, now: Instant) {
        self.announced = false;
        self.soon = self.last.is_some_and(|(ended, took)| now.saturating_duration_since(ended) < took);
    }

    pub(crate) fn announced(&mut self) {
        self.announced = true;
    }

    /// After a claim that took so long, brought so many jobs and found no more: after how long to look again without
    /// being told, or none to be told.
    pub(crate) fn after_short_claim(&mut self, jobs: usize, took: Duration, now: Instant) -> Option<Duration> {
        self.last = Some((now, took));
        self.scarce = if self.row == RUSH && jobs < ENOUGH { self.scarce + 1 } else { 0 };
        self.row = match self.row {
            RUSH if self.scarce < SCARCE => RUSH,
            // What follows soon may do so for other reasons than jobs: whoever comes to rest looks again and again.
            ..RUSH if self.announced || self.soon && jobs >= ENOUGH => self.row + 1,
            _ => 0,
        };
        // Half of the time goes into claims, unless they are slow.
        (self.row == RUSH).then(|| took.clamp(PAUSE.0, PAUSE.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(2);

    /// Claims by a clock of their own.
    struct Claims {
        rush: Rush,
        now: Instant,
    }

    impl Claims {
        fn new() -> Self {
            Self { rush: Rush::default(), now: Instant::now() }
        }

        fn rushing() -> Self {
            let mut claims = Self::new();
            (1..RUSH).for_each(|_| assert_eq!(claims.overtaken(1), None));
            assert_eq!(claims.overtaken(1), Some(TOOK));
            claims
        }

        /// A claim that began so long after the one before, and was overtaken or not.
        fn claim(&mut self, jobs: usize, after: Duration, overtaken: bool, took: Duration) -> Option<Duration> {
            self.now += after;
            self.rush.claims(self.now);
            if overtaken {
                self.rush.announced();
            }
            self.now += took;
            self.rush.after_short_claim(jobs, took, self.now)
        }

        fn overtaken(&mut self, jobs: usize) -> Option<Duration> {
            self.claim(jobs, 10 * TOOK, true, TOOK)
        }

        fn soon(&mut self, jobs: usize) -> Option<Duration> {
            self.claim(jobs, TOOK / 2, false, TOOK)
        }

        fn calm(&mut self, jobs: usize) -> Option<Duration> {
            self.claim(jobs, TOOK, false, TOOK)
        }
    }

    #[test]
    fn claims_that_are_overtaken_again_and_again_are_a_rush_until_they_bring_next_to_nothing() {
        let mut claims = Claims::rushing();
        assert_eq!(claims.calm(ENOUGH), Some(TOOK), "nobody announces anything now");
        for _ in 0..3 {
            (1..SCARCE).for_each(|_| assert_eq!(claims.calm(ENOUGH - 1), Some(TOOK)));
            assert_eq!(claims.calm(ENOUGH), Some(TOOK));
        }

        (1..SCARCE).for_each(|_| assert_eq!(claims.calm(ENOUGH - 1), Some(TOOK)));
        assert_eq!(claims.calm(ENOUGH - 1), None);
        assert_eq!(claims.overtaken(100), None, "it begins anew");
    }

    #[test]
    fn claims_that_take_more_than_half_of_the_time_are_a_rush_and_others_are_none() {
        let mut claims = Claims::new();
        assert_eq!(claims.calm(20), None, "there is none that it could have followed soon");
        (1..RUSH).for_each(|_| assert_eq!(claims.soon(20), None));
        assert_eq!(claims.soon(20), Some(TOOK));

        let mut claims = Claims::new();
        (0..10 * RUSH).for_each(|_| assert_eq!(claims.calm(20), None));
    }

    #[test]
    fn claims_in_quick_succession_that_bring_next_to_nothing_are_no_rush() {
        for jobs in 0..ENOUGH {
            let mut claims = Claims::new();
            (0..10 * RUSH).for_each(|_| assert_eq!(claims.soon(jobs), None));
        }
    }

    #[test]
    fn one_claim_that_nothing_presses_is_no_rush() {
        let mut claims = Claims::new();
        (1..RUSH).for_each(|_| assert_eq!(claims.overtaken(5), None));

        assert_eq!(claims.calm(5), None);
        assert_eq!(claims.overtaken(5), None);
    }

    #[test]
    fn no_job_waits_for_a_slow_claim_to_be_worth_it() {
        for (took, pause) in [(0, 1), (2, 2), (1_000, 3)] {
            let pause = Duration::from_millis(pause);
            let took = Duration::from_millis(took);
            assert_eq!(Claims::rushing().claim(ENOUGH, TOOK, false, took), Some(pause));
        }
    }
}
