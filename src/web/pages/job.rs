use actix_web::web::{Path, Query};
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    act::notice,
    frame::{Crumb, frame},
    parts::{ago, button, class, kind, mark, moment, process, state},
};
use crate::{
    job::State,
    name::QueueName,
    operate::{Details, Failure, JobRow, span},
    web::{fields::Fields, trouble::Trouble, verb::Verb, visit::Visit},
};

/// All that is known of a job.
pub(crate) async fn page(
    visit: Visit,
    path: Path<(String, String, i64)>,
    Query(fields): Query<Fields>,
) -> Result<Markup, Trouble> {
    let operator = visit.operator(&path.0, &path.1).await?;
    let name = operator.name();
    let details = visit.show(&operator, path.2).await?;
    let job = &details.row;
    let crumbs = [Crumb::queue(&visit, name), Crumb::jobs(&visit, name), Crumb::here(job.id.to_string())];
    Ok(frame(
        &visit,
        &format!("Job {} of {name}", job.id),
        &crumbs,
        html! {
            (notice(&fields))
            div id="job" data-live {
                div class="head" { h1 { "Job " (job.id) } (state(job.state)) (kind(job.kind.as_deref())) }
                p class={ "why " (class(job.state)) } { bdi { (details.why) } }
                @if visit.acts { (actions(&visit, name, job)) }
                div class="columns" {
                    section { h2 { "What happened" } (timeline(&details)) }
                    section { h2 { "Params" } (params(job)) h2 { "Facts" } (facts(&details)) }
                }
            }
        },
    ))
}

/// What may be done with it. Destroying asks first, on a page of its own; the rest is done at once.
fn actions(visit: &Visit, name: &QueueName, job: &JobRow) -> Markup {
    let fits = |verb: &Verb| verb.fits().contains(&job.state);
    let (asked, done): (Vec<_>, Vec<_>) = Verb::ALL.into_iter().filter(fits).partition(|verb| verb.destroys());
    html! {
        div class="row" {
            @if !done.is_empty() {
                form method="post" action=(visit.queue(name, "/act")) {
                    (mark(visit))
                    input type="hidden" name="ids" value=(job.id);
                    @for verb in done { (button(verb)) }
                }
            }
            form method="get" action=(visit.queue(name, "/act")) {
                input type="hidden" name="tick" value=(job.id);
                @for verb in asked { (button(verb)) }
            }
        }
    }
}

/// A job's life, its beginning first.
fn timeline(details: &Details) -> Markup {
    let (job, now) = (&details.row, details.now);
    let first = job.errors.iter().filter_map(|failed| failed.attempt).min().unwrap_or(1);
    html! {
        ol class="timeline" {
            li { (step("Enqueued", Some(job.inserted_at), now)) }
            @if first > 1 { li class="gap" { p class="quiet" { "Of attempts before the " (ordinal(first)) " nothing is kept." } } }
            @for failed in &job.errors { (attempt(failed, now)) }
            @match job.state {
                State::Scheduled | State::Retry => li class=(class(job.state)) {
                    (step(if job.state == State::Retry { "Is tried again" } else { "Runs" }, Some(job.schedule), now))
                },
                State::Available => li class="available" { (step("Can run", Some(job.schedule), now)) },
                State::Reserved => li class="reserved" { (step("Claimed", Some(job.updated_at), now)) },
                State::InProgress => li class="running" {
                    (step(&format!("Attempt {} runs", job.attempt), Some(job.updated_at), now))
                },
                State::Failed => li class="failed" { (step("Failed for good", Some(job.updated_at), now)) },
            }
        }
    }
}

fn step(what: &str, at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Markup {
    html! {
        p class="step" {
            b { (what) }
            @if let Some(at) = at { " " span class="quiet" { (ago(at, now)) " · " (moment(at)) } }
        }
    }
}

fn attempt(failed: &Failure, now: DateTime<Utc>) -> Markup {
    let what =
        failed.attempt.map_or_else(|| "An attempt failed".to_owned(), |number| format!("Attempt {number} failed"));
    let process = failed.process.clone().or(failed.node.map(|node| node.to_string()));
    #[allow(clippy::cast_possible_truncation, reason = "no attempt takes so many milliseconds")]
    let took = failed.seconds.map(|seconds| span(TimeDelta::milliseconds((seconds * 1_000.0) as i64)));
    html! {
        li class="bad" {
            (step(&what, failed.at, now))
            @if took.is_some() || process.is_some() {
                p class="quiet" {
                    @if let Some(took) = took { "after " (took) " " }
                    @if let Some(process) = process { "in process " bdi { (process) } }
                }
            }
            pre {
                @for (depth, text) in failed.error.iter().enumerate() {
                    @if depth > 0 { "\n" span class="quiet" { "because: " } }
                    bdi { (text) }
                }
            }
        }
    }
}

fn ordinal(number: i64) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn params(job: &JobRow) -> Markup {
    let Some(raw) = &job.params else {
        return html! { p class="quiet" { (job.params_bytes) " bytes that cannot be shown as JSON." } };
    };
    // Numbers that this program cannot hold are shown as they were written.
    let pretty = serde_json::from_str::<Value>(raw.get()).and_then(|value| serde_json::to_string_pretty(&value));
    html! { pre class="params" tabindex="0" { bdi { (pretty.as_deref().unwrap_or(raw.get())) } } }
}

fn facts(details: &Details) -> Markup {
    let (job, now) = (&details.row, details.now);
    html! {
        dl class="facts" {
            div { dt { "Attempt" } dd { (job.attempt) " of " (job.max_attempts) } }
            div { dt { "Priority" } dd { (job.priority) } }
            div { dt { "Schedule" } dd { (moment(job.schedule)) } }
            div { dt { "Changed" } dd { (ago(job.updated_at, now)) } }
            @if let Some(at) = job.expires { div { dt { "Held until" } dd { (moment(at)) } } }
            @if let Some(process) = process(job) { div { dt { "Process" } dd { bdi { (process) } } } }
            @if let Some(notify) = &job.notify { div { dt { "Notify" } dd { bdi { (notify) } } } }
            div { dt { "Lease" } dd { (job.lease) } }
        }
    }
}
