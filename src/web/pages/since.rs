//! A queue in a few figures: since when things are as they are, and how fast they go.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    parts::{ago, thousands},
    plot,
};
use crate::{
    job::State,
    name::QueueName,
    operate::{Overview, Throughput},
    web::visit::Visit,
};

/// Rates are those of the last so many steps, the present one among them.
const RECENT: usize = 6;

/// The figures; those of the last hour where they are known.
pub(crate) fn since(visit: &Visit, name: &QueueName, overview: &Overview, hour: Option<&[Throughput]>) -> Markup {
    let now = overview.now;
    let failed = overview.depth.iter().any(|depth| depth.state == State::Failed && depth.figure.jobs > 0);
    let rates = hour.map(|hour| Rates::of(hour, now));
    html! {
        dl class="since" {
            (fact("Oldest waiting", overview.waiting_since.map(|at| ago(at, now)), "none"))
            (fact("Longest running", overview.running_since.map(|at| ago(at, now)), "none"))
            (fact("Next due", overview.next_due.map(|at| ago(at, now)), "none"))
            (fact("Last failed", overview.failed_at.filter(|_| failed).map(|at| ago(at, now)), "none"))
            (fact("In per minute", rates.as_ref().and_then(|rates| rates.inserted).map(rate), "not known"))
            (fact("Out per minute", rates.as_ref().map(|rates| rate(rates.completed)), "not known"))
            (fact("Failures, last hour", rates.and_then(|rates| rates.failures).map(|share| html! { (share) }), "none"))
            (fact("Processes at work", Some(html! {
                a href=(visit.queue(name, "/processes")) { (thousands(overview.processes)) }
            }), ""))
        }
    }
}

fn fact(what: &str, value: Option<Markup>, none: &str) -> Markup {
    html! {
        div {
            dt { (what) }
            dd { @match value { Some(value) => { (value) } None => { span class="quiet" { (none) } } } }
        }
    }
}

/// How fast jobs come in and go out, a minute, over the last five minutes.
struct Rates {
    inserted: Option<f64>,
    completed: f64,
    /// Of a hundred attempts of the hour that ended; none if none did.
    failures: Option<String>,
}

impl Rates {
    fn of(hour: &[Throughput], now: DateTime<Utc>) -> Self {
        let recent = &hour[hour.len().saturating_sub(RECENT)..];
        #[allow(clippy::cast_precision_loss, reason = "rates need not be exact")]
        let minutes = recent.first().map_or(1.0, |step| ((now - step.from).num_seconds().max(60)) as f64 / 60.0);
        #[allow(clippy::cast_precision_loss, reason = "as above")]
        let rate = |jobs: i64| jobs as f64 / minutes;
        let known: Vec<_> = recent.iter().filter_map(|step| step.inserted).collect();
        let (completed, failed) =
            hour.iter().fold((0, 0), |(completed, failed), step| (completed + step.completed, failed + step.failed));
        Self {
            inserted: (!known.is_empty()).then(|| rate(known.iter().sum())),
            completed: rate(recent.iter().map(|step| step.completed).sum()),
            failures: (completed + failed > 0).then(|| plot::share(failed, completed)),
        }
    }
}

fn rate(rate: f64) -> Markup {
    #[allow(clippy::cast_possible_truncation, reason = "a rate of jobs")]
    let told = if rate > 0.0 && rate < 10.0 { format!("{rate:.1}") } else { thousands(rate.round() as i64) };
    html! { (told) }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minutes_and_failures_those_of_the_hour() {
        let at = |minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        let step = |minute, inserted| Throughput { from: at(minute), inserted, started: 0, completed: 12, failed: 4 };
        let hour: Vec<_> = (0..60).map(|minute| step(minute, (minute != 57).then_some(6))).collect();

        let rates = Rates::of(&hour, at(60));

        assert_eq!((rates.inserted, rates.completed, rates.failures), (Some(5.0), 12.0, Some("25.0 %".to_owned())));
        let none = Rates::of(&[], at(60));
        assert_eq!((none.inserted, none.completed, none.failures), (None, 0.0, None));
    }
}
