//! Where the next claim starts: at the beginning, or where claims have come to.

use std::time::Duration;

use tokio::time::Instant;

use super::{course::Course, reach::rest_after};
use crate::store::{Claim, Onward, Place};

/// Whether claims walk over the index entries of jobs long gone, and the way around those.
///
/// While any transaction may still see the jobs that were claimed, their entries stay in front of all others, and the
/// pages that were theirs until a vacuum comes by.
/// Claims that walk far more than they bring go on from a [`Course`]. A claim from the beginning looks from
/// time to time whether this is needed still; it finds too what somebody put before the course by an UPDATE of
/// their own. Once something is no longer paused, a new course begins. A process begins as if it were needed: what
/// others have left behind is walked over once then.
#[derive(Debug)]
pub(crate) struct Progress {
    /// A walk is long that is this much longer than ten entries a job.
    tolerance: u64,
    course: Option<Course>,
    /// When a claim from the beginning is due, and how long the last walked in vain.
    beginning: Option<Instant>,
    walked: u64,
    /// So many claims in a row have walked further from the course than from the beginning.
    vain: u32,
    /// No course helps before this.
    helpless: Option<Instant>,
    /// What was paused, and so was passed over as if it were not there.
    paused: Vec<String>,
}

/// Entries that nobody minds walking over.
const TOLERANCE: u64 = 1_000;

/// A page takes as long as so many entries, however few of its entries count.
const PAGE: u64 = 10;

/// A claim from the beginning comes no more often and no more seldom than this.
const BEGINNING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// After so many vain claims no course is tried for so long: a walk may be long for other reasons, such as rows
/// that somebody has locked, or statistics by which the planner expects next to none and so reads all.
const VAIN: (u32, Duration) = (8, Duration::from_secs(5));

impl Default for Progress {
    fn default() -> Self {
        Self::tolerating(TOLERANCE)
    }
}

impl Progress {
    pub(crate) fn tolerating(tolerance: u64) -> Self {
        Self {
            tolerance,
            course: Some(Course::default()),
            beginning: None,
            walked: 0,
            vain: 0,
            helpless: None,
            paused: Vec::new(),
        }
    }

    /// Where the next claim is to start; none means at the beginning.
    pub(crate) fn next(&self, now: Instant) -> Option<Onward> {
        let course = self.course.as_ref()?;
        self.beginning.is_none_or(|due| now < due).then(|| course.onward())
    }

    /// A claim for so many jobs has brought this; says whether there may be jobs that it passed by.
    pub(crate) fn claimed(&mut self, wanted: usize, claim: &Claim, began: Instant, now: Instant) -> bool {
        let resumed = self.paused.iter().any(|kind| !claim.paused.contains(kind));
        self.paused.clone_from(&claim.paused);
        let Some(sight) = &claim.sight else {
            if let Some(course) = &mut self.course
                && (resumed || claim.moved || reached(wanted, claim).is_some_and(|place| course.is_past(place)))
            {
                // There may be more before its places than one claim brings.
                *course = Course::default();
            }
            self.walked_from_the_beginning(claim, began, now);
            return false;
        };
        if claim.moved || resumed {
            // These jobs may lie before the place that the claim came to, and where one moved, the claim was no short one for
            // want of others.
            self.course = Some(Course::default());
            return resumed;
        }
        let priorities = claim.jobs.iter().map(|job| job.priority);
        let course = self.course.get_or_insert_default();
        let had_places = course.has_places();
        course.walked(reached(wanted, claim), priorities, sight);
        self.vain = if had_places && in_vain(claim) > self.walked { self.vain + 1 } else { 0 };
        if self.vain >= VAIN.0 {
            (self.course, self.vain, self.helpless) = (None, 0, Some(now + VAIN.1));
        }
        if !had_places && wanted > 0 {
            self.walked_from_the_beginning(claim, began, now);
        }
        false
    }

    fn walked_from_the_beginning(&mut self, claim: &Claim, began: Instant, now: Instant) {
        self.walked = in_vain(claim);
        if self.walked <= self.tolerance {
            self.course = None;
        } else if self.helpless.is_none_or(|until| until <= now) {
            self.course.get_or_insert_default();
        }
        self.beginning = Some(now + rest_after(now - began).clamp(BEGINNING.0, BEGINNING.1));
    }

    /// How long until a claim from the beginning is due, if claims go on from a course.
    pub(crate) fn beginning_in(&self, now: Instant) -> Option<Duration> {
        self.course.as_ref()?;
        self.beginning.map(|due| due.saturating_duration_since(now))
    }
}

/// The last job of a claim that may have left others behind it.
fn reached(wanted: usize, claim: &Claim) -> Option<Place> {
    let last = claim.jobs.last().filter(|_| claim.jobs.len() >= wanted)?;
    Some(Place { priority: last.priority, schedule: last.schedule, id: last.id })
}

/// How much longer a claim's walk was than ten entries a job.
fn in_vain(claim: &Claim) -> u64 {
    let brought = u64::try_from(claim.jobs.len()).unwrap_or(u64::MAX);
    let walked = claim.walked.saturating_add(claim.pages.saturating_mul(PAGE));
    walked.saturating_sub(brought.saturating_mul(10))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::store::{Sight, Unseen};

    const MINUTE: Duration = Duration::from_secs(60);

    /// What a claim sees if nothing is in the way.
    fn sight() -> Sight {
        Sight {
            at: DateTime::UNIX_EPOCH,
            unseen: Unseen { from: "3".to_owned(), under_way: vec![] },
            late: vec![],
            remaining: vec![],
            writers: Some(vec![]),
        }
    }

    fn claim(jobs: usize, walked: u64, sight: Option<Sight>) -> Claim {
        let job = crate::job::Reserved {
            id: 1,
            lease: 0,
            kind: None,
            attempt: 0,
            max_attempts: 5,
            priority: 0,
            schedule: DateTime::UNIX_EPOCH,
            inserted_at: DateTime::UNIX_EPOCH,
            notify: None,
            params: crate::job::RawParams::Json("{}".into()),
            began: None,
        };
        Claim { jobs: vec![job; jobs], due_in: None, walked, pages: 0, paused: vec![], moved: false, sight }
    }

    #[test]
    fn a_process_looks_about_before_its_first_walk_and_goes_on_from_that_if_it_was_long() {
        for (walked, long) in [(1_900, false), (2_100, true)] {
            let (mut progress, now) = (Progress::default(), Instant::now());
            assert!(progress.next(now).is_some_and(|onward| onward.is_blind()));

            progress.claimed(0, &claim(0, 0, Some(sight())), now, now);
            assert!(progress.next(now).is_some_and(|onward| !onward.is_blind()));
            progress.claimed(100, &claim(100, walked, Some(sight())), now, now);

            let onward = progress.next(now);
            assert_eq!(onward.is_some(), long);
            assert_eq!(onward.map_or(0, |onward| onward.places.len()), usize::from(long));
        }
    }

    #[test]
    fn claims_go_on_from_a_course_only_after_a_long_walk_and_look_at_times_whether_it_is_long_still() {
        let (mut progress, now) = (Progress::default(), Instant::now());
        progress.claimed(100, &claim(100, 1_900, None), now, now);
        assert_eq!(progress.next(now), None);

        let slow = now + Duration::from_millis(500);
        progress.claimed(100, &claim(100, 2_100, None), now, slow);
        assert!(progress.next(slow + Duration::from_millis(9_499)).is_some(), "at most a twentieth of the time");
        assert_eq!(progress.next(slow + Duration::from_millis(9_500)), None);
        assert_eq!(progress.beginning_in(slow), Some(Duration::from_millis(9_500)));

        let slower = now + MINUTE;
        progress.claimed(100, &claim(100, 2_100, None), now, slower);
        assert_eq!(progress.beginning_in(slower), Some(MINUTE), "but no more seldom than this");

        progress.claimed(0, &claim(0, 0, Some(sight())), now, now);
        progress.claimed(100, &claim(1, 2_100, Some(sight())), now, now);
        assert!(progress.next(now).is_some());
        progress.claimed(100, &claim(0, 900, None), now, now);
        assert_eq!((progress.next(now), progress.beginning_in(now)), (None, None));
    }

    #[test]
    fn pages_without_an_entry_that_counts_make_a_walk_long_too() {
        for (pages, long) in [(180, false), (200, true)] {
            let (mut progress, now) = (Progress::default(), Instant::now());
            progress.claimed(100, &Claim { pages, ..claim(100, 101, None) }, now, now);
            assert_eq!(progress.next(now).is_some(), long);
        }
    }

    #[test]
    fn a_course_that_shortens_no_walk_is_given_up_for_a_while() {
        let (mut progress, now) = (Progress::default(), Instant::now());
        let onward = |walked| claim(1, walked, Some(sight()));
        progress.claimed(1, &claim(1, 5_000, None), now, now);
        progress.claimed(0, &onward(0), now, now);
        progress.claimed(1, &onward(5_000), now, now);
        for walked in [9_000, 9_000, 20, 9_000, 9_000, 9_000, 9_000, 9_000, 9_000, 9_000] {
            progress.claimed(1, &onward(walked), now, now);
            assert!(progress.next(now).is_some());
        }
        progress.claimed(1, &onward(9_000), now, now);
        assert_eq!(progress.next(now), None);

        progress.claimed(1, &claim(1, 5_000, None), now, now);
        assert_eq!(progress.next(now), None);
        let later = now + VAIN.1;
        progress.claimed(1, &claim(1, 5_000, None), later, later);
        assert!(progress.next(later).is_some());
    }
}
