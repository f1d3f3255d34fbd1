//! What the processes have written down of each minute, as steps of equal length without a gap.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use tokio_postgres::Row;

use super::Quantiles;
use crate::{
    run::journal::Histogram,
    store::{FINE, KEPT, QUARTER},
};

const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// What jobs did in a step of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Throughput {
    /// The step's beginning.
    pub from: DateTime<Utc>,
    /// Jobs that were inserted since the last minute before in which an attempt began or ended; none if that is not known.
    /// Those of transactions that rolled back count too.
    pub inserted: Option<i64>,
    /// Attempts that began.
    pub started: i64,
    /// Jobs that were completed.
    pub completed: i64,
    /// Attempts that failed.
    pub failed: i64,
}

/// What jobs did in a step of time, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// How many there were.
    #[serde(flatten)]
    pub throughput: Throughput,
    /// How long jobs had waited when they began, since they could have; none if none began.
    pub waited: Option<Quantiles>,
    /// How long attempts took; none if none ended.
    pub ran: Option<Quantiles>,
}

/// Steps of equal length, which begin with minutes or with quarters of an hour; the last is the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    /// How long each is.
    pub(super) length: TimeDelta,
    number: i64,
}

/// What was read of the minutes.
pub(super) struct Read<'a> {
    pub(super) now: DateTime<Utc>,
    /// From when on it is whole.
    pub(super) since: DateTime<Utc>,
    /// By their minutes, or the first one of those that have become one; those before `since` tell only the counter.
    minutes: BTreeMap<DateTime<Utc>, Vec<Seen<'a>>>,
    steps: Steps,
}

/// What jobs of a type did in a minute, or in a quarter of an hour that is long over.
pub(super) struct Seen<'a> {
    pub(super) kind: &'a str,
    pub(super) started: i64,
    pub(super) completed: i64,
    pub(super) failed: i64,
    pub(super) waited: Histogram,
    pub(super) ran: Histogram,
    /// The table's counter by then.
    inserted: i64,
}

impl Steps {
    /// Those of this time until now.
    pub(super) fn of(span: Duration) -> Self {
        let minutes = i64::try_from(span.min(KEPT).as_secs().div_ceil(60)).unwrap_or(1).max(1);
        let length = if span <= FINE { MINUTE } else { QUARTER };
        let number = (minutes + length.num_minutes() - 1) / length.num_minutes();
        Self { length, number }
    }

    /// All of them together.
    pub(super) fn seconds(self) -> i64 {
        self.length.num_seconds() * self.number
    }
}

impl<'a> Read<'a> {
    /// Takes the rows, in whatever order.
    pub(super) fn of(rows: &'a [Row], steps: Steps) -> Self {
        let (now, mut since, cut) = match rows.first() {
            Some(row) => (row.get("now"), row.get("since"), row.get("cut")),
            // A row comes always.
            None => (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH, false),
        };
        let mut minutes: BTreeMap<DateTime<Utc>, Vec<Seen<'_>>> = BTreeMap::new();
        for row in rows {
            if let Some(minute) = row.get("minute") {
                minutes.entry(minute).or_default().push(Seen::of(row));
            }
        }
        if let Some(earliest) = minutes.keys().next().filter(|_| cut) {
            // The first step that begins later is whole, and begins with a minute whose predecessor is known.
            let passed = (*earliest - since).num_seconds() / steps.length.num_seconds() + 1;
            since += steps.length * i32::try_from(passed).unwrap_or(i32::MAX);
        }
        Self { now, since, minutes, steps }
    }

    /// What was seen in the time that is told of.
    pub(super) fn seen(&self) -> impl Iterator<Item = &Seen<'a>> {
        self.minutes.range(self.since..).flat_map(|(_, seen)| seen)
    }

    /// How many jobs came in and went out, step by step.
    pub(super) fn throughput(&self) -> Vec<Throughput> {
        let mut told = self.empty();
        let mut before = None;
        for (minute, seen) in &self.minutes {
            let counter = seen.iter().map(|seen| seen.inserted).max();
            // The server's counters may have been reset in between.
            let inserted = before.zip(counter).map(|(before, counter): (i64, i64)| counter - before);
            before = counter;
            let Some(step) = self.place(*minute).and_then(|place| told.get_mut(place)) else { continue };
            let inserted = inserted.filter(|inserted| *inserted >= 0);
            step.inserted = step.inserted.zip(inserted).map(|(sum, inserted)| sum + inserted);
            for seen in seen {
                step.started += seen.started;
                step.completed += seen.completed;
                step.failed += seen.failed;
            }
        }
        told
    }

    /// The same with times.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut times = vec![(Histogram::default(), Histogram::default()); self.empty().len()];
        for (minute, seen) in self.minutes.range(self.since..) {
            let Some((waited, ran)) = self.place(*minute).and_then(|place| times.get_mut(place)) else { continue };
            for seen in seen {
                waited.add(&seen.waited);
                ran.add(&seen.ran);
            }
        }
        let step = |(throughput, (waited, ran)): (_, (Histogram, Histogram))| Step {
            throughput,
            waited: Quantiles::of(&waited),
            ran: Quantiles::of(&ran),
        };
        self.throughput().into_iter().zip(times).map(step).collect()
    }

    fn empty(&self) -> Vec<Throughput> {
        let from = std::iter::successors(Some(self.since), |from| Some(*from + self.steps.length));
        let from = from.take_while(|from| *from <= self.now);
        from.map(|from| Throughput { from, inserted: Some(0), started: 0, completed: 0, failed: 0 }).collect()
    }

    fn place(&self, minute: DateTime<Utc>) -> Option<usize> {
        let passed = (minute >= self.since).then(|| (minute - self.since).num_seconds())?;
        usize::try_from(passed / self.steps.length.num_seconds()).ok()
    }
}

impl<'a> Seen<'a> {
    fn of(row: &'a Row) -> Self {
        Self {
            kind: row.get("kind"),
            started: row.get("started"),
            completed: row.get("completed"),
            failed: row.get("failed"),
            waited: Histogram(row.get("waited")),
            ran: Histogram(row.get("ran")),
            inserted: row.get("inserted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_told_by_the_minute_and_a_day_by_the_quarter_and_no_more_than_is_kept() {
        let told = |seconds| {
            let steps = Steps::of(Duration::from_secs(seconds));
            (steps.length.num_minutes(), steps.number)
        };

        assert_eq!((told(0), told(61), told(3_600)), ((1, 1), (1, 2), (1, 60)));
        assert_eq!((told(86_400), told(u64::MAX)), ((15, 96), (15, 192)));
    }
}
