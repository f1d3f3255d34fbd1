//! How far the next sweep looks.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{Since, Swept};

/// Whether sweeps look over everything, as they do while that is quick.
///
/// While some transaction holds entries of jobs long gone in the indexes, or many jobs are held, a look over everything
/// takes long. Then a process's own take a twentieth of its time, and those of all processes no more together, as long as
/// each looks often enough. The sweeps in between look on from where the last one ended.
#[derive(Debug)]
pub(crate) struct Reach {
    often_enough: Duration,
    since: Option<Since>,
    whole: Option<Instant>,
}

impl Reach {
    /// However many processes there are, what only a look over everything finds is found within a poll interval, and
    /// within the time after which a process counts as dead.
    pub(crate) fn new(poll_interval: Duration, dead_after: Duration) -> Self {
        Self { often_enough: poll_interval.min(dead_after), since: None, whole: None }
    }

    /// Where the next sweep is to start; none means that it looks over everything.
    pub(crate) fn next(&self, now: Instant) -> Option<Since> {
        self.since.filter(|_| self.whole.is_some_and(|due| now < due))
    }

    /// A sweep has looked over everything, or from `since` on; when another is needed on that account.
    pub(crate) fn swept(
        &mut self,
        since: Option<Since>,
        swept: &Swept,
        began: Instant,
        now: Instant,
    ) -> Option<Duration> {
        self.since = swept.since;
        let more_of_the_dead = since.is_none() && swept.rescued + swept.failed > 0;
        if swept.died || more_of_the_dead {
            // Their holds are found by no other look.
            self.whole = None;
            return Some(Duration::ZERO);
        }
        if since.is_none() {
            let (took, processes) = (now - began, swept.processes.max(1));
            let own = rest_after(took);
            let rest = own.saturating_mul(processes).min(self.often_enough).max(own);
            self.whole = (took.saturating_mul(processes) > QUICK).then(|| now + rest);
            return None;
        }
        self.whole.map(|due| due.saturating_duration_since(now))
    }
}

/// How long to let everything be after a look over all of it that took so long: it takes a twentieth of the time at most.
pub(super) fn rest_after(took: Duration) -> Duration {
    took.saturating_mul(19)
}

/// Looks over everything that take no longer, those of all processes together, may be taken every time.
const QUICK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn everything_is_looked_over_every_time_while_that_is_quick() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        reach.swept(None, &swept(), now, now + QUICK);
        assert_eq!(reach.next(now + QUICK), None);
    }

    fn swept() -> Swept {
        Swept { since: Some(Since::default()), ..Swept::default() }
    }

    #[test]
    fn a_look_over_everything_takes_a_twentieth_of_the_time_at_most() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        assert_eq!(reach.next(now), None);
        let slow = now + Duration::from_millis(100);
        assert_eq!(reach.swept(None, &swept(), now, slow), None);

        let soon = slow + Duration::from_millis(1_899);
        let since = reach.next(soon);
        assert!(since.is_some());
        assert_eq!(reach.swept(since, &swept(), soon, soon), Some(Duration::from_millis(1)));
        assert_eq!(reach.next(soon + Duration::from_millis(1)), None);
    }

    #[test]
    fn the_looks_of_all_processes_together_take_a_twentieth_of_the_time_at_most() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        let quick = now + QUICK / 2;
        let eight = Swept { processes: 8, ..swept() };
        assert_eq!(reach.swept(None, &eight, now, quick), None);
        assert!(reach.next(quick + rest_after(QUICK * 4) - Duration::from_millis(1)).is_some());
        assert_eq!(reach.next(quick + rest_after(QUICK * 4)), None);
    }

    #[test]
    fn each_process_looks_over_everything_often_enough_and_no_more_often_than_by_itself() {
        let (dead_after, now) = (Duration::from_secs(10), Instant::now());
        let mut reach = Reach::new(MINUTE, dead_after);
        let quick = now + QUICK;
        let hundred = Swept { processes: 100, ..swept() };
        assert_eq!(reach.swept(None, &hundred, now, quick), None);
        assert!(reach.next(quick + dead_after - Duration::from_millis(1)).is_some());
        assert_eq!(reach.next(quick + dead_after), None);

        let slow = now + Duration::from_secs(1);
        assert_eq!(reach.swept(None, &hundred, now, slow), None);
        assert!(reach.next(slow + Duration::from_secs(18)).is_some());
        assert_eq!(reach.next(slow + Duration::from_secs(19)), None);
    }

    #[test]
    fn the_holds_of_a_process_that_died_are_looked_for_at_once_until_none_are_left() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        let slow = now + Duration::from_secs(1);
        reach.swept(None, &swept(), now, slow);
        let since = reach.next(slow);

        let died = Swept { died: true, ..swept() };
        assert_eq!(reach.swept(since, &died, slow, slow), Some(Duration::ZERO));
        assert_eq!(reach.next(slow), None);
        let rescued = Swept { rescued: 1_000, ..swept() };
        assert_eq!(reach.swept(None, &rescued, slow, slow), Some(Duration::ZERO));
        assert_eq!(reach.next(slow), None);
        assert_eq!(reach.swept(None, &swept(), now, slow), None);
        assert!(reach.next(slow).is_some());
    }
}
