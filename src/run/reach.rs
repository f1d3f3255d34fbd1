//! How far the next sweep looks.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{Since, Swept};

/// Whether sweeps look over everything, as they do while that is quick.
///
/// A look over everything passes the index entries of all jobs that have been held since the last one, for they stay until
/// somebody has passed them, and jobs wait meanwhile. So it is taken again before those are many. Where it takes long all
/// the same, some transaction may see them still, and they stay: then the sweeps in between look on from where the last one
/// ended; those of what has come due do so by themselves, for a job may come that was due before.
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
    ended: Instant,
    /// How many in a row have taken longer than it takes to pass what was new: whatever they passed stays.
    slow: u32,
    /// When the next may be taken, and when it is due even if it passes many.
    rests: Instant,
    due: Instant,
}

impl Whole {
    /// When the next is due, if this process and others like it have claimed so many by now.
    fn next(&self, processes: u32, claimed: u64) -> Instant {
        if self.has_some_to_pass(claimed) {
            self.ended
        // One slow look may have been the disk or the processor.
        } else if self.slow < 2 || self.more(claimed).saturating_mul(processes.into()) < MANY {
            self.rests
        } else {
            self.due
        }
    }

    fn has_some_to_pass(&self, claimed: u64) -> bool {
        self.slow == 0 && self.more(claimed) >= FEW
    }

    /// How many more than by then this process has claimed by now.
    fn more(&self, claimed: u64) -> u64 {
        claimed.saturating_sub(self.claimed)
    }
}

impl Reach {
    /// However many processes there are, what only a look over everything finds is found within a poll interval, and
    /// within the time after which a process counts as dead if it is known that there is something. What a process held
    /// that has died is found at once, unless somebody has it locked.
    pub(crate) fn new(poll_interval: Duration, dead_after: Duration) -> Self {
        let often_enough = (poll_interval.min(dead_after), poll_interval.min(SELDOM));
        Self { often_enough, since: None, processes: 1, due: None, whole: None }
    }

    /// Whether this process has claimed so many jobs by now that a look over everything had better be taken at once.
    pub(crate) fn has_some_to_pass(&self, claimed: u64) -> bool {
        self.whole.as_ref().is_some_and(|whole| whole.has_some_to_pass(claimed))
    }

    /// Where a sweep is to start that begins now; none means that it looks over everything.
    pub(crate) fn next(&self, begun: Begun) -> Option<Since> {
        let whole = self.whole.as_ref()?.next(self.processes, begun.claimed);
        let since = self.since.filter(|_| begun.at < whole)?;
        let rests = self.due.is_some_and(|due| begun.at < due);
        Some(if rests { since } else { since.and_all_that_is_due() })
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
            let slow = self.slow(took, begun.claimed);
            self.whole = Some(Whole { claimed: begun.claimed, ended: now, slow, rests: now + rest, due });
            self.due = None;
            return None;
        };
        if since.looks_at_all_that_is_due() {
            self.due = self.rest(self.often_enough.0, now - begun.at).map(|rest| now + rest);
        }
        // One that takes long is no reason to sweep again after itself.
        let due = self.due.filter(|_| !since.looks_at_all_that_is_due());
        let whole = self.whole.as_ref().map(|whole| whole.next(self.processes, begun.claimed));
        [whole, due].into_iter().flatten().min().map(|next| next.saturating_duration_since(now))
    }

    /// How many looks over everything in a row have been too slow, with this one that took so long.
    fn slow(&self, took: Duration, claimed: u64) -> u32 {
        let (slow, more) = self.whole.as_ref().map_or((0, 0), |whole| (whole.slow, whole.more(claimed)));
        let explained =
            QUICK + Duration::from_nanos(more.saturating_mul(self.processes.into()).saturating_mul(PASSED_NS));
        if took > explained { slow.saturating_add(1) } else { 0 }
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

/// To pass the entries of so many jobs takes less than half of that, at a fifth of a microsecond each, of which a job has
/// two.
const FEW: u64 = 20_000;

/// To pass the entries of so many takes as long as that.
const MANY: u64 = 50_000;

/// To pass those of one job takes no longer.
const PASSED_NS: u64 = 500;

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
        let two = Swept { processes: 2, ..swept() };
        let slow = now + QUICK;
        assert_eq!(reach.swept(None, &two, claimed(1_000, now), slow), None);
        assert!(!reach.has_some_to_pass(1_000 + FEW - 1));
        assert!(reach.next(claimed(1_000 + FEW - 1, slow)).is_some(), "it rests");
        assert!(reach.has_some_to_pass(1_000 + FEW));
        assert_eq!(reach.next(claimed(1_000 + FEW, slow)), None);
    }

    #[test]
    fn what_stays_although_it_was_passed_is_passed_once_a_poll_interval() {
        let now = Instant::now();
        let mut reach = stays(Reach::new(MINUTE, MINUTE), now);
        assert!(!reach.has_some_to_pass(MANY));
        assert_eq!(reach.next(claimed(MANY - 1, now + rest_after(SLOW))), None);
        let since = reach.next(claimed(MANY, now + rest_after(SLOW)));
        assert!(since.is_some());
        assert_eq!(reach.swept(since, &swept(), claimed(MANY, now), now), Some(MINUTE));
        assert_eq!(reach.next(claimed(MANY, now + MINUTE)), None);

        // Nobody sees it any more.
        assert_eq!(reach.swept(None, &swept(), claimed(MANY, now), now + QUICK), None);
        assert!(reach.has_some_to_pass(MANY + FEW));
    }

    const SLOW: Duration = Duration::from_millis(21);

    /// After two looks which were slow by now, that could not be explained.
    fn stays(mut reach: Reach, now: Instant) -> Reach {
        assert_eq!(reach.swept(None, &swept(), at(now - SLOW * 30), now - SLOW * 29), None);
        assert_eq!(reach.swept(None, &swept(), at(now - SLOW), now), None);
        reach
    }

    #[test]
    fn one_slow_look_is_no_evidence_that_anything_stays() {
        let (mut reach, now) = (Reach::new(MINUTE, MINUTE), Instant::now());
        assert_eq!(reach.swept(None, &swept(), at(now), now + SLOW), None);
        assert!(!reach.has_some_to_pass(MANY));
        let rested = now + SLOW + rest_after(SLOW);
        assert_eq!(reach.next(claimed(MANY, rested)), None);

        // It had as many to pass.
        assert_eq!(reach.swept(None, &swept(), claimed(MANY, rested), rested + SLOW), None);
        assert!(reach.has_some_to_pass(MANY + FEW));
    }

    #[test]
    fn what_somebody_had_locked_is_looked_for_in_time_however_many_jobs_there_are() {
        let (dead_after, now) = (Duration::from_secs(10), Instant::now());
        let mut reach = stays(Reach::new(MINUTE, dead_after), now);
        let locked = Swept { lapse_in: Some(Duration::ZERO), ..swept() };
        let slow = now + SLOW;
        assert_eq!(reach.swept(None, &locked, at(now), slow), None);

        assert!(reach.next(claimed(MANY, slow + dead_after - Duration::from_millis(1))).is_some());
        assert_eq!(reach.next(claimed(MANY, slow + dead_after)), None);
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
