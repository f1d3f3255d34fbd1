//! How many jobs one statement of a walk looks through, so that it takes no longer where each look is dear.

use std::time::Duration;

use super::Filter;

/// So many at most: some ten milliseconds of the server's time, where no look goes beyond a row's columns.
pub(super) const MOST: i64 = 20_000;

/// So many at first, where the looks go into params or errors: these may be a megabyte each.
const FIRST: i64 = 500;

/// A statement that is quicker than this may look through twice as many, and one that takes four times as long through half.
const QUICK: Duration = Duration::from_millis(50);

/// The pace of one walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace(i64);

impl Pace {
    pub(super) fn of(filter: &Filter) -> Self {
        let Filter { kind, error, params, .. } = filter;
        Self(if kind.is_some() || error.is_some() || params.is_some() { FIRST } else { MOST })
    }

    /// How many jobs the next statement looks through.
    pub(super) fn window(self) -> i64 {
        self.0
    }

    /// The pace after a statement that took so long.
    pub(super) fn after(self, took: Duration) -> Self {
        if took < QUICK {
            Self((self.0 * 2).min(MOST))
        } else if took > QUICK * 4 {
            Self((self.0 / 2).max(1))
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_that_looks_into_jobs_begins_slowly_and_keeps_the_pace_that_it_can() {
        let (quick, slow) = (Duration::from_millis(1), Duration::from_secs(1));
        let plain = Pace::of(&Filter { node: Some(7), ..Filter::default() });
        let deep = Pace::of(&Filter { error: Some("smtp".into()), ..Filter::default() });

        assert_eq!((plain.window(), plain.after(quick).window()), (MOST, MOST));
        assert_eq!(deep.window(), FIRST);
        assert_eq!((0..9).fold(deep, |pace, _| pace.after(quick)).window(), MOST);
        assert_eq!((0..99).fold(deep, |pace, _| pace.after(slow)).window(), 1);
        assert_eq!(deep.after(QUICK * 2), deep);
    }
}
