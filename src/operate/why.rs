//! Why a job does not run right now, in words.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Row;

use super::{JobRow, jobs::BEFORE};
use crate::job::State;

/// What `show.sql` tells beside the row.
pub(super) fn why(job: &JobRow, row: &Row) -> String {
    let now: DateTime<Utc> = row.get("now");
    let holder = Holder { dead_at: row.get("dead_at"), alive: row.get("alive") };
    let told = tell(job, now, row.get("before"), &holder);
    let held = matches!(job.state, State::Reserved | State::InProgress | State::Failed);
    if row.get("paused") && !held { format!("Its queue or its type is paused: resume it first. {told}") } else { told }
}

struct Holder {
    /// When its silence counts as death, if it is known at all.
    dead_at: Option<DateTime<Utc>>,
    /// How many processes were heard from.
    alive: i64,
}

fn tell(job: &JobRow, now: DateTime<Utc>, before: Option<i64>, holder: &Holder) -> String {
    let process = || match (&job.process, job.node) {
        (Some(name), Some(node)) => format!("process {node}, {name}"),
        (None, Some(node)) => format!("process {node}"),
        (_, None) => "a process that gave no number".to_owned(),
    };
    let lost = || {
        let dead = job.node.is_some() && holder.dead_at.is_none_or(|at| at <= now);
        let lapsed = job.expires.is_some_and(|at| at <= now);
        match (dead, lapsed) {
            (true, _) => {
                " That process is silent and counts as dead: the next sweep of any living one takes the job back."
            }
            (false, true) => " Its time is over: the next sweep of any living process takes the job back.",
            (false, false) => "",
        }
    };
    match job.state {
        State::Available => match before.unwrap_or_default() {
            0 if holder.alive == 0 => "It is the first in line, and no process was heard from lately: see whether a \
                                       worker of this queue is running."
                .to_owned(),
            0 => "It is the first in line: the next worker that is free takes it.".to_owned(),
            before if before >= BEFORE => format!("{BEFORE} jobs and more run before it."),
            1 => "One job runs before it.".to_owned(),
            before => format!("{before} jobs run before it."),
        },
        State::Scheduled | State::Retry if job.schedule > now => {
            let reason = if job.state == State::Retry {
                format!("Attempt {} of {} failed. ", job.attempt, job.max_attempts)
            } else {
                String::new()
            };
            format!("{reason}It runs in {}, at {}.", span(job.schedule - now), job.schedule)
        }
        State::Scheduled | State::Retry => {
            format!(
                "It has been due for {}: the next sweep of any worker makes it available.",
                span(now - job.schedule)
            )
        }
        State::Reserved => {
            format!("{} has claimed it {} ago and starts it soon.{}", process(), span(now - job.updated_at), lost())
        }
        State::InProgress => format!(
            "It is running: {} has had it for {}{}.{}",
            process(),
            span(now - job.updated_at),
            job.expires
                .filter(|at| *at > now)
                .map(|at| format!(", and may for {} more", span(at - now)))
                .unwrap_or_default(),
            lost()
        ),
        State::Failed if job.attempt >= job.max_attempts => {
            format!("All {} attempts have failed. It runs again only if it is retried.", job.max_attempts)
        }
        State::Failed => format!(
            "It was given up after attempt {} of {}. It runs again only if it is retried.",
            job.attempt, job.max_attempts
        ),
    }
}

/// A length of time as people say it, in its two greatest units.
pub fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, 0) => format!("{} ms", span.num_milliseconds().max(0)),
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, 0) => format!("{minutes} min"),
        (0, hours, 0, _) => format!("{hours} h"),
        (days, 0, ..) if days > 0 => format!("{days} d"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_two_greatest_units() {
        let told = |seconds| span(TimeDelta::seconds(seconds));

        assert_eq!((told(-5), told(59), told(61)), ("0 ms".into(), "59 s".into(), "1 min 1 s".into()));
        assert_eq!((told(300), told(3_605), told(86_460)), ("5 min".into(), "1 h".into(), "1 d".into()));
        assert_eq!((told(3_661), told(90_000)), ("1 h 1 min".into(), "1 d 1 h".into()));
    }
}
