use actix_web::web::{Path, Query};
use maud::{Markup, html};

use super::{
    bar::bar,
    frame::{Crumb, frame},
    lately::{Span, lately, throughput},
    parts::{self, ago, class, figure, mark, word},
    queues::{HOUR, depth},
    since::since,
};
use crate::{
    job::State,
    name::QueueName,
    operate::{Operator, Overview, Pause, TypeCount},
    web::{fields::Fields, trouble::Trouble, visit::Visit},
};

/// A queue, right now.
pub(crate) async fn page(
    visit: Visit,
    path: Path<(String, String)>,
    Query(fields): Query<Fields>,
) -> Result<Markup, Trouble> {
    let span = Span::of(&fields)?;
    let operator = visit.operator(&path.0, &path.1).await?;
    let name = operator.name();
    // The hour is asked for once.
    let hour = async {
        match span {
            Span::Hour => None,
            Span::Day => operator.throughput(HOUR).await.ok(),
        }
    };
    let (overview, told, hour) =
        futures_util::join!(operator.overview(), visit.activity(&operator, span.length()), hour);
    let overview = overview?;
    let hour = hour.or_else(|| told.as_ref().ok().filter(|_| span == Span::Hour).map(throughput));
    Ok(frame(
        &visit,
        &name.to_string(),
        &[Crumb::here(name.to_string())],
        html! {
            div class="head" {
                h1 { bdi { (name) } }
                a class="button" href=(visit.queue(name, "/jobs")) { "All jobs" }
                a class="button" href=(visit.queue(name, "/processes")) { "Processes" }
            }
            section id="now" data-live {
                (bar(&overview.depth))
                (depth(&visit, name, &overview))
                (since(&visit, name, &overview, hour.as_deref()))
                (pauses(&visit, name, &overview))
            }
            (lately(&visit, name, span, &told))
            section id="types" data-live { (types(&visit, name, &overview)) }
            @if visit.acts { (pause_form(&visit, &operator)) }
        },
    ))
}

fn pauses(visit: &Visit, name: &QueueName, overview: &Overview) -> Markup {
    html! {
        @for pause in &overview.paused {
            div class="notice pause" {
                p {
                    @match &pause.kind {
                        Some(kind) => { "Type " b { bdi { (kind) } } " is paused" }
                        None => { "The whole queue is paused" }
                    }
                    ", since " (ago(pause.since, overview.now)) ". What runs runs on; nothing of it is claimed."
                    @if let Some(reason) = &pause.reason { br; "“" bdi { (reason) } "”" }
                }
                @if visit.acts { (resume_form(visit, name, pause)) }
            }
        }
    }
}

fn resume_form(visit: &Visit, name: &QueueName, pause: &Pause) -> Markup {
    html! {
        form method="post" action=(visit.queue(name, "/resume")) {
            (mark(visit))
            @if let Some(kind) = &pause.kind { input type="hidden" name="type" value=(kind); }
            button { "Resume" }
        }
    }
}

fn pause_form(visit: &Visit, operator: &Operator) -> Markup {
    html! {
        details class="panel" {
            summary { "Pause" }
            p { "No process claims a job of the queue, or of one type, until it is resumed. What runs runs on." }
            form class="fields" method="post" action=(visit.queue(operator.name(), "/pause")) {
                (mark(visit))
                @if !operator.is_binary() {
                    label { "Type" input name="type" placeholder="all of them" autocomplete="off"; }
                }
                label class="wide" { "Reason" input name="reason" placeholder="what others are told" autocomplete="off"; }
                button class="bad" { "Pause" }
            }
        }
    }
}

fn types(visit: &Visit, name: &QueueName, overview: &Overview) -> Markup {
    html! {
        h2 { "By type" }
        @if overview.types.is_empty() {
            div class="empty" {
                p { "No jobs. What is completed is deleted, so an empty queue is one that has kept up." }
                p { "One is enqueued with " code { "job-queue enqueue SendEmail '{\"to\": \"ada@example.com\"}'" }
                    ", or by any program that inserts a row." }
            }
        } @else {
            table {
                thead { tr { th { "Type" } @for state in State::ALL { th class="number" { (word(state)) } } } }
                tbody {
                    @for (kind, counts) in by_type(overview) {
                        tr {
                            td class="whole" { (parts::kind(kind)) }
                            @for state in State::ALL {
                                @match counts.iter().find(|count| count.state == state) {
                                    Some(count) => { (count_cell(visit, name, count)) }
                                    None => { td class="number" {} }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Each type with its counts, the commonest first.
fn by_type(overview: &Overview) -> Vec<(Option<&str>, Vec<&TypeCount>)> {
    let mut types: Vec<(Option<&str>, Vec<&TypeCount>)> = Vec::new();
    for count in &overview.types {
        match types.iter_mut().find(|(kind, _)| *kind == count.kind.as_deref()) {
            Some((_, counts)) => counts.push(count),
            None => types.push((count.kind.as_deref(), vec![count])),
        }
    }
    types
}

fn count_cell(visit: &Visit, name: &QueueName, count: &TypeCount) -> Markup {
    html! {
        td class={ "number " (class(count.state)) } data-label=(word(count.state)) {
            @match &count.kind {
                Some(kind) => {
                    a href=(visit.jobs(name, &Fields::default().with("state", count.state).with("type", kind))) {
                        (figure(count.figure))
                    }
                }
                None => { (figure(count.figure)) }
            }
        }
    }
}
