//! What a queue's jobs did lately.

use std::time::Duration;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    parts::{kind, thousands},
    plot,
};
use crate::{
    name::QueueName,
    operate::{Activity, OperateError, Quantiles, Throughput, TypeActivity, seconds},
    web::{fields::Fields, trouble::Trouble, visit::Visit},
};

/// More types are not told of one by one.
const TYPES: usize = 20;

/// Of which time is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Hour,
    Day,
}

impl Span {
    const ALL: [Span; 2] = [Span::Hour, Span::Day];

    pub(crate) fn of(fields: &Fields) -> Result<Self, Trouble> {
        let asked = fields.one("over").unwrap_or(Span::Hour.word());
        let known = Span::ALL.into_iter().find(|span| span.word() == asked);
        known.ok_or_else(|| Trouble::Unusable(format!("over={asked:?} cannot be used: it is 1h or 1d.")))
    }

    pub(crate) fn length(self) -> Duration {
        Duration::from_secs(if self == Span::Hour { 3_600 } else { 86_400 })
    }

    fn word(self) -> &'static str {
        if self == Span::Hour { "1h" } else { "1d" }
    }

    fn name(self) -> &'static str {
        if self == Span::Hour { "hour" } else { "day" }
    }
}

/// The time that is asked for, and what happened in it.
pub(crate) fn lately(visit: &Visit, name: &QueueName, span: Span, told: &Result<Activity, OperateError>) -> Markup {
    html! {
        section id="lately" data-live {
            div class="head" {
                h2 { "In the last " (span.name()) }
                nav class="switch" aria-label="Time" {
                    @for other in Span::ALL {
                        @let link = Fields::default().with("over", other.word()).query();
                        a href=(visit.queue(name, &link)) aria-current=[(other == span).then_some("true")] { (other.name()) }
                    }
                }
            }
            @match told {
                Ok(activity) => { (plots(visit, name, activity, span)) }
                Err(error) => { (unknown(error)) }
            }
        }
    }
}

/// Rates are told beside the jobs themselves, which are there even for whoever may not read the rates.
pub(crate) fn unknown(error: &OperateError) -> Markup {
    html! {
        div class="notice bad" { p { "What jobs did lately could not be looked at: " bdi { (crate::text::line(error)) } } }
    }
}

fn plots(visit: &Visit, name: &QueueName, activity: &Activity, span: Span) -> Markup {
    let steps = throughput(activity);
    let sum = |of: fn(&Throughput) -> i64| steps.iter().map(of).sum::<i64>();
    let (completed, failed) = (sum(|step| step.completed), sum(|step| step.failed));
    let times = |of: fn(&_) -> Option<Quantiles>| -> Vec<(DateTime<Utc>, Option<Quantiles>)> {
        activity.steps.iter().map(|step| (step.throughput.from, of(step))).collect()
    };
    html! {
        @if completed + failed + sum(|step| step.started) == 0 {
            div class="empty" { p { "No attempt has begun or ended in the last " (span.name()) "." } }
        } @else {
            p {
                b { (thousands(completed)) } " jobs completed, " b { (thousands(failed)) } " attempts failed ("
                (plot::share(failed, completed)) ")."
            }
            (late(activity, span))
            div class="plots" {
                (plot::throughput("throughput", &steps, if activity.step_seconds == 60 { "minute" } else { "quarter of an hour" }))
                (plot::latency("waited", "How long jobs waited", &times(|step| step.waited)))
                (plot::latency("ran", "How long attempts ran", &times(|step| step.ran)))
            }
            (types(&activity.types))
            h2 { "Failures by type" }
            (plot::by_type(visit, name, &activity.types))
            h2 { "Failures by error" }
            p class="quiet" { "Counted by the hour, from the one in which this time begins." }
            (plot::by_error(visit, name, &activity.failures, activity.now))
        }
    }
}

/// What came in and went out, without its times.
pub(crate) fn throughput(activity: &Activity) -> Vec<Throughput> {
    activity.steps.iter().map(|step| step.throughput).collect()
}

/// Of very many types, less than the whole time is told.
fn late(activity: &Activity, span: Span) -> Markup {
    let asked = chrono::TimeDelta::from_std(span.length()).unwrap_or_default();
    let short = activity.now - activity.since < asked - chrono::TimeDelta::seconds(activity.step_seconds);
    html! {
        @if short {
            p class="quiet" { "So many types were at work that this is told from " (activity.since.format("%H:%MZ")) " on only." }
        }
    }
}

fn types(types: &[TypeActivity]) -> Markup {
    let time = |times: Option<Quantiles>, of: fn(&Quantiles) -> f64| {
        times.as_ref().map_or_else(|| "–".to_owned(), |times| seconds(of(times)))
    };
    let heads = ["waited p50", "waited p95", "waited p99", "ran p50", "ran p95", "ran p99"];
    html! {
        details class="panel" id="times-by-type" {
            summary { "Times by type" }
            table {
                thead {
                    tr {
                        th { "Type" } th class="number" { "completed" } th class="number" { "failed" }
                        @for head in heads { th class="number" { (head) } }
                    }
                }
                tbody {
                    @for one in types.iter().take(TYPES) {
                        @let times = [one.waited, one.ran].map(|times| [
                            time(times, |times| times.p50), time(times, |times| times.p95), time(times, |times| times.p99),
                        ]);
                        tr {
                            td class="whole" { (kind(one.kind.as_deref())) }
                            td class="number" data-label="completed" { (thousands(one.completed)) }
                            td class="number" data-label="failed" { (thousands(one.failed)) }
                            @for (head, time) in heads.into_iter().zip(times.into_iter().flatten()) {
                                td class="number" data-label=(head) { (time) }
                            }
                        }
                    }
                }
            }
            @if types.len() > TYPES { p class="quiet" { "These are the busiest of " (types.len()) " types." } }
        }
    }
}
