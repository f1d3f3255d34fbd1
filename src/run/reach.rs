//! How far the next sweep looks.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{Since, Swept};

/// Whether sweeps look over everything, as they do while that is quick.
///
/// A look over everything passes the index entries of all jobs that have been held since the last one, for they stay until
/// somebody has passed them, and jobs wait meanwhile. So it is taken again before those are many. Where it takes long all
/// the same, as it does while some transaction may see what was passed, the sweeps in between look on from where the last
/// one ended; those of what has come due do so by themselves, for a job may come that was due before.
///
/// A process's own long looks take a twentieth of its time, and those of all processes no more together, as long as each
/// looks often enough.
#[derive(Debug)]
pub(crate) struct Reach {
    /// How often what is due has to be looked over from the beginning, and everything.
    often_enough: (Duration, Duration),
    since: Option<Since>,
    /// How many processes there are.
    processes: u32,
    /// When all that is due is to be looked over next, if not at once.
    due: Option<Instant>,
    whole: Option<Whole>,
    /// How many looks over everything in a row have taken longer than it takes to pass what was new. What stays is a
    /// reason for that; one may have been slow because of the disk, the processor or the way to a connection.
    slow: u32,
}

/// When a sweep begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) at: Instant,
    /// How many jobs this process has claimed by then.
    pub(crate) claimed: u64,
}

/// A look over everything.
#[derive(Debug)]
struct Whole {
    /// How many jobs this process had claimed by then.
    claimed: u64,
    /// When the next may be taken, and when it is due even if it passes many.
    rests: Instant,
    due: Instant,
}

impl Whole {
    /// How many more this process has claimed by now.
    fn claimed_since(&self, claimed: u64) -> u64 {
        claimed.saturating_sub(self.claimed)
    }
}

impl Reach {
    /// However many processes there are, what only a look over everything finds is found within a poll interval, and
    /// within the time after which a process counts as dead if it is known that there is something. What a process held
    /// that has died is found at once, unless somebody has it locked.
    pub(crate) fn new(poll_interval: Duration, dead_after: Duration) -> Self {
        let often_enough = (poll_interval.min(dead_after), poll_interval.min(SELDOM));
        Self { often_enough, since: None, processes: 1, due: None, whole: None, slow: 0 }
    }

    /// Whether this process has claimed so many jobs by now that everything had better be looked over again.
    pub(crate) fn has_enough_to_pass(&self, by_now: Begun) -> bool {
        let enough = |whole: &Whole| whole.rests <= by_now.at && whole.claimed_since(by_now.claimed) >= FEW;
        !self.is_slow() && self.whole.as_ref().is_some_and(enough)
    }

    /// Where a sweep is to start that begins now; none means that it looks over everything.
    pub(crate) fn next(&self, begun: Begun) -> Option<Since> {
        let whole = self.next_whole(begun.claimed)?;
        let since = self.since.filter(|_| begun.at < whole)?;
        let rests = self.due.is_some_and(|due| begun.at < due);
        Some(if rests { since } else { since.and_all_that_is_due() })
    }

    /// When everything is looked over next, if not at once and if this process and others like it have claimed so many by
    /// now.
    fn next_whole(&self, claimed: u64) -> Option<Instant> {
        let whole = self.whole.as_ref()?;
        let many = whole.claimed_since(claimed).saturating_mul(self.processes.into()) >= MANY;
        Some(if many && self.is_slow() { whole.due } else { whole.rests })
    }

    /// Whether looks over everything take long however often they are taken.
    fn is_slow(&self) -> bool {
        self.slow >= 2
    }

    /// A sweep has looked over everything, or from `since` on; when another is needed on that account.
    pub(crate) fn swept(
        &mut self,
        since: Option<Since>,
        swept: &Swept,
        begun: Begun,
        now: Instant,
    ) -> Option<Duration> {
        self.since = swept.since;
        let more_of_the_dead = since.is_none() && swept.rescued + swept.failed > 0;
        if swept.died || more_of_the_dead {
            // Their holds are found by no other look.
            self.whole = None;
            return Some(Duration::ZERO);
        }
        let Some(since) = since else {
            self.processes = swept.processes.max(1);
            // What is overdue and was left is locked by somebody.
            let left = swept.lapse_in.is_some_and(|lapse_in| lapse_in.is_zero());
            let often_enough = if left { self.often_enough.0 } else { self.often_enough.1 };
            let took = now - begun.at;
            let rest = self.rest(often_enough, took).unwrap_or_default();
            let due = now + often_enough.max(rest);
            if let Some(last) = &self.whole {
                let new = Duration::from_nanos(last.claimed_since(begun.claimed).saturating_mul(PASSED_NS));
                self.slow = if took > QUICK + new { self.slow.saturating_add(1) } else { 0 };
            }
            self.whole = Some(Whole { claimed: begun.claimed, rests: now + rest, due });
            self.due = None;
            return None;
        };
        if since.looks_at_all_that_is_due() {
            self.due = self.rest(self.often_enough.0, now - begun.at).map(|rest| now + rest);
        }
        // One that takes long is no reason to sweep again after itself.
        let due = self.due.filter(|_| !since.looks_at_all_that_is_due());
        [self.next_whole(begun.claimed), due]
            .into_iter()
            .flatten()
            .min()
            .map(|next| next.saturating_duration_since(now))
    }

    /// For how long to let be what took so long, if that was long.
    fn rest(&self, often_enough: Duration, took: Duration) -> Option<Duration> {
        let own = rest_after(took);
        let rest = own.saturating_mul(self.processes).min(often_enough).max(own);
        (took.saturating_mul(self.processes) > QUICK).then_some(rest)
    }
}

/// How long to let everything be after a look over all of it that took so long: it takes a twentieth of the time at most.
pub(super) fn rest_after(took: Duration) -> Duration {
    took.saturating_mul(19)
}

/// Looks from the beginning that take no longer, those of all processes together, may be taken every time.
const QUICK: Duration = Duration::from_millis(20);

/// Everything is looked over so often at least, for the sake of what nothing tells of.
const SELDOM: Duration = Duration::from_secs(60);

/// To pass the entries of so many jobs takes less than half of what is quick, at a fifth of a microsecond each, of which a
/// job has two.
const FEW: u64 = 20_000;

/// To pass those of so many takes longer than that.
const MANY: u64 = 50_000;

/// To pass those of one job takes no longer, even where their pages are read from the disk.
const PASSED_NS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn everything_is_looked_over_every_time_while_that_is_quick() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        reach.swept(None, &swept(), at(now), now + QUICK);
        assert_eq!(reach.next(at(now + QUICK)), None);
    }

    fn at(at: Instant) -> Begun {
        claimed(0, at)
    }

    fn claimed(claimed: u64, at: Instant) -> Begun {
        Begun { at, claimed }
    }

    fn swept() -> Swept {
        Swept { since: Some(Since::default()), ..Swept::default() }
    }

    #[test]
    fn a_look_over_everything_takes_a_twentieth_of_the_time_at_most() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        assert_eq!(reach.next(at(now)), None);
        let slow = now + Duration::from_millis(100);
        assert_eq!(reach.swept(None, &swept(), at(now), slow), None);

        let soon = slow + Duration::from_millis(1_899);
        let since = reach.next(at(soon));
        assert!(since.is_some());
        assert_eq!(reach.swept(since, &swept(), at(soon), soon), Some(Duration::from_millis(1)));
        assert_eq!(reach.next(at(soon + Duration::from_millis(1))), None);
    }

    #[test]
    fn the_looks_of_all_processes_together_take_a_twentieth_of_the_time_at_most() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        let quick = now + QUICK / 2;
        let eight = Swept { processes: 8, ..swept() };
        assert_eq!(reach.swept(None, &eight, at(now), quick), None);
        assert!(reach.next(at(quick + rest_after(QUICK * 4) - Duration::from_millis(1))).is_some());
        assert_eq!(reach.next(at(quick + rest_after(QUICK * 4))), None);
    }

    #[test]
    fn each_process_looks_over_everything_often_enough_and_no_more_often_than_by_itself() {
        let now = Instant::now();
        let mut reach = Reach::new(MINUTE, MINUTE * 2);
        let quick = now + QUICK;
        let hundreds = Swept { processes: 200, ..swept() };
        assert_eq!(reach.swept(None, &hundreds, at(now), quick), None);
        assert!(reach.next(at(quick + MINUTE - Duration::from_millis(1))).is_some());
        assert_eq!(reach.next(at(quick + MINUTE)), None);

        let slow = now + Duration::from_secs(10);
        assert_eq!(reach.swept(None, &hundreds, at(now), slow), None);
        assert!(reach.next(at(slow + Duration::from_secs(189))).is_some());
        assert_eq!(reach.next(at(slow + Duration::from_secs(190))), None);
    }

    #[test]
    fn everything_is_looked_over_again_before_there_is_much_to_pass() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        let quick = now + QUICK;
        assert_eq!(reach.swept(None, &swept(), claimed(1_000, now), quick), None);
        assert!(!reach.has_enough_to_pass(claimed(1_000 + FEW - 1, quick)));
        assert!(reach.has_enough_to_pass(claimed(1_000 + FEW, quick)));
        assert_eq!(reach.next(claimed(1_000 + FEW, quick)), None);
    }

    #[test]
    fn what_stays_although_it_was_passed_is_passed_once_a_poll_interval() {
        let now = Instant::now();
        let mut reach = slow(Reach::new(MINUTE, MINUTE), 2, now);
        let rested = now + rest_after(SLOW * 2);
        assert!(!reach.has_enough_to_pass(claimed(MANY, rested)));
        assert_eq!(reach.next(claimed(MANY / 2 - 1, rested)), None);
        // As many as this process have been claimed by the other one.
        let since = reach.next(claimed(MANY / 2, rested));
        assert!(since.is_some());
        assert_eq!(reach.swept(since, &swept(), claimed(MANY / 2, now), now), Some(MINUTE));
        assert_eq!(reach.next(claimed(MANY / 2, now + MINUTE)), None);
    }

    #[test]
    fn everything_is_looked_over_before_there_is_much_once_what_stayed_can_be_passed() {
        let now = Instant::now();
        let mut reach = slow(Reach::new(MINUTE, MINUTE), 1, now);
        let minute = claimed(MANY * 20, now + MINUTE);
        let explained = minute.at + QUICK + Duration::from_secs(1);
        reach.swept(None, &swept(), minute, explained + Duration::from_millis(1));
        assert!(!reach.has_enough_to_pass(claimed(MANY * 40, now + MINUTE * 2)), "nothing explains it");

        let mut reach = slow(Reach::new(MINUTE, MINUTE), 1, now);
        reach.swept(None, &swept(), minute, explained);
        let rested = explained + rest_after(explained - minute.at);
        assert!(!reach.has_enough_to_pass(claimed(MANY * 40, rested - Duration::from_millis(1))), "it rests");
        assert!(reach.has_enough_to_pass(claimed(MANY * 20 + FEW, rested)));
    }

    const SLOW: Duration = Duration::from_millis(21);

    /// After two looks, slow by now, which nothing explains; so many processes take them.
    fn slow(mut reach: Reach, processes: u32, now: Instant) -> Reach {
        let swept = Swept { processes, ..swept() };
        assert_eq!(reach.swept(None, &swept, at(now), now), None);
        assert_eq!(reach.swept(None, &swept, at(now - SLOW), now), None);
        assert_eq!(reach.swept(None, &swept, at(now - SLOW), now), None);
        reach
    }

    #[test]
    fn one_slow_look_or_the_first_is_no_evidence_that_anything_stays() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        for _ in 0..2 {
            assert_eq!(reach.swept(None, &swept(), at(now - SLOW), now), None);
            let rested = claimed(MANY, now + rest_after(SLOW));
            assert!(reach.has_enough_to_pass(rested));
            assert_eq!(reach.next(rested), None);
        }
        assert_eq!(reach.swept(None, &swept(), at(now - SLOW), now), None);
        assert!(!reach.has_enough_to_pass(claimed(MANY, now + rest_after(SLOW))));
    }

    #[test]
    fn what_somebody_had_locked_is_looked_for_in_time_however_many_jobs_there_are() {
        let (dead_after, now) = (Duration::from_secs(10), Instant::now());
        let mut reach = slow(Reach::new(MINUTE, dead_after), 1, now);
        let locked = Swept { lapse_in: Some(Duration::ZERO), ..swept() };
        assert_eq!(reach.swept(None, &locked, at(now - SLOW), now), None);

        assert!(reach.next(claimed(MANY, now + dead_after - Duration::from_millis(1))).is_some());
        assert_eq!(reach.next(claimed(MANY, now + dead_after)), None);
    }

    #[test]
    fn what_is_due_is_looked_over_every_time_while_that_is_quick_and_often_enough_where_it_is_not() {
        let (dead_after, now) = (Duration::from_secs(10), Instant::now());
        let mut reach = Reach::new(MINUTE, dead_after);
        let hundred = Swept { processes: 100, ..swept() };
        let slow = now + Duration::from_secs(2);
        reach.swept(None, &hundred, at(now), slow);

        let since = reach.next(at(slow)).unwrap();
        assert!(since.looks_at_all_that_is_due());
        reach.swept(Some(since), &swept(), at(slow), slow + QUICK / 100);
        assert!(reach.next(at(slow + QUICK)).unwrap().looks_at_all_that_is_due());

        let later = slow + QUICK;
        let whole = slow + MINUTE;
        assert_eq!(reach.swept(Some(since), &swept(), at(slow), later), Some(whole - later), "not for its own sake");
        let since = reach.next(at(later));
        assert_eq!(reach.swept(since, &swept(), at(later), later), Some(dead_after));
        assert!(!reach.next(at(later + dead_after - Duration::from_millis(1))).unwrap().looks_at_all_that_is_due());
        assert!(reach.next(at(later + dead_after)).unwrap().looks_at_all_that_is_due());
    }

    #[test]
    fn the_holds_of_a_process_that_died_are_looked_for_at_once_until_none_are_left() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        let slow = now + Duration::from_secs(1);
        reach.swept(None, &swept(), at(now), slow);
        let since = reach.next(at(slow));

        let died = Swept { died: true, ..swept() };
        assert_eq!(reach.swept(since, &died, at(slow), slow), Some(Duration::ZERO));
        assert_eq!(reach.next(at(slow)), None);
        let rescued = Swept { rescued: 1_000, ..swept() };
        assert_eq!(reach.swept(None, &rescued, at(slow), slow), Some(Duration::ZERO));
        assert_eq!(reach.next(at(slow)), None);
        assert_eq!(reach.swept(None, &swept(), at(now), slow), None);
        assert!(reach.next(at(slow)).is_some());
    }
}
