//! The orders in which jobs can be walked, each that of an index, so that a page starts where the last one ended.

use super::Filter;
use crate::job::State;

/// One index, and the jobs that are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// All jobs, the newest first.
    All,
    /// Those that are held, in the order in which their holds end.
    Held,
    /// Those that can be claimed, in the order in which they will be.
    Available,
    /// Those that wait for their time, the next first.
    Due,
    /// Those that failed, the latest first.
    Failed,
    /// Those that are completed and kept, the latest first; they are in a table of their own.
    Completed,
}

const EACH: [Walk; 5] = [Walk::All, Walk::Held, Walk::Available, Walk::Due, Walk::Failed];

impl Walk {
    /// Those that find the jobs of a filter, one after the other.
    pub(super) fn of(filter: &Filter) -> Vec<Walk> {
        let wanted = |walk: &Walk| filter.states.iter().any(|state| walk.has(*state));
        let all = filter.states.is_empty() || State::ALL.iter().all(|state| filter.states.contains(state));
        if all || filter.ids.is_some() {
            return vec![Walk::All];
        }
        EACH.into_iter().skip(1).filter(wanted).collect()
    }

    fn has(self, state: State) -> bool {
        match self {
            Walk::All => true,
            Walk::Held => matches!(state, State::Reserved | State::InProgress),
            Walk::Available => state == State::Available,
            Walk::Due => matches!(state, State::Scheduled | State::Retry),
            Walk::Failed => state == State::Failed,
            Walk::Completed => false,
        }
    }

    pub(super) fn letter(self) -> char {
        match self {
            Walk::All => 'a',
            Walk::Held => 'h',
            Walk::Available => 'w',
            Walk::Due => 'd',
            Walk::Failed => 'f',
            Walk::Completed => 'c',
        }
    }

    pub(super) fn of_letter(text: &str) -> Option<Walk> {
        let mut letters = text.chars();
        let letter = letters.next().filter(|_| letters.as_str().is_empty())?;
        EACH.into_iter().chain([Walk::Completed]).find(|walk| walk.letter() == letter)
    }

    /// The condition by which the rows behind `$3` to `$5` are in the index.
    ///
    /// The place is hidden from the planner in subqueries. Where it sees one it takes what lies behind it for a small part of
    /// the table, and reads and sorts all of that for each page, for it does not know that what waits for its time is also
    /// what has its time to come.
    pub(super) fn condition(self, ids: bool) -> &'static str {
        match self {
            Walk::All if ids => "id = ANY ($12) AND ($5::bigint IS NULL OR id < $5)",
            Walk::All => "($5::bigint IS NULL OR id < $5)",
            Walk::Held => {
                "state IN ('RESERVED', 'IN_PROGRESS') AND ($5::bigint IS NULL OR (expires, id) > ((SELECT $4::timestamptz), (SELECT $5)))"
            }
            Walk::Available => {
                "state = 'AVAILABLE' AND ($5::bigint IS NULL OR (priority, schedule, id) > ((SELECT $3::integer), (SELECT $4::timestamptz), (SELECT $5)))"
            }
            Walk::Due => {
                "state IN ('SCHEDULED', 'RETRY') AND ($5::bigint IS NULL OR (schedule, id) > ((SELECT $4::timestamptz), (SELECT $5)))"
            }
            // No job of this table is one.
            Walk::Completed => "false",
            Walk::Failed => {
                "state = 'FAILED' AND ($5::bigint IS NULL OR (updated_at, id) < ((SELECT $4::timestamptz), (SELECT $5)))"
            }
        }
    }

    pub(super) fn order(self) -> &'static str {
        match self {
            Walk::All => "id DESC",
            Walk::Held => "expires, id",
            Walk::Available => "priority, schedule, id",
            Walk::Due => "schedule, id",
            Walk::Failed | Walk::Completed => "updated_at DESC, id DESC",
        }
    }

    /// The time in a row's place.
    pub(super) fn time(self) -> &'static str {
        match self {
            Walk::All => "job.inserted_at",
            Walk::Held => "job.expires",
            Walk::Available | Walk::Due => "job.schedule",
            Walk::Failed | Walk::Completed => "job.updated_at",
        }
    }
}
