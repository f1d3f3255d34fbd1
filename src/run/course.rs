//! How far claims have come, and what may lie before.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::{Onward, Place, Sight, Unseen};

/// For each priority the place before which nothing can be claimed, but for what the next claim is told of.
///
/// A place moves on to where a claim has walked, for what the walk saw was claimed. What it did not see, or
/// could not have, keeps the place back or brings it back:
/// - a row that others had locked: the claim tells the first that stays;
/// - a job that came back, or was inserted more than [`ALLOWANCE`] after its time: it bears the number of the
///   transaction that put it there, and the next claim finds all numbers that the snapshot of this one missed;
/// - any other insert that was not committed yet: its time is no earlier than [`ALLOWANCE`] before its
///   transaction came to the table, so no place passes the earliest time of those who may write still.
#[derive(Debug, Default)]
pub(super) struct Course {
    places: BTreeMap<i32, (DateTime<Utc>, i64)>,
    /// The clock of the last claim, and what it could not see.
    at: Option<DateTime<Utc>>,
    unseen: Option<Unseen>,
    writers: Writers,
    /// Some place was kept back by what is known of who may write.
    ask_writers: bool,
}

/// What the table's trigger and default allow a transaction between its begin, or a job's time, and the insert.
const ALLOWANCE: TimeDelta = TimeDelta::seconds(1);

/// More priorities than this are walked in whole: each costs a look into the index.
const PLACES: usize = 32;

impl Course {
    pub(super) fn onward(&self) -> Onward {
        let place = |(&priority, &(schedule, id)): (&i32, &(DateTime<Utc>, i64))| Place { priority, schedule, id };
        Onward {
            places: self.places.iter().map(place).collect(),
            unseen: self.unseen.clone(),
            ask_writers: self.ask_writers || self.writers.mark.is_none(),
        }
    }

    /// Whether claims from it may be shorter than those from the beginning.
    pub(super) fn has_places(&self) -> bool {
        !self.places.is_empty()
    }

    /// Whether claims that go on from it pass by this job.
    pub(super) fn is_past(&self, job: Place) -> bool {
        self.places.get(&job.priority).is_some_and(|place| (job.schedule, job.id) <= *place)
    }

    /// A claim has walked as far as `reached`, or to the end, and has brought jobs of these priorities.
    pub(super) fn walked(&mut self, reached: Option<Place>, priorities: impl Iterator<Item = i32>, sight: &Sight) {
        if self.at.is_some_and(|at| sight.at < at) {
            // The clock was set back, so times say nothing of what came first.
            *self = Self::default();
        }
        for late in &sight.late {
            self.places.entry(late.priority).and_modify(|place| *place = (*place).min((late.schedule, late.id)));
        }
        self.ask_writers = false;
        // Whoever may write was told of after the claim before; this one has seen all that ended since.
        if let Some(mark) = self.writers.mark {
            self.advance(reached, priorities, &sight.remaining, (mark, i64::MIN));
        }
        self.writers.told(sight);
        (self.at, self.unseen) = (Some(sight.at), Some(sight.unseen.clone()));
    }

    fn advance(
        &mut self,
        reached: Option<Place>,
        priorities: impl Iterator<Item = i32>,
        remaining: &[Place],
        mark: (DateTime<Utc>, i64),
    ) {
        let mut walked: Vec<i32> = self.places.keys().copied().collect();
        let room = PLACES.saturating_sub(walked.len());
        let mut fresh: Vec<i32> = priorities.filter(|priority| !self.places.contains_key(priority)).collect();
        fresh.dedup();
        // Nothing is told of a range behind the first job that stays there.
        fresh.retain(|&priority| {
            let from = self.places.range(..priority).next_back().map_or(i32::MIN, |(&from, _)| from);
            !remaining.iter().any(|job| job.priority >= from && job.priority < priority)
        });
        walked.extend(fresh.into_iter().take(room));

        for priority in walked {
            let end = match reached {
                Some(reached) if reached.priority < priority => continue,
                Some(reached) if reached.priority == priority => (reached.schedule, reached.id),
                _ => (DateTime::<Utc>::MAX_UTC, i64::MAX),
            };
            self.ask_writers |= end >= mark;
            let stays = remaining.iter().filter(|job| job.priority == priority).map(|job| (job.schedule, job.id));
            self.places.insert(priority, stays.fold(end.min(mark), Ord::min));
        }
    }
}

/// The transactions that may bring jobs which no claim has seen, each with the earliest time of such a job.
#[derive(Debug, Default)]
struct Writers {
    under_way: HashMap<String, Option<DateTime<Utc>>>,
    /// No job that is yet to be seen has an earlier time, but those that claims are told of.
    mark: Option<DateTime<Utc>>,
    told_at: Option<DateTime<Utc>>,
}

impl Writers {
    /// A claim was asked who may write, if it tells.
    fn told(&mut self, sight: &Sight) {
        let Some(writers) = &sight.writers else {
            return;
        };
        let earliest = |transaction: &str, began: Option<DateTime<Utc>>| {
            if let Some(known) = self.under_way.get(transaction) {
                return *known;
            }
            if transaction.starts_with(PREPARED) {
                // It was there before, by another number.
                return self.mark;
            }
            // It came to the table after it was not told of. When it began only some roles may know.
            self.told_at.max(began).map(|earliest| earliest - ALLOWANCE)
        };
        self.under_way = writers.iter().map(|(number, began)| (number.clone(), earliest(number, *began))).collect();
        let now = Some(sight.at - ALLOWANCE);
        self.mark = self.under_way.values().copied().chain([now]).min().flatten();
        self.told_at = Some(sight.at);
    }
}

/// How the number of a prepared transaction begins, which belongs to no session.
const PREPARED: &str = "-1/";

#[cfg(test)]
mod tests {
    use super::*;

    /// A time, in seconds after some other.
    fn second(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000_000 + seconds)
    }

    fn place(priority: i32, seconds: i64, id: i64) -> Place {
        Place { priority, schedule: second(seconds), id }
    }

    /// What a claim sees at this time if nothing is in the way.
    fn sight(at: i64, writers: &[(&str, Option<i64>)]) -> Sight {
        let writers = writers.iter().map(|(number, began)| ((*number).to_owned(), began.map(second)));
        Sight {
            at: second(at),
            unseen: Unseen { from: at.to_string(), under_way: vec![] },
            late: vec![],
            remaining: vec![],
            writers: Some(writers.collect()),
        }
    }

    /// A course whose last claim was at 100 s and brought jobs of two priorities.
    fn course() -> Course {
        let mut course = Course::default();
        course.walked(None, [0, 5].into_iter(), &sight(90, &[]));
        course.walked(Some(place(5, 20, 7)), [0, 5].into_iter(), &sight(100, &[]));
        course
    }

    fn places(course: &Course) -> Vec<Place> {
        course.onward().places
    }

    #[test]
    fn no_place_is_known_before_it_is_known_who_may_write() {
        let mut course = Course::default();
        assert!(course.onward().ask_writers);
        course.walked(Some(place(0, 20, 7)), [0].into_iter(), &sight(90, &[]));
        assert_eq!(places(&course), []);
    }

    #[test]
    fn places_move_to_where_a_claim_has_ended_and_no_further_than_an_insert_may_come() {
        let course = course();
        assert_eq!(places(&course), [place(0, 89, i64::MIN), place(5, 20, 7)]);
        assert_eq!(course.onward().unseen.unwrap().from, "100");
        assert!(course.onward().ask_writers, "the mark of 90 s keeps the first place back");
    }

    #[test]
    fn a_place_that_no_claim_came_to_stays() {
        let mut course = course();
        course.walked(Some(place(0, 95, 9)), [0].into_iter(), &sight(110, &[]));
        assert_eq!(places(&course), [place(0, 95, 9), place(5, 20, 7)]);
    }

    #[test]
    fn what_stays_and_what_came_back_keep_places_before_them() {
        let mut course = course();
        let mut seen = sight(110, &[]);
        seen.remaining = vec![place(0, 30, 3)];
        seen.late = vec![place(5, 10, 1), place(9, 1, 1)];
        course.walked(Some(place(0, 95, 9)), [0].into_iter(), &seen);
        assert_eq!(places(&course), [place(0, 30, 3), place(5, 10, 1)]);
    }

    #[test]
    fn no_new_place_is_taken_behind_what_stays_in_the_same_range() {
        let mut course = course();
        let mut seen = sight(110, &[]);
        seen.remaining = vec![place(1, 30, 3), place(6, 30, 4)];
        course.walked(None, [0, 2, 5, 7].into_iter(), &seen);
        let priorities: Vec<_> = places(&course).iter().map(|place| place.priority).collect();
        assert_eq!(priorities, [0, 5]);
        assert_eq!(places(&course)[1], place(5, 99, i64::MIN), "what stays behind it does not keep it back");
    }

    #[test]
    fn there_are_no_more_places_than_are_worth_a_look_each() {
        let mut course = course();
        course.walked(None, 0..1_000, &sight(110, &[]));
        assert_eq!(places(&course).len(), PLACES);
    }

    #[test]
    fn a_transaction_that_writes_keeps_places_from_passing_its_inserts_until_it_ends() {
        let mut writers = Writers::default();
        writers.told(&sight(100, &[]));
        assert_eq!(writers.mark, Some(second(99)));
        // Which came to the table after 100 s; when it began, nobody may know.
        writers.told(&sight(110, &[("3/7", None)]));
        assert_eq!(writers.mark, Some(second(99)));
        writers.told(&sight(120, &[("3/7", None), ("4/1", Some(118))]));
        assert_eq!(writers.mark, Some(second(99)));
        writers.told(&sight(130, &[("4/1", None)]));
        assert_eq!(writers.mark, Some(second(117)));
        // It was prepared and bears another number after a crash of the server.
        writers.told(&sight(140, &[("-1/700", None)]));
        assert_eq!(writers.mark, Some(second(117)));
        writers.told(&sight(150, &[]));
        assert_eq!(writers.mark, Some(second(149)));
    }

    #[test]
    fn a_transaction_that_was_there_first_and_tells_nothing_allows_no_mark_until_it_ends() {
        let mut writers = Writers::default();
        writers.told(&sight(100, &[("3/7", None), ("4/1", Some(80))]));
        assert_eq!(writers.mark, None);
        writers.told(&sight(110, &[("4/1", Some(80))]));
        assert_eq!(writers.mark, Some(second(79)));
    }

    #[test]
    fn a_clock_that_was_set_back_ends_the_course() {
        let mut course = course();
        course.walked(Some(place(0, 50, 9)), [0].into_iter(), &sight(60, &[]));
        assert_eq!(places(&course), []);
    }
}
