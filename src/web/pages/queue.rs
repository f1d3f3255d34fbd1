use actix_web::web::Path;
use maud::{Markup, html};

use super::{
    bar::bar,
    frame::{Crumb, frame},
    parts::{ago, figure, kind, mark, state},
    queues::{depth, since},
};
use crate::{
    name::QueueName,
    operate::{Operator, Overview, Pause},
    web::{fields::Fields, trouble::Trouble, visit::Visit},
};

/// A queue, right now.
pub(crate) async fn page(visit: Visit, path: Path<(String, String)>) -> Result<Markup, Trouble> {
    let operator = visit.operator(&path.0, &path.1).await?;
    let (name, overview) = (operator.name(), operator.overview().await?);
    Ok(frame(
        &visit,
        &name.to_string(),
        &[Crumb::here(name.to_string())],
        html! {
            div class="head" {
                h1 { bdi { (name) } }
                a class="button" href=(visit.queue(name, "/jobs")) { "All jobs" }
            }
            section id="now" data-live {
                (bar(&overview.depth))
                (depth(&visit, name, &overview))
                (since(&overview))
                (pauses(&visit, name, &overview))
                (types(&visit, name, &overview))
            }
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
            table class="list" {
                thead { tr { th { "Type" } th { "State" } th class="number" { "Jobs" } } }
                tbody {
                    @for count in &overview.types {
                        tr {
                            td data-label="Type" { (kind(count.kind.as_deref())) }
                            td data-label="State" { (state(count.state)) }
                            td data-label="Jobs" class="number" {
                                @match &count.kind {
                                    Some(kind) => {
                                        @let fields = Fields::default().with("state", count.state).with("type", kind);
                                        a href=(visit.jobs(name, &fields)) { (figure(count.figure)) }
                                    }
                                    None => { (figure(count.figure)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
