//! Small things that many pages have.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use crate::{
    job::State,
    operate::{Figure, JobRow, span},
    web::{post::MARK, verb::Verb, visit::Visit},
};

/// A state as its word, with a mark in its colour.
pub(crate) fn state(state: State) -> Markup {
    html! { span class={ "state " (class(state)) } { (word(state)) } }
}

pub(crate) fn class(state: State) -> &'static str {
    match state {
        State::Scheduled => "scheduled",
        State::Available => "available",
        State::Reserved => "reserved",
        State::InProgress => "running",
        State::Retry => "retry",
        State::Failed => "failed",
    }
}

/// As the table has it, for people to recognise, but in no capitals.
pub(crate) fn word(state: State) -> String {
    state.as_str().to_lowercase().replace('_', " ")
}

/// A moment, to the second; the rest is in its title.
pub(crate) fn moment(at: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339()) title=(at.format("%Y-%m-%d %H:%M:%S%.6f UTC")) {
            span class="day" { (at.format("%Y-%m-%d")) } " " (at.format("%H:%M:%SZ"))
        }
    }
}

/// How long ago, or in what time, by the database's clock.
pub(crate) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let passed = now - at;
    html! {
        time datetime=(at.to_rfc3339()) title=(at.format("%Y-%m-%d %H:%M:%S%.6f UTC")) {
            @if passed < TimeDelta::zero() { "in " (span(-passed)) } @else { (span(passed)) " ago" }
        }
    }
}

/// A number of jobs; an estimate says that it is one.
pub(crate) fn figure(figure: Figure) -> Markup {
    html! {
        @if !figure.exact { abbr title="an estimate" { "≈" } }
        (thousands(figure.jobs))
    }
}

pub(crate) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{}{}", if number < 0 { "-" } else { "" }, groups.join(","))
}

/// "1 job", "2 jobs".
pub(crate) fn jobs(number: usize) -> String {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    format!("{} {}", thousands(number), if number == 1 { "job" } else { "jobs" })
}

/// The type of a job, or that it has none.
pub(crate) fn kind(kind: Option<&str>) -> Markup {
    html! {
        @match kind {
            Some(kind) => { bdi class="kind" { (kind) } }
            None => { span class="quiet" { "no type" } }
        }
    }
}

/// The process that holds a job.
pub(crate) fn process(job: &JobRow) -> Option<String> {
    match (job.node, &job.process) {
        (Some(node), Some(name)) => Some(format!("{node}, {name}")),
        (Some(node), None) => Some(node.to_string()),
        (None, _) => None,
    }
}

/// What proves that a form is from here.
pub(crate) fn mark(visit: &Visit) -> Markup {
    html! { input type="hidden" name=(MARK) value=(visit.token.mark()); }
}

/// A verb's button, in a form that sends which one was pressed.
pub(crate) fn button(verb: Verb) -> Markup {
    html! { button name="do" value=(verb.word()) class=[verb.destroys().then_some("bad")] { (verb.label()) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counted_in_the_right_number() {
        assert_eq!((thousands(-1_234_567), thousands(0)), ("-1,234,567".into(), "0".into()));
        assert_eq!((jobs(1), jobs(1_000)), ("1 job".into(), "1,000 jobs".into()));
    }
}
